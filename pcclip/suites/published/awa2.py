"""Animals with Attributes 2: 50 animals and a table of 85 binary attributes (Xian et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pcclip.errors import DataError
from pcclip.progress import NoProgress, Progress
from pcclip.suites.published.layout import (
    PROTOCOL,
    SUPPORT_A_CLASS,
    Layout,
    Listed,
    gather,
    notes_on_classes,
    pictures_below,
    read_classes,
    read_lines,
    require_pictures,
)
from pcclip.suites.splitting import split_by_name
from pcclip.suites.task import Task
from pcclip.types import Quarantined

LAYOUT = Layout(
    "AwA2",
    ("AwA2", "Animals_with_Attributes2", "AwA2-data/Animals_with_Attributes2", "awa2"),
    ("JPEGImages", "classes.txt", "predicates.txt", "predicate-matrix-binary.txt"),
    "AwA2-data.zip (13 GB) from https://cvml.ista.ac.at/AwA2/",
)

UNSEEN: Mapping[str, tuple[str, ...]] = {
    "smell": ("smelly",),
    "speed, strength and vigour": ("fast", "slow", "strong", "weak", "active", "inactive", "agility"),
    "what it can do, which a still picture need not show": ("flys", "hops", "swims", "tunnels", "walks"),
    "when it sleeps": ("nocturnal", "hibernate"),
    "diet, and teeth named by it": (
        *("fish", "meat", "plankton", "vegetation", "insects", "chewteeth", "meatteeth", "strainteeth"),
        *("forager", "grazer", "hunter", "scavenger", "skimmer", "stalker"),
    ),
    "soles": ("pads",),
    "continent": ("newworld", "oldworld"),
    "character and sociability": ("fierce", "timid", "smart", "group", "solitary", "nestspot", "domestic"),
}
"""Attributes that a picture does not show, by why. Colours, coat, build, limbs, horns and surroundings stay."""

WORDS = {
    "toughskin": "tough skin",
    "longleg": "long legs",
    "longneck": "a long neck",
    "tail": "a tail",
    "buckteeth": "buck teeth",
    "muscle": "muscles",
    "quadrapedal": "four legs",
    "bipedal": "two legs",
}
"""Words for attributes whose names are none."""


def read_awa2(folder: Path, progress: Progress | None = None) -> Task:
    """Read AwA2. It has no split of pictures: 32 of each class, drawn by name, are beside the test.

    Raises:
        DataError: a list is damaged, table and lists do not fit together, or there is no picture.
    """
    classes = read_classes(folder / "classes.txt")
    attributes = read_attribute_table(folder, classes)
    listed: list[Listed] = []
    with (progress or NoProgress()).task("reading AwA2", len(classes), "class") as task:
        for name in classes:
            files = pictures_below(folder / "JPEGImages" / name)
            listed += [Listed(f"{name}/{file.name}", file, name) for file in files]
            task.advance()
    examples, aside = gather(listed)
    aside += [
        Quarantined(other.name, "read", "unknown-class", "a folder of JPEGImages that classes.txt does not name")
        for other in sorted((folder / "JPEGImages").iterdir())
        if other.is_dir() and other.name not in classes
    ]
    require_pictures("AwA2", folder / "JPEGImages", examples, aside)
    test, support = split_by_name(examples, SUPPORT_A_CLASS)
    return Task(
        "awa2",
        ("difference", "zero-shot", "strategies", "geometry", "probe"),
        test,
        support,
        tuple(aside),
        class_names={name: name.replace("+", " ") for name in classes},
        class_difference=AttributeTexts(attributes),
        protocol=PROTOCOL,
        source=str(folder),
        notes=(
            *notes_on_classes(classes, examples),
            "Texts name the attributes that one class has and the other has not; left out is what cannot be seen: "
            + ", ".join(UNSEEN)
            + ".",
        ),
    )


def read_attribute_table(folder: Path, classes: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the attributes of each class, by their names in ``predicates.txt``.

    Raises:
        DataError: the table does not have a row a class and a 0 or 1 an attribute; names the line.
    """
    names = read_classes(folder / "predicates.txt")
    file = folder / "predicate-matrix-binary.txt"
    rows = read_lines(file)
    if len(rows) != len(classes):
        raise DataError(f"{str(file)!r} has {len(rows)} rows for the {len(classes)} classes of classes.txt")
    table: dict[str, tuple[str, ...]] = {}
    for place, (label, row) in enumerate(zip(classes, rows, strict=True), start=1):
        cells = row.split()
        wrong = [cell for cell in cells if cell not in ("0", "1")]
        if wrong:
            raise DataError(f"{str(file)!r}, line {place}: {wrong[0]!r} is neither 0 nor 1")
        if len(cells) != len(names):
            raise DataError(
                f"{str(file)!r}, line {place}: {len(cells)} values for the {len(names)} attributes of predicates.txt"
            )
        table[label] = tuple(name for name, cell in zip(names, cells, strict=True) if cell == "1")
    return table


class AttributeTexts:
    """Says how the attributes of two classes differ, in the sentence of the paper.

    Attributes that both classes have say nothing of the difference and are left out: with them most of
    the sentences are longer than the 77 tokens that CLIP reads.

    Args:
        attributes: of each class, by name.
    """

    def __init__(self, attributes: Mapping[str, tuple[str, ...]]) -> None:
        unseen = {name for names in UNSEEN.values() for name in names}
        self._seen = {label: [name for name in names if name not in unseen] for label, names in attributes.items()}

    def __call__(self, first: str, second: str) -> str | None:
        """Return the text, or None where one of the classes has nothing that the other lacks."""
        if first not in self._seen or second not in self._seen:
            return None
        own = [name for name in self._seen[first] if name not in self._seen[second]]
        other = [name for name in self._seen[second] if name not in self._seen[first]]
        if not own or not other:
            return None
        return (
            f"The first image has attributes of {_words(own)}, "
            f"while the second image has attributes of {_words(other)}."
        )


def _words(names: list[str]) -> str:
    return ", ".join(WORDS.get(name, name) for name in names)
