"""Which pairs of test pictures are measured, and the text that is true of each: the same for every model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcclip.pairs import random_pairs
from pcclip.suites import Attribute, Protocol, Task
from pcclip.types import Example

Rows = NDArray[np.int64]
_STRIDE = 1_000_003  # apart from each other's: seed 0 of one call and seed 1 of another


@dataclass(frozen=True, slots=True)
class PairSet:
    """Pairs of test pictures, each with a text that is true of (first, second).

    Attributes:
        part: where the texts come from: ``captions``, ``classes``, or an attribute's name.
        first, second: (m,) rows of the test pictures.
        texts: m texts.
        reversed: m texts of (second, first), None where there is none.
        seeds: (m,) the draw that each pair belongs to.
    """

    part: str
    first: Rows
    second: Rows
    texts: tuple[str, ...]
    reversed: tuple[str | None, ...]
    seeds: Rows

    @property
    def draws(self) -> list[int]:
        """The draws there are."""
        return [int(seed) for seed in np.unique(self.seeds)]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A pair of rows, and its draw."""

    seed: int
    first: int
    second: int


def draw(rows: Sequence[int], differ: Callable[[int, int], bool], protocol: Protocol, seed: int) -> list[Drawn]:
    """Draw pairs of rows that ``differ``, in a random direction, as often and as many as the protocol says.

    Where every draw would hold all pictures and all their pairs there is one draw: the others would be the same.
    """
    whole = protocol.pictures is None or protocol.pictures >= len(rows)
    found = []
    for number in range(protocol.seeds):
        of_draw = seed * _STRIDE + number
        drawn = list(rows)
        if not whole:
            drawn = sorted(np.random.default_rng(of_draw).choice(rows, protocol.pictures, replace=False).tolist())
        pairs = ((drawn[i], drawn[j]) for i, j in random_pairs(len(drawn), of_draw))
        different = (pair for pair in pairs if differ(*pair))
        found += [Drawn(number, i, j) for i, j in itertools.islice(different, protocol.pairs)]
        if whole and next(different, None) is None:
            break
    return found


def pair_set(part: str, drawn: Sequence[Drawn], texts: Sequence[tuple[str, str | None]]) -> PairSet:
    """Return drawn pairs with the text of each and of its reverse."""
    return PairSet(
        part,
        np.array([pair.first for pair in drawn], np.int64),
        np.array([pair.second for pair in drawn], np.int64),
        tuple(text for text, _ in texts),
        tuple(turned for _, turned in texts),
        np.array([pair.seed for pair in drawn], np.int64),
    )


def class_pairs(task: Task, seed: int) -> PairSet | None:
    """Return pairs of pictures of different class with the task's text about those classes, or None without any."""
    difference = task.class_difference
    if difference is None:
        return None
    labels = [example.label for example in task.examples]
    known: dict[tuple[str, str], str | None] = {}

    def text(a: str, b: str) -> str | None:
        if (a, b) not in known:
            known[a, b] = difference(a, b)
        return known[a, b]

    def differ(i: int, j: int) -> bool:
        a, b = labels[i], labels[j]
        return a is not None and b is not None and a != b and text(a, b) is not None

    drawn = draw([row for row, label in enumerate(labels) if label is not None], differ, task.protocol, seed)
    texts = []
    for pair in drawn:
        a, b = str(labels[pair.first]), str(labels[pair.second])
        texts.append((str(text(a, b)), text(b, a)))
    return pair_set("classes", drawn, texts) if drawn else None


def attribute_pairs(task: Task, attribute: Attribute, seed: int) -> PairSet | None:
    """Return pairs of pictures whose value differs with the attribute's sentence, or None without any."""
    rows, values = attribute_values(task.examples, attribute.name)
    value = dict(zip(rows.tolist(), values.tolist(), strict=True))
    drawn = draw(rows.tolist(), lambda i, j: value[i] != value[j], task.protocol, seed)
    texts = [
        (attribute.more, attribute.less) if value[pair.first] > value[pair.second] else (attribute.less, attribute.more)
        for pair in drawn
    ]
    return pair_set(attribute.name, drawn, texts) if drawn else None


def attribute_values(examples: Sequence[Example], name: str) -> tuple[Rows, NDArray[np.float64]]:
    """Return the rows with a finite number for an attribute, and the numbers."""
    found = [(row, number) for row, example in enumerate(examples) if (number := _number(example, name)) is not None]
    return np.array([row for row, _ in found], np.int64), np.array([number for _, number in found], np.float64)


def without_number(examples: Sequence[Example], name: str) -> list[str]:
    """Return the ids of examples that have the attribute, but as no finite number."""
    return [example.id for example in examples if name in example.attributes and _number(example, name) is None]


def _number(example: Example, name: str) -> float | None:
    value = example.attributes.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)
