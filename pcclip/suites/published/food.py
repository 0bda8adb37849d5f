"""Food-101 (Bossard et al. 2014)."""

from __future__ import annotations

from pathlib import Path

from pcclip.errors import DataError
from pcclip.progress import Progress
from pcclip.suites.published.downloads import fetch_food
from pcclip.suites.published.layout import (
    SUPPORT_A_CLASS,
    Layout,
    Listed,
    gather,
    notes_on_classes,
    read_lines,
    require_pictures,
)
from pcclip.suites.splitting import few_of_each
from pcclip.suites.task import Task

LAYOUT = Layout(
    "Food-101",
    ("food-101", "Food-101", "food101"),
    ("images", "meta/classes.txt", "meta/train.txt", "meta/test.txt"),
    "food-101.tar.gz (5 GB) from https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
    fetch_food,
)


def read_food(folder: Path, progress: Progress | None = None) -> Task:
    """Read Food-101: the test set, and 32 training pictures of each class beside it.

    Raises:
        DataError: a list is missing or names a class that ``meta/classes.txt`` lacks.
    """
    classes = read_lines(folder / "meta" / "classes.txt")
    test, aside = gather(_listed(folder, "test.txt", classes))
    require_pictures("Food-101", folder / "images", test, aside)
    training, more = gather(_listed(folder, "train.txt", classes))
    return Task(
        "food-101",
        ("zero-shot", "strategies", "probe"),
        tuple(test),
        few_of_each(training, SUPPORT_A_CLASS),
        (*aside, *more),
        class_names={name: name.replace("_", " ") for name in classes},
        source=str(folder),
        notes=notes_on_classes(classes, test),
    )


def _listed(folder: Path, name: str, classes: list[str]) -> list[Listed]:
    known = set(classes)
    found = []
    for place, line in enumerate(read_lines(folder / "meta" / name), start=1):
        label, slash, _ = line.partition("/")
        if not slash or label not in known:
            raise DataError(f"'meta/{name}', line {place}: {line!r} is no picture of a class of meta/classes.txt")
        found.append(Listed(line, folder / "images" / f"{line}.jpg", label))
    return found
