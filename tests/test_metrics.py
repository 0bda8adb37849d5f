from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from pcclip import metrics
from pcclip.types import FloatArray


def unit(rng: np.random.Generator, n: int, dim: int = 8) -> FloatArray:
    rows = rng.normal(size=(n, dim)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_difference_cosines_by_hand() -> None:
    texts = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    first = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    second = np.array([[0, 1], [0, 1], [1, 0]], np.float32)
    cosines = metrics.difference_cosines(texts, first, second)
    assert cosines == pytest.approx([2**-0.5, -(2**-0.5), 0.0], abs=1e-6)
    assert metrics.difference_accuracy(cosines) == pytest.approx(1 / 3)
    assert metrics.difference_swap_accuracy(cosines, np.array([1, 1, 1], np.float32)) == pytest.approx(1 / 3)


def test_retrieval_equals_scikit_learn_where_captions_differ() -> None:
    rng = np.random.default_rng(0)
    images, texts = unit(rng, 30), unit(rng, 30)
    found = metrics.retrieval(images, texts, [str(i) for i in range(30)])
    for k in (1, 5):
        by_image = top_k_accuracy_score(np.arange(30), images @ texts.T, k=k)
        by_text = top_k_accuracy_score(np.arange(30), texts @ images.T, k=k)
        assert found[f"image_to_text_r{k}"] == pytest.approx(by_image)
        assert found[f"text_to_image_r{k}"] == pytest.approx(by_text)
        assert found[f"retrieval_r{k}"] == pytest.approx((by_image + by_text) / 2)


def test_pictures_that_share_a_caption_are_both_right() -> None:
    images = np.eye(3, dtype=np.float32)
    texts = np.array([[0, 1, 0], [0, 0, 1]], np.float32)  # "dog" is nearest to the second dog
    found = metrics.retrieval(images, texts, ["dog", "dog", "cat"])
    assert found["text_to_image_r1"] == 1.0
    assert found["image_to_text_r1"] == pytest.approx(2 / 3)  # the first dog ties at 0 with the cat text


def test_embeddings_that_are_all_the_same_retrieve_nothing() -> None:
    same = np.ones((10, 4), np.float32) / 2
    assert metrics.retrieval(same, same, [str(i) for i in range(10)])["retrieval_r5"] == 0.0


def test_recall_in_blocks_equals_recall_at_once() -> None:
    rng = np.random.default_rng(1)
    queries, items, groups = unit(rng, 50), unit(rng, 50), rng.integers(0, 20, 50)
    whole = metrics.recall_at(queries, items, groups, groups, [1, 5])
    assert metrics.recall_at(queries, items, groups, groups, [1, 5], block=7) == whole


def test_accuracy_equals_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(40, 3)).astype(np.float32)
    classes = ["a", "b", "c"]
    labels = list(rng.choice(classes, 40))
    expected = accuracy_score(labels, [classes[i] for i in scores.argmax(1)])
    assert metrics.accuracy(scores, labels, classes) == pytest.approx(expected)
