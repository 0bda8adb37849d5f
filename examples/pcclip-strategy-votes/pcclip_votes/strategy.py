"""Described pairs of classes vote."""

from __future__ import annotations

import numpy as np

from pcclip.errors import UsageError
from pcclip.interfaces import Classifier, Embedder, Strategy
from pcclip.types import ClassKnowledge, FloatArray
from pcclip_votes.options import VotesOptions


class Votes(Strategy):
    """Add the votes of described pairs to the cosine with the class prompt.

    The pair (a, b) with text t votes ``sign(<f - (e_a + e_b) / 2, g(t)>)``: for a and against b where it is
    positive. A class gets the mean of the votes about it, times ``weight``.
    """

    needs = frozenset({"comparatives"})

    def __init__(self, options: VotesOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        if not knowledge.comparatives:
            raise UsageError("votes needs described pairs of classes", "Give --differences FILE or --captioner NAME.")
        prompts = embedder.embed_texts([f"This is a photo of a {name}" for name in knowledge.names])
        index = {name: i for i, name in enumerate(knowledge.names)}
        pairs = np.array([[index[c.first], index[c.second]] for c in knowledge.comparatives])
        directions = embedder.embed_texts([c.text for c in knowledge.comparatives])
        return VotesClassifier(knowledge.names, prompts, pairs, directions, self.options.weight)


class VotesClassifier(Classifier):
    """What :class:`Votes` fits.

    Args:
        prompts: (k, dim) unit rows.
        pairs: (p, 2) indices of classes.
        directions: (p, dim) unit rows ``g(t)``.
    """

    def __init__(
        self, names: tuple[str, ...], prompts: FloatArray, pairs: np.ndarray, directions: FloatArray, weight: float
    ) -> None:
        self._names, self._prompts, self._directions, self._weight = names, prompts, directions, weight
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
        signs = np.sign(embeddings @ self._directions.T - self._thresholds)
        scores: FloatArray = embeddings @ self._prompts.T + self._weight * (signs @ self._votes)
        return scores
