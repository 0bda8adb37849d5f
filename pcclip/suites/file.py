"""A suite as a TOML file: tasks of one's own, each with its data, measures and sentences.

:mod:`pcclip.suites.schema` has the keys. Paths are relative to the file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pcclip.data import BUILTIN_NAMES, Dataset, read
from pcclip.errors import DataError, PcclipError
from pcclip.progress import Progress
from pcclip.suites.attributes import problems_of, read_attributes
from pcclip.suites.differences import ClassTexts
from pcclip.suites.own import measures_that_fit, of_no_test_class
from pcclip.suites.schema import TaskTable, read_suite_file
from pcclip.suites.splitting import split_by_content
from pcclip.suites.task import Protocol, Suite, Task, TaskSource
from pcclip.types import Example, Quarantined

log = logging.getLogger(__name__)
_T = TypeVar("_T")


def read_suite(path: str | Path) -> Suite:
    """Read a suite's TOML file; the data that it names is read when a task is loaded.

    Raises:
        UsageError: it cannot be read, is no TOML, or has an unknown key or a value that is not allowed; names
            file, task and key.
    """
    path = Path(path)
    suite = read_suite_file(path)
    return Suite(suite.name or path.stem, tuple(FileSource(path, table) for table in suite.task))


class FileSource(TaskSource):
    """A task of a suite's file.

    Args:
        file: the suite's file, which paths are relative to.
        table: the task.
    """

    def __init__(self, file: Path, table: TaskTable) -> None:
        self.file = file
        self.table = table

    @property
    def name(self) -> str:
        """The task's name."""
        return self.table.name

    def load(self, root: Path | None, progress: Progress | None = None) -> Task:
        """Read the task's data, attributes and differences; ``root`` is not looked at.

        Raises:
            DataError: a file is missing or cannot be read; names the suite's file, the task and the key.
        """
        table = self.table
        data = self._read("data", table.data, progress)
        examples: Sequence[Example] = data.examples
        notes = list(data.notes)
        problems = tuple[str, ...]()
        if table.attributes_file is not None:
            path = self._path(table.attributes_file)
            examples, problems = self._named("attributes_file", lambda: read_attributes(path, examples))
        problems += problems_of([one.attribute for one in table.attributes], examples)
        test, support = tuple(examples), tuple[Example, ...]()
        quarantined: tuple[Quarantined, ...] = data.quarantined
        if table.support is not None:
            beside = self._read("support", table.support, progress)
            support = tuple(example for example in beside.examples if example.label)
            quarantined = (*quarantined, *beside.quarantined)
            notes += beside.notes
            if not support:
                notes.append(f"None of the pictures of support = {table.support!r} has a label; they are of no use.")
        elif table.support_fraction is not None:
            share = table.support_fraction
            test, support = self._named("support_fraction", lambda: split_by_content(examples, share))
        labels = {example.label for example in test if example.label}
        problems += of_no_test_class({*labels, *table.class_names}, support)
        problems += _without_pictures(table.class_names, labels, support)
        for problem in problems:
            log.warning("%s, task %r: %s", self.file.name, self.name, problem)
        notes += problems
        return Task(
            table.name,
            table.measures or measures_that_fit(test, table.attributes),
            test,
            support,
            quarantined,
            table.class_names,
            table.template,
            tuple(one.attribute for one in table.attributes),
            self._differences(labels | table.class_names.keys()),
            Protocol(**table.protocol.model_dump()),
            table.source or table.data,
            tuple(notes),
        )

    def _read(self, key: str, source: str, progress: Progress | None) -> Dataset:
        table = self.table
        named: str | Path = source if source.partition(":")[0] in BUILTIN_NAMES else self._path(source)
        return self._named(
            key,
            lambda: read(
                named,
                images=None if table.images is None or key != "data" else self._path(table.images),
                image_column=table.image_column,
                caption_column=table.caption_column,
                label_column=table.label_column,
                limit=table.limit if key == "data" else None,
                progress=progress,
            ).require(table.max_bad_fraction),
        )

    def _differences(self, labels: set[str]) -> ClassTexts | None:
        if self.table.differences is None:
            return None
        from pcclip.differences import read_differences

        path = self._path(self.table.differences)
        return ClassTexts(self._named("differences", lambda: read_differences(path, sorted(labels))))

    def _path(self, name: str) -> Path:
        return self.file.parent / Path(name).expanduser()

    def _named(self, key: str, make: Callable[[], _T]) -> _T:
        """Return what ``make`` returns; what goes wrong in it names this file, the task and the key."""
        try:
            return make()
        except PcclipError as error:
            place = f"{self.file.name}, task {self.name!r}, {key}"
            raise DataError(f"{place}: {error.message}", error.hint) from error


def _without_pictures(names: Mapping[str, str], labels: set[str], support: Sequence[Example]) -> tuple[str, ...]:
    known = labels | {str(example.label) for example in support}
    notes = [f"The class {label!r} of class_names has no picture." for label in names if label not in known]
    if support:
        missing = sorted(label for label in labels if all(example.label != label for example in support))
        notes += [f"The class {label!r} has no labelled picture beside the test." for label in missing]
    return tuple(notes)
