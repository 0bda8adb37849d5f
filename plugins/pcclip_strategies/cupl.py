"""Customised prompts."""

from __future__ import annotations

import numpy as np

from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge
from pcclip_strategies.options import CuplOptions
from pcclip_strategies.prompts import (
    descriptions_of,
    embed_groups,
    mean_of_templates,
    read_templates,
    unit,
)


class Cupl(Strategy):
    """The mean of what a language model writes about a class (CuPL; Pratt et al. 2023, arXiv:2209.03320).

    ``w_c = N(mean over sentences s about c of g(s))``; with templates, their prompts are in the same mean, each
    counting as one sentence. Descriptions are embedded as they are, so they should name their class. The score is
    the cosine ``<f, w_c>``.
    """

    needs = frozenset({"descriptions"})

    def __init__(self, options: CuplOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        described = descriptions_of(knowledge, "cupl")
        totals = np.stack([rows.sum(axis=0) for rows in embed_groups(embedder, described)])
        if self.options.templates is not None:
            templates = read_templates(self.options.templates)
            totals += len(templates) * mean_of_templates(embedder, knowledge.names, templates)
        return LinearClassifier(knowledge.names, unit(totals))
