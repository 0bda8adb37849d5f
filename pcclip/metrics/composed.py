"""Composed retrieval: "like this picture, but ...", by arithmetic on embeddings (arXiv:2409.09721, section 4.5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcclip.types import FloatArray


def composed_ranks(
    images: FloatArray,
    queries: NDArray[np.int64],
    texts: FloatArray,
    relevant: NDArray[np.bool_],
    weight: float = 1.0,
) -> NDArray[np.int64]:
    """Return, for each query, how many pictures that are not relevant score at least as well as the best relevant one.

    The query is ``f(I) + weight · g(t)``, the score of a picture its inner product with it, and the query's own
    picture takes no part. Rank < k is a hit of R@k.

    Args:
        images: (n, dim), the gallery, which holds the query pictures.
        queries: (q,) rows of the query pictures.
        texts: (q, dim).
        relevant: (q, n); each row holds at least one true entry that is not the query itself.
    """
    scores = (images[queries] + weight * texts) @ images.T
    own = np.zeros_like(relevant)
    own[np.arange(len(queries)), queries] = True
    right = relevant & ~own
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    return np.asarray(((scores >= best) & ~right & ~own).sum(axis=1), np.int64)
