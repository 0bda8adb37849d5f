"""Class prompts that a description extends."""

from __future__ import annotations

import numpy as np

from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge
from pcclip_strategies.options import ExtendedOptions
from pcclip_strategies.prompts import descriptions_of, embed_groups, filled, unit


class Extended(Strategy):
    """Class prompt and description in one text (a baseline of arXiv:2409.09721).

    ``w_c = g("This is a photo of a {c}. {description}")``; of several descriptions, the normalised mean. The score
    is the cosine ``<f, w_c>``.
    """

    needs = frozenset({"descriptions"})

    def __init__(self, options: ExtendedOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        described = descriptions_of(knowledge, "extended")
        groups = [
            [filled(self.options.template, name, text) for text in texts]
            for name, texts in zip(knowledge.names, described, strict=True)
        ]
        means = np.stack([rows.mean(axis=0) for rows in embed_groups(embedder, groups)])
        return LinearClassifier(knowledge.names, unit(means))
