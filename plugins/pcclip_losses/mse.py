"""The paper's variant without negatives."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from pcclip.interfaces import Loss, LossBatch


class MSELoss(Loss):
    """Draw each text onto its image difference: mean over all entries of ``(g(t_ij) - d_ij)²``.

    The difference is not normalised, so the length of ``d_ij`` matters (arXiv:2409.09721, the MSE variant).

    When to use: batches too small for negatives; it is weaker where the batch is large.
    """

    def forward(self, batch: LossBatch) -> Tensor:
        return F.mse_loss(batch.text, batch.image_differences)
