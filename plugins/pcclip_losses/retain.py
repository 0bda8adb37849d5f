"""Against forgetting what captions mean."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pcclip.interfaces import Loss, LossBatch
from pcclip_losses.options import RetainOptions


class RetainLoss(Loss):
    """Keep plain captions near their pictures, or where they were, while comparatives are learned.

    Target ``images``: CLIP's own loss, the symmetric cross entropy of ``<g(c_k), f(I_l)> / temperature``
    (arXiv:2103.00020, figure 3). Target ``text``: the mean over the batch's captions of
    ``1 - <g(c), g_0(c)>``, with ``g_0`` the text tower before training.

    When to use: added to another loss, ``contrastive+0.5*retain``, where retrieval or zero-shot accuracy
    goes down in training. It costs about as much again as half of the texts.
    """

    def __init__(self, options: RetainOptions) -> None:
        super().__init__()
        self.target = options.target
        self.temperature = options.temperature
        self.needs = frozenset({"captions", "original_captions" if self.target == "text" else "caption_images"})

    def forward(self, batch: LossBatch) -> Tensor:
        assert batch.captions is not None
        if self.target == "text":
            assert batch.original_captions is not None
            return 1 - (batch.captions * batch.original_captions).sum(dim=-1).mean()
        assert batch.caption_images is not None
        scores = batch.captions @ batch.caption_images.T / self.temperature
        target = torch.arange(len(scores), device=scores.device)
        return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
