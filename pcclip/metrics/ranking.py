"""Attribute ranking: pictures in the order of a described attribute, against its true values.

Since ``<f_1 - f_2, g> = <f_1, g> - <f_2, g>``, ordering n pictures by a text is one projection a picture,
``s_i = <f_i, g(t)>``, and needs no pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import average_precision_score

from pcclip.types import FloatArray

Values: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.int64]
Correlation: TypeAlias = Callable[[Values, Values], float]


def projections(images: FloatArray, text: FloatArray) -> Values:
    """Return ``<f_i, g(t)>`` of each (n, dim) row with the (dim,) text.

    Rounded to six decimals: a float32 product can differ in the seventh between equal rows, and they shall tie.
    """
    return np.asarray(np.round(np.asarray(images @ text, np.float64), 6))


def spearman(scores: Values, values: Values) -> float:
    """Return Spearman's rank correlation, in [-1, 1]; NaN where either never varies."""
    return math.nan if _constant(scores, values) else float(spearmanr(scores, values).statistic)


def kendall(scores: Values, values: Values) -> float:
    """Return Kendall's tau-b, in [-1, 1]; NaN where either never varies."""
    return math.nan if _constant(scores, values) else float(kendalltau(scores, values).statistic)


def pairwise_accuracy(scores: Values, values: Values) -> float:
    """Return the share of pairs with different values that the scores order rightly; equal scores count half.

    With C right and D wrong pairs among the P whose values differ it is ``(1 + (C - D) / P) / 2``, and C - D is
    Kendall's tau-b times the root of P · (pairs whose scores differ): n log n, without listing the pairs.
    """
    differ = _pairs_that_differ(values)
    if not differ:
        return math.nan
    if np.ptp(scores) == 0:
        return 0.5
    tau = float(kendalltau(scores, values).statistic)
    return (1 + tau * math.sqrt(_pairs_that_differ(scores) / differ)) / 2


def average_precision(scores: Values, values: Values) -> float:
    """Return the average precision of finding the pictures whose value is above the median; NaN where none varies.

    Where the median is the largest value, as of a yes or no that is mostly yes, those that have it are to be found.
    """
    if not len(values) or np.ptp(values) == 0:
        return math.nan
    above = values > np.median(values)
    return float(average_precision_score(above if above.any() else values == values.max(), scores))


def _constant(scores: Values, values: Values) -> bool:
    return len(scores) < 2 or bool(np.ptp(scores) == 0 or np.ptp(values) == 0)


def _pairs_that_differ(values: Values) -> int:
    n = len(values)
    counts = np.unique(values, return_counts=True)[1].astype(object)  # Python's integers do not overflow
    return int((n * (n - 1) - (counts * (counts - 1)).sum()) // 2)
