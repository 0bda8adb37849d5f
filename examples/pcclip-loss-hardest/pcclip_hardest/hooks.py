"""Declares the loss ``hardest``."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import LossSpec


@hookimpl
def pcclip_losses() -> Iterable[LossSpec]:
    yield LossSpec(
        name="hardest",
        target="pcclip_hardest.loss:HardestNegative",
        options="pcclip_hardest.options:HardestOptions",
        summary="a margin to the hardest negative of the batch",
        api=1,
    )
