"""How much of the tuned weights to keep: measure averages on held-out pictures, and choose among them by a rule."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from pcclip.averaging import interpolate, put_text_weights
from pcclip.card import MEASURES
from pcclip.errors import MissingDependencyError, PcclipError
from pcclip.files import read_json, write_json, write_text
from pcclip.held_out import evaluate
from pcclip.plots import plot_sweep
from pcclip.preparing import Prepared
from pcclip.progress import NoProgress, Progress

log = logging.getLogger(__name__)
SCHEMA = 1
RULE = (
    "the best difference accuracy among the alphas where no other measure is below the original's; of equals the "
    "smallest alpha"
)
_FILE = "alpha_sweep"


@dataclass(frozen=True, slots=True)
class AlphaRow:
    """One average and its held-out measures, as :func:`pcclip.held_out.evaluate` names them."""

    alpha: float
    measures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AlphaSweep:
    """The averages that were measured, alpha 0, the original, first.

    Attributes:
        rows: in ascending order of alpha.
        chosen: the alpha that is taken.
        rule: by what it was chosen.
        tuned: fingerprint of the text tower at alpha 1.
        pictures: which were measured, ``held-out`` or ``validation``.
    """

    rows: tuple[AlphaRow, ...]
    chosen: float
    rule: str
    tuned: str
    pictures: str = "held-out"

    def row(self, alpha: float) -> AlphaRow | None:
        """Return the row of an alpha, or None where it was not measured."""
        return next((row for row in self.rows if row.alpha == alpha), None)

    def table(self) -> list[dict[str, Any]]:
        """Return a row an alpha with the measures in words, for people."""
        known = [key for key in MEASURES if key in self.rows[0].measures]
        notes = {0.0: "original", 1.0: "tuned", self.chosen: "chosen"}
        return [
            {"alpha": f"{row.alpha:g}"}
            | {MEASURES[key]: row.measures[key] for key in known}
            | {"": notes.get(row.alpha, "")}
            for row in self.rows
        ]

    def write(self, folder: Path) -> None:
        """Write ``alpha_sweep.json``, ``.csv``, and, where matplotlib is installed, ``.svg`` into ``folder``."""
        write_json(folder / f"{_FILE}.json", {"schema": SCHEMA, **asdict(self)})
        text = io.StringIO()
        flat = [{"alpha": row.alpha, **row.measures} for row in self.rows]
        writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        write_text(folder / f"{_FILE}.csv", text.getvalue())
        picture = folder / f"{_FILE}.svg"
        try:
            plot_sweep(self, picture)
        except MissingDependencyError as error:
            log.warning("%s is not drawn: %s. %s", picture, error.message, error.hint)


def read_sweep(folder: Path) -> AlphaSweep | None:
    """Return the sweep that was written into ``folder``, or None where there is none.

    Raises:
        PcclipError: the file is damaged, or was written by a newer pcclip.
    """
    file = folder / f"{_FILE}.json"
    if not file.is_file():
        return None
    record = read_json(file)
    try:
        if record["schema"] != SCHEMA:
            raise PcclipError(f"{file} has another schema than {SCHEMA}", "Upgrade pcclip, or measure again.")
        rows = tuple(AlphaRow(row["alpha"], row["measures"]) for row in record["rows"])
        return AlphaSweep(rows, record["chosen"], record["rule"], record["tuned"], record["pictures"])
    except (KeyError, TypeError):
        raise PcclipError(f"{file} is no sweep of this pcclip", "Remove it and measure again.") from None


def sweep(
    prepared: Prepared,
    original: Mapping[str, Tensor],
    tuned: Mapping[str, Tensor],
    *,
    alphas: Sequence[float],
    alpha: float | Literal["auto"],
    progress: Progress | None = None,
) -> AlphaSweep:
    """Measure ``alpha · tuned + (1 - alpha) · original`` for each alpha; the embedder is left with the chosen one.

    Held-out pictures show the trade-off. They may not decide it: where ``alpha`` is ``auto``, validation pictures
    are measured, if the run kept some.

    Args:
        alphas: ascending, 0 among them, and ``alpha`` unless it is ``auto``.
        alpha: the one to take, or ``auto`` for :data:`RULE`.
    """
    embedder, rows = prepared.embedder, []
    validation = prepared.validation if alpha == "auto" else None
    with (progress or NoProgress()).task("Measuring averages", total=len(alphas), unit="alpha") as task:
        for one in alphas:
            put_text_weights(embedder, interpolate(original, tuned, one))
            rows.append(AlphaRow(one, evaluate(embedder, validation or prepared.held_out)))
            task.advance()
    chosen = choose(rows) if alpha == "auto" else alpha
    put_text_weights(embedder, tuned)
    fingerprint = embedder.text_fingerprint
    put_text_weights(embedder, interpolate(original, tuned, chosen))
    if alpha == "auto" and chosen == 0:
        log.warning(
            "every alpha above 0 lowers a measure or leaves the difference accuracy as it is, so alpha 0 was chosen: "
            "the result is the original model. pcclip merge makes another one from the same run, with --alpha"
        )
    rule = RULE if alpha == "auto" else "the alpha that was asked for"
    return AlphaSweep(tuple(rows), chosen, rule, fingerprint, "validation" if validation else "held-out")


def choose(rows: Sequence[AlphaRow]) -> float:
    """Return the alpha that :data:`RULE` takes; the first row is the original."""
    original = rows[0].measures
    others = [key for key in MEASURES if key in original and key != "difference_accuracy"]
    harmless = [row for row in rows if all(row.measures[key] >= original[key] for key in others)]
    return max(harmless, key=lambda row: (row.measures["difference_accuracy"], -row.alpha)).alpha
