"""What the demo needs beside the ordinary flow: a data set that is there, and examples to show."""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

from pcclip.data import read
from pcclip.errors import DataError
from pcclip.progress import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A held-out pair with its text, and the cosine of the text with the difference before and after."""

    first: str
    second: str
    text: str
    before: float
    after: float


def demo_data(source: str, progress: Progress | None = None) -> str:
    """Return ``source``, or ``scenes`` with a warning where ``stamps`` cannot be fetched."""
    if source == "stamps":
        try:
            read("stamps", progress=progress)
        except DataError as error:
            log.warning("%s; going on with the built-in scenes", error.message)
            return "scenes"
    return source


def worked_examples(run: Path, count: int = 4) -> list[WorkedExample]:
    """Return held-out pairs of a finished run: the first two that training turned right, one it turned wrong where
    there is one, and the first of the rest."""
    with (run / "held_out_pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            WorkedExample(r["first"], r["second"], r["text"], float(r["cosine_before"]), float(r["cosine_after"]))
            for r in csv.DictReader(file)
        ]
    gained = [row for row in rows if row.before <= 0 < row.after]
    lost = [row for row in rows if row.after <= 0 < row.before]
    chosen = [*gained[:2], *lost[:1]]
    chosen += [row for row in rows if row not in chosen][: count - len(chosen)]
    return chosen
