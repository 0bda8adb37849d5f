"""How long stages say how far they are. The core reports; who shows it is somebody else's choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One running stage."""

    def advance(self, steps: int = 1) -> None:
        """Say that ``steps`` more units are done."""

    def note(self, text: str) -> None:
        """Show a short text beside the bar, such as the current loss."""


class Progress(Protocol):
    """Where stages report to; the command line shows bars, the default shows nothing."""

    def task(
        self, title: str, total: int | None = None, unit: str = "it", done: int = 0
    ) -> AbstractContextManager[Task]:
        """Start a stage of ``total`` units, of which ``done`` were there already."""


class _Quiet:
    def advance(self, steps: int = 1) -> None: ...

    def note(self, text: str) -> None: ...


class NoProgress:
    """Shows nothing."""

    @contextmanager
    def task(self, title: str, total: int | None = None, unit: str = "it", done: int = 0) -> Iterator[Task]:
        yield _Quiet()
