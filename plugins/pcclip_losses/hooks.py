"""Declares the training losses."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import LossSpec


@hookimpl
def pcclip_losses() -> Iterable[LossSpec]:
    yield LossSpec(
        name="contrastive",
        target="pcclip_losses.contrastive:ContrastiveLoss",
        options="pcclip_losses.options:ContrastiveOptions",
        summary="symmetric cross entropy over all texts and differences of a batch (the paper's)",
    )
    yield LossSpec(
        name="mse",
        target="pcclip_losses.mse:MSELoss",
        summary="mean squared error between text and image difference",
    )
