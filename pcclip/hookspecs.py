"""The hooks a plugin may implement. They take nothing, return declarations, and do no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pcclip.specs import CaptionerSpec, EmbedderSpec, LossSpec, StrategySpec

PROJECT = "pcclip"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def pcclip_embedders() -> Iterable[EmbedderSpec]:
    """Return the CLIP-like models this plugin brings."""
    return ()


@hookspec
def pcclip_captioners() -> Iterable[CaptionerSpec]:
    """Return the writers of comparatives this plugin brings."""
    return ()


@hookspec
def pcclip_losses() -> Iterable[LossSpec]:
    """Return the training losses this plugin brings."""
    return ()


@hookspec
def pcclip_strategies() -> Iterable[StrategySpec]:
    """Return the ways to classify this plugin brings."""
    return ()
