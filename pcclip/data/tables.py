"""Reads tables: CSV and TSV, JSON lines, and a JSON list of objects."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcclip.data.collecting import Collector, label_caption, parse_value
from pcclip.data.dataset import Dataset
from pcclip.data.locating import picture_id, picture_path, picture_root
from pcclip.errors import DataError
from pcclip.progress import NoProgress, Progress
from pcclip.types import Quarantined

IMAGE_COLUMNS = (
    *("image", "file_name", "filename", "filepath", "file_path", "image_path", "image_file", "image_name"),
    *("img", "img_path", "path", "file", "picture", "photo", "image_url", "url"),
)
CAPTION_COLUMNS = ("caption", "captions", "text", "title", "description", "sentence", "sentences", "prompt", "alt_text")
LABEL_COLUMNS = ("label", "class", "category", "class_name", "label_name")
ID_COLUMNS = frozenset(("", "id", "image_id", "caption_id", "annotation_id", "index", "unnamed:_0"))
"""Columns that number rows: not taken for attributes."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to use; None is to be guessed from :data:`IMAGE_COLUMNS` and its fellows."""

    image: str | None = None
    caption: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    cells: Mapping[str, object]


def read_csv(file: Path, columns: Columns, images: Path | None, progress: Progress | None = None) -> Dataset:
    """Read a CSV or TSV file with a header line.

    The separator (comma, tab, semicolon or bar) is found in the header line. UTF-8, with or
    without a byte order mark. Other columns become attributes: numbers where every filled cell
    of the column is one, texts otherwise; ``nan`` cells are set aside. Rows that name the same
    picture become one example with all their captions. Without a caption column but with a label
    column the caption is ``a photo of a {label}``.

    Raises:
        DataError: no header, no such column, not UTF-8 in the header, or a quote that is never closed.
    """
    collector = Collector(file.name, merge=True)
    header, rows = _cells(file, collector)
    numeric = frozenset(name for name in header if _all_numbers(row.cells[name] for row in rows))
    return _examples(file, header, rows, columns, images, collector, progress, numeric)


def read_cells(file: Path) -> tuple[list[str], list[tuple[str, Mapping[str, str]]], tuple[Quarantined, ...]]:
    """Read a CSV or TSV file as it is, with the separator found as for :func:`read_csv`.

    Returns:
        The header; each row's place, such as ``row 3``, with its cells by column; and rows that cannot be read.

    Raises:
        DataError: no header, not UTF-8 in the header, a column named twice, or a quote that is never closed.
    """
    collector = Collector(file.name)
    header, rows = _cells(file, collector)
    texts: list[tuple[str, Mapping[str, str]]] = [
        (row.where, {key: str(cell) for key, cell in row.cells.items()}) for row in rows
    ]
    return header, texts, collector.finish().quarantined


def _cells(file: Path, collector: Collector) -> tuple[list[str], list[_Row]]:
    text = _text_of(file)
    header_line = next((line for line in text.splitlines() if line.strip()), "")
    if not header_line:
        raise DataError(f"{str(file)!r} is empty", "A table needs a header line and a row a caption")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(header_line), strict=True)
    rows = list(_csv_rows(file, reader, collector))
    header = list(rows[0].cells) if rows else [name.strip() for name in next(csv.reader([header_line]))]
    return header, rows


def read_jsonl(file: Path, columns: Columns, images: Path | None, progress: Progress | None = None) -> Dataset:
    """Read JSON lines: one object a line with the columns of a CSV file.

    A caption may be a list of captions. Further texts, numbers and truth values (as 1 and 0)
    become attributes; nested values are left out.

    Raises:
        DataError: no line is an object, or there is no such column.
    """
    collector = Collector(file.name, merge=True)
    rows: list[_Row] = []
    with file.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            where = f"line {number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                value = json.loads(line) if line.strip() else None
            except UnicodeDecodeError as error:
                collector.set_aside(f"{file.name}:{number}", "not-utf8", f"byte {error.start}: {error.reason}")
                continue
            except (json.JSONDecodeError, RecursionError) as error:
                collector.set_aside(f"{file.name}:{number}", "unreadable-row", str(error))
                continue
            if isinstance(value, dict):
                rows.append(_Row(where, value))
            elif line.strip():
                collector.set_aside(f"{file.name}:{number}", "unreadable-row", "not a JSON object")
    return _from_objects(file, rows, columns, images, collector, progress)


def read_json_list(
    file: Path, items: list[object], columns: Columns, images: Path | None, progress: Progress | None = None
) -> Dataset:
    """Read a JSON list of objects, each like a line of JSON lines."""
    collector = Collector(file.name, merge=True)
    rows: list[_Row] = []
    for number, value in enumerate(items, start=1):
        if isinstance(value, dict):
            rows.append(_Row(f"item {number}", value))
        else:
            collector.set_aside(f"{file.name}:{number}", "unreadable-row", "not a JSON object")
    return _from_objects(file, rows, columns, images, collector, progress)


def _from_objects(
    file: Path,
    rows: list[_Row],
    columns: Columns,
    images: Path | None,
    collector: Collector,
    progress: Progress | None,
) -> Dataset:
    if not rows:
        summary = collector.finish().bad_summary()
        raise DataError(
            f"{str(file)!r} holds no JSON object. {summary}",
            'Expected one a line, such as {"image": "a.jpg", "caption": "a cat"}',
        )
    header = list(dict.fromkeys(key for row in rows for key in row.cells))
    return _examples(file, header, rows, columns, images, collector, progress)


