"""Comparatives as JSON lines: to look at, to hand on, or to bring in from elsewhere.

One object a line: ``first`` and ``second`` (the captions), ``text``, ``reason`` (null where the text was
accepted, else why it was rejected), ``captioner`` (the fingerprint of who wrote it) and ``label`` (what a
person calls that captioner).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pcclip.comparatives import ComparativeStore
from pcclip.errors import DataError, UsageError
from pcclip.files import make_writable_folder, new_file
from pcclip.quality import check
from pcclip.types import CaptionPair, Comparative, Rejection


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the lines of a file.

    Attributes:
        new: answers that were not in the store.
        known: answers to pairs that the store held already; those there were kept.
        rejected: how many of the lines are rejections, by their own word or because they failed the check.
    """

    new: int
    known: int
    rejected: int


def export_comparatives(store: ComparativeStore, path: Path, captioner: str | None = None) -> int:
    """Write every answer of the store, or of one captioner, oldest first; return how many.

    Raises:
        PcclipError: the file cannot be written.
        UsageError: it is the store itself.
    """
    if path.exists():
        if path.samefile(store.path):
            raise UsageError(f"{path} is the store itself", "Export to another file.")
    else:
        make_writable_folder(path.parent)
    with new_file(path) as file:
        return write_comparatives(store, file, captioner)


def write_comparatives(store: ComparativeStore, file: IO[bytes], captioner: str | None = None) -> int:
    """Write the lines of :func:`export_comparatives` into an open file, and return how many."""
    labels = store.captioners()
    written = 0
    for fingerprint, answer in store.all(captioner):
        row = {
            "first": answer.pair.first,
            "second": answer.pair.second,
            "text": answer.text,
            "reason": answer.reason if isinstance(answer, Rejection) else None,
            "captioner": fingerprint,
            "label": labels.get(fingerprint),
        }
        line = json.dumps(row, ensure_ascii=False) + "\n"
        file.write(line.encode("utf-8", "backslashreplace"))
        written += 1
    return written


def import_comparatives(
    store: ComparativeStore, path: Path, captioner: str | None = None, label: str | None = None
) -> Imported:
    """Bring in the answers of a file, all of them or (where a line is bad) none.

    A line without ``reason`` has not been checked: its text passes the rules of :mod:`pcclip.quality`
    or is stored as rejected. A pair that the store holds keeps its answer.

    Args:
        captioner: the fingerprint to file lines under that have no ``captioner``.
        label: what a person calls that captioner.

    Raises:
        DataError: the file cannot be read, or a line is no answer; the message names the line.
    """
    lines = rejected = 0
    labels = {captioner: label} if captioner and label else {}

    def answers() -> Iterator[tuple[str, Comparative | Rejection]]:
        nonlocal lines, rejected
        for number, line in enumerate(file, 1):
            if line.strip():
                writer, own, answer = _parse(line, f"{path}, line {number}", captioner)
                if own:
                    labels.setdefault(writer, own)
                lines += 1
                rejected += isinstance(answer, Rejection)
                yield writer, answer

    try:
        with path.open(encoding="utf-8-sig") as file:
            new = store.add_all(answers())
        for writer, own in labels.items():
            store.name(writer, own)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
    if not lines:
        raise DataError(f"{path} holds no line", "It needs JSON lines with first, second and text.")
    return Imported(new, lines - new, rejected)


def _parse(line: str, place: str, captioner: str | None) -> tuple[str, str | None, Comparative | Rejection]:
    """Return the writer's fingerprint, its label where the line has one, and the answer."""
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise DataError(f"{place}: no JSON object", 'A line is {"first": …, "second": …, "text": …}.')
    writer = _text(row, "captioner", place, required=False) or captioner
    if not writer:
        raise DataError(
            f"{place}: does not say which captioner wrote it", "Name the captioner to file it under: --captioner NAME."
        )
    label = _text(row, "label", place, required=False)
    text = _text(row, "text", place, required="reason" not in row) or ""
    try:
        pair = CaptionPair(_text(row, "first", place) or "", _text(row, "second", place) or "")
        reason = _text(row, "reason", place, required=False)
        if "reason" not in row:
            reason = check(pair, text)
        return writer, label, Comparative(pair, text) if reason is None else Rejection(pair, reason, text)
    except UsageError as error:
        raise DataError(f"{place}: {error.message}") from None


def _text(row: dict[str, Any], key: str, place: str, *, required: bool = True) -> str | None:
    value = row.get(key)
    if value is None and not required:
        return None
    if not isinstance(value, str):
        raise DataError(f"{place}: {key!r} is {'missing' if value is None else 'no text'}")
    return value
