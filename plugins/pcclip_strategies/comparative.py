"""Comparative prompting, the paper's own way to classify."""

from __future__ import annotations

import numpy as np

from pcclip.errors import UsageError
from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge, FloatArray, LabelledEmbeddings
from pcclip_strategies.options import ComparativeOptions
from pcclip_strategies.prompts import embed_class_prompts, unit

GRID = tuple(step / 20 for step in range(21))


class ComparativePrompting(Strategy):
    """Move class prompts by the described differences between classes (arXiv:2409.09721, section 3.3).

    With ``e_c`` the class prompts and ``t_ab`` the text that says how class a differs from class b::

        v_b  = mean over the described pairs (a, b) of  e_a - g(t_ab)
        e_b' = N(alpha · e_b + (1 - alpha) · v_b)

    Only b moves; the reversed text moves a. Classes without a described pair keep ``e_c``. Where alpha is
    ``auto``, it is the one of 0, 0.05, …, 1 with the best accuracy on the labelled pictures, of equals the largest.
    """

    needs = frozenset({"comparatives"})
    reads = frozenset({"support"})

    def __init__(self, options: ComparativeOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        if not knowledge.comparatives:
            raise UsageError(
                "comparative prompting needs described differences between classes",
                "Bring them in a file (--differences FILE) or have them written (--captioner llama).",
            )
        if self.options.alpha == "auto" and knowledge.support is None:
            raise UsageError(
                "strategy 'comparative' chooses alpha on labelled pictures, and there are none",
                "Bring them (--support DATA), or set it: --strategy-alpha 0.85",
            )
        prompts = embed_class_prompts(embedder, knowledge.names, self.options)
        moves = _moves(embedder, knowledge, prompts)
        notes = []
        if self.options.alpha == "auto":
            assert knowledge.support is not None
            alpha, note = _best_alpha(prompts, moves, knowledge.names, knowledge.support)
            notes.append(note)
        else:
            alpha = self.options.alpha
        return LinearClassifier(
            knowledge.names,
            _moved(prompts, moves, alpha),
            notes=notes,
            baseline=LinearClassifier(knowledge.names, prompts),
        )


def _moves(embedder: Embedder, knowledge: ClassKnowledge, prompts: FloatArray) -> dict[int, FloatArray]:
    """Return ``v_b`` (dim,) of each class b that a described pair moves."""
    texts = embedder.embed_texts([comparative.text for comparative in knowledge.comparatives])
    index = {name: i for i, name in enumerate(knowledge.names)}
    first = [index[comparative.first] for comparative in knowledge.comparatives]
    second = np.array([index[comparative.second] for comparative in knowledge.comparatives])
    targets = prompts[first] - texts
    return {int(b): targets[second == b].mean(axis=0) for b in np.unique(second)}


def _moved(prompts: FloatArray, moves: dict[int, FloatArray], alpha: float) -> FloatArray:
    """Return the class weights (k, dim); a class whose two parts cancel out keeps its prompt."""
    weights = prompts.copy()
    for b, move in moves.items():
        weights[b] = alpha * prompts[b] + (1 - alpha) * move
    weights = unit(weights)
    lost = ~weights.any(axis=1)
    weights[lost] = prompts[lost]
    return weights


def _best_alpha(
    prompts: FloatArray, moves: dict[int, FloatArray], names: tuple[str, ...], support: LabelledEmbeddings
) -> tuple[float, str]:
    """Return the alpha that classifies most of the labelled pictures rightly, and a sentence that says so."""
    index = {name: i for i, name in enumerate(names)}
    labels = np.array([index[label] for label in support.labels])
    right = []
    for alpha in GRID:
        found = LinearClassifier(names, _moved(prompts, moves, alpha)).predict(support.embeddings)
        right.append(int((found.indices[:, 0] == labels).sum()))
    best = max(range(len(GRID)), key=lambda place: (right[place], GRID[place]))
    return GRID[best], (
        f"alpha {GRID[best]:g} has the best accuracy on {len(support)} labelled pictures: "
        f"{right[best] / len(support):.3f}, and {right[-1] / len(support):.3f} without the differences"
    )
