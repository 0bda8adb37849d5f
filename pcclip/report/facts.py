"""What is needed to take the measures again: settings, prompts, fingerprints, what was set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from pcclip.evaluation.document import TaskFacts

MOST_PROMPTS = 250
MOST_SET_ASIDE = 100


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task's prompts and what was set aside of it, cut to what a page holds."""

    facts: TaskFacts
    source: str
    prompts: tuple[tuple[str, str], ...]
    prompts_left_out: int
    reasons: tuple[tuple[str, int], ...]
    set_aside: tuple[Mapping[str, str], ...]
    set_aside_left_out: int


def settings(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return settings as rows of a dotted name and a value, nested ones laid flat."""
    return tuple(_flat(values, ""))


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield f"{prefix}{name}", ", ".join(map(unplaced, value)) or "none"
        else:
            yield f"{prefix}{name}", "none" if value is None or value == {} else unplaced(value)


def unplaced(value: Any) -> str:
    """Return a value as text; of an absolute path only the last part, for reports are passed on."""
    text = str(value)
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(text)
        if path.is_absolute() and path.name:
            return path.name
    return text


def record(task: TaskFacts) -> TaskRecord:
    """Return what is kept of a task at the end of the report."""
    prompts = tuple(task.prompts.items())
    reasons = Counter(row.get("reason", "") for row in task.quarantined)
    return TaskRecord(
        task,
        unplaced(task.source),
        prompts[:MOST_PROMPTS],
        max(0, len(prompts) - MOST_PROMPTS),
        tuple(reasons.most_common()),
        task.quarantined[:MOST_SET_ASIDE],
        max(0, len(task.quarantined) - MOST_SET_ASIDE),
    )
