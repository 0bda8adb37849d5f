from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import bootstrap
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score, top_k_accuracy_score

from pcclip import metrics
from pcclip.metrics import classification, composed, difference, geometry, probe, ranking, statistics
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


def ranks_by_hand(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average ranks, counted pair by pair."""
    return np.array([(scores < s).sum() + ((scores == s).sum() + 1) / 2 for s in scores])


def test_rankings_equal_what_counting_pairs_gives() -> None:
    rng = np.random.default_rng(3)
    scores, values = rng.integers(0, 12, 40).astype(float), rng.integers(0, 6, 40).astype(float)
    a, b = ranks_by_hand(scores), ranks_by_hand(values)
    assert ranking.spearman(scores, values) == pytest.approx(np.corrcoef(a, b)[0, 1])
    over, under, right, differ = 0, 0, 0.0, 0
    for i, j in itertools.combinations(range(40), 2):
        sign = np.sign(scores[i] - scores[j]) * np.sign(values[i] - values[j])
        over += sign > 0
        under += sign < 0
        differ += values[i] != values[j]
        right += (values[i] != values[j]) * (0.5 if scores[i] == scores[j] else float(sign > 0))
    total = 40 * 39 / 2
    ties = [sum(n * (n - 1) / 2 for n in np.unique(x, return_counts=True)[1]) for x in (scores, values)]
    tau = (over - under) / np.sqrt((total - ties[0]) * (total - ties[1]))
    assert ranking.kendall(scores, values) == pytest.approx(tau)
    assert ranking.pairwise_accuracy(scores, values) == pytest.approx(right / differ)


def test_average_precision_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    values = np.array([4.0, 1.0, 3.0, 2.0])  # above the median 2.5: the first and the third in the order
    assert ranking.average_precision(scores, values) == pytest.approx((1 / 1 + 2 / 3) / 2)
    mostly = np.array([1.0, 0.0, 1.0, 1.0])  # the median is the largest value: those that have it
    assert ranking.average_precision(scores, mostly) == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)


def test_rankings_of_what_never_varies_are_no_number() -> None:
    flat, rising = np.ones(4), np.arange(4.0)
    for measure in (ranking.spearman, ranking.kendall, ranking.pairwise_accuracy, ranking.average_precision):
        assert np.isnan(measure(rising, flat)), measure
    assert ranking.pairwise_accuracy(flat, rising) == 0.5


def test_the_auc_is_the_share_of_right_orders_above_swapped_ones() -> None:
    cosines = np.array([0.4, -0.1, 0.2], np.float32)
    above = [float(right > -wrong) + 0.5 * float(right == -wrong) for right in cosines for wrong in cosines]
    assert difference.difference_auc(cosines) == pytest.approx(np.mean(above))
    assert difference.difference_auc(np.array([0.1, 0.9], np.float32)) == 1


def test_label_ranks_give_scikit_learns_top_k() -> None:
    rng = np.random.default_rng(4)
    scores, labels = rng.normal(size=(60, 7)).astype(np.float32), rng.integers(0, 7, 60)
    ranks = classification.label_ranks(scores, labels)
    for k in (1, 5):
        expected = top_k_accuracy_score(labels, scores, k=k, labels=np.arange(7))
        assert (ranks < k).mean() == pytest.approx(expected)
    assert classification.label_ranks(np.zeros((2, 3), np.float32), np.array([0, 2])).tolist() == [0, 2]


def test_class_accuracies_equal_scikit_learns_recalls_and_weights_count_pictures_again() -> None:
    rng = np.random.default_rng(5)
    labels, predicted = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    correct = (labels == predicted).astype(float)
    found = classification.class_accuracies(correct, labels, 3)
    assert found == pytest.approx(recall_score(labels, predicted, average=None))
    assert found.mean() == pytest.approx(balanced_accuracy_score(labels, predicted))
    counts = rng.integers(0, 3, 50)
    again = np.repeat(np.arange(50), counts)
    weighted = classification.class_accuracies(correct, labels, 3, counts[None].astype(float))
    assert weighted[0] == pytest.approx(recall_score(labels[again], predicted[again], average=None))
    assert np.isnan(classification.class_accuracies(correct, labels, 4)[3])


def test_confusion_by_hand() -> None:
    found = classification.confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    assert found.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_class_geometry_by_hand() -> None:
    prompts = np.eye(3, dtype=np.float32)
    texts = np.array([[1, -1, 0], [0, 0, 1]], np.float32) / np.array([[2**0.5], [1]], np.float32)
    found = geometry.class_difference_cosines(texts, prompts, np.array([0, 1]), np.array([1, 2]))
    assert found == pytest.approx([1, -(2**-0.5)], abs=1e-6)


def test_analogies_by_hand() -> None:
    prompts, images = np.eye(3, dtype=np.float32), np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    to_second = np.array([-0.6, 0.8, 0], np.float32)  # how class 1 differs from class 0
    assert geometry.analogy_hits(images, to_second, prompts, 1).tolist() == [True, False]  # the third prompt scores 1


def test_composed_retrieval_by_hand() -> None:
    images = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    queries, texts = np.array([0, 0]), np.array([[0, 1], [0, 1]], np.float32)
    # f(I_0) + g(t) = (1, 1): picture 2 scores 1.4, picture 1 scores 1, the query itself takes no part
    relevant = np.array([[False, False, True], [True, True, False]])
    assert composed.composed_ranks(images, queries, texts, relevant).tolist() == [0, 1]
    turned = composed.composed_ranks(images, queries, texts, relevant, weight=100)
    assert turned.tolist() == [1, 0]  # almost only the text: picture 1


def test_the_probe_is_scikit_learns_and_shots_are_drawn_a_class() -> None:
    rng = np.random.default_rng(6)
    labels = np.repeat([0, 1, 2], [10, 10, 2])
    rows = unit(rng, 22)
    drawn = probe.draw_shots(labels, 4, seed=1)
    assert np.bincount(labels[drawn]).tolist() == [4, 4, 2]
    assert probe.draw_shots(labels, 4, seed=1).tolist() == drawn.tolist()
    expected = LogisticRegression(C=10, max_iter=2000).fit(rows[drawn], labels[drawn]).predict(rows)
    assert probe.probe_predictions(rows[drawn], labels[drawn], rows).tolist() == expected.tolist()


def test_the_bootstrap_of_a_mean_over_pictures_is_scipys() -> None:
    rng = np.random.default_rng(7)
    values = (rng.random(80) < 0.7).astype(float)
    found = statistics.distributions([statistics.mean_over(values, np.arange(80))], 80, resamples=2000, seed=3)
    expected = bootstrap(
        (values,), np.mean, n_resamples=2000, batch=100, method="percentile", random_state=np.random.default_rng(3)
    )
    interval = statistics.interval(found[0])
    assert interval is not None
    assert interval.low == pytest.approx(expected.confidence_interval.low)
    assert interval.high == pytest.approx(expected.confidence_interval.high)


def test_the_paired_bootstrap_is_scipys() -> None:
    rng = np.random.default_rng(8)
    ours = (rng.random(60) < 0.8).astype(float)
    theirs = np.where(rng.random(60) < 0.8, ours, 1 - ours)
    pictures = np.arange(60)
    both = statistics.distributions(
        [statistics.mean_over(ours, pictures), statistics.mean_over(theirs, pictures)], 60, resamples=2000, seed=4
    )
    expected = bootstrap(
        (ours, theirs), lambda a, b, axis: a.mean(axis) - b.mean(axis), paired=True, vectorized=True,
        n_resamples=2000, batch=100, method="percentile", random_state=np.random.default_rng(4),
    )  # fmt: skip
    interval = statistics.interval(both[0] - both[1])
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(tuple(expected.confidence_interval))


def test_pairs_count_as_often_as_the_product_of_their_pictures() -> None:
    values = np.array([1.0, 0.0, 1.0])
    first, second = np.array([0, 0, 1]), np.array([1, 2, 2])
    statistic = statistics.mean_over(values, first, second)
    assert statistic(np.array([[1, 1, 1], [2, 1, 0], [3, 0, 0]])) == pytest.approx([2 / 3, 1.0, np.nan], nan_ok=True)


def test_pairs_that_share_pictures_are_less_sure_than_as_many_that_share_none() -> None:
    rng = np.random.default_rng(9)
    good = rng.random(30)  # each picture's own influence on its pairs
    first, second = (np.array(side) for side in zip(*itertools.combinations(range(30), 2), strict=True))
    values = good[first] + good[second]
    by_picture = statistics.distributions([statistics.mean_over(values, first, second)], 30, resamples=500, seed=0)
    assert by_picture.std() > 3 * values.std() / len(values) ** 0.5


def test_p_is_two_sided_and_never_zero() -> None:
    assert statistics.two_sided_p(np.ones(999)) == pytest.approx(2 / 1000)
    assert statistics.two_sided_p(np.zeros(999)) == 1
    assert statistics.two_sided_p(np.array([-1.0] * 50 + [1.0] * 949)) == pytest.approx(2 * 51 / 1000)
    assert np.isnan(statistics.two_sided_p(np.array([np.nan])))


def test_the_standard_error_is_over_seeds() -> None:
    mean, error = statistics.mean_and_standard_error([0.5, 0.7, 0.9])
    assert (mean, error) == pytest.approx((0.7, 0.2 / 3**0.5))
    assert statistics.mean_and_standard_error([0.5]) == (0.5, None)


def test_a_mean_over_many_items_of_a_picture_is_that_of_all_items_in_little_memory() -> None:
    import tracemalloc

    from pcclip.metrics.statistics import mean_over

    rng = np.random.default_rng(0)
    pictures, values, weights = rng.integers(0, 50, 200_000), rng.random(200_000), rng.random(200_000)
    counts = rng.integers(0, 3, (100, 60))
    statistic = mean_over(values, pictures, weights=weights)
    tracemalloc.start()
    found = statistic(counts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6  # a weight for each item and resample is 160 MB
    assert found[7] == pytest.approx(np.average(values, weights=weights * counts[7, pictures]))
    assert np.isnan(mean_over(np.ones(1), np.array([3]))(np.zeros((1, 5), int))[0])
