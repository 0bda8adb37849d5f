"""Follow-up differential descriptions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcclip.errors import UsageError
from pcclip.form import take_apart
from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge, FloatArray
from pcclip_strategies.options import FuddOptions
from pcclip_strategies.prompts import embed_class_prompts, filled

_BLOCK = 256  # pictures whose weights are made at one time: top · dim numbers each


class Fudd(Strategy):
    """Look again at the nearest classes, by what tells them apart (Esfandiarpoor and Bach 2023, arXiv:2311.07593).

    For each picture f, T are the ``top`` classes by ``<f, e_c>`` with ``e_c`` the class prompts. Each c in T gets a
    weight of its own for this picture::

        w_c(T) = N(mean over the texts t that say what sets c apart from another class of T of  g(t))

    and T is ordered by ``<f, w_c(T)>``. Such a text is the half about c of the described difference of a pair, or all
    of it where it has no two halves. A class that no text sets apart from the rest of T keeps ``e_c``. Classes
    outside of T keep their score less 2, which is below that of every class in T.
    """

    needs = frozenset({"comparatives"})

    def __init__(self, options: FuddOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        if not knowledge.comparatives:
            raise UsageError(
                "strategy 'fudd' needs described differences between classes",
                "Bring them in a file (--differences FILE) or have them written (--captioner llama).",
            )
        texts: dict[tuple[str, str], dict[str, None]] = {}
        for comparative in knowledge.comparatives:
            a, b = comparative.first, comparative.second
            sides = take_apart(comparative.text)
            for pair, said in zip(((a, b), (b, a)), sides or (comparative.text,), strict=False):
                texts.setdefault(pair, {})[filled(self.options.text, pair[0], said)] = None
        prompts = embed_class_prompts(embedder, knowledge.names, self.options)
        rows = embedder.embed_texts([text for group in texts.values() for text in group])
        index = {name: i for i, name in enumerate(knowledge.names)}
        table = np.zeros((len(index), len(index)), np.int32)
        sums = np.zeros((len(texts) + 1, embedder.dim), np.float32)
        start = 0
        for place, ((a, b), group) in enumerate(texts.items(), 1):
            table[index[a], index[b]] = place
            sums[place] = rows[start : start + len(group)].sum(axis=0)
            start += len(group)
        return FuddClassifier(knowledge.names, prompts, table, sums, min(self.options.top, len(index)))


class FuddClassifier(Classifier):
    """What :class:`Fudd` fits.

    Args:
        prompts: (k, dim) unit rows ``e_c``.
        table: (k, k); at (c, other) the row of ``sums`` that is about c against other, 0 for none.
        sums: (p + 1, dim) sums of embedded texts; row 0 is zero.
        top: how many classes are looked at again.
    """

    def __init__(
        self, names: tuple[str, ...], prompts: FloatArray, table: NDArray[np.int32], sums: FloatArray, top: int
    ) -> None:
        self._names, self._prompts, self._table, self._sums, self._top = names, prompts, table, sums, top
        self.baseline = LinearClassifier(names, prompts)

    @property
    def classes(self) -> tuple[str, ...]:
        return self._names

    def scores(self, embeddings: FloatArray) -> FloatArray:
        first: FloatArray = embeddings @ self._prompts.T
        nearest = np.argsort(-first, axis=1, kind="stable")[:, : self._top]
        scores: FloatArray = first - np.float32(2)
        for start in range(0, len(embeddings), _BLOCK):
            rows = slice(start, start + _BLOCK)
            again = self._look_again(embeddings[rows], nearest[rows])
            np.put_along_axis(scores[rows], nearest[rows], again, axis=1)
        return scores

    def _look_again(self, embeddings: FloatArray, nearest: NDArray[np.int64]) -> FloatArray:
        """Return the scores (m, top) of the ``nearest`` classes (m, top) of m pictures."""
        weights = np.zeros((*nearest.shape, embeddings.shape[1]), np.float32)
        for other in range(nearest.shape[1]):
            weights += self._sums[self._table[nearest, nearest[:, other, None]]]
        norms = np.linalg.norm(weights, axis=2)
        plain = norms == 0
        weights[plain] = self._prompts[nearest[plain]]
        again: FloatArray = np.einsum("mtd,md->mt", weights, embeddings) / np.where(plain, np.float32(1), norms)
        return again
