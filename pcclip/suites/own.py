"""The task that a user's own data makes without a suite file: what the data has is what is measured."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcclip.data import read
from pcclip.progress import Progress
from pcclip.suites.attributes import read_attributes
from pcclip.suites.task import MEASURES, Attribute, Protocol, Task, TaskSource
from pcclip.types import Example

log = logging.getLogger(__name__)
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
    """

    data: str
    options: dict[str, Any] | None = None
    attributes: Sequence[Attribute] = ()
    max_bad_fraction: float = 0.1
    attributes_file: Path | None = None

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
        for problem in problems:
            log.warning("%s", problem)
        return Task(
            self.name,
            measures_that_fit(examples, self.attributes),
            examples,
            quarantined=found.quarantined,
            attributes=tuple(self.attributes),
            protocol=PROTOCOL,
            source=self.data,
            notes=(*found.notes, *problems),
        )


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
