"""How sure a measure is: standard error over seeds, and the bootstrap over pictures.

Pairs share pictures, so pairs are not independent and must not be resampled: pictures are. A resample says how
often each picture counts; a pair then counts as often as the product of its two pictures.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, bootstrap, sem

Counts: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Counts], Floats]
"""Takes (r, pictures) counts and returns the (r,) values of a measure where picture p counts ``counts[r, p]`` times."""

_BATCH = 100  # resamples at once, fewer of very many pictures
_COUNTS = 10_000_000  # counts of pictures at once: 80 MB


@dataclass(frozen=True, slots=True)
class Interval:
    """The 95% percentile interval of a bootstrap."""

    low: float
    high: float


def mean_and_standard_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean, and its standard error (n - 1 in the denominator) where there are at least two values."""
    return float(np.mean(values)), float(sem(values)) if len(values) > 1 else None


def mean_over(values: Floats, *pictures: NDArray[np.int64], weights: Floats | None = None) -> Statistic:
    """Return the statistic that is the mean of ``values``, each of which rests on one or more pictures.

    Args:
        values: (n,) one an item.
        pictures: arrays (n,): the first picture of each item, the second, ...
        weights: (n,) how much an item weighs before any resampling; by default all the same.
    """
    base = np.ones(len(values)) if weights is None else weights
    if len(pictures) == 1:  # summed by picture first: memory and time no longer grow with the items of a picture
        rows, place = np.unique(pictures[0], return_inverse=True)
        sums, sizes = np.bincount(place, base * values), np.bincount(place, base)

        def by_picture(counts: Counts) -> Floats:
            drawn = counts[:, rows].astype(float)
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.asarray((drawn @ sums) / (drawn @ sizes))

        return by_picture

    def statistic(counts: Counts) -> Floats:
        weight = np.broadcast_to(base, (len(counts), len(values)))
        for of in pictures:
            weight = weight * counts[:, of]
        total = weight.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weight @ values) / total)

    return statistic


def of_resampled_rows(function: Callable[[NDArray[np.int64]], float], pictures: NDArray[np.int64]) -> Statistic:
    """Return the statistic that computes ``function`` of rows anew for each resample; NaN where one has no row.

    Args:
        function: takes rows into ``pictures``, with repetitions.
        pictures: (n,) the pictures that take part.
    """
    rows = np.arange(len(pictures))

    def statistic(counts: Counts) -> Floats:
        drawn = (np.repeat(rows, of[pictures]) for of in counts)
        return np.array([function(some) if len(some) else math.nan for some in drawn])

    return statistic


def distributions(statistics: Sequence[Statistic], pictures: int, *, resamples: int, seed: int) -> Floats:
    """Return (len(statistics), resamples) values: all statistics on the same resamples of the pictures.

    The same resamples for every measure of every model make differences between models paired.

    Args:
        pictures: at least 2.
    """
    if not statistics:
        return np.zeros((0, resamples))

    def all_of_them(rows: NDArray[np.int64], axis: int = -1) -> Floats:
        drawn = np.atleast_2d(rows)
        offsets = np.arange(len(drawn))[:, None] * pictures
        counts = np.bincount((drawn + offsets).ravel(), minlength=len(drawn) * pictures).reshape(-1, pictures)
        found = np.stack([statistic(counts) for statistic in statistics])
        return found if rows.ndim > 1 else found[:, 0]

    with warnings.catch_warnings():
        # of an interval that we do not take: a resample without a value is left out by `interval`
        warnings.simplefilter("ignore", DegenerateDataWarning)
        result = bootstrap(
            (np.arange(pictures),),
            all_of_them,
            vectorized=True,
            n_resamples=resamples,
            batch=max(1, min(_BATCH, _COUNTS // max(1, pictures))),
            method="percentile",
            random_state=np.random.default_rng(seed),
        )
    return np.asarray(result.bootstrap_distribution, np.float64)


def interval(distribution: Floats) -> Interval | None:
    """Return the 95% percentile interval, or None where fewer than half of the resamples have a value.

    A resample has none where it drew no picture that the measure rests on, or only equal values.
    """
    finite = distribution[np.isfinite(distribution)]
    if 2 * len(finite) < len(distribution) or not len(finite):
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return Interval(float(low), float(high))


def two_sided_p(differences: Floats) -> float:
    """Return the two-sided p of a bootstrap distribution of differences against 0.

    Twice the smaller share of resamples on one side of 0, with one more on each side, so that it is never 0
    (Davison and Hinkley 1997, section 4.2).
    """
    finite = differences[np.isfinite(differences)]
    if not len(finite):
        return math.nan
    side = min(int((finite <= 0).sum()), int((finite >= 0).sum()))
    return min(1.0, 2 * (1 + side) / (1 + len(finite)))
