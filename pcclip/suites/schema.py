"""The keys of a suite's TOML file, and what is said of one that is wrong."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pcclip.errors import UsageError
from pcclip.suites.attributes import attribute_of
from pcclip.suites.task import MEASURES, Attribute, repeated

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AttributeTable(_Table):
    """``[[task.attributes]]``: an attribute with its sentences."""

    name: str = Field(min_length=1, description="attribute of the data, or a column of attributes_file")
    more: str = Field(min_length=1, description="true of (first, second) where the first picture's value is larger")
    less: str = Field("", description="the opposite; made from more where that has the usual form")
    phrase: str = Field("", description="what to rank by, such as: a large animal; by default more")

    @property
    def attribute(self) -> Attribute:
        """The attribute."""
        return attribute_of(self.name, self.more, self.less, self.phrase)

    @model_validator(mode="after")
    def _can_be_turned(self) -> AttributeTable:
        try:
            attribute_of(self.name, self.more, self.less)
        except UsageError as error:
            raise ValueError(error.message) from None
        return self


class ProtocolTable(_Table):
    """``[task.protocol]``: how often and of how much."""

    seeds: int = Field(5, ge=1, description="draws of pictures")
    pictures: int | None = Field(100, ge=2, description="pictures a draw; 0 for all")
    pairs: int | None = Field(500, ge=1, description="the most pairs a draw; 0 for all")
    shots: int = Field(16, ge=1, description="labelled pictures a class of the linear probe")

    @field_validator("pictures", "pairs", mode="before")
    @classmethod
    def _zero_is_all(cls, value: Any) -> Any:
        return None if value == 0 and not isinstance(value, bool) else value


class TaskTable(_Table):
    """``[[task]]``: one data set with what is asked of it."""

    name: str = Field(min_length=1, description="what tables call it; each name once")
    data: str = Field(min_length=1, description="captioned or labelled pictures, as for --data")
    images: str | None = Field(None, description="folder that relative picture paths start from")
    image_column: str | None = Field(None, description="column that holds the picture's path")
    caption_column: str | None = Field(None, description="column that holds the caption")
    label_column: str | None = Field(None, description="column that holds the class")
    limit: int | None = Field(None, ge=2, description="use only this many pictures, spread evenly")
    max_bad_fraction: float = Field(0.1, ge=0, le=1, description="leave the task out when more of the data is unusable")
    measures: tuple[str, ...] = Field((), description=f"of {', '.join(MEASURES)}; by default all that the data allows")
    support: str | None = Field(None, description="further data: labelled pictures for shots and validation")
    support_fraction: float | None = Field(
        None, gt=0, lt=1, description="instead: the share of data to take for that, by content"
    )
    template: str = Field("This is a photo of a {label}", description="class prompt, {label} where the words go")
    class_names: dict[str, str] = Field(default_factory=dict, description="the words for a class, by label")
    differences: str | None = Field(None, description="file of described differences between classes")
    attributes_file: str | None = Field(None, description="table of attributes by picture or by class")
    attributes: tuple[AttributeTable, ...] = Field((), description="attributes with their sentences")
    protocol: ProtocolTable = ProtocolTable.model_construct(seeds=5, pictures=100, pairs=500, shots=16)
    source: str = Field("", description="where the data comes from, for the report")

    @field_validator("measures")
    @classmethod
    def _are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in MEASURES]
        if unknown:
            raise ValueError(f"no group of measures is called {unknown[0]!r}, there are {', '.join(MEASURES)}")
        return tuple(dict.fromkeys(value))

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, value: str) -> str:
        if "{label}" not in value:
            raise ValueError("it has no {label}")
        return value

    @field_validator("class_names")
    @classmethod
    def _have_words(cls, value: dict[str, str]) -> dict[str, str]:
        empty = [label for label, words in value.items() if not words.strip()]
        if empty:
            raise ValueError(f"the words for {empty[0]!r} are empty")
        said: dict[str, str] = {}
        for label, words in value.items():
            if words in said:
                raise ValueError(f"{said[words]!r} and {label!r} have the same words, {words!r}")
            said[words] = label
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> TaskTable:
        if self.support is not None and self.support_fraction is not None:
            raise ValueError("support and support_fraction exclude each other")
        twice = repeated(attribute.name for attribute in self.attributes)
        if twice is not None:
            raise ValueError(f"the attribute {twice!r} has sentences twice")
        if "ranking" in self.measures and not self.attributes:
            raise ValueError("ranking needs attributes with sentences: [[task.attributes]]")
        return self


class SuiteFile(_Table):
    """The file: tasks, and a name for all of them."""

    name: str | None = Field(None, min_length=1, description="what reports call it; by default the file's name")
    task: tuple[TaskTable, ...] = Field(min_length=1, description="the tasks")

    @model_validator(mode="after")
    def _names_differ(self) -> SuiteFile:
        twice = repeated(task.name for task in self.task)
        if twice is not None:
            raise ValueError(f"two tasks are called {twice!r}")
        return self


def read_suite_file(path: Path) -> SuiteFile:
    """Read and check a suite's TOML file; nothing that it names is looked at.

    Raises:
        UsageError: it cannot be read, is no TOML, or has an unknown key or a value that is not allowed; names
            file, task and key.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the suite {str(path)!r}: {getattr(error, 'strerror', None) or error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{str(path)!r} is no TOML: {error}") from None
    try:
        return SuiteFile.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False)
        if len(found) > 1:  # pydantic counts only the tasks that are right
            found = [item for item in found if (item["type"], item["loc"]) != ("too_short", ("task",))]
        problems = "; ".join(_problem(item["loc"], item, content) for item in found)
        raise UsageError(f"{str(path)!r}: {problems}", "All keys are in docs/suites.md") from None


def _problem(place: Sequence[int | str], item: Any, content: Any) -> str:
    """Say what is wrong and where, such as ``task 'birds', attributes 1, more: field required``."""
    parts: list[str] = []
    value = content
    for part in place:
        value = _within(value, part)
        if isinstance(part, int):
            name = value.get("name") if isinstance(value, dict) else None
            parts[-1] += f" {name!r}" if isinstance(name, str) else f" {part + 1}"
        else:
            parts.append(part)
    where = ", ".join(parts)
    if item["type"] == "extra_forbidden":
        return f"{where} is no key of a suite"
    message = item["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    return f"{where}: {message[0].lower()}{message[1:]}" if where else message


def _within(value: Any, part: int | str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    return value[part] if isinstance(value, list) and isinstance(part, int) and part < len(value) else None
