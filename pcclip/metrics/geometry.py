"""Whether text differences and picture differences point the same way (arXiv:2409.09721, section 4.4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcclip.metrics.difference import difference_cosines
from pcclip.types import FloatArray


def class_difference_cosines(
    texts: FloatArray, prompts: FloatArray, first: NDArray[np.int64], second: NDArray[np.int64]
) -> FloatArray:
    """Return ``<g(t_ab), N(e_a - e_b)>`` of each described pair of classes.

    Args:
        texts: (m, dim) how class a differs from class b.
        prompts: (k, dim) the class prompts ``e_c``.
        first, second: (m,) rows a and b of the prompts.
    """
    return difference_cosines(texts, prompts[first], prompts[second])


def analogy_hits(images: FloatArray, text: FloatArray, prompts: FloatArray, target: int) -> NDArray[np.bool_]:
    """Say for each picture of a class a whether ``f(I_a) + g(t_ba)`` is nearest to the prompt of class b.

    Nearest by cosine among all class prompts; the sum's length changes no order. Chance is 1/k.

    Args:
        images: (n, dim) pictures of class a.
        text: (dim,) how class b differs from class a.
        prompts: (k, dim) the class prompts, a's and b's among them.
        target: row of class b.
    """
    return np.asarray((images @ prompts.T + prompts @ text).argmax(axis=1) == target)
