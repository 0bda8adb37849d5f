"""Every text with every difference, judged pair by pair."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcclip.interfaces import Loss, LossBatch
from pcclip_losses.options import SiglipOptions


class SiglipLoss(Loss):
    """Say of each text and each difference of the batch whether they belong together.

    With ``z_kl = 1`` on the diagonal and -1 elsewhere, the sum over all k and l of
    ``-log sigmoid(z_kl · (<g(t_k), N(d_l)> / temperature + bias))``, divided by the number of texts
    (arXiv:2303.15343, equation 1). False negatives are left out of the sum.

    When to use: where pairs are hard to tell from their neighbours; no row competes with another, so
    one false negative does less harm than in the contrastive loss.
    """

    def __init__(self, options: SiglipOptions) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(options.temperature)), requires_grad=options.learn)
        self.bias = nn.Parameter(torch.tensor(options.bias), requires_grad=options.learn)

    def forward(self, batch: LossBatch) -> Tensor:
        cosines = batch.text @ F.normalize(batch.image_differences, dim=-1).T
        signs = 2 * torch.eye(len(cosines), device=cosines.device, dtype=cosines.dtype) - 1
        losses = -F.logsigmoid(signs * (cosines * self.log_scale.exp() + self.bias))
        if batch.false_negatives is not None:
            losses = losses.masked_fill(batch.false_negatives, 0)
        return losses.sum() / len(losses)
