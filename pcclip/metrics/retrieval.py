"""Recall@k of finding captions by picture and pictures by caption."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcclip.types import FloatArray


def best_right_ranks(
    queries: FloatArray,
    items: FloatArray,
    query_groups: NDArray[np.int64],
    item_groups: NDArray[np.int64],
    block: int = 1024,
) -> NDArray[np.int64]:
    """Return, for each query, how many wrong items score at least as well as the best item of its own group.

    So 0 is a hit at once, and an item of another group that ties with the best right one counts as better.
    A query without an item of its own group has as many as there are items. Memory is bounded by ``block``
    queries at a time.

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
    return ranks


def recall_at(
    queries: FloatArray,
    items: FloatArray,
    query_groups: NDArray[np.int64],
    item_groups: NDArray[np.int64],
    ks: Sequence[int],
    block: int = 1024,
) -> dict[int, float]:
    """Return, for each k, the share of queries with an item of their own group among the k best.

    See :func:`best_right_ranks` for the arguments and for ties.
    """
    ranks = best_right_ranks(queries, items, query_groups, item_groups, block)
    return {k: float((ranks < k).mean()) for k in ks}


def caption_groups(captions: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each picture's caption: pictures that share a caption are each other's right answers."""
    distinct = {caption: row for row, caption in enumerate(dict.fromkeys(captions))}
    return np.array([distinct[caption] for caption in captions], np.int64)


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
    image_groups = caption_groups(captions)
    text_groups = np.arange(len(texts))
    by_image = recall_at(images, texts, image_groups, text_groups, ks)
    by_text = recall_at(texts, images, text_groups, image_groups, ks)
    found = {}
    for k in ks:
        found[f"image_to_text_r{k}"] = by_image[k]
        found[f"text_to_image_r{k}"] = by_text[k]
        found[f"retrieval_r{k}"] = (by_image[k] + by_text[k]) / 2
    return found
