"""The head of the report: is a tuned model better, and what did it cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pcclip.evaluation import words
from pcclip.evaluation.document import Compared
from pcclip.evaluation.effects import Effect
from pcclip.report.findings import Findings

MOST_ROWS = 16
"""How many differences a group shows at the head; all of them are in the tables."""


_PRICES = {"image_to_text_r1": "caption retrieval", "text_to_image_r1": "caption retrieval"}


@dataclass(frozen=True, slots=True)
class Change:
    """A measure before and after, with where its difference lies on the common scale, in percent of its width."""

    measure: str
    part: str
    task: str
    before: str
    after: str
    difference: str
    interval: str
    effect: Effect
    at: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Group:
    """Differences of one kind; ``left_out`` more of them are only in the tables."""

    title: str
    rows: tuple[Change, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one model against the baseline."""

    model: str
    baseline: str
    title: str
    detail: str
    groups: tuple[Group, ...]
    reach: str


def title(verdicts: Sequence[Verdict], findings: Findings) -> str:
    """Return the one line at the top of the page."""
    evaluation = findings.evaluation
    if not evaluation.results:
        return "Nothing could be measured"
    if len(verdicts) == 1:
        return verdicts[0].title
    if verdicts:
        return f"{len(verdicts)} models against {verdicts[0].baseline}"
    names = [model.name for model in evaluation.models]
    if len(names) == 1:
        return f"{names[0]}, measured alone"
    return f"{', '.join(names)}: measured, and compared with no baseline"


def verdicts(findings: Findings) -> tuple[Verdict, ...]:
    """Return what is to be said of each model that is compared with the baseline."""
    return tuple(_verdict(findings, model.name) for model in findings.others) if findings.evaluation.results else ()


def _verdict(findings: Findings, model: str) -> Verdict:
    assert findings.baseline is not None
    aims, costs = (_of_role(findings, model, role) for role in ("aim", "cost"))
    baseline = findings.baseline.name
    ends = [abs(end) for row in (*aims, *costs) for end in (row.low, row.high, row.difference) if math.isfinite(end)]
    reach = _round_up(max(ends, default=0.01))
    groups = tuple(
        Group(name, tuple(_change(findings, row, reach) for row in rows[:MOST_ROWS]), max(0, len(rows) - MOST_ROWS))
        for name, rows in (("What tuning is for", aims), ("What it may cost", costs))
        if rows
    )
    return Verdict(
        model,
        baseline,
        _sentence(findings, model, baseline, aims, costs),
        _counts(findings, aims, costs),
        groups,
        f"{100 * reach:g}",
    )


def _of_role(findings: Findings, model: str, role: words.Role) -> list[Compared]:
    """Return the comparisons of measures of a role; of one that is split into parts, the whole where it is there."""
    keys = [
        (task.name, measure, part)
        for task in findings.evaluation.tasks
        for measure, part in findings.measured(task.name)
        if words.measure(measure).role == role
    ]
    wholes = {(task, measure) for task, measure, part in keys if not part}
    return findings.spread(model, [key for key in keys if not key[2] or key[:2] not in wholes])


def _sentence(findings: Findings, model: str, baseline: str, aims: list[Compared], costs: list[Compared]) -> str:
    effects = [findings.effect(row) for row in aims]
    better, worse = effects.count("better"), effects.count("worse")
    if not aims:
        return f"{model} against {baseline}: no measure of differences was taken of both"
    if better and worse:
        said = f"{model} is better than {baseline} at some differences and worse at others"
    elif better or worse:
        which = "better" if better else "worse"
        said = f"{model} is {which} at differences than {baseline}"
        if better + worse < len(aims):
            said = f"{model} is {which} than {baseline} in {better + worse} of {len(aims)} measures of differences"
    else:
        said = f"{model} shows no clear difference from {baseline}"
    return said + _price(findings, costs)


def _price(findings: Findings, costs: list[Compared]) -> str:
    if not costs:
        return "; what it cost was not measured"
    lost: dict[str, float] = {}
    for row in costs:
        if findings.effect(row) == "worse":
            what = _PRICES.get(row.measure) or words.measure(row.measure).words
            lost[what] = max(lost.get(what, 0.0), abs(row.difference))
    if not lost:
        return ", at no cost that stands out from chance"
    said = [f"{what} ({words.change(-most, 'share')})" for what, most in lost.items()]
    return f", and pays with {' and '.join(said)}"


def _counts(findings: Findings, aims: list[Compared], costs: list[Compared]) -> str:
    """Return how many of the measures moved, in whole sentences."""
    said = []
    for rows, what in ((aims, "it was tuned for"), (costs, "it may cost")):
        if not rows:
            continue
        effects = [findings.effect(row) for row in rows]
        better, worse = effects.count("better"), effects.count("worse")
        plural = "measure" if len(rows) == 1 else f"{len(rows)} measures"
        said.append(f"Of the {plural} {what}, {_number(better)} better and {_number(worse)} worse.")
    return " ".join(said)


def _number(count: int) -> str:
    return "none is" if not count else "1 is" if count == 1 else f"{count} are"


def _change(findings: Findings, row: Compared, reach: float) -> Change:
    unit = words.measure(row.measure).unit
    before = findings.result(row.task, row.measure, row.part, row.baseline)
    after = findings.result(row.task, row.measure, row.part, row.model)
    return Change(
        words.measure(row.measure).words,
        row.part,
        row.task,
        words.figure(before.value, unit) if before else "–",
        words.figure(after.value, unit) if after else "–",
        words.change(row.difference, unit),
        words.interval(row.low, row.high, unit, signed=True),
        findings.effect(row),
        *(_place(value, reach) for value in (row.difference, row.low, row.high)),
    )


def _place(value: float, reach: float) -> float:
    """Return where a difference lies between ``-reach`` and ``reach``, in percent from the left."""
    if not math.isfinite(value):
        return 50.0
    return round(min(100.0, max(0.0, 50 + 50 * value / reach)), 2)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 0.01
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10, 20) if step * power >= value * 0.9999)
