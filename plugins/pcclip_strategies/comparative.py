"""Comparative prompting, the paper's own way to classify."""

from __future__ import annotations

import numpy as np

from pcclip.errors import UsageError
from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge
from pcclip_strategies.options import ComparativeOptions
from pcclip_strategies.prompts import embed_class_prompts


class ComparativePrompting(Strategy):
    """Move class prompts by the described differences between classes (arXiv:2409.09721, section 3.3).

    With ``e_c`` the class prompts and ``t_ab`` the text that says how class a differs from class b::

        v_b  = mean over the described pairs (a, b) of  e_a - g(t_ab)
        e_b' = N(alpha · e_b + (1 - alpha) · v_b)

    Only b moves; the reversed text moves a. Classes without a described pair keep ``e_c``.
    """

    def __init__(self, options: ComparativeOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        if not knowledge.comparatives:
            raise UsageError(
                "comparative prompting needs described differences between classes",
                "Bring them in a file (--differences FILE) or have them written (--captioner llama).",
            )
        prompts = embed_class_prompts(embedder, knowledge.names, self.options.template)
        texts = embedder.embed_texts([comparative.text for comparative in knowledge.comparatives])
        index = {name: i for i, name in enumerate(knowledge.names)}
        first = [index[comparative.first] for comparative in knowledge.comparatives]
        second = np.array([index[comparative.second] for comparative in knowledge.comparatives])
        targets = prompts[first] - texts
        weights = prompts.copy()
        alpha = self.options.alpha
        for b in np.unique(second):
            moved = alpha * prompts[b] + (1 - alpha) * targets[second == b].mean(axis=0)
            weights[b] = moved / np.linalg.norm(moved)
        return LinearClassifier(knowledge.names, weights)