def _examples(
    file: Path,
    header: Sequence[str],
    rows: list[_Row],
    columns: Columns,
    images: Path | None,
    collector: Collector,
    progress: Progress | None,
    numeric: frozenset[str] = frozenset(),
) -> Dataset:
    image = _column(file, header, "image", columns.image, IMAGE_COLUMNS)
    label = _column(file, header, "label", columns.label, LABEL_COLUMNS)
    caption = _column(file, header, "caption", columns.caption, CAPTION_COLUMNS)
    if image is None or (caption is None and label is None):
        missing, usual = ("image", IMAGE_COLUMNS) if image is None else ("caption", CAPTION_COLUMNS)
        raise DataError(
            f"{str(file)!r} has no {missing} column: found {_listed(header)}, looked for {', '.join(usual)}",
            f"Name it with --{missing}-column",
        )
    root = picture_root(file, (str(row.cells.get(image) or "") for row in rows), images)
    others = [name for name in header if name not in (image, caption, label) and _plain(name) not in ID_COLUMNS]
    nested: dict[str, None] = {}
    with (progress or NoProgress()).task(f"reading {file.name}", len(rows), "row") as task:
        for row in rows:
            task.advance()
            name = row.cells.get(image)
            if not isinstance(name, str) or not name.strip():
                collector.set_aside(f"{file.name}:{row.where}", "unreadable-row", f"no picture named in {image!r}")
                continue
            name = name if "\n" in name else name.strip()
            if name.lower().startswith(("http://", "https://", "s3://", "gs://")):
                collector.set_aside(name, "remote-file", f"{row.where}: pictures are not downloaded; fetch them first")
                continue
            about = row.cells.get(label) if label is not None else None
            text = None if about is None or isinstance(about, (dict, list)) else _label_text(about)
            captions = _captions(row.cells.get(caption)) if caption is not None else [label_caption(text or "")]
            if caption is None and not text:
                collector.set_aside(picture_id(name), "missing-label", f"{row.where}: no label in {label!r}")
                continue
            attributes: dict[str, float | str] = {}
            for key in others:
                value = row.cells.get(key)
                if key in numeric:
                    value = parse_value(str(value))
                if isinstance(value, (dict, list)):
                    nested[key] = None
                elif isinstance(value, (int, float)):
                    attributes[key] = _float(value)
                elif isinstance(value, str) and value.strip():
                    attributes[key] = value.strip()
            collector.add(
                picture_id(name),
                picture_path(root, name),
                captions,
                label=text or None,
                attributes=attributes,
                where=row.where,
            )
    if nested:
        collector.notes.append(f"Nested values are not attributes and were left out: {', '.join(nested)}.")
    if caption is None:
        collector.notes.append(f"No caption column; captions were made from the label column {label!r}.")
    return collector.finish()


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _label_text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _captions(value: object) -> list[str]:
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str)]
    return [value] if isinstance(value, str) else []


def _column(file: Path, header: Sequence[str], role: str, wanted: str | None, usual: Sequence[str]) -> str | None:
    if wanted is not None:
        if wanted in header:
            return wanted
        raise DataError(f"{str(file)!r} has no column {wanted!r}: found {_listed(header)}", f"Correct --{role}-column")
    by_plain = {_plain(name): name for name in reversed(header)}
    return next((by_plain[name] for name in usual if name in by_plain), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _listed(header: Iterable[str]) -> str:
    return ", ".join(map(repr, header)) or "no columns"


def _text_of(file: Path) -> str:
    raw = file.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{str(file)!r} is UTF-16", "Save the table as UTF-8")
    return raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def _separator(header_line: str) -> str:
    try:
        return csv.Sniffer().sniff(header_line, delimiters=",\t;|").delimiter
    except csv.Error:  # one column, or no separator that is as regular as the sniffer wants it
        return max(",\t;|", key=header_line.count)


def _csv_rows(file: Path, reader: Iterator[list[str]], collector: Collector) -> Iterator[_Row]:
    header: list[str] | None = None
    number = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            if "unexpected end" in str(error):
                raise DataError(
                    f"{str(file)!r}: a quote that is opened in row {number} or before it is never closed",
                    'Inside a quoted cell, write a quote as two quotes: "a ""small"" cat"',
                ) from error
            collector.set_aside(f"{file.name}:row {number}", "unreadable-row", str(error))
            continue
        number += 1
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [name.strip() for name in cells]
            if len(set(header)) < len(header):
                raise DataError(f"{str(file)!r} names a column twice: {_listed(header)}", "Give each column its name")
        elif len(cells) != len(header):
            collector.set_aside(
                f"{file.name}:row {number}", "unreadable-row", f"{len(cells)} cells, where the header has {len(header)}"
            )
        elif any("\udc80" <= char <= "\udcff" for cell in cells for char in cell):
            collector.set_aside(f"{file.name}:row {number}", "not-utf8", " | ".join(cells))
        else:
            yield _Row(f"row {number}", dict(zip(header, cells, strict=True)))


def _all_numbers(cells: Iterable[object]) -> bool:
    values = [parse_value(str(cell)) for cell in cells]
    return any(value is not None for value in values) and not any(isinstance(value, str) for value in values)
