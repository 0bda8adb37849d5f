"""One process or many at work on one training.

Every process knows the whole batch and encodes its share of the texts. The embeddings are gathered, the
loss is taken of all of them everywhere, and each process carries the gradient of its own embeddings back
into the text tower; the sum over the processes is the one-process gradient, with nothing to rescale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn


class Processes:
    """This process alone."""

    rank = 0
    count = 1

    def share(self, lengths: Tensor) -> Tensor:
        """Return which of the texts with these (M,) lengths this process encodes."""
        return torch.argsort(lengths, stable=True)[self.rank :: self.count]

    def gathered(self, own: Tensor, lengths: Tensor) -> Tensor:
        """Return (M, dim) rows of all texts from the (m, dim) rows of this process's share, without gradients."""
        everything = own.new_empty(len(lengths), own.shape[1])
        everything[self.share(lengths).to(own.device)] = own.detach()
        return everything

    def sum_gradients(self, trained: Iterable[nn.Parameter], everywhere: Iterable[nn.Parameter]) -> None:
        """Replace each gradient of ``trained`` by its sum over the processes.

        Args:
            everywhere: those of them whose whole gradient every process has already: a loss's own parameters.
        """

    def agreed(self, measure: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        """Return what ``measure`` returns in the first process."""
        return measure()

    def wait(self) -> None:
        """Wait until every process is here."""
