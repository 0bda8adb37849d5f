"""What the readers of published data sets share: finding the folder, reading its lists, naming what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcclip.data.collecting import file_problem
from pcclip.errors import DataError
from pcclip.files import cache_folder
from pcclip.progress import Progress
from pcclip.suites.task import Protocol, Task, TaskSource, repeated
from pcclip.types import Example, Quarantined

PROTOCOL = Protocol(seeds=5, pictures=100, pairs=None)
"""Of the paper: 5 draws of 100 random test pictures, all pairs of different class."""

SUPPORT_A_CLASS = 32
"""Training pictures of each class beside the test pictures: 16 shots, and as many to validate on."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a published data set lies and where it comes from.

    Attributes:
        title: what it is called.
        folders: names that its folder may have, relative to the folder of data sets.
        holds: files and folders in it, without which it is not that data set; of several with ``|`` between, one.
        get: what to download from where.
        fetch: downloads it into a folder of data sets, or None where that takes a person.
    """

    title: str
    folders: tuple[str, ...]
    holds: tuple[str, ...]
    get: str
    fetch: Callable[[Path], None] | None = None

    def find(self, root: Path | None) -> Path:
        """Return the data set's folder: one of ``folders`` below ``root``, or ``root`` itself.

        Args:
            root: the folder of data sets; by default the one in the cache that downloads go to.

        Raises:
            DataError: it is not there, or lacks something; says what was looked for and where to get it.
        """
        base = download_folder() if root is None else root
        found = [folder for name in (*self.folders, ".") if (folder := base / name).is_dir()]
        for folder in found:
            if not self._missing(folder):
                return folder
        named = [folder for folder in found if folder != base]
        if named:
            missing = ", ".join(self._missing(named[0]))
            raise DataError(f"{self.title}: {str(named[0])!r} lacks {missing}", self._hint(base, root))
        holds = ", ".join(names.partition("|")[0] for names in self.holds)
        raise DataError(
            f"{self.title}: no folder {' or '.join(self.folders)} with {holds} in {str(base)!r}",
            self._hint(base, root),
        )

    def _missing(self, folder: Path) -> list[str]:
        found = {names: any((folder / name).exists() for name in names.split("|")) for names in self.holds}
        return [names.partition("|")[0] for names, there in found.items() if not there]

    def _hint(self, base: Path, root: Path | None) -> str:
        where = f"Get {self.get}, and unpack it in {str(base)!r}"
        if self.fetch is not None:
            where += ", or have it fetched with --download"
        return where if root is not None else f"{where}, or name another folder of data sets with --data"


class PublishedSource(TaskSource):
    """A task on a published data set.

    Args:
        name: the task's name.
        layout: where it lies.
        read: reads the task from that folder.
        download: whether to fetch it where it is missing and can be fetched.
    """

    def __init__(
        self, name: str, layout: Layout, read: Callable[[Path, Progress | None], Task], *, download: bool = False
    ) -> None:
        self._name = name
        self.layout = layout
        self.read = read
        self.download = download

    @property
    def name(self) -> str:
        """The task's name."""
        return self._name

    def load(self, root: Path | None, progress: Progress | None = None) -> Task:
        """Read the task, fetching its data first where that was asked for.

        Raises:
            DataError: the data is not there, is damaged, or cannot be fetched.
        """
        try:
            folder = self.layout.find(root)
        except DataError:
            if not self.download or self.layout.fetch is None:
                raise
            fetch(self.layout, download_folder() if root is None else root)
            folder = self.layout.find(root)
        return self.read(folder, progress)


def fetch(layout: Layout, into: Path) -> None:
    """Download a data set.

    Raises:
        DataError: it cannot be fetched; says why.
    """
    if layout.fetch is None:
        raise DataError(f"{layout.title} cannot be fetched by a program", f"Get {layout.get}")
    try:
        into.mkdir(parents=True, exist_ok=True)
        layout.fetch(into)
    except Exception as error:  # torchvision raises what its parts raise: URLError, RuntimeError, tar and zip errors
        raise DataError(f"{layout.title} cannot be fetched: {error}", f"Get {layout.get} by hand") from error


def download_folder() -> Path:
    """Return the folder in the cache that downloads go to."""
    return cache_folder() / "datasets"


def read_lines(file: Path) -> list[str]:
    """Return the lines of a list without the empty ones.

    Raises:
        DataError: it cannot be read, or holds nothing.
    """
    try:
        lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {str(file)!r}: {getattr(error, 'strerror', None) or error}") from None
    if not lines:
        raise DataError(f"{str(file)!r} is empty")
    return lines


def read_numbered(file: Path) -> dict[int, str]:
    """Return what a list of lines such as ``12 some text`` has under each number.

    Raises:
        DataError: a line has another form, or a number comes twice; names the line.
    """
    found: dict[int, str] = {}
    for place, line in enumerate(read_lines(file), start=1):
        match = re.fullmatch(r"(\d+)\s+(.+)", line, re.ASCII)
        if match is None:
            raise DataError(f"{str(file)!r}, line {place}: expected a number and a text, found {line!r}")
        if int(match[1]) in found:
            raise DataError(f"{str(file)!r}, line {place}: the number {match[1]} comes twice")
        found[int(match[1])] = match[2]
    return found


def read_classes(file: Path) -> list[str]:
    """Return the names of a numbered list whose numbers are 1 to k, in that order.

    Raises:
        DataError: a number is missing, or a name comes twice.
    """
    found = read_numbered(file)
    missing = sorted(set(range(1, len(found) + 1)) - set(found))
    if missing:
        raise DataError(f"{str(file)!r} holds {len(found)} numbers, but not {missing[0]}")
    names = [found[number] for number in range(1, len(found) + 1)]
    twice = repeated(names)
    if twice is not None:
        raise DataError(f"{str(file)!r} names {twice!r} twice")
    return names


@dataclass(frozen=True, slots=True)
class Listed:
    """A picture that a data set lists."""

    id: str
    path: Path
    label: str
    captions: tuple[str, ...] = ()


def gather(listed: Iterable[Listed]) -> tuple[list[Example], list[Quarantined]]:
    """Return the pictures that are there, and a row for each that is not."""
    examples, aside = [], []
    for one in listed:
        problem = file_problem(one.path)
        if problem is None:
            examples.append(Example(one.id, one.path, one.captions, one.label))
        else:
            aside.append(Quarantined(one.id, "read", *problem))
    return examples, aside


def require_pictures(title: str, folder: Path, examples: Sequence[Example], aside: Sequence[Quarantined]) -> None:
    """Raise a DataError where no picture of a data set is there."""
    if not examples:
        shown = f"; {len(aside)} are listed, such as {aside[0].id!r}: {aside[0].detail}" if aside else ""
        raise DataError(f"{title}: {str(folder)!r} holds no picture{shown}", "Unpack the pictures too")


def notes_on_classes(names: Iterable[str], examples: Sequence[Example], kind: str = "picture") -> tuple[str, ...]:
    """Return a sentence on the classes without a picture, or none."""
    there = {example.label for example in examples}
    missing = [name for name in names if name not in there]
    if not missing:
        return ()
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return (f"{len(missing)} classes have no {kind}: {', '.join(missing[:_SHOWN])}{more}.",)


def pictures_below(folder: Path, suffix: str = ".jpg") -> list[Path]:
    """Return the picture files of a class folder, sorted; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == suffix and not file.name.startswith("."))
