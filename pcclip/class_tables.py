"""Small tables of texts about classes: CSV, TSV, JSON lines, each with named columns."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pcclip.errors import DataError


class Row(NamedTuple):
    """A row: where it stands, for messages, and its values in the order of the columns, without outer spaces."""

    place: str
    values: tuple[str, ...]


def read_text(path: Path, what: str) -> str:
    """Return a file's text; ``what`` it holds is for messages.

    Raises:
        DataError: it is missing or not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the {what} {path}: {error}") from None


def read_object(path: Path, text: str, hint: str) -> list[tuple[str, Any]]:
    """Return the pairs of a JSON object, a key that comes again as often as it comes.

    Raises:
        DataError: it is no JSON object.
    """
    try:
        # pairs all the way down; a value may be text or a list of texts, and objects in it are refused by the reader
        value = json.loads(text, object_pairs_hook=_Pairs)
    except ValueError as error:
        raise DataError(f"{path}: {error}", hint) from None
    if not isinstance(value, _Pairs):
        raise DataError(f"{path} is no JSON object", hint)
    return list(value)


def read_rows(path: Path, text: str, columns: Sequence[str], hint: str) -> list[Row]:
    """Return the rows of a table; a file ending in ``.jsonl`` holds an object a line, any other is CSV or TSV.

    Raises:
        DataError: a column is missing, or a line is none; the message names it.
    """
    try:
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            records = [(n, json.loads(line)) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        else:
            delimiter = "\t" if path.suffix.lower() == ".tsv" or "\t" in text.partition("\n")[0] else ","
            reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
            missing = set(columns) - set(reader.fieldnames or ())
            if missing:
                raise DataError(
                    f"{path} lacks the columns {', '.join(sorted(missing))}; it has: "
                    f"{', '.join(reader.fieldnames or ()) or 'none'}",
                    hint,
                )
            records = [(n, row) for n, row in enumerate(reader, 2)]
        return [Row(f"line {n}", tuple(str(row[name] or "").strip() for name in columns)) for n, row in records]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: {error}", hint) from None


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written."""
