"""Declares the ways to classify."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import StrategySpec


@hookimpl
def pcclip_strategies() -> Iterable[StrategySpec]:
    yield StrategySpec(
        name="zero-shot",
        target="pcclip_strategies.zero_shot:ZeroShot",
        options="pcclip_strategies.options:ZeroShotOptions",
        summary="nearest class prompt",
    )
    yield StrategySpec(
        name="comparative",
        target="pcclip_strategies.comparative:ComparativePrompting",
        options="pcclip_strategies.options:ComparativeOptions",
        summary="class prompts moved by described differences between classes (the paper's)",
    )
