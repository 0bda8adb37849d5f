"""What a strategy promises."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch

from pcclip.errors import UsageError
from pcclip.interfaces import Classifier, Embedder, Strategy
from pcclip.testing.contract import Contract, fail, require, require_array, require_equal
from pcclip.testing.fakes import HashEmbedder
from pcclip.types import ClassComparative, ClassKnowledge, FloatArray

_NAMES = ("sea lion", "brown_bear", "{cat}", "Hund", "ant")
_TEXTS = {
    ("sea lion", "brown_bear"): "The first image shows an animal in the water, while the second shows one with fur.",
    ("{cat}", "Hund"): "The first image shows a small animal, while the second image shows a larger one.",
    ("ant", "{cat}"): "The first image shows an insect, while the second image shows an animal with whiskers.",
}


class StrategyContract(Contract):
    """What every strategy promises; see :class:`pcclip.interfaces.Strategy`.

    Attributes:
        tolerance: how far scores may be apart that should be equal.
    """

    kind: ClassVar[str] = "strategy"
    tolerance: ClassVar[float] = 1e-4

    @classmethod
    def embedder(cls) -> Embedder:
        """Return the model that the strategy is fitted with."""
        return HashEmbedder()

    @classmethod
    def knowledge(cls) -> ClassKnowledge:
        """Return all that a strategy may be given about five classes."""
        comparatives = [
            one
            for (first, second), text in _TEXTS.items()
            for one in (ClassComparative(first, second, text), ClassComparative(second, first, f"Not so: {text}"))
        ]
        descriptions = {name: (f"{name}, which has legs", f"a {name} outdoors") for name in _NAMES}
        return ClassKnowledge(_NAMES, tuple(comparatives), descriptions)

    def fitted(self, knowledge: ClassKnowledge | None = None, seed: int = 0) -> Classifier:
        """Return the classifier that a new instance fits."""
        strategy: Strategy = self.make()
        torch.manual_seed(seed)
        np.random.seed(seed)
        return strategy.fit(self.embedder(), knowledge or self.knowledge())

    def test_scores_are_a_finite_row_a_picture(self) -> None:
        """Scores are (n, k) and finite, in the order of the classes, and none for no picture."""
        classifier = self.fitted()
        require(isinstance(classifier, Classifier), f"fit returned a {type(classifier).__name__}, no Classifier")
        require(
            tuple(classifier.classes) == _NAMES, f"the classes are {tuple(classifier.classes)}, not {_NAMES} as given"
        )
        for count in (7, 1, 0):
            require_array(classifier.scores(_pictures(count)), (count, len(_NAMES)), f"scores of {count} pictures")

    def test_scores_of_a_picture_depend_on_that_picture_alone(self) -> None:
        """A picture has the same scores in any batch and order, and the embeddings are left as they are."""
        classifier, pictures = self.fitted(), _pictures(7)
        pictures.setflags(write=False)
        scores = classifier.scores(pictures)
        single = np.concatenate([classifier.scores(pictures[row : row + 1]) for row in range(len(pictures))])
        require_equal(single, scores, "scores one by one against a batch", self.tolerance)
        turned = classifier.scores(np.ascontiguousarray(pictures[::-1]))[::-1]
        require_equal(turned, scores, "scores in the reversed order", self.tolerance)

    def test_a_column_belongs_to_its_class(self) -> None:
        """The same classes in another order have the same scores."""
        turned = replace(self.knowledge(), names=_NAMES[::-1])
        scores, other = (self.fitted(given).scores(_pictures(7)) for given in (self.knowledge(), turned))
        require_equal(other[:, ::-1], scores, "scores with the classes in the reversed order", self.tolerance)

    def test_two_fits_are_equal(self) -> None:
        """Fitting again gives the same scores, whatever the global random state: a seed is an option."""
        first, second = (self.fitted(seed=seed).scores(_pictures(7)) for seed in (0, 1))
        require_equal(second, first, "scores of two fits")

    def test_two_classes_are_enough(self) -> None:
        """Two classes can be told apart."""
        full, names = self.knowledge(), _NAMES[:2]
        known = [one for one in full.comparatives if {one.first, one.second} <= set(names)]
        few = replace(
            full, names=names, comparatives=tuple(known), descriptions={n: full.descriptions[n] for n in names}
        )
        require_array(self.fitted(few).scores(_pictures(3)), (3, 2), "scores of 3 pictures")

    def test_what_is_missing_is_named(self) -> None:
        """With nothing known but names it classifies, or says in a UsageError what it needs and how to bring it."""
        try:
            classifier = self.fitted(ClassKnowledge(_NAMES))
        except UsageError as error:
            require(error.hint, f"the error has no hint that says how to bring it: {error.message}")
        except Exception as error:
            fail(f"with names only it raised {type(error).__name__}, no UsageError: {error}")
        else:
            require_array(classifier.scores(_pictures(3)), (3, len(_NAMES)), "scores with names only")

    def test_a_classifier_goes_to_a_worker(self) -> None:
        """A fitted classifier can be pickled, and scores the same afterwards."""
        classifier = self.fitted()
        try:
            copy = pickle.loads(pickle.dumps(classifier))
        except Exception as error:
            fail(f"the classifier cannot be pickled: {type(error).__name__}: {error}")
        require_equal(copy.scores(_pictures(4)), classifier.scores(_pictures(4)), "scores after pickling")

    def test_the_model_is_left_as_it_was(self) -> None:
        """Fitting does not change the model."""
        embedder, strategy = self.embedder(), self.make()
        before = (embedder.image_fingerprint, embedder.text_fingerprint)
        strategy.fit(embedder, self.knowledge()).scores(_pictures(2))
        require(before == (embedder.image_fingerprint, embedder.text_fingerprint), "fitting changed the model")


def _pictures(count: int) -> FloatArray:
    """Return (count, dim) unit rows in place of image embeddings, each row the same whatever the count."""
    rows = np.random.default_rng(0).normal(size=(16, HashEmbedder().dim)).astype(np.float32)[:count]
    unit: FloatArray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
