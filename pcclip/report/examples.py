"""The examples with pictures: pairs before and after, and the order that each model puts pictures in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pcclip.evaluation import words
from pcclip.evaluation.document import PairExample, Picture, RankingExample
from pcclip.report.findings import Findings
from pcclip.report.thumbnails import Album, Thumbnail

MOST_PAIRS = 12
"""Pairs shown of a task."""

MOST_RANKED = 16
"""Pictures in a strip."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of the document with its thumbnail."""

    picture: Picture
    thumbnail: Thumbnail


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's cosine for a pair; ``at`` is where it lies on the bar from -reach to reach, in percent."""

    model: str
    cosine: str
    right: bool
    at: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair with its text; ``change`` is ``became right``, ``became wrong`` or what it stayed."""

    first: Shown
    second: Shown
    text: str
    change: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of a task; ``left_out`` more are in the document."""

    task: str
    pairs: tuple[Pair, ...]
    counts: tuple[tuple[str, int], ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Place:
    """A picture in a strip, with its true value in words and as a share of the largest, in percent."""

    shown: Shown
    value: str
    height: float


@dataclass(frozen=True, slots=True)
class Strip:
    """Pictures as a model orders them, strongest first."""

    model: str
    spearman: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """An attribute with a strip a model, all of the same pictures; ``of`` is how many the document has."""

    task: str
    attribute: str
    text: str
    strips: tuple[Strip, ...]
    of: int


def pairs(findings: Findings, album: Album) -> tuple[Pairs, ...]:
    """Return the pairs of each task, those that changed first, both ways in turn."""
    by_task: dict[str, list[PairExample]] = {}
    for example in findings.evaluation.pair_examples:
        by_task.setdefault(example.task, []).append(example)
    return tuple(_pairs(findings, album, task, examples) for task, examples in by_task.items())


def _pairs(findings: Findings, album: Album, task: str, examples: list[PairExample]) -> Pairs:
    order = [model.name for model in findings.models]
    ranked = sorted(examples, key=lambda example: -_moved(example, order))
    kinds: dict[str, list[PairExample]] = {}
    for example in ranked:
        kinds.setdefault(_kind(example, order), []).append(example)
    counts = tuple((kind, len(kinds[kind])) for kind in _KINDS if kind in kinds)
    changed = [kinds.get(kind, []) for kind in _KINDS[:3]]
    unchanged = [kinds.get(kind, []) for kind in _KINDS[3:]]
    chosen = [*_in_turn(changed), *_in_turn(unchanged)][:MOST_PAIRS]
    reach = (
        max((abs(c) for example in chosen for c in example.cosines.values() if math.isfinite(c)), default=0.0) or 1.0
    )
    return Pairs(
        task,
        tuple(
            Pair(
                Shown(example.first, album.add(example.first)),
                Shown(example.second, album.add(example.second)),
                example.text,
                _kind(example, order),
                tuple(_answer(name, example.cosines[name], reach) for name in _named(example.cosines, order)),
            )
            for example in chosen
        ),
        counts,
        len(examples) - len(chosen),
    )


_KINDS = ("became right", "became wrong", "models disagree", "stayed wrong", "stayed right", "wrong", "right")


def _kind(example: PairExample, order: Sequence[str]) -> str:
    right = [example.cosines[name] > 0 for name in _named(example.cosines, order)]
    if len(set(right)) < 2:
        return f"{'stayed ' if len(right) > 1 else ''}{'right' if all(right) else 'wrong'}"
    if len(right) == 2 and order[0] in example.cosines:
        return "became wrong" if right[0] else "became right"
    return "models disagree"


def _moved(example: PairExample, order: Sequence[str]) -> float:
    cosines = [example.cosines[name] for name in _named(example.cosines, order)]
    return max(cosines) - min(cosines) if cosines else 0.0


def _named(by_model: Mapping[str, object], order: Sequence[str]) -> list[str]:
    """Return the models of a mapping in the order of the tables, strangers last."""
    return [name for name in order if name in by_model] + [name for name in by_model if name not in order]


def _in_turn(lists: Sequence[Sequence[_T]]) -> list[_T]:
    longest = max(map(len, lists), default=0)
    return [items[i] for i in range(longest) for items in lists if i < len(items)]


def _answer(model: str, cosine: float, reach: float) -> Answer:
    at = 50 + 50 * cosine / reach if math.isfinite(cosine) else 50.0
    return Answer(model, words.change(cosine, "coefficient"), cosine > 0, round(at, 2))


def rankings(findings: Findings, album: Album) -> tuple[Ranking, ...]:
    """Return the strips of every ranking."""
    return tuple(_ranking(findings, album, example) for example in findings.evaluation.rankings)


def _ranking(findings: Findings, album: Album, example: RankingExample) -> Ranking:
    order = [model.name for model in findings.models]
    known = [key for key, value in example.values.items() if key in example.pictures and math.isfinite(value)]
    kept = set(_evenly(sorted(known, key=lambda key: -example.values[key]), MOST_RANKED))
    low = min((example.values[key] for key in kept), default=0.0)
    high = max((example.values[key] for key in kept), default=0.0)
    strips = []
    for name in _named(example.orders, order):
        places = [key for key in dict.fromkeys(example.orders[name]) if key in kept]
        values = [example.values[key] for key in places]
        strips.append(
            Strip(
                name,
                _spearman(findings, example, name, values),
                tuple(
                    Place(
                        Shown(example.pictures[key], album.add(example.pictures[key])),
                        f"{example.values[key]:.3g}".replace("-", "−"),
                        round(8 + 92 * (example.values[key] - low) / (high - low), 1) if high > low else 50.0,
                    )
                    for key in places
                ),
            )
        )
    return Ranking(example.task, example.attribute, example.text, tuple(strips), len(known))


def _evenly(items: Sequence[_T], most: int) -> list[_T]:
    """Return at most so many items, evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _spearman(findings: Findings, example: RankingExample, model: str, values: list[float]) -> str:
    """Return the correlation over all pictures where it was measured, else that of the strip."""
    measured = findings.result(example.task, "ranking_spearman", example.attribute, model)
    if measured is not None:
        return f"Spearman {words.figure(measured.value, 'coefficient')} over {measured.n:,} pictures"
    if len(set(values)) < 2:
        return ""
    ranks = _ranks(np.array(values))
    correlation = np.corrcoef(ranks, -np.arange(len(values)))[0, 1]
    return f"Spearman {words.figure(float(correlation), 'coefficient')} of these {len(values)} pictures"


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value, equal values sharing the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: NDArray[np.float64] = ends - (counts - 1) / 2
    return means[group]
