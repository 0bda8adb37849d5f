"""A comparative read backwards is its opposite."""

from __future__ import annotations

from torch import Tensor

from pcclip.interfaces import Loss, LossBatch


class AntisymmetryLoss(Loss):
    """Draw the text of a pair and the text of the reversed pair to opposite ends.

    The mean over the reversible rows of ``1 + <g(t_ij), g(t_ji)>``: 0 where ``g(t_ji) = -g(t_ij)``,
    which is what image differences do, since ``d_ji = -d_ij``.

    When to use: added to a loss that looks at pictures, ``contrastive+0.2*antisymmetry``. Texts in
    another form than "The first image shows …, while the second image shows …" do not count.
    """

    needs = frozenset({"reversible", "reversed_text"})

    def forward(self, batch: LossBatch) -> Tensor:
        assert batch.reversible is not None
        assert batch.reversed_text is not None
        if not len(batch.reversed_text):
            return 0 * batch.text.sum()
        return 1 + (batch.text[batch.reversible] * batch.reversed_text).sum(dim=-1).mean()
