"""What a group of measures sees: one model on one task, with everything that is the same for all models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pcclip import boundary
from pcclip.evaluation.document import Confusion, Explanation, Geometry, Problem
from pcclip.evaluation.pairing import PairSet
from pcclip.evaluation.settings import EvaluateSettings
from pcclip.interfaces import Embedder
from pcclip.metrics.statistics import Statistic, mean_and_standard_error, mean_over
from pcclip.suites import Task
from pcclip.types import ClassComparative, FloatArray, LabelledEmbeddings


@dataclass(frozen=True, slots=True)
class Estimate:
    """One measure of one model on one task.

    Attributes:
        measure: a name of :mod:`pcclip.evaluation.words`.
        part: which of several it is of.
        value: the measure.
        n: of how many pictures, pairs or queries.
        seeds: the value of each draw, where there are draws.
        statistic: the measure where pictures count differently, for the bootstrap; None where it rests on no pictures.
    """

    measure: str
    part: str
    value: float
    n: int
    seeds: tuple[float, ...] = ()
    statistic: Statistic | None = None

    @property
    def standard_error(self) -> float | None:
        """The standard error of the mean over draws."""
        return mean_and_standard_error(self.seeds)[1] if self.seeds else None


@dataclass(frozen=True, slots=True)
class ReadyTask:
    """A task whose pictures are readable, none of them a training picture, with its pairs and texts chosen.

    Attributes:
        task: examples are the test pictures, in the order of the rows of their embeddings.
        pairs: pairs with texts, a set for each source of texts.
        comparatives: described pairs of classes in both directions, by label: for geometry and arithmetic.
        confusable: described pairs of easily mistaken classes, by the words for the classes: for strategies.
        descriptions: texts about classes, by the words for them: for strategies.
        problems: what was found missing on the way here.
    """

    task: Task
    pairs: tuple[PairSet, ...] = ()
    comparatives: tuple[ClassComparative, ...] = ()
    confusable: tuple[ClassComparative, ...] = ()
    descriptions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """All labels there are words or pictures for, sorted."""
        return tuple(sorted({*self.task.labels, *self.task.class_names}))

    def words(self, label: str) -> str:
        """Return the words for a class in prompts; a label without any is its own, with spaces for underscores."""
        return self.task.class_names.get(label) or re.sub(r"(?<=\w)[_+](?=\w)", " ", label)


def labelled(ready: ReadyTask, support: FloatArray) -> LabelledEmbeddings | None:
    """Return the pictures beside the test that are of a class of the task, or None without any."""
    known = set(ready.classes)
    rows = [row for row, example in enumerate(ready.task.support) if example.label in known]
    if not rows:
        return None
    return LabelledEmbeddings(support[rows], tuple(ready.words(str(ready.task.support[row].label)) for row in rows))


@dataclass(slots=True)
class Found:
    """What the groups found on one task, beside their estimates."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    confusions: list[Confusion] = field(default_factory=list)
    explanations: list[Explanation] = field(default_factory=list)
    geometry: list[Geometry] = field(default_factory=list)
    pair_cosines: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # by part
    ranking_scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)  # by attribute


class View:
    """One model on one task.

    Args:
        name: the model's name.
        embedder: the model.
        ready: the task.
        images: (n, dim) the test pictures' embeddings.
        support: (m, dim) those of the labelled pictures beside.
        settings: how to measure.
        texts: texts that are embedded already; filled.
    """

    def __init__(
        self,
        name: str,
        embedder: Embedder,
        ready: ReadyTask,
        images: FloatArray,
        support: FloatArray,
        settings: EvaluateSettings,
        texts: dict[str, FloatArray] | None = None,
    ) -> None:
        self.name = name
        self.embedder = embedder
        self.ready = ready
        self.task = ready.task
        self.images = images
        self.support = support
        self.settings = settings
        self.found = Found()
        self._texts = {} if texts is None else texts
        column = {label: place for place, label in enumerate(ready.classes)}
        self.labels = np.array([-1 if e.label is None else column[e.label] for e in self.task.examples], np.int64)
        """(n,) place of each test picture's label in ``ready.classes``, -1 without one."""

    def labelled_support(self) -> LabelledEmbeddings | None:
        """Return the labelled pictures beside the test, by the words for their classes, or None without any."""
        return labelled(self.ready, self.support)

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (n, dim) rows; each text is embedded once a model."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._texts]
        rows = boundary.unit_rows(
            self.embedder, self.embedder.embed_texts(fresh), len(fresh), f"embedding {len(fresh)} texts"
        )
        self._texts.update(zip(fresh, rows, strict=True))
        if not texts:
            return np.zeros((0, self.embedder.dim), np.float32)
        return np.stack([self._texts[text] for text in texts])

    def class_prompts(self) -> FloatArray:
        """Return ``e_c``, the (k, dim) embeddings of the prompts of ``ready.classes``."""
        return self.embed_texts(
            [self.task.template.replace("{label}", self.ready.words(label)) for label in self.ready.classes]
        )

    def problem(self, measure: str, message: str, part: str = "") -> None:
        """Note that a measure could not be taken, or not of everything."""
        self.found.problems.append(Problem(task=self.task.name, measure=measure, part=part, message=message))

    def over_pairs(
        self, measure: str, pairs: PairSet, values: NDArray[np.float64], kept: NDArray[np.bool_] | None = None
    ) -> Estimate:
        """Return the mean over draws of the mean over pairs.

        Args:
            values: (m,) a value for each pair that is kept.
            kept: which pairs have a value; by default all.
        """
        rows = np.flatnonzero(np.ones(len(pairs.first), bool) if kept is None else kept)
        draws = pairs.seeds[rows]
        _, place, sizes = np.unique(draws, return_inverse=True, return_counts=True)
        means = np.bincount(place, values) / sizes
        weights = 1 / sizes[place]  # a draw of few pairs weighs as much as one of many
        statistic = mean_over(values, pairs.first[rows], pairs.second[rows], weights=weights)
        return Estimate(measure, pairs.part, float(means.mean()), len(rows), tuple(map(float, means)), statistic)

    def over_pictures(
        self, measure: str, part: str, values: NDArray[np.float64], pictures: NDArray[np.int64]
    ) -> Estimate:
        """Return the mean of values that rest on one picture each."""
        return Estimate(measure, part, float(values.mean()), len(values), (), mean_over(values, pictures))


Estimates = Iterator[Estimate]
