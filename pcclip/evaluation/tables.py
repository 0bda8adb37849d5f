"""An evaluation as tables: for a terminal of 80 columns, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcclip.evaluation import words
from pcclip.evaluation.document import Compared, Evaluation, ModelFacts, Result, TaskFacts
from pcclip.evaluation.effects import SIGNIFICANT, effect
from pcclip.files import write_text

BESIDE = 2  # models beside the baseline that a table of 80 columns holds
_NAME = 16  # columns of a model's name
_COLUMNS = (
    "task", "measure", "part", "model", "value", "standard_error", "low", "high", "n", "seeds", "higher_is_better",
    "baseline", "difference", "difference_low", "difference_high", "p",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what is said around it.

    Attributes:
        title: the task and its pictures.
        rows: one a measure, with the same keys; cells are texts.
    """

    title: str
    rows: tuple[dict[str, str], ...]


def tables(evaluation: Evaluation) -> list[Table]:
    """Return the tables of an evaluation: a task each, split where there are more models than fit."""
    found = []
    for task in evaluation.tasks:
        if task.skipped is None:
            for models in _batches(evaluation.models):
                rows = tuple(_rows(evaluation, task, models))
                found.append(Table(_title(task), rows))
    return found


def legend(evaluation: Evaluation) -> str:
    """Return what the marks in the cells mean."""
    lines = "Shares are in %; ± is the standard error over draws of pictures."
    baseline = next((model.name for model in evaluation.models if model.baseline), None)
    if baseline is not None:
        resamples = evaluation.settings.get("resamples")
        lines += (
            f" + and − mark what is better or worse than {baseline} with p < {SIGNIFICANT}, by a paired bootstrap "
            f"over pictures with {resamples} resamples. Forgetting is the change against it: below 0 is forgotten."
        )
    return lines


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """Write a row a result, with its difference from the baseline."""
    write_text(path, csv_text(evaluation))


def csv_text(evaluation: Evaluation) -> str:
    """Return the results as CSV, a row each, with their differences from the baseline."""
    compared = {(c.task, c.measure, c.part, c.model): c for c in evaluation.comparisons}
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for result in evaluation.results:
        row = result.model_dump()
        row["seeds"] = " ".join(f"{value:.6g}" for value in result.seeds)
        against = compared.get((result.task, result.measure, result.part, result.model))
        if against is not None:
            row |= {"baseline": against.baseline, "difference": against.difference, "p": against.p}
            row |= {"difference_low": against.low, "difference_high": against.high}
        writer.writerow(row)
    return text.getvalue()


def _batches(models: Sequence[ModelFacts]) -> Iterator[list[ModelFacts]]:
    baseline = [model for model in models if model.baseline]
    others = [model for model in models if not model.baseline]
    size = BESIDE if baseline else BESIDE + 1
    for start in range(0, max(1, len(others)), size):
        yield [*baseline, *others[start : start + size]]


def _title(task: TaskFacts) -> str:
    beside = f", {task.support} labelled beside" if task.support else ""
    classes = f", {len(task.classes)} classes" if task.classes else ""
    return f"{task.name}: {task.pictures} test pictures{classes}{beside}"


def _rows(evaluation: Evaluation, task: TaskFacts, models: Sequence[ModelFacts]) -> Iterator[dict[str, str]]:
    results = {(r.measure, r.part, r.model): r for r in evaluation.results if r.task == task.name}
    compared = {(c.measure, c.part, c.model): c for c in evaluation.comparisons if c.task == task.name}
    order = {name: place for place, name in enumerate(words.MEASURES)}
    measured = dict.fromkeys((name, part) for name, part, _ in results)
    for name, part in sorted(measured, key=lambda key: order.get(key[0], len(order))):
        title = words.measure(name).words
        cells = {"measure": f"{title}, {part}" if part else title}
        for model in models:
            result = results.get((name, part, model.name))
            cells[_short(model.name)] = _cell(result, compared.get((name, part, model.name)))
        yield cells


def _cell(result: Result | None, compared: Compared | None) -> str:
    if result is None:
        return ""
    unit = words.measure(result.measure).unit
    value = words.figure(result.value, unit).removesuffix("%").removesuffix(" points")
    if result.standard_error is not None:
        error = result.standard_error
        value += f" ±{error:.3f}" if unit == "coefficient" else f" ±{100 * error:.1f}"
    return f"{value} {_mark(result, compared)}"


def _mark(result: Result, compared: Compared | None) -> str:
    """Return ``+`` or ``−`` where a measure differs from the baseline's beyond chance, else a space."""
    found = "unknown" if compared is None else effect(compared, result.higher_is_better)
    return {"better": "+", "worse": "−"}.get(found, " ")


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"…{name[-(_NAME - 1) :]}"
