"""Caltech-UCSD Birds 200-2011: 200 birds with sentences by Reed et al. (2016) where they are there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pcclip.errors import DataError
from pcclip.progress import Progress
from pcclip.suites.published.layout import (
    SUPPORT_A_CLASS,
    Layout,
    Listed,
    gather,
    notes_on_classes,
    read_classes,
    read_lines,
    read_numbered,
    require_pictures,
)
from pcclip.suites.splitting import few_of_each
from pcclip.suites.task import Attribute, Protocol, Task
from pcclip.types import Example

LAYOUT = Layout(
    "CUB-200-2011",
    ("CUB_200_2011", "CUB_200_2011/CUB_200_2011", "cub-200-2011"),
    ("images", "images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt"),
    "CUB_200_2011.tgz (1.1 GB) from https://data.caltech.edu/records/65de6-vp158, and for captions the folder text_c10 "
    "of https://github.com/reedscot/cvpr2016",
)

PROTOCOL = Protocol(seeds=5, pictures=None, pairs=1000)
"""5,000 pairs of test pictures, in five draws so that there is a standard error."""

INCHES = {"very_small": 4.0, "small": 7.0, "medium": 12.5, "large": 24.0, "very_large": 52.0}
"""The middle of each range of ``has_size``: 3 to 5, 5 to 9, 9 to 16, 16 to 32, 32 to 72 inches."""

SIZE = Attribute.between("inches", "a larger bird", "a smaller bird", "a large bird")


def read_cub(folder: Path, progress: Progress | None = None) -> Task:
    """Read CUB-200-2011: the test split, and 32 training pictures of each class beside it.

    The attribute ``inches`` is a class's size: the mean of the middles of its ``has_size`` ranges, by
    how often annotators chose them.

    Raises:
        DataError: a list is damaged or names a number that another list lacks; names the file and the number.
    """
    classes = read_classes(folder / "classes.txt")
    files = read_numbered(folder / "images.txt")
    labels = _numbers(folder / "image_class_labels.txt", files, range(1, len(classes) + 1))
    training = _numbers(folder / "train_test_split.txt", files, (0, 1))
    captions = caption_folder(folder)
    listed = [
        Listed(file, folder / "images" / file, classes[labels[number] - 1], _captions(captions, file))
        for number, file in files.items()
    ]
    of_training = {file for number, file in files.items() if training[number]}
    examples, aside = gather(listed)
    require_pictures("CUB-200-2011", folder / "images", examples, aside)
    sizes = read_sizes(folder, classes)
    examples = [_sized(example, sizes) for example in examples]
    test = [example for example in examples if example.id not in of_training]
    notes = list(notes_on_classes(classes, test, "test picture"))
    without = sum(not example.captions for example in test)
    if captions is None:
        notes.append("There is no folder text_c10 with captions; without it no text is written for pairs of pictures.")
    elif without:
        notes.append(f"{without} test pictures have no captions in {str(captions)!r}.")
    if not sizes:
        notes.append("There is no attributes.txt with attributes/class_attribute_labels_continuous.txt: no sizes.")
    captioned = without < len(test)
    allowed = {
        "difference": captioned or bool(sizes),
        "ranking": bool(sizes),
        "zero-shot": True,
        "strategies": True,
        "retrieval": captioned,
        "geometry": captioned or bool(sizes),
        "probe": True,
    }
    return Task(
        "cub",
        tuple(name for name, there in allowed.items() if there),
        tuple(test),
        few_of_each([example for example in examples if example.id in of_training], SUPPORT_A_CLASS),
        tuple(aside),
        class_names={name: bird_words(name) for name in classes},
        attributes=(SIZE,) if sizes else (),
        protocol=PROTOCOL,
        source=str(folder),
        notes=tuple(notes),
    )


def bird_words(name: str) -> str:
    """Return ``Black footed Albatross`` for ``001.Black_footed_Albatross``."""
    return re.sub(r"^\d+\.", "", name).replace("_", " ")


def caption_folder(folder: Path) -> Path | None:
    """Return the folder ``text_c10`` in or beside CUB's, or None."""
    places = (
        folder,
        folder.parent,
        folder.parent / "cvpr2016_cub",
        folder / "cvpr2016_cub",
        folder.parent / "cub_icml",
    )
    return next((place / "text_c10" for place in places if (place / "text_c10").is_dir()), None)


def read_sizes(folder: Path, classes: list[str]) -> dict[str, float]:
    """Return the size of each class in inches; none where the attributes are not there.

    Raises:
        DataError: their table is damaged; names the line.
    """
    table = folder / "attributes" / "class_attribute_labels_continuous.txt"
    lists = (folder.parent / "attributes.txt", folder / "attributes.txt", folder / "attributes" / "attributes.txt")
    names = next((file for file in lists if file.is_file()), None)
    if names is None or not table.is_file():
        return {}
    inches: dict[int, float] = {}
    for number, name in read_numbered(names).items():
        match = re.match(r"has_size::(very_small|small|medium|large|very_large)\b", name.replace("_(", " ("))
        if match:
            inches[number - 1] = INCHES[match[1]]
    rows = read_lines(table)
    if len(rows) != len(classes):
        raise DataError(f"{str(table)!r} has {len(rows)} rows for the {len(classes)} classes of classes.txt")
    sizes = {}
    for place, (label, row) in enumerate(zip(classes, rows, strict=True), start=1):
        try:
            shares = [float(row.split()[column]) for column in inches]
        except (ValueError, IndexError):
            raise DataError(f"{str(table)!r}, line {place}: no number for each attribute of {names.name}") from None
        if sum(shares) > 0:
            weighed = sum(share * inch for share, inch in zip(shares, inches.values(), strict=True))
            sizes[label] = round(weighed / sum(shares), 2)
    return sizes


def _sized(example: Example, sizes: dict[str, float]) -> Example:
    size = sizes.get(example.label or "")
    return example if size is None else replace(example, attributes={"inches": size})


def _captions(folder: Path | None, picture: str) -> tuple[str, ...]:
    if folder is None:
        return ()
    file = folder / Path(picture).with_suffix(".txt")
    if not file.is_file():
        return ()
    # a few of the published captions hold bytes that are no UTF-8, or the mark that stands for such bytes
    text = file.read_text("utf-8-sig", errors="replace").replace("\ufffd", " ")
    return tuple(dict.fromkeys(caption for line in text.splitlines() if (caption := " ".join(line.split()))))


def _numbers(file: Path, pictures: dict[int, str], allowed: Iterable[int]) -> dict[int, int]:
    """Return the number that a list has for each picture."""
    known = {str(number): number for number in allowed}
    found: dict[int, int] = {}
    for picture, text in read_numbered(file).items():
        if picture not in pictures:
            raise DataError(f"{str(file)!r} speaks of picture {picture}, which images.txt does not have")
        if text not in known:
            raise DataError(
                f"{str(file)!r} has {text!r} for picture {picture}; allowed is {min(known.values())} to "
                f"{max(known.values())}"
            )
        found[picture] = known[text]
    missing = sorted(pictures.keys() - found.keys())
    if missing:
        raise DataError(f"{str(file)!r} has nothing for {len(missing)} pictures of images.txt, such as {missing[0]}")
    return found
