"""The task that a user's own data makes without a suite file: what the data has is what is measured."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcclip.data import Dataset, read
from pcclip.errors import DataError
from pcclip.progress import Progress
from pcclip.suites.attributes import read_attributes
from pcclip.suites.task import MEASURES, Attribute, Protocol, Task, TaskSource
from pcclip.types import Example

log = logging.getLogger(__name__)
_SHOWN = 5
PROTOCOL = Protocol(seeds=5, pictures=100, pairs=500)
"""500 pairs a draw: each has a text of its own, and all 4,950 pairs of 100 pictures would be as many texts."""


@dataclass(frozen=True)
class OwnData(TaskSource):
    """Any data that :func:`pcclip.data.read` reads.

    Captions give difference classification, retrieval, geometry and composed retrieval; labels give zero-shot,
    strategies and the probe; attributes with sentences give ranking.

    Attributes:
        data: what to read.
        options: of :func:`pcclip.data.read`: ``images``, ``caption_column``, ...
        attributes: numeric attributes of the data with their sentences.
        max_bad_fraction: the largest share of unusable rows to accept.
        attributes_file: table of further attributes by picture or by class; what is wrong in it becomes notes.
        support: further data, read with the same options but for the folder of pictures: labelled pictures that are
            not tested on.
    """

    data: str
    options: dict[str, Any] | None = None
    attributes: Sequence[Attribute] = ()
    max_bad_fraction: float = 0.1
    attributes_file: Path | None = None
    support: str | None = None

    @property
    def name(self) -> str:
        return self.data if ":" in self.data else Path(self.data).name or self.data

    def load(self, root: Path | None, progress: Progress | None = None) -> Task:
        """Read the data; ``root`` is of no use."""
        found = read(self.data, **(self.options or {}), progress=progress).require(self.max_bad_fraction)
        examples, problems = found.examples, tuple[str, ...]()
        if self.attributes_file is not None:
            own = _columns(examples)
            examples, problems = read_attributes(self.attributes_file, examples)
            unsaid = sorted(_columns(examples) - own - {attribute.name for attribute in self.attributes})
            problems += tuple(
                f"{self.attributes_file.name}: the attribute {name!r} is not measured: it has no sentences "
                f"(--sentence '{name}=MORE|LESS|PHRASE')"
                for name in unsaid
            )
        beside = self._beside(progress)
        problems += of_no_test_class({example.label for example in examples}, beside.examples)
        for problem in problems:
            log.warning("%s", problem)
        return Task(
            self.name,
            measures_that_fit(examples, self.attributes),
            examples,
            tuple(example for example in beside.examples if example.label),
            quarantined=(*found.quarantined, *beside.quarantined),
            attributes=tuple(self.attributes),
            protocol=PROTOCOL,
            source=self.data,
            notes=(*found.notes, *beside.notes, *problems),
        )

    def _beside(self, progress: Progress | None) -> Dataset:
        """Return the labelled pictures that are not tested on.

        Raises:
            DataError: they cannot be read, or none has a label.
        """
        if self.support is None:
            return Dataset("", ())
        options = {name: value for name, value in (self.options or {}).items() if name != "images"}
        found = read(self.support, **options, progress=progress).require(self.max_bad_fraction)
        if not any(example.label for example in found.examples):
            raise DataError(
                f"no picture of {self.support!r} has a label, so it is of no use beside the test",
                "Bring class folders or a table with a label column.",
            )
        return found


def of_no_test_class(known: Collection[str | None], beside: Iterable[Example]) -> tuple[str, ...]:
    """Return a sentence on labelled pictures beside the test that are of no ``known`` class, or none."""
    others = Counter(example.label for example in beside if example.label and example.label not in known)
    if not others:
        return ()
    some = ", ".join(repr(label) for label in sorted(map(str, others))[:_SHOWN])
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return (f"{others.total()} labelled pictures beside the test are of no class of the test: {some}{more}.",)


def _columns(examples: Iterable[Example]) -> set[str]:
    return {name for example in examples for name in example.attributes}


def measures_that_fit(examples: Iterable[Example], attributes: Sequence[object]) -> tuple[str, ...]:
    """Return the groups of measures that pictures allow, by what is known of them."""
    known = tuple(examples)
    captions, labels = any(example.caption for example in known), any(example.label for example in known)
    pairs = captions or bool(attributes)
    wanted = {
        "difference": pairs,
        "ranking": bool(attributes),
        "zero-shot": labels,
        "strategies": labels,
        "retrieval": captions,
        "geometry": pairs,
        "composed": pairs,
        "probe": labels,
    }
    return tuple(name for name in MEASURES if wanted[name])
