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
    yield LossSpec(
        name="siglip",
        target="pcclip_losses.siglip:SiglipLoss",
        options="pcclip_losses.options:SiglipOptions",
        summary="a sigmoid for every text and difference of a batch",
    )
    yield LossSpec(
        name="antisymmetry",
        target="pcclip_losses.antisymmetry:AntisymmetryLoss",
        summary="to add: the text of the reversed pair points the other way",
    )
    yield LossSpec(
        name="retain",
        target="pcclip_losses.retain:RetainLoss",
        options="pcclip_losses.options:RetainOptions",
        summary="to add: captions stay where they were, or near their pictures",
    )
