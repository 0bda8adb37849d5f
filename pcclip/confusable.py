"""Which pairs of classes are easily confused, told without the label of any picture that is to be classified."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcclip.errors import DataError, UsageError
from pcclip.interfaces import Embedder, LinearClassifier
from pcclip.types import Confusable, FloatArray, LabelledEmbeddings

log = logging.getLogger(__name__)
TEMPERATURE = 0.01  # what CLIP's own training ends at: cosines times 100
_BLOCK = 2048


def embed_prompts(embedder: Embedder, classes: Sequence[str]) -> FloatArray:
    """Return ``e_c = g("This is a photo of a {c}")`` as (k, dim) unit rows."""
    return embedder.embed_texts([f"This is a photo of a {name.replace('_', ' ')}" for name in classes])


def confusable_pairs(
    how: Confusable,
    count: int,
    classes: Sequence[str],
    prompts: FloatArray,
    *,
    unlabelled: FloatArray | None = None,
    support: LabelledEmbeddings | None = None,
) -> list[tuple[int, int]]:
    """Return up to ``count`` pairs of classes, the most easily confused first, as places in ``classes``.

    The paper's code takes them from the confusion matrix of the test pictures, which gives away their labels.
    Here the only labels that can be read are those of ``support``.

    Args:
        how: ``similar``: the class prompts are near each other. ``predictions``: the model itself wavers between the
            two on ``unlabelled`` pictures. ``validation``: it takes one for the other on those of ``support``.
        prompts: (k, dim) unit rows ``e_c``.
        unlabelled: (n, dim) unit rows of pictures, those to be classified or others.
        support: labelled pictures that will not be tested.

    Raises:
        UsageError: what ``how`` reads is missing.
        DataError: ``validation`` finds no confusion at all.
    """
    if how == "similar":
        return similar_classes(prompts, count)
    if how == "predictions":
        if unlabelled is None or not len(unlabelled):
            raise UsageError("confusable 'predictions' reads pictures, and there are none")
        return _largest(predicted_overlap(prompts, unlabelled), count)
    if how != "validation":
        raise UsageError(
            f"unknown way to choose pairs of classes {how!r}", "Choose similar, predictions or validation."
        )
    if support is None:
        raise UsageError("confusable 'validation' reads labelled pictures, and there are none", "Give --support DATA.")
    counts = confusions(classes, prompts, support)
    found = [(a, b) for a, b in _largest(counts, count) if counts[a, b] > 0]
    if not found:
        raise DataError(
            f"none of {len(support)} labelled pictures was taken for another class, so no pair is confusable by them",
            "Bring more, or choose by --confusable similar or predictions.",
        )
    if len(found) < min(count, len(classes) * (len(classes) - 1) // 2):
        log.warning("only %d pairs of classes are confused on the labelled pictures, not %d", len(found), count)
    return found


def similar_classes(prompts: FloatArray, count: int) -> list[tuple[int, int]]:
    """Return the ``count`` pairs of classes whose prompts, (k, dim) unit rows, are nearest, the nearest first."""
    return _largest(prompts @ prompts.T, count)


def predicted_overlap(
    prompts: FloatArray, embeddings: FloatArray, temperature: float = TEMPERATURE
) -> NDArray[np.float64]:
    """Return how much the model wavers between each two classes: (k, k), ``mean over pictures of p_a · p_b``.

    With ``p = softmax(<f, e_c> / temperature)``. It reads no label.
    """
    total = np.zeros((len(prompts), len(prompts)))
    for start in range(0, len(embeddings), _BLOCK):
        scores = embeddings[start : start + _BLOCK] @ prompts.T / np.float32(temperature)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        total += shares.T @ shares
    return total / len(embeddings)


def confusions(classes: Sequence[str], prompts: FloatArray, support: LabelledEmbeddings) -> NDArray[np.float64]:
    """Return how many labelled pictures of one of each two classes are taken for the other: (k, k), symmetric."""
    index = {name: place for place, name in enumerate(classes)}
    unknown = sorted(set(support.labels) - set(index))
    if unknown:
        raise UsageError(f"a labelled picture is of the unknown class {unknown[0]!r}")
    taken_for = LinearClassifier(classes, prompts).predict(support.embeddings).indices[:, 0]
    counts = np.zeros((len(index), len(index)))
    for label, other in zip(support.labels, taken_for, strict=True):
        counts[index[label], other] += 1
    symmetric: NDArray[np.float64] = counts + counts.T
    return symmetric


def _largest(values: NDArray[np.floating], count: int) -> list[tuple[int, int]]:
    """Return the places above the diagonal of the ``count`` largest values; of equals, the first."""
    rows, columns = np.triu_indices(len(values), 1)
    order = np.argsort(-values[rows, columns], kind="stable")[:count]
    return [(int(rows[i]), int(columns[i])) for i in order]
