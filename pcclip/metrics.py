"""The measures, each a small function of embeddings with its formula.

Rows are unit vectors. A random guess gives 0.5 in difference accuracy and 0.25 in its swap form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcclip.types import FloatArray


def difference_cosines(texts: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Return ``<g(t), N(f_1 - f_2)>`` of each row.

    Args:
        texts, first, second: (n, dim). Two equal pictures have no direction; their cosine is 0.
    """
    differences = first - second
    norms = np.linalg.norm(differences, axis=1)
    return np.asarray(np.einsum("nd,nd->n", texts, differences) / np.where(norms > 0, norms, 1), np.float32)


def difference_accuracy(cosines: FloatArray) -> float:
    """Return the share of texts that fit the order of their pictures: ``<g(t), N(f_1 - f_2)> > 0``."""
    return float((cosines > 0).mean())


def difference_swap_accuracy(cosines: FloatArray, reversed_cosines: FloatArray) -> float:
    """Return the share of pairs where the text *and* the reversed text, on the reversed pair, both fit."""
    return float(((cosines > 0) & (reversed_cosines > 0)).mean())


def recall_at(
    queries: FloatArray,
    items: FloatArray,
    query_groups: NDArray[np.int64],
    item_groups: NDArray[np.int64],
    ks: Sequence[int],
    block: int = 1024,
) -> dict[int, float]:
    """Return, for each k, the share of queries with an item of their own group among the k best.

    An item of another group that ties with the best right one counts as better. Memory is bounded by
    ``block`` queries at a time.

    Args:
        queries, items: (q, dim) and (m, dim); scores are their inner products.
        query_groups, item_groups: (q,) and (m,); an item is right for a query of the same group.
    """
    ranks = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        scores = queries[rows] @ items.T
        right = query_groups[rows, None] == item_groups[None, :]
        best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
        ranks[rows] = ((scores >= best) & ~right).sum(axis=1)
    return {k: float((ranks < k).mean()) for k in ks}


def retrieval(
    images: FloatArray, texts: FloatArray, captions: Sequence[str], ks: Sequence[int] = (1, 5)
) -> dict[str, float]:
    """Return recall@k of finding captions by picture and pictures by caption.

    Pictures that share a caption are each other's right answers, so the texts are the different captions.

    Args:
        images: (n, dim).
        texts: (m, dim), the embeddings of the m different captions in order of first appearance.
        captions: n, one a picture.

    Returns:
        ``image_to_text_r{k}``, ``text_to_image_r{k}``, and their mean ``retrieval_r{k}``.
    """
    distinct = {caption: row for row, caption in enumerate(dict.fromkeys(captions))}
    image_groups = np.array([distinct[caption] for caption in captions])
    text_groups = np.arange(len(distinct))
    by_image = recall_at(images, texts, image_groups, text_groups, ks)
    by_text = recall_at(texts, images, text_groups, image_groups, ks)
    found = {}
    for k in ks:
        found[f"image_to_text_r{k}"] = by_image[k]
        found[f"text_to_image_r{k}"] = by_text[k]
        found[f"retrieval_r{k}"] = (by_image[k] + by_text[k]) / 2
    return found


def accuracy(scores: FloatArray, labels: Sequence[str], classes: Sequence[str]) -> float:
    """Return the share of rows whose largest score is their label's."""
    best = scores.argmax(axis=1)
    return float(np.mean([classes[b] == label for b, label in zip(best, labels, strict=True)]))
