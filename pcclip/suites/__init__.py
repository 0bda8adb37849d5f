"""Data sets with what is asked of them, for ``pcclip evaluate``."""

from __future__ import annotations

from pcclip.suites.task import Attribute, Protocol, Suite, Task, TaskSource

__all__ = ["Attribute", "Protocol", "Suite", "Task", "TaskSource"]
