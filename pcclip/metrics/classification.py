"""Classification: top-k, mean per class, worst class, confusion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcclip.types import FloatArray


def accuracy(scores: FloatArray, labels: Sequence[str], classes: Sequence[str]) -> float:
    """Return the share of rows whose largest score is their label's."""
    best = scores.argmax(axis=1)
    return float(np.mean([classes[b] == label for b, label in zip(best, labels, strict=True)]))


def label_ranks(scores: FloatArray, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many classes come before the right one, so that rank < k is a hit of top-k.

    Of classes with equal scores the first one comes first, as in ``argmax``.

    Args:
        scores: (n, k).
        labels: (n,) columns of the right classes.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1])[None, :] < labels[:, None]
    return np.asarray(((scores > own) | ((scores == own) & earlier)).sum(axis=1), np.int64)


def class_accuracies(
    correct: NDArray[np.float64], labels: NDArray[np.int64], classes: int, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the accuracy of each class; NaN for a class without a picture.

    Its mean is the mean per class (balanced accuracy), its minimum the worst class.

    Args:
        correct: (n,) 1 where the prediction is right.
        labels: (n,) columns of the right classes.
        weights: (r, n) how often each picture counts, in each of r resamples; by default once.

    Returns:
        (r, classes), or (classes,) without weights.
    """
    from scipy.sparse import csr_array  # a dense (n, classes) table of ImageNet's pictures would be 400 MB

    counted = np.ones((1, len(labels))) if weights is None else np.asarray(weights, float)
    members = csr_array((np.ones(len(labels)), (np.arange(len(labels)), labels)), (len(labels), classes))
    with np.errstate(invalid="ignore"):
        found = np.asarray(((counted * correct) @ members) / (counted @ members))
    return found[0] if weights is None else found


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the (classes, classes) counts; rows are true classes, columns predicted ones."""
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(labels, predicted, labels=np.arange(classes)), np.int64)
