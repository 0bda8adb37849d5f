"""The strategy two-sided."""

from __future__ import annotations

import numpy as np
from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge

from pcclip_strategy_two_sided.options import TwoSidedStrategyOptions


class TwoSidedStrategy(Strategy):
    """The nearest class prompt; a described difference pulls one prompt and pushes the other.

    With the class prompts ``e_c`` and a text ``t_ab`` that says how class a differs from class b::

        w_c = N(e_c + shift · mean over the pairs (c, b) of g(t_cb) - away · mean over the pairs (a, c) of g(t_ac))
    """

    reads = frozenset({"comparatives"})  # used where they are there; `needs` is for what it cannot do without

    def __init__(self, options: TwoSidedStrategyOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        prompts = embedder.embed_texts([self.options.template.replace("{label}", name) for name in knowledge.names])
        weights = prompts.copy()
        for row, name in enumerate(knowledge.names):
            of = [comparative.text for comparative in knowledge.comparatives if comparative.first == name]
            against = [comparative.text for comparative in knowledge.comparatives if comparative.second == name]
            for texts, step in ((of, self.options.shift), (against, -self.options.away)):
                if texts:
                    weights[row] += step * embedder.embed_texts(texts).mean(axis=0)
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
        without = LinearClassifier(knowledge.names, prompts)  # what --explain compares with
        return LinearClassifier(knowledge.names, weights, baseline=without)
