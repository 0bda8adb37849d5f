"""The hardest negative of a batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pcclip.interfaces import Loss, LossBatch
from pcclip_hardest.options import HardestOptions


class HardestNegative(Loss):
    """Keep a margin between the right difference of a text and the hardest wrong one, and the other way round.

    With ``s_kl = <g(t_k), N(d_l)>``, the mean over k of ``max(0, margin - s_kk + max_{l≠k} s_kl)``, and the same of the
    columns (arXiv:1707.05612, equation 6). False negatives are no negatives.

    When to use: where most negatives are easy, and late in training; early, the mean over all negatives of
    ``contrastive`` is steadier.
    """

    def __init__(self, options: HardestOptions) -> None:
        super().__init__()
        self.margin = options.margin

    def forward(self, batch: LossBatch) -> Tensor:
        scores = batch.text @ F.normalize(batch.image_differences, dim=-1).T
        right = scores.diagonal()
        no_negative = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
        if batch.false_negatives is not None:
            no_negative = no_negative | batch.false_negatives
        wrong = scores.masked_fill(no_negative, -math.inf)
        hinges = [F.relu(self.margin - right + wrong.amax(dim=side)) for side in (1, 0)]
        return (hinges[0] + hinges[1]).mean()
