"""Declares the strategy ``votes``."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import StrategySpec


@hookimpl
def pcclip_strategies() -> Iterable[StrategySpec]:
    yield StrategySpec(
        name="votes",
        target="pcclip_votes.strategy:Votes",
        options="pcclip_votes.options:VotesOptions",
        summary="class prompts, and a vote of every described pair of classes",
        api=1,
    )
