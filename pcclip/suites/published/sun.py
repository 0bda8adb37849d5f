"""SUN397: scenes (Xiao et al. 2010), with the first of its ten published partitions."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pcclip.errors import DataError
from pcclip.progress import Progress
from pcclip.suites.published.downloads import fetch_sun
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

PLACES = ("", "Partitions/", "partitions/", "../Partitions/", "../partitions/")
"""Where the partitions may lie, seen from the folder of the pictures."""

LAYOUT = Layout(
    "SUN397",
    ("SUN397", "sun397", "sun397/SUN397"),
    (
        "ClassName.txt",
        *("|".join(f"{place}{name}" for place in PLACES) for name in ("Testing_01.txt", "Training_01.txt")),
    ),
    "SUN397.tar.gz (37 GB) and Partitions.zip from https://vision.princeton.edu/projects/2010/SUN/, the partitions "
    "into the folder SUN397",
    fetch_sun,
)

AFTER = {
    "desert/vegetation": "desert with vegetation",
    "dinette/home": "dinette at home",
    "dinette/vehicle": "dinette in a vehicle",
    "elevator/door": "elevator door",
    "poolroom/establishment": "public pool room",
    "poolroom/home": "pool room at home",
    "subway_station/platform": "subway station platform",
    "temple/east_asia": "East Asian temple",
    "temple/south_asia": "South Asian temple",
    "theater/indoor_seats": "seats of an indoor theater",
    "train_station/platform": "train station platform",
    "underwater/coral_reef": "underwater coral reef",
    "wine_cellar/barrel_storage": "wine cellar with barrels",
    "wine_cellar/bottle_storage": "wine cellar with bottles",
}
"""Words where the second part of a name does not simply go first, as ``indoor`` does."""


def read_sun(folder: Path, progress: Progress | None = None) -> Task:
    """Read SUN397: the 50 test pictures of each class of partition 1, and 32 of its training pictures.

    Raises:
        DataError: the partition names a class that ``ClassName.txt`` lacks.
    """
    classes = read_lines(folder / "ClassName.txt")
    test, aside = gather(_listed(folder, "Testing_01.txt", set(classes)))
    require_pictures("SUN397", folder, test, aside)
    training, more = gather(_listed(folder, "Training_01.txt", set(classes)))
    return Task(
        "sun397",
        ("zero-shot", "strategies", "probe"),
        tuple(test),
        few_of_each(training, SUPPORT_A_CLASS),
        (*aside, *more),
        class_names={name: scene_words(name) for name in classes},
        source=str(folder),
        notes=notes_on_classes(classes, test),
    )


def scene_words(name: str) -> str:
    """Return ``indoor apse`` for ``/a/apse/indoor``, and ``abbey`` for ``/a/abbey``."""
    parts = name.strip("/").split("/")[1:]
    known = AFTER.get("/".join(parts))
    return known or " ".join(part.replace("_", " ") for part in reversed(parts))


def _listed(folder: Path, name: str, classes: Collection[str]) -> list[Listed]:
    file = next((file for place in PLACES if (file := folder / f"{place}{name}").is_file()), folder / name)
    found = []
    for place, line in enumerate(read_lines(file), start=1):
        label, _, picture = line.rpartition("/")
        if label not in classes or not picture:
            raise DataError(f"{str(file)!r}, line {place}: {line!r} is no picture of a class of ClassName.txt")
        found.append(Listed(line.strip("/"), folder / line.strip("/"), label))
    return found
