"""What every bench prints: markdown tables, bounds kept or missed, the facts of the run, one JSON line."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any


@dataclass(frozen=True, slots=True)
class Bound:
    """A figure and what it must reach: at least ``limit``, or at most, where ``most`` is set."""

    name: str
    value: float
    limit: float
    most: bool = False

    @property
    def kept(self) -> bool:
        return self.value <= self.limit if self.most else self.value >= self.limit

    def __str__(self) -> str:
        sign = "<=" if self.most else ">="
        return f"{'PASS' if self.kept else 'FAIL'} {self.name}: {self.value:.4g}, to be {sign} {self.limit:g}"


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Return ``rows`` as a markdown table; the first row's keys are the columns."""
    columns = list(rows[0])
    head, *lines = (f"| {' | '.join(line)} |" for line in [columns, *([str(row[c]) for c in columns] for row in rows)])
    return "\n".join([head, "|" + "---|" * len(columns), *lines])


def facts(*packages: str) -> dict[str, Any]:
    """Return what a figure depends on and a reader may want to compare: cores, Python, versions of packages."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {package.replace("-", "_"): version(package) for package in packages}
    return {"cpu_cores": cores, "machine": platform.machine(), "python": platform.python_version(), **versions}


def finish(result: Mapping[str, Any], bounds: Sequence[Bound], *, check: bool) -> None:
    """Print the bounds and, as the last line, ``result`` as JSON; with ``check`` exit with 1 if a bound is missed."""
    print()
    for bound in bounds:
        print(bound)
    missed = [bound.name for bound in bounds if not bound.kept]
    print(json.dumps({**result, "missed": missed}), flush=True)
    if check and missed:
        sys.exit(1)


def warn_if_busy() -> None:
    """Tell the person who waits if other programs have the cores: then times say little."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.5:
        note(f"This machine is busy (load {load:.1f}): do not trust the times.")


def note(text: str) -> None:
    """Tell the person who waits what goes on; stdout stays free for results."""
    print(text, file=sys.stderr, flush=True)
