"""Which pairs of a batch are no negatives of each other, and which are the telling ones."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from pcclip.form import take_apart

NEAR = 0.9
"""Texts that share this much of their words are near-identical."""

_WORD = re.compile(r"\w+")
_POOL = 16  # batches among which hard negatives are sought


class FalseNegatives:
    """Tells the pairs that must not push each other apart.

    Two pairs are no negatives of each other where

    - they share a picture in the same role: both are about what sets this picture off from another one; or
    - their texts are near-identical: the sides of both say the same, up to one word in ten. Texts that
      are not in the form of :mod:`pcclip.form` have to be equal up to case, spaces and punctuation.

    A pair and its own reversal are always negatives: they hold the same words, and mean the opposite.
    Copies of a picture count as one picture.

    Args:
        embeddings: (N, dim) rows of pictures.
        first, second: (n,) rows of ``embeddings``.
        texts: n texts.
    """

    def __init__(self, embeddings: Tensor, first: Tensor, second: Tensor, texts: Sequence[str]) -> None:
        _, pictures = np.unique(embeddings.numpy(), axis=0, return_inverse=True)
        self._pictures = torch.from_numpy(pictures.reshape(-1))
        self._first, self._second = self._pictures[first], self._pictures[second]
        known: dict[tuple[int, str], int] = {}
        words = [sorted({known.setdefault(word, len(known)) for word in words_of(text)}) for text in texts]
        self._words = torch.tensor([word for own in words for word in own], dtype=torch.int32)
        self._ends = [0, *itertools.accumulate(map(len, words))]

    def mask(self, rows: Tensor) -> Tensor:
        """Return (B, B) booleans for B row numbers: true where the two are no negatives of each other."""
        return self.between(rows, rows) & ~torch.eye(len(rows), dtype=torch.bool)

    def between(self, rows: Tensor, others: Tensor) -> Tensor:
        """Return (B, C) booleans for B and C row numbers."""
        same = self._first[rows, None] == self._first[others]
        same |= self._second[rows, None] == self._second[others]
        same |= self._near(rows, others)
        opposite = (self._first[rows, None] == self._second[others]) & (self._second[rows, None] == self._first[others])
        return same & ~opposite

    def _near(self, rows: Tensor, others: Tensor) -> Tensor:
        both = [self._words[self._ends[row] : self._ends[row + 1]] for row in (*rows.tolist(), *others.tolist())]
        counts = torch.tensor([len(words) for words in both], dtype=torch.float32)
        _, columns = torch.unique(torch.cat(both), return_inverse=True)
        held = torch.zeros(len(both), int(columns.max()) + 1)
        held[torch.repeat_interleave(torch.arange(len(both)), counts.long()), columns] = 1
        shared = held[: len(rows)] @ held[len(rows) :].T
        union = counts[: len(rows), None] + counts[len(rows) :] - shared
        return shared >= NEAR * union


def words_of(text: str) -> Iterable[tuple[int, str]]:
    """Return what a text says, as words told apart by the side they are on; the whole text, where it has no sides."""
    sides = take_apart(text)
    if sides is None:
        return [(0, " ".join(_WORD.findall(text.casefold())))]
    return [(number, word) for number, side in enumerate(sides, 1) for word in _WORD.findall(side.casefold()) or [""]]


class HardNegatives:
    """Puts pairs into a batch with pairs that they are easily mistaken for.

    Every batch begins with pairs drawn at random. The share of it that is to be hard is filled, one for
    each of them in turn, with the pair whose text is nearest to theirs by the text tower before training,
    among the pairs of the next 16 batches that are left and are no false negatives of theirs. Each epoch
    still sees each pair once.

    Args:
        texts: (n, dim) unit rows ``g_0(t)``.
        share: of a batch, at most a half.
        false: tells which pairs are no negatives.
    """

    def __init__(self, texts: Tensor, share: float, false: FalseNegatives) -> None:
        self._texts, self._share, self._false = texts, share, false

    def batched(self, order: Tensor, batch_size: int) -> Tensor:
        """Return the rows of ``order`` in the order of the batches that they make."""
        pool = _POOL * batch_size
        return torch.cat([self._fill(part, batch_size) for part in torch.split(order, pool)])

    def _fill(self, pool: Tensor, batch_size: int) -> Tensor:
        count = int(batch_size * self._share)
        batches: list[Tensor] = []
        left = pool
        while len(left) > batch_size:
            anchors, rest = left[: batch_size - count], left[batch_size - count :]
            cosines = self._texts[anchors[:count]] @ self._texts[rest].T
            cosines[self._false.between(anchors[:count], rest)] = -2
            taken = torch.zeros(len(rest), dtype=torch.bool)
            for row in cosines:
                taken[int(row.masked_fill(taken, -3).argmax())] = True
            batches += [anchors, rest[taken]]
            left = rest[~taken]
        return torch.cat([*batches, left])
