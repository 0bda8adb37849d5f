"""The paper's loss."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcclip.interfaces import Loss, LossBatch
from pcclip_losses.options import ContrastiveOptions

_LARGEST_SCALE = 100.0  # CLIP's own limit (arXiv:2103.00020, section 2.5)


class ContrastiveLoss(Loss):
    """Match each text with its own image difference among all of the batch, and the other way round.

    With ``s_kl = <g(t_k), N(d_l)> / temperature``, the mean of the cross entropies of the rows and of
    the columns of ``s``, the target being the diagonal (arXiv:2409.09721, section 3). False negatives
    are left out of the sums.

    When to use: whenever the batch is large enough to hold telling negatives (32 pairs or more).
    """

    def __init__(self, options: ContrastiveOptions) -> None:
        super().__init__()
        self.temperature = options.temperature
        if options.learn_temperature:
            self.log_scale = nn.Parameter(torch.tensor(-math.log(options.temperature)))

    def forward(self, batch: LossBatch) -> Tensor:
        scores = batch.text @ F.normalize(batch.image_differences, dim=-1).T * self._scale()
        if batch.false_negatives is not None:
            scores = scores.masked_fill(batch.false_negatives, -math.inf)
        target = torch.arange(len(scores), device=scores.device)
        return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2

    def _scale(self) -> Tensor | float:
        log_scale: Tensor | None = getattr(self, "log_scale", None)
        return 1 / self.temperature if log_scale is None else log_scale.exp().clamp(max=_LARGEST_SCALE)
