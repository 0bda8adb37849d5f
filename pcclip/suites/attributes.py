"""Attributes that users bring: a table of values, and sentences that say what a larger value means.

``attributes.csv`` has a row a picture or a row a class, and a column an attribute::

    picture,size            class,size
    cats/a.jpg,4.2          cat,4.2
    b.jpg,5000              elephant,5000

A table may have both columns: a row that names a picture is about that picture, one that names only
a class is about all pictures of it, and what is said of a picture goes before what is said of its class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pcclip.data.collecting import parse_value
from pcclip.data.locating import picture_id
from pcclip.data.tables import IMAGE_COLUMNS, LABEL_COLUMNS, read_cells
from pcclip.errors import DataError, UsageError
from pcclip.form import compose, take_apart
from pcclip.suites.task import Attribute
from pcclip.types import Example, Quarantined

PICTURE_COLUMNS = ("picture", "id", *(name for name in IMAGE_COLUMNS if name != "picture"))
CLASS_COLUMNS = ("class", *(name for name in LABEL_COLUMNS if name != "class"))
_SHOWN = 5
_FORM = "NAME=TEXT WHERE THE FIRST HAS MORE|TEXT WHERE IT HAS LESS|PHRASE"
_EXAMPLE = (
    "For example: size=The first image shows a larger animal, while the second image shows a smaller animal.|The first "
    "image shows a smaller animal, while the second image shows a larger animal.|a large animal"
)


def parse_sentence(text: str) -> Attribute:
    """Return the attribute that ``NAME=MORE|LESS|PHRASE`` says.

    The phrase may be left out. LESS may be left out too where MORE has the form ``The first image
    shows A, while the second image shows B``, which can be turned round.

    Raises:
        UsageError: a part is missing or empty; the message names the text.
    """
    name, equals, sentences = text.partition("=")
    parts = [part.strip() for part in sentences.split("|")]
    if not name.strip() or not equals or not parts[0] or len(parts) > 3:
        raise UsageError(f"not a sentence of an attribute: {text!r}", f"Write {_FORM}. {_EXAMPLE}")
    more, less, phrase = (*parts, "", "")[:3]
    return attribute_of(name.strip(), more, less, phrase)


def attribute_of(name: str, more: str, less: str = "", phrase: str = "") -> Attribute:
    """Return an attribute, with ``less`` made from ``more`` where it is empty and that can be done.

    Raises:
        UsageError: ``less`` is empty and cannot be made, or says the same as ``more``; or the name is taken.
    """
    if not less:
        sides = take_apart(more)
        if sides is None:
            raise UsageError(
                f"the attribute {name!r} has one sentence, {more!r}, which cannot be turned round",
                f"Write both, for the first picture with more and with less: {_FORM}",
            )
        less = compose(sides[1], sides[0])
    if less == more:
        raise UsageError(f"the attribute {name!r} has the same sentence for more and for less: {more!r}")
    return Attribute(name, more, less, phrase)


def read_attributes(path: Path, examples: Iterable[Example]) -> tuple[tuple[Example, ...], tuple[str, ...]]:
    """Read a table of attributes and join it to pictures.

    A picture is named by its id (for a folder its relative path), by the path of its file, or by
    its file name where only one picture has it. Values of the table go before those that a picture
    has already. Separator and encoding are those of other tables.

    Args:
        path: CSV or TSV.
        examples: a data set, or any pictures.

    Returns:
        All pictures, in their order, those that the table speaks of with its values; and a sentence
        for each problem: a value that is no finite number, a name that fits no picture or several,
        a row that cannot be read or that contradicts an earlier one, a column without numbers, an
        attribute that never varies. The other values count.

    Raises:
        DataError: the table cannot be read, has neither a picture nor a class column, or no other column.
    """
    pictures = tuple(examples)
    try:
        header, rows, unreadable = read_cells(path)
    except OSError as error:
        raise DataError(f"cannot read the attributes {str(path)!r}: {error.strerror or error}") from error
    picture_column, class_column = _column(header, PICTURE_COLUMNS), _column(header, CLASS_COLUMNS)
    attributes = [name for name in header if name and name not in (picture_column, class_column)]
    found = ", ".join(map(repr, header))
    if picture_column is None and class_column is None:
        raise DataError(
            f"{str(path)!r} says neither picture nor class: found {found}", "Name a column picture or class"
        )
    if not attributes:
        raise DataError(f"{str(path)!r} holds no attribute: found {found}", "Add a column an attribute, such as size")
    table = _Table(path.name, pictures, attributes)
    table.problems += [f"{path.name}: {row.id.removeprefix(f'{path.name}:')}: {_reason(row)}" for row in unreadable]
    for where, cells in rows:
        table.add(where, cells.get(picture_column or "", "").strip(), cells.get(class_column or "", "").strip(), cells)
    return table.joined(), (*table.problems, *table.problems_of_columns())


def problems_of(attributes: Sequence[Attribute], examples: Sequence[Example]) -> tuple[str, ...]:
    """Return a sentence for each attribute that no picture has, that is no number, or that never varies."""
    problems = []
    for attribute in attributes:
        values = [e.attributes[attribute.name] for e in examples if attribute.name in e.attributes]
        texts = [value for value in values if isinstance(value, str)]
        if not values:
            known = sorted({key for example in examples for key in example.attributes})
            problems.append(f"no picture has the attribute {attribute.name!r}; there are: {', '.join(known) or 'none'}")
        elif texts:
            problems.append(
                f"the attribute {attribute.name!r} is no number for {len(texts)} of {len(values)} pictures, "
                f"such as {texts[0]!r}"
            )
        elif len(set(values)) == 1:
            problems.append(f"the attribute {attribute.name!r} is {values[0]:g} for all {len(values)} pictures")
    return tuple(problems)


def _reason(row: Quarantined) -> str:
    return row.detail if row.reason == "unreadable-row" else f"{row.reason}: {row.detail}"


class _Table:
    """Values by picture and by class, and what was wrong with the others."""

    def __init__(self, file: str, examples: tuple[Example, ...], attributes: Sequence[str]) -> None:
        self.file = file
        self.examples = examples
        self.attributes = attributes
        self.problems: list[str] = []
        self._unknown: dict[str, list[str]] = {}
        self._bad: dict[str, list[str]] = {name: [] for name in attributes}
        self._values: dict[tuple[str, str], dict[str, float]] = {}  # by ("picture", id) or ("class", label)
        self._names = _names(examples)
        self._labels = {example.label for example in examples}

    def add(self, where: str, picture: str, label: str, cells: Mapping[str, str]) -> None:
        key = self._key(where, picture, label)
        if key is None:
            return
        known = self._values.setdefault(key, {})
        for name in self.attributes:
            value = parse_value(cells[name])
            if value is None:
                continue
            if isinstance(value, str) or not math.isfinite(value):
                self._bad[name].append(f"{cells[name].strip()!r} ({where})")
            elif known.setdefault(name, value) != value:
                self.problems.append(
                    f"{self.file}: {where}: {name!r} of {key[0]} {key[1]!r} is {value:g}, and {known[name]:g} in an "
                    "earlier row; the first one counts"
                )

    def _key(self, where: str, picture: str, label: str) -> tuple[str, str] | None:
        if picture:
            ids = self._names.get(picture_id(picture), ())
            if len(ids) == 1:
                return "picture", ids[0]
            what = "several pictures have the file name" if ids else "no picture of the data is called"
            self._unknown.setdefault(what, []).append(f"{picture!r} ({where})")
        elif label in self._labels and label:
            return "class", label
        elif label:
            self._unknown.setdefault("no picture of the data has the class", []).append(f"{label!r} ({where})")
        else:
            self.problems.append(f"{self.file}: {where} names no picture and no class")
        return None

    def joined(self) -> tuple[Example, ...]:
        return tuple(
            replace(example, attributes={**example.attributes, **values}) if values else example
            for example, values in ((example, self._values_of(example)) for example in self.examples)
        )

    def _values_of(self, example: Example) -> dict[str, float]:
        of_class = {} if example.label is None else self._values.get(("class", example.label), {})
        return {**of_class, **self._values.get(("picture", example.id), {})}

    def problems_of_columns(self) -> list[str]:
        problems = [f"{self.file}: {what} {_some(named)}" for what, named in self._unknown.items()]
        for name in self.attributes:
            if self._bad[name]:
                problems.append(f"{self.file}: values of {name!r} are no finite numbers: {_some(self._bad[name])}")
            values = [own[name] for example in self.examples if name in (own := self._values_of(example))]
            if not values:
                problems.append(f"{self.file}: the attribute {name!r} has no value for any picture")
            elif len(set(values)) == 1:
                problems.append(
                    f"{self.file}: the attribute {name!r} never varies: it is {values[0]:g} for all {len(values)} "
                    "pictures that have it"
                )
        return problems


def _names(examples: Sequence[Example]) -> dict[str, tuple[str, ...]]:
    """Return the ids that a name can mean; an id means itself, whatever else is called like it."""
    names: dict[str, tuple[str, ...]] = {}
    for example in examples:
        for name in {example.image.name, example.image.as_posix()}:
            names[name] = (*names.get(name, ()), example.id)
    return {**names, **{example.id: (example.id,) for example in examples}}


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _column(header: Sequence[str], usual: Sequence[str]) -> str | None:
    plain = {name.strip().lower().replace(" ", "_"): name for name in reversed(header)}
    return next((plain[name] for name in usual if name in plain), None)
