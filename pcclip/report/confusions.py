"""Confusion matrices side by side: whole where they can be read, the most confused pairs where not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcclip.evaluation import words
from pcclip.evaluation.document import Confusion
from pcclip.report.findings import Findings

MOST_CLASSES = 12
"""A larger matrix is shown by its most confused pairs."""

MOST_PAIRS = 15


@dataclass(frozen=True, slots=True)
class Square:
    """A cell of a matrix: the count, its share of the row in percent, and whether it is on the diagonal."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """One strategy's matrix, rows are true classes."""

    strategy: str
    accuracy: str
    rows: tuple[tuple[Square, ...], ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Pictures of one class taken for another: a count a strategy, and bars in percent of the largest count."""

    truth: str
    taken_for: str
    counts: tuple[int, ...]
    bars: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Confusions:
    """A model's matrices on a task, zero-shot first; ``rows`` of them are empty where there are too many classes."""

    task: str
    model: str
    classes: tuple[str, ...]
    matrices: tuple[Matrix, ...]
    mistakes: tuple[Mistake, ...]
    left_out: int


def confusions(findings: Findings) -> tuple[Confusions, ...]:
    """Return the matrices of each task and model, those over the same classes together."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[Confusion]] = {}
    for one in findings.evaluation.confusions:
        groups.setdefault((one.task, one.model, one.classes), []).append(one)
    return tuple(_confusions(*key, sorted(found, key=_zero_shot_first)) for key, found in groups.items())


def _zero_shot_first(one: Confusion) -> bool:
    return one.strategy != "zero-shot"


def _confusions(task: str, model: str, classes: tuple[str, ...], found: list[Confusion]) -> Confusions:
    size = len(classes)
    counts = [_square(one, size) for one in found]
    whole = size <= MOST_CLASSES
    matrices = tuple(
        Matrix(one.strategy, _accuracy(count), _rows(count) if whole else ())
        for one, count in zip(found, counts, strict=True)
    )
    mistakes = _mistakes(classes, counts)
    return Confusions(task, model, classes, matrices, mistakes[:MOST_PAIRS], max(0, len(mistakes) - MOST_PAIRS))


def _square(one: Confusion, size: int) -> NDArray[np.int64]:
    """Return the counts as (size, size), zeros where the document has ragged rows."""
    square = np.zeros((size, size), np.int64)
    for i, row in enumerate(one.counts[:size]):
        square[i, : len(row[:size])] = row[:size]
    return square


def _accuracy(counts: NDArray[np.int64]) -> str:
    total = int(counts.sum())
    return words.figure(float(np.trace(counts)) / total, "share") if total else "–"


def _rows(counts: NDArray[np.int64]) -> tuple[tuple[Square, ...], ...]:
    sums = np.maximum(counts.sum(axis=1), 1)
    return tuple(
        tuple(Square(int(count), round(100 * float(count) / int(sums[i]), 1), i == j) for j, count in enumerate(row))
        for i, row in enumerate(counts)
    )


def _mistakes(classes: tuple[str, ...], counts: list[NDArray[np.int64]]) -> tuple[Mistake, ...]:
    """Return every pair of classes that was ever confused, most pictures in any of the matrices first."""
    stacked = np.stack(counts)
    worst = stacked.max(axis=0)
    np.fill_diagonal(worst, 0)
    order = np.argsort(-worst, axis=None, kind="stable")
    largest = max(1, int(worst.max(initial=0)))
    found = []
    for place in order[: int((worst > 0).sum())]:
        i, j = divmod(int(place), len(classes))
        each = tuple(int(count) for count in stacked[:, i, j])
        found.append(Mistake(classes[i], classes[j], each, tuple(round(100 * count / largest, 1) for count in each)))
    return tuple(found)
