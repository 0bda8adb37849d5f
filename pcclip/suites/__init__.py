"""Data sets with what is asked of them, for ``pcclip evaluate``."""

from __future__ import annotations

from pcclip.suites.finding import NAMES, find
from pcclip.suites.task import MEASURES, Attribute, Protocol, Suite, Task, TaskSource

__all__ = ["MEASURES", "NAMES", "Attribute", "Protocol", "Suite", "Task", "TaskSource", "find"]
