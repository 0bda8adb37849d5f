"""The task that a user's own data makes without a suite file: what the data has is what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcclip.data import Dataset, read
from pcclip.progress import Progress
from pcclip.suites.task import Attribute, Protocol, Task, TaskSource

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
    """

    data: str
    options: dict[str, Any] | None = None
    attributes: Sequence[Attribute] = ()
    max_bad_fraction: float = 0.1

    @property
    def name(self) -> str:
        return self.data if ":" in self.data else Path(self.data).name or self.data

    def load(self, root: Path | None, progress: Progress | None = None) -> Task:
        """Read the data; ``root`` is of no use."""
        found = read(self.data, **(self.options or {}), progress=progress).require(self.max_bad_fraction)
        return Task(
            self.name,
            _measures(found, bool(self.attributes)),
            found.examples,
            quarantined=found.quarantined,
            attributes=tuple(self.attributes),
            protocol=PROTOCOL,
            source=self.data,
            notes=found.notes,
        )


def _measures(data: Dataset, attributes: bool) -> tuple[str, ...]:
    captions, labels = any(example.caption for example in data), bool(data.labels)
    pairs = captions or attributes
    wanted = {
        "difference": pairs,
        "ranking": attributes,
        "zero-shot": labels,
        "strategies": labels,
        "retrieval": captions,
        "geometry": pairs,
        "composed": pairs,
        "probe": labels,
    }
    return tuple(name for name, there in wanted.items() if there)
