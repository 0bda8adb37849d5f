"""The paper's loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pcclip.interfaces import Loss
from pcclip_losses.options import ContrastiveOptions


class ContrastiveLoss(Loss):
    """Match each text with its own image difference among all of the batch, and the other way round.

    With ``s_kl = <g(t_k), N(d_l)> / temperature``, the mean of the cross entropies of the rows and of
    the columns of ``s``, the target being the diagonal (arXiv:2409.09721, section 3).

    When to use: whenever the batch is large enough to hold telling negatives (32 pairs or more).
    """

    def __init__(self, options: ContrastiveOptions) -> None:
        super().__init__()
        self.temperature = options.temperature

    def forward(self, image_differences: Tensor, text: Tensor) -> Tensor:
        scores = text @ F.normalize(image_differences, dim=-1).T / self.temperature
        target = torch.arange(len(scores), device=scores.device)
        return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
