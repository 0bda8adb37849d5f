"""``quarantine.csv``: what was set aside, a row each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from pcclip.errors import DataError
from pcclip.files import write_text
from pcclip.types import Quarantined

COLUMNS = ("id", "stage", "reason", "detail")


def write_quarantine(path: Path, rows: Iterable[Quarantined]) -> None:
    """Write rows as CSV in UTF-8, whole or not at all; every cell is quoted, so line breaks in names are safe.

    Raises:
        PcclipError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row.id, row.stage, row.reason, row.detail) for row in rows)
    write_text(path, text.getvalue())


def read_quarantine(path: Path) -> tuple[Quarantined, ...]:
    """Read the rows of a file that :func:`write_quarantine` wrote.

    Raises:
        DataError: there is no such file, or it has other columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}") from error
    if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        found = ", ".join(rows[0]) if rows else "nothing"
        raise DataError(f"{str(path)!r} is not a quarantine table: found {found}", f"Expected {', '.join(COLUMNS)}")
    return tuple(Quarantined(*row) for row in rows[1:])
