"""The tables of all results: a task each, measures in words by models."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcclip.evaluation import words
from pcclip.evaluation.document import Compared, Result, TaskFacts
from pcclip.report.findings import Effect, Findings

FORGETTING = "forgetting"
_OF_FORGETTING = "zero_shot_top1"


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
    effect: Effect = "unknown"


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
    keys = findings.measured(task)
    for measure, part in keys:
        rows[words.measure(measure).family].append(_row(findings, task, measure, part))
        if measure == _OF_FORGETTING and not any(name == FORGETTING for name, _ in keys):
            forgotten = _forgetting(findings, task, part)
            if forgotten:
                rows[words.measure(measure).family].append(forgotten)
    return tuple((family, tuple(found)) for family, found in rows.items() if found)


def _row(findings: Findings, task: str, name: str, part: str) -> Row:
    measure = words.measure(name)
    results = [findings.result(task, name, part, model.name) for model in findings.models]
    best = _best(results)
    cells = []
    for model, result in zip(findings.models, results, strict=True):
        compared = findings.compared(task, name, part, model.name)
        cells.append(_cell(findings, measure, result, compared, result is not None and result.value == best))
    return Row(measure.words, part, measure.about, tuple(cells), *_numbers(results))


def _cell(
    findings: Findings, measure: words.Measure, result: Result | None, compared: Compared | None, best: bool
) -> Cell:
    if result is None:
        return Cell()
    ends = "" if result.low is None or result.high is None else words.interval(result.low, result.high, measure.unit)
    error = "" if result.standard_error is None else _error(result.standard_error, measure.unit)
    cell = Cell(words.figure(result.value, measure.unit), ends, error, best)
    if compared is None:
        return cell
    return replace(
        cell,
        change=words.change(compared.difference, measure.unit),
        change_interval=words.interval(compared.low, compared.high, measure.unit, signed=True),
        p=_p(compared.p),
        effect=findings.effect(compared),
    )


def _forgetting(findings: Findings, task: str, part: str) -> Row | None:
    """Return what tuning did to zero-shot accuracy as a row of its own, where it was compared."""
    measure = words.measure(FORGETTING)
    compared = [findings.compared(task, _OF_FORGETTING, part, model.name) for model in findings.models]
    if not any(compared):
        return None
    cells = tuple(
        Cell(
            value=words.change(row.difference, measure.unit),
            interval=words.interval(row.low, row.high, measure.unit, signed=True),
            p=_p(row.p),
            effect=findings.effect(row),
        )
        if row
        else Cell()
        for row in compared
    )
    results = [findings.result(task, _OF_FORGETTING, part, model.name) for model in findings.models]
    return Row(measure.words, part, measure.about, cells, *_numbers(results))


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
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
