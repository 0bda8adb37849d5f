"""The tables of all results: a task each, measures in words by models."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcclip.evaluation import words
from pcclip.evaluation.document import Compared, Result, TaskFacts
from pcclip.evaluation.effects import Effect
from pcclip.report.findings import Findings


@dataclass(frozen=True, slots=True)
class Cell:
    """What one model reached; all texts are empty where there is nothing to say."""

    value: str = ""
    interval: str = ""
    error: str = ""
    best: bool = False
    change: str = ""
    change_interval: str = ""
    p: str = ""
    effect: Effect | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A measure, or a part of one, across the models."""

    measure: str
    part: str
    about: str
    cells: tuple[Cell, ...]
    n: str
    seeds: str


@dataclass(frozen=True, slots=True)
class Table:
    """A task; ``families`` are pairs of a family's name and its rows."""

    task: TaskFacts
    anchor: str
    families: tuple[tuple[str, tuple[Row, ...]], ...]


def tables(findings: Findings) -> tuple[Table, ...]:
    """Return a table for each task that was measured; results of a task that has no facts get a table too."""
    tasks = {task.name: task for task in findings.evaluation.tasks}
    for row in findings.evaluation.results:
        tasks.setdefault(row.task, TaskFacts(name=row.task))
    measured = [task for task in tasks.values() if findings.measured(task.name)]
    return tuple(Table(task, f"task-{i}", _families(findings, task.name)) for i, task in enumerate(measured, 1))


def _families(findings: Findings, task: str) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    rows: dict[str, list[Row]] = {family: [] for family in words.FAMILIES}
    explained = set()
    for name, part in findings.measured(task):
        about = "" if name in explained else words.measure(name).about  # once, not at every part
        explained.add(name)
        rows[words.measure(name).family].append(_row(findings, task, name, part, about))
    return tuple((family, tuple(found)) for family, found in rows.items() if found)


def _row(findings: Findings, task: str, name: str, part: str, about: str) -> Row:
    results = [findings.result(task, name, part, model.name) for model in findings.models]
    best = _best(results)
    cells = []
    for model, result in zip(findings.models, results, strict=True):
        compared = findings.compared(task, name, part, model.name)
        cells.append(_cell(findings, result, compared, best) if result else Cell())
    return Row(words.measure(name).words, part, about, tuple(cells), *_numbers(results))


def _cell(findings: Findings, result: Result, compared: Compared | None, best: float | None) -> Cell:
    unit = words.measure(result.measure).unit
    cell = Cell(
        words.figure(result.value, unit),
        "" if result.low is None or result.high is None else words.interval(result.low, result.high, unit),
        "" if result.standard_error is None else _error(result.standard_error, unit),
        result.value == best,
    )
    if compared is None:
        return cell
    cell = replace(cell, p=_p(compared.p), effect=findings.effect(compared))
    if result.measure == "forgetting":  # a difference in itself
        return cell
    return replace(
        cell,
        change=words.change(compared.difference, unit),
        change_interval=words.interval(compared.low, compared.high, unit, signed=True),
    )


def _best(results: list[Result | None]) -> float | None:
    """Return the best value, where one direction is better and not all are equal."""
    there = [result for result in results if result is not None]
    values = {result.value for result in there}
    if len(values) < 2 or any(result.higher_is_better is None for result in there):
        return None
    return max(values) if there[0].higher_is_better else min(values)


def _numbers(results: list[Result | None]) -> tuple[str, str]:
    there = [result for result in results if result is not None]
    return _range([result.n for result in there]), _range([len(result.seeds) for result in there if result.seeds])


def _range(numbers: list[int]) -> str:
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _error(value: float, unit: words.Unit) -> str:
    return f"± {value:.3f}" if unit == "coefficient" else f"± {100 * value:.1f}"


def _p(value: float) -> str:
    return "p\u00a0<\u00a00.001" if value < 0.001 else f"p\u00a0=\u00a0{value:.3f}"  # never broken over two lines
