"""Classification by description."""

from __future__ import annotations

import numpy as np

from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge
from pcclip_strategies.options import DescriptionsOptions
from pcclip_strategies.prompts import descriptions_of, embed_groups, filled, is_sentence


class Descriptions(Strategy):
    """The mean of a picture's cosines with the features of a class (Menon and Vondrick 2023, arXiv:2210.07183).

    The texts are ``t = "{c}, which has {feature}"``, or the description itself where it is a whole sentence::

        s_c(f) = mean over t of <f, g(t)> = <f, mean over t of g(t)>

    So it is linear, and its weights are *not* normalised: a class whose features lie apart has a short weight,
    and lower scores.
    """

    needs = frozenset({"descriptions"})

    def __init__(self, options: DescriptionsOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        described = descriptions_of(knowledge, "descriptions")
        groups = [
            [text if is_sentence(text) else filled(self.options.template, name, text) for text in texts]
            for name, texts in zip(knowledge.names, described, strict=True)
        ]
        means = np.stack([rows.mean(axis=0) for rows in embed_groups(embedder, groups)])
        return LinearClassifier(knowledge.names, means)
