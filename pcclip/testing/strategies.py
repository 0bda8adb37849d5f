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
from pcclip.types import ClassComparative, ClassKnowledge, FloatArray, LabelledEmbeddings

_NAMES = ("sea lion", "brown_bear", "{cat}", "Hund", "ant")
_KNOWN = ("comparatives", "descriptions", "support")
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
        labels = _NAMES * 4
        rows = cls.embedder().embed_texts([f"a picture of a {name}, {number}" for number, name in enumerate(labels)])
        return ClassKnowledge(_NAMES, tuple(comparatives), descriptions, LabelledEmbeddings(rows, labels))

    @classmethod
    def pictures(cls, count: int) -> FloatArray:
        """Return (count, dim) unit rows in place of image embeddings, each row the same whatever the count."""
        rows = np.random.default_rng(0).normal(size=(16, cls.embedder().dim)).astype(np.float32)[:count]
        unit: FloatArray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

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
            scores, what = classifier.scores(self.pictures(count)), f"scores of {count} pictures"
            require_array(scores, (count, len(_NAMES)), what)
            require(scores.dtype in (np.float32, np.float64), f"{what}: dtype {scores.dtype}, not float32")

    def test_what_it_says_beside_scores_fits_them(self) -> None:
        """Notes are a tuple of texts, and a baseline is a classifier over the same classes."""
        classifier = self.fitted()
        notes, baseline = classifier.notes, classifier.baseline
        told = not isinstance(notes, str) and all(isinstance(note, str) for note in notes)
        require(told, f"notes are {notes!r}, not a tuple of texts")
        if baseline is None:
            return
        require(isinstance(baseline, Classifier), f"the baseline is a {type(baseline).__name__}, no Classifier")
        classes = tuple(baseline.classes)
        require(classes == _NAMES, f"the classes of the baseline are {classes}, not {_NAMES} as given")
        require_array(baseline.scores(self.pictures(3)), (3, len(_NAMES)), "scores of the baseline")

    def test_scores_of_a_picture_depend_on_that_picture_alone(self) -> None:
        """A picture has the same scores in any batch and order, and the embeddings are left as they are."""
        classifier, pictures = self.fitted(), self.pictures(7)
        pictures.setflags(write=False)
        scores = classifier.scores(pictures)
        single = np.concatenate([classifier.scores(pictures[row : row + 1]) for row in range(len(pictures))])
        require_equal(single, scores, "scores one by one against a batch", self.tolerance)
        turned = classifier.scores(np.ascontiguousarray(pictures[::-1]))[::-1]
        require_equal(turned, scores, "scores in the reversed order", self.tolerance)

    def test_a_column_belongs_to_its_class(self) -> None:
        """The same classes in another order have the same scores."""
        turned = replace(self.knowledge(), names=_NAMES[::-1])
        scores, other = (self.fitted(given).scores(self.pictures(7)) for given in (self.knowledge(), turned))
        require_equal(other[:, ::-1], scores, "scores with the classes in the reversed order", self.tolerance)

    def test_two_fits_are_equal(self) -> None:
        """Fitting again gives the same scores, whatever the global random state: a seed is an option."""
        first, second = (self.fitted(seed=seed).scores(self.pictures(7)) for seed in (0, 1))
        require_equal(second, first, "scores of two fits")

    def test_an_instance_fits_anew_each_time(self) -> None:
        """An instance that was fitted to other classes before gives the scores of a new one."""
        strategy, full = self.make(), self.knowledge()
        strategy.fit(self.embedder(), _of_two(full))
        strategy.fit(self.embedder(), replace(full, names=_NAMES[::-1]))
        again = strategy.fit(self.embedder(), full).scores(self.pictures(7))
        expected = self.fitted().scores(self.pictures(7))
        require_equal(again, expected, "scores of an instance that was fitted before", self.tolerance)

    def test_what_is_known_is_left_as_it_was(self) -> None:
        """Fitting changes nothing of what it is given."""
        full, untouched = self.knowledge(), self.knowledge()
        self.fitted(full).scores(self.pictures(2))
        require(dict(full.descriptions) == dict(untouched.descriptions), "fitting changed the descriptions: copy them")
        assert full.support is not None
        assert untouched.support is not None
        rows, were = full.support.embeddings, untouched.support.embeddings
        require(np.array_equal(rows, were), "fitting changed the embeddings of labelled pictures: work on a copy")

    def test_a_class_of_which_nothing_is_said(self) -> None:
        """Where nothing is said of one of the classes, scores are finite, or a UsageError names the class."""
        full = self.knowledge()
        silent = _NAMES[-1]
        some = replace(
            full,
            comparatives=tuple(one for one in full.comparatives if silent not in (one.first, one.second)),
            descriptions={name: texts for name, texts in full.descriptions.items() if name != silent},
        )
        try:
            scores = self.fitted(some).scores(self.pictures(3))
        except UsageError as error:
            require(silent in str(error), f"the error does not name the class {silent!r}: {error.message}")
        except Exception as error:
            fail(f"it raised {type(error).__name__}, no UsageError that names the class {silent!r}: {error}")
        else:
            require_array(scores, (3, len(_NAMES)), "scores where nothing is said of a class")

    def test_two_classes_are_enough(self) -> None:
        """Two classes can be told apart."""
        require_array(self.fitted(_of_two(self.knowledge())).scores(self.pictures(3)), (3, 2), "scores of 3 pictures")

    def test_what_it_needs_is_enough(self) -> None:
        """It classifies with the names and what it lists in ``needs``, and nothing else."""
        needs, full = self.shared().needs, self.knowledge()
        unknown = sorted(needs - set(_KNOWN))
        require(not unknown, f"it needs {', '.join(unknown)}; a strategy can need {', '.join(_KNOWN)}")
        enough = replace(ClassKnowledge(_NAMES), **{name: getattr(full, name) for name in needs})
        try:
            classifier = self.fitted(enough)
        except UsageError as error:
            fail(f"with the names and {', '.join(sorted(needs)) or 'nothing else'} it says: {error.message}")
        require_array(classifier.scores(self.pictures(3)), (3, len(_NAMES)), "scores with what it needs")

    def test_what_it_does_not_list_changes_nothing(self) -> None:
        """It reads nothing but what it lists in ``needs`` and ``reads``."""
        full, strategy = self.knowledge(), self.shared()
        unknown = sorted(strategy.reads - set(_KNOWN))
        require(not unknown, f"it reads {', '.join(unknown)}; a strategy can read {', '.join(_KNOWN)}")
        listed = {name: getattr(full, name) for name in strategy.needs | strategy.reads}
        scores, other = (
            self.fitted(given).scores(self.pictures(7)) for given in (full, replace(ClassKnowledge(_NAMES), **listed))
        )
        require_equal(other, scores, "scores without what it does not list in needs or reads", self.tolerance)

    def test_what_is_missing_is_named(self) -> None:
        """Where something of ``needs`` is missing, a UsageError says how to bring it."""
        full, empty = self.knowledge(), ClassKnowledge(_NAMES)
        for name in sorted(self.shared().needs):
            try:
                self.fitted(replace(full, **{name: getattr(empty, name)}))
            except UsageError as error:
                require(error.hint, f"without {name} the error has no hint that says how to bring it: {error.message}")
            except Exception as error:
                fail(f"without {name} it raised {type(error).__name__}, no UsageError: {error}")
            else:
                fail(f"it lists {name} in needs, and does without")

    def test_the_best_classes_are_those_of_the_largest_scores(self) -> None:
        """The best classes, asked for block by block, are those with the largest scores."""
        classifier, pictures = self.fitted(), self.pictures(7)
        scores, best = classifier.scores(pictures), classifier.predict(pictures, 2, block=3)
        require_equal(best.scores, -np.sort(-scores, axis=1)[:, :2], "the two best scores", self.tolerance)
        taken = np.take_along_axis(scores, best.indices, axis=1)
        require_equal(taken, best.scores, "the scores of the two best classes", self.tolerance)

    def test_a_classifier_goes_to_a_worker(self) -> None:
        """A fitted classifier can be pickled, and scores the same afterwards."""
        classifier = self.fitted()
        try:
            copy = pickle.loads(pickle.dumps(classifier))
        except Exception as error:
            fail(f"the classifier cannot be pickled: {type(error).__name__}: {error}")
        require_equal(copy.scores(self.pictures(4)), classifier.scores(self.pictures(4)), "scores after pickling")

    def test_the_model_is_left_as_it_was(self) -> None:
        """Fitting does not change the model."""
        embedder, strategy = self.embedder(), self.make()
        before = (embedder.image_fingerprint, embedder.text_fingerprint)
        strategy.fit(embedder, self.knowledge()).scores(self.pictures(2))
        require(before == (embedder.image_fingerprint, embedder.text_fingerprint), "fitting changed the model")


def _of_two(full: ClassKnowledge) -> ClassKnowledge:
    """Return what is known of the first two classes."""
    names = full.names[:2]
    support = full.support
    if support is not None:
        rows = [row for row, label in enumerate(support.labels) if label in names]
        support = LabelledEmbeddings(support.embeddings[rows], tuple(support.labels[row] for row in rows))
    return ClassKnowledge(
        names,
        tuple(one for one in full.comparatives if {one.first, one.second} <= set(names)),
        {name: full.descriptions[name] for name in names},
        support,
    )
