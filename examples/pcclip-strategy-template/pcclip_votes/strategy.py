"""Described pairs of classes vote."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcclip.errors import UsageError
from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge, FloatArray
from pcclip_votes.options import VotesOptions


class Votes(Strategy):
    """Add the votes of described pairs to the cosine with the class prompt.

    The pair (a, b) with text t votes ``sign(<f - (e_a + e_b) / 2, g(t)>)``, without the sign where votes are
    soft: for a and against b where it is positive. A class gets the mean of the votes about it, times ``weight``.
    """

    needs = frozenset({"comparatives"})

    def __init__(self, options: VotesOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        if not knowledge.comparatives:
            raise UsageError("votes needs described pairs of classes", "Give --differences FILE or --captioner NAME.")
        template = self.options.template
        prompts = embedder.embed_texts([template.replace("{label}", name) for name in knowledge.names])
        index = {name: i for i, name in enumerate(knowledge.names)}
        pairs = np.array([[index[c.first], index[c.second]] for c in knowledge.comparatives])
        directions = embedder.embed_texts([c.text for c in knowledge.comparatives])
        return VotesClassifier(knowledge.names, prompts, pairs, directions, self.options)


class VotesClassifier(Classifier):
    """What :class:`Votes` fits.

    Args:
        prompts: (k, dim) unit rows.
        pairs: (p, 2) indices of classes.
        directions: (p, dim) unit rows ``g(t)``.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        prompts: FloatArray,
        pairs: NDArray[np.int64],
        directions: FloatArray,
        options: VotesOptions,
    ) -> None:
        self._names, self._prompts, self._directions, self._options = names, prompts, directions, options
        self.baseline = LinearClassifier(names, prompts)  # without votes: what --explain compares with
        middle = prompts[pairs].mean(axis=1)
        self._thresholds = np.einsum("pd,pd->p", middle, directions)
        votes = np.zeros((len(pairs), len(names)), np.float32)
        votes[np.arange(len(pairs)), pairs[:, 0]] = 1
        votes[np.arange(len(pairs)), pairs[:, 1]] = -1
        self._votes = votes / np.maximum(np.abs(votes).sum(axis=0), 1)

    @property
    def classes(self) -> tuple[str, ...]:
        return self._names

    def scores(self, embeddings: FloatArray) -> FloatArray:
        sides = embeddings @ self._directions.T - self._thresholds
        if not self._options.soft:
            sides = np.sign(sides)
        scores: FloatArray = embeddings @ self._prompts.T + self._options.weight * (sides @ self._votes)
        return scores
