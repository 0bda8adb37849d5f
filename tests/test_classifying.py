"""What every classifier does with embeddings, and what may be known about classes."""

from __future__ import annotations

import numpy as np
import pytest

from pcclip.errors import UsageError
from pcclip.interfaces import Classifier, LinearClassifier
from pcclip.types import ClassKnowledge, FloatArray, LabelledEmbeddings


def unit(rows: object) -> FloatArray:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def random_rows(count: int, dim: int, seed: int) -> FloatArray:
    return unit(np.random.default_rng(seed).normal(size=(count, dim)))


def test_linear_scores_by_hand() -> None:
    weights = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0]], np.float32)
    classifier = LinearClassifier(("a", "b", "c"), weights, bias=np.array([0, 0.5, 0], np.float32))
    scores = classifier.scores(np.array([[0.8, 0.6, 0], [0, 0, 1]], np.float32))
    np.testing.assert_allclose(scores, [[0.8, 1.1, 0.96], [0, 0.5, 0]], atol=1e-6)


@pytest.mark.parametrize("top", [1, 3, 12, 13, 20, 99])
@pytest.mark.parametrize("block", [1, 7, 2048])
def test_predict_is_the_sorted_scores(top: int, block: int) -> None:
    classifier = LinearClassifier([str(c) for c in range(20)], random_rows(20, 8, 0))
    pictures = random_rows(50, 8, 1)
    found = classifier.predict(pictures, top, block=block)
    scores = pictures @ classifier.weights.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    np.testing.assert_array_equal(found.indices, order)
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, order, axis=1), atol=1e-6)
    assert found.indices.dtype == np.int64
    assert found.scores.dtype == np.float32


@pytest.mark.parametrize("top", [1, 2, 13])
def test_of_equal_scores_the_first_class_wins(top: int) -> None:
    classifier = LinearClassifier([str(c) for c in range(15)], np.tile(unit([[1, 1]]), (15, 1)))
    assert classifier.predict(unit([[1, 0]]), top).indices.tolist() == [list(range(top))]


def test_predict_never_holds_all_scores() -> None:
    class Counting(LinearClassifier):
        most = 0

        def scores(self, embeddings: FloatArray) -> FloatArray:
            self.most = max(self.most, len(embeddings))
            return super().scores(embeddings)

    classifier = Counting(("a", "b"), random_rows(2, 4, 0))
    assert classifier.predict(random_rows(1000, 4, 1), block=64).indices.shape == (1000, 1)
    assert classifier.most == 64


def test_predict_of_nothing_and_of_nonsense() -> None:
    classifier = LinearClassifier(("a", "b"), random_rows(2, 4, 0))
    assert classifier.predict(np.zeros((0, 4), np.float32)).indices.shape == (0, 1)
    for wrong in ({"top": 0}, {"block": 0}):
        with pytest.raises(UsageError, match="at least 1"):
            classifier.predict(random_rows(3, 4, 1), **wrong)


def test_a_strangers_classifier_gets_predict_notes_and_baseline() -> None:
    class Own(Classifier):
        @property
        def classes(self) -> tuple[str, ...]:
            return ("a", "b")

        def scores(self, embeddings: FloatArray) -> FloatArray:
            return embeddings[:, :2]

    own = Own()
    assert own.predict(np.array([[0, 1, 0]], np.float32)).indices.tolist() == [[1]]
    assert own.notes == ()
    assert own.baseline is None


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        ([[1, 0], [0, 1]], ("a",), r"\(2, 2\) do not fit 1 labels"),
        ([1, 0], ("a", "b"), "do not fit"),
        (np.zeros((0, 2)), (), "no labelled pictures"),
        ([[1, 0], [np.nan, 1]], ("a", "b"), "row 1 .* no unit vector: its norm is nan"),
        ([[3, 0], [0, 1]], ("a", "b"), r"row 0 .* its norm is 3"),
    ],
)
def test_bad_labelled_embeddings_are_named(rows: object, labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LabelledEmbeddings(np.asarray(rows, np.float32), labels)


def test_labels_of_unknown_classes_are_named() -> None:
    support = LabelledEmbeddings(unit([[1, 0], [0, 1]]), ("cat", "cow"))
    with pytest.raises(UsageError, match="unknown class 'cow'"):
        ClassKnowledge(("cat", "dog"), support=support)
