"""CLIP's own classifier."""

from __future__ import annotations

from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge
from pcclip_strategies.options import ZeroShotOptions
from pcclip_strategies.prompts import embed_class_prompts


class ZeroShot(Strategy):
    """The class whose prompt is nearest (Radford et al. 2021, arXiv:2103.00020, section 3.1).

    The score is ``<f, e_c>`` with ``e_c = g("This is a photo of a {c}")``, or, with several templates t,
    ``e_c = N(mean_t g(t(c)))``.
    """

    def __init__(self, options: ZeroShotOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        return LinearClassifier(knowledge.names, embed_class_prompts(embedder, knowledge.names, self.options))
