"""Reads folders of pictures: with caption files beside them, with classes as folders, or with a metadata file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pcclip.data.collecting import Collector, label_caption
from pcclip.data.dataset import Dataset
from pcclip.data.walking import Walk, count_by_suffix, relative_id, walk
from pcclip.errors import DataError
from pcclip.progress import NoProgress, Progress
from pcclip.types import Example, Quarantined

METADATA_NAMES = ("metadata.csv", "metadata.jsonl")
SPLIT_NAMES = frozenset(("train", "training", "val", "valid", "validation", "dev", "test", "testing"))
"""Folder names that stand for a split of the data, not for a class."""

ReadFile = Callable[[Path], Dataset]

_TABLE_SUFFIXES = frozenset((".csv", ".tsv", ".json", ".jsonl"))


def read_folder(folder: Path, read_file: ReadFile, progress: Progress | None = None) -> Dataset:
    """Read a folder of pictures, by the first of these that fits.

    1. A file ``metadata.csv`` or ``metadata.jsonl`` in it, or one in each of its split folders
       (the layout of Hugging Face's ``imagefolder``).
    2. Pictures with a text file of the same name beside them (``a.jpg``, ``a.txt``), at any depth.
       Every line that is not empty is one caption of the picture. Folder names mean nothing here.
    3. Class folders: all pictures lie in folders, at least two of them; the label is the name of
       the first folder (of the second one below split folders such as ``train``), the caption is
       ``a photo of a {label}`` with the label's underscores and plus signs as spaces.
    4. One single CSV, TSV, JSON or JSONL file at its top.

    Args:
        folder: the folder.
        read_file: how to read a metadata or table file in it.
        progress: where to report to.

    Raises:
        DataError: nothing of this fits, or more than one; says what was found.
    """
    found = walk(folder)
    metadata = _metadata_files(folder, found)
    if metadata:
        return _read_metadata(folder, found, metadata, read_file)
    pictures = found.pictures
    files = frozenset(found.files)
    captioned = [picture for picture in pictures if picture.with_suffix(".txt") in files]
    classes = _class_of(folder, pictures)
    if captioned and len(captioned) * 2 < len(pictures) and classes is not None:
        raise DataError(
            f"{str(folder)!r} is ambiguous: {len(captioned)} of {len(pictures)} pictures have a .txt file of their "
            f"name, but the pictures also lie in {len(set(classes.values()))} class folders",
            "Move the .txt files away to read classes, or add the missing ones to read captions",
        )
    if captioned:
        return _read_captioned(folder, found, progress)
    tables = [file for file in found.files if file.parent == folder and file.suffix.lower() in _TABLE_SUFFIXES]
    if classes is not None and not tables:
        return _read_classes(folder, found, classes, progress)
    if len(tables) == 1 and classes is None:
        return replace(read_file(tables[0]), name=folder.name)
    raise DataError(*_nothing_fits(folder, found, tables))


def _nothing_fits(folder: Path, found: Walk, tables: list[Path]) -> tuple[str, str]:
    if tables:
        names = ", ".join(file.name for file in tables)
        return f"{str(folder)!r} can be read in more than one way: found {names} beside other pictures", (
            "Name the file instead of the folder, or move it away"
        )
    return (
        f"{str(folder)!r}: found {count_by_suffix(found.files)}, and no way to get captions. Looked for "
        f"{' or '.join(METADATA_NAMES)}, for pictures with a .txt file of the same name, for at least two class "
        "folders that hold pictures, and for one single CSV, TSV, JSON or JSONL file",
        "Give every picture NAME.jpg a NAME.txt with a caption a line, or name a table file as --data",
    )


def _metadata_files(folder: Path, found: Walk) -> list[Path]:
    files = [file for file in found.files if file.name in METADATA_NAMES]
    at_top = [file for file in files if file.parent == folder]
    chosen = at_top or [f for f in files if f.parent.parent == folder and f.parent.name.lower() in SPLIT_NAMES]
    folders = [file.parent for file in chosen]
    if len(set(folders)) < len(folders):
        raise DataError(
            f"{str(folder)!r} is ambiguous: it holds {' and '.join(sorted(f.name for f in chosen))}",
            "Keep one of them",
        )
    return chosen


def _read_metadata(folder: Path, found: Walk, metadata: list[Path], read_file: ReadFile) -> Dataset:
    collector = Collector(folder.name)
    parts = [(file, read_file(file)) for file in metadata]
    named: set[Path] = set()
    examples: list[Example] = []
    quarantined: list[Quarantined] = []
    notes: list[str] = []
    for file, part in parts:
        prefix = "" if file.parent == folder else relative_id(file.parent, folder) + "/"
        named.update(example.image for example in part.examples)
        examples += [replace(example, id=prefix + example.id) for example in part.examples]
        quarantined += [replace(row, id=prefix + row.id) for row in part.quarantined]
        notes += part.notes
    aside = {row.id for row in quarantined}
    for picture in found.pictures:
        id = relative_id(picture, folder)
        if picture not in named and id not in aside:
            collector.set_aside(id, "missing-caption", f"not named in {metadata[0].name}")
    rest = collector.finish()
    return Dataset(folder.name, tuple(examples), (*quarantined, *rest.quarantined), tuple(notes))


def _read_captioned(folder: Path, found: Walk, progress: Progress | None) -> Dataset:
    collector = _collector(folder, found)
    files = frozenset(found.files)
    used: set[Path] = set()
    with (progress or NoProgress()).task(f"reading {folder.name}", len(found.pictures), "picture") as task:
        for picture in found.pictures:
            task.advance()
            id, text = relative_id(picture, folder), picture.with_suffix(".txt")
            if text not in files:
                collector.set_aside(id, "missing-caption", f"there is no {text.name!r} beside it")
                continue
            used.add(text)
            try:
                captions = text.read_bytes().decode("utf-8-sig").splitlines()
            except UnicodeDecodeError as error:
                collector.set_aside(id, "not-utf8", f"{text.name!r}, byte {error.start}: {error.reason}")
            except OSError as error:
                collector.set_aside(id, "missing-caption", f"{text.name!r} cannot be read: {error.strerror}")
            else:
                collector.add(id, picture, captions)
    for text in found.files:
        if text.suffix == ".txt" and text not in used:
            collector.set_aside(relative_id(text, folder), "missing-picture", "no picture of this name beside it")
    return collector.finish()


def _class_of(folder: Path, pictures: list[Path]) -> Mapping[Path, str] | None:
    """Return the class folder of every picture that lies in one, or None where there are no two classes."""
    below = {picture: picture.relative_to(folder).parts[:-1] for picture in pictures}
    tops = {parts[0] for parts in below.values() if parts}
    depth = 1 if tops and all(name.lower() in SPLIT_NAMES for name in tops) else 0
    classes = {picture: parts[depth] for picture, parts in below.items() if len(parts) > depth}
    names = set(classes.values())
    if len(names) < 2 or all(re.fullmatch(r"\d{4,}", name) for name in names):  # 00000, 00001: shards, not classes
        return None
    return classes


def _read_classes(folder: Path, found: Walk, classes: Mapping[Path, str], progress: Progress | None) -> Dataset:
    collector = _collector(folder, found)
    with (progress or NoProgress()).task(f"reading {folder.name}", len(found.pictures), "picture") as task:
        for picture in found.pictures:
            task.advance()
            id = relative_id(picture, folder)
            if picture not in classes:
                collector.set_aside(id, "missing-label", "lies beside the class folders, not in one")
                continue
            label = classes[picture]
            collector.add(id, picture, [label_caption(label)], label=label)
    collector.notes.append('Captions were made from the class folders: "a photo of a {label}".')
    return collector.finish()


def _collector(folder: Path, found: Walk) -> Collector:
    collector = Collector(folder.name or str(folder.resolve().name))
    for unreadable, message in found.unreadable:
        collector.set_aside(relative_id(unreadable, folder), "unreadable-folder", message)
    return collector
