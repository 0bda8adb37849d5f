"""The files under a folder: sorted, without hidden ones, and safe against loops of links."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pcclip.errors import DataError

PICTURE_SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm"),
        *(".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
    )
)
"""File name endings, in lower case, that are taken for pictures."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What lies under a folder.

    Attributes:
        files: all files, sorted by their path below the folder.
        unreadable: folders that could not be listed, with the system's message.
    """

    files: tuple[Path, ...]
    unreadable: tuple[tuple[Path, str], ...]

    @property
    def pictures(self) -> list[Path]:
        """The files that are taken for pictures."""
        return [file for file in self.files if is_picture(file)]


def is_picture(path: Path) -> bool:
    """Say whether a file's name ends like a picture's."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def walk(folder: Path) -> Walk:
    """Return the files below a folder, at any depth.

    Names that begin with a dot are passed over. Real folders are listed before linked ones and
    every folder once, so that links to a folder above, to each other or to a folder that is
    listed anyway add nothing.
    """
    seen: set[tuple[int, int]] = set()
    files: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    links: list[Path] = [folder]
    while links:
        waiting = [links.pop(0)]
        while waiting:
            here = waiting.pop()
            try:
                status = here.stat()
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                with os.scandir(here) as found:
                    entries = [entry for entry in found if not entry.name.startswith(".")]
            except OSError as error:
                unreadable.append((here, error.strerror or str(error)))
                continue
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = here / entry.name
                if not _is_folder(entry):
                    files.append(path)
                elif entry.is_symlink():
                    links.append(path)
                else:
                    waiting.append(path)
    return Walk(tuple(sorted(files, key=lambda file: file.relative_to(folder).parts)), tuple(unreadable))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def picture_files(paths: Iterable[str | Path]) -> list[Path]:
    """Return picture files in the order given, with folders replaced by the pictures in them, each file once.

    A path that is no folder stays as it is, also where it does not exist: who opens it says so.

    Raises:
        DataError: a folder holds no picture.
    """
    files: dict[Path, None] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            files[path] = None
            continue
        found = walk(path)
        if not found.pictures:
            raise DataError(f"there is no picture in the folder {str(path)!r}: found {count_by_suffix(found.files)}")
        files.update(dict.fromkeys(found.pictures))
    return list(files)


def relative_id(path: Path, folder: Path) -> str:
    """Return the path below a folder with forward slashes: the id of a picture found there."""
    return path.relative_to(folder).as_posix()


def count_by_suffix(files: Iterable[Path]) -> str:
    """Return what was found, for a message, such as ``12 .jpg, 3 .txt``."""
    counts = Counter(file.suffix.lower() or "without an ending" for file in files)
    shown = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{number} {suffix}" for suffix, number in shown[:8])
    return text + (f" and {len(shown) - 8} other kinds" if len(shown) > 8 else "") if text else "no files"
