"""Difference-based classification: does a text fit the order of two pictures (arXiv:2409.09721, section 4.1).

A random guess gives 0.5 in accuracy and AUC, and 0.25 in the swap form.
"""

from __future__ import annotations

import numpy as np

from pcclip.types import FloatArray


def difference_cosines(texts: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Return ``<g(t), N(f_1 - f_2)>`` of each row.

    With the embeddings of two captions in place of the pictures it is the baseline that sees no pixels,
    ``<g(t), N(g(c_1) - g(c_2))>``.

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


def difference_auc(cosines: FloatArray) -> float:
    """Return the area under the ROC curve of telling a pair in its right order from the same pair swapped.

    The same text on the swapped pair has the cosine's negative, so the scores of the right orders are ``cosines``
    and those of the wrong ones ``-cosines``. Unlike accuracy it holds the cosines of different pairs against each
    other: 1 means that one threshold sorts all of them.
    """
    from sklearn.metrics import roc_auc_score

    right = np.concatenate([np.ones(len(cosines)), np.zeros(len(cosines))])
    return float(roc_auc_score(right, np.concatenate([cosines, -cosines])))
