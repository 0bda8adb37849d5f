"""One rule says what stands out from chance, for the terminal and for the report."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pcclip.evaluation.comparing import compare
from pcclip.evaluation.document import Compared, Evaluation, ModelFacts, TaskFacts
from pcclip.evaluation.effects import effect
from pcclip.evaluation.tables import tables
from pcclip.evaluation.view import Estimate
from pcclip.metrics.statistics import mean_over
from pcclip.report import tables as report_tables
from pcclip.report.findings import Findings


def difference(**changes: Any) -> Compared:
    facts = {"difference": 0.1, "low": 0.05, "high": 0.2, "p": 0.01, "task": "t", "measure": "zero_shot_top1"}
    return Compared(model="b", baseline="a", **{**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "higher", "said"),
    [
        ({}, True, "better"),
        ({}, False, "worse"),
        ({}, None, "differs"),
        ({"p": 0.05}, True, "same"),
        ({"low": 0.0}, True, "same"),
        ({"low": -0.2, "high": -0.05}, True, "worse"),
        ({"p": math.nan}, True, "unknown"),
    ],
)
def test_a_mark_needs_a_small_p_and_an_interval_without_zero(
    changes: dict[str, float], higher: bool | None, said: str
) -> None:
    assert effect(difference(**changes), higher) == said


def test_terminal_and_report_mark_the_same_cells_and_forgetting_has_a_p() -> None:
    rng = np.random.default_rng(0)
    pictures = np.arange(200)
    hits = {"a": (rng.random(200) < 0.7).astype(float), "b": (rng.random(200) < 0.2).astype(float)}
    names = ("zero_shot_top1", "image_to_text_r1", "text_to_image_r1")
    estimates = {
        model: [Estimate(name, "", float(of.mean()), 200, (), mean_over(of, pictures)) for name in names]
        for model, of in hits.items()
    }
    results, compared, problems = compare("t", estimates, "a", 200, resamples=200, seed=0)
    assert not problems
    forgotten = {(c.part, c.model): c for c in compared if c.measure == "forgetting"}
    assert set(forgotten) == {("zero-shot", "b"), ("retrieval", "b")}
    one = forgotten["zero-shot", "b"]
    assert one.difference == next(r.value for r in results if (r.measure, r.part) == ("forgetting", "zero-shot"))
    assert one.high < 0
    assert one.p < 0.05
    models = tuple(
        ModelFacts(name=name, backbone="hash", baseline=name == "a", image_fingerprint="", text_fingerprint="")
        for name in "ab"
    )
    found = Evaluation(
        created="", suite="t", models=models, tasks=(TaskFacts(name="t"),), results=results, comparisons=compared
    )
    (table,) = tables(found)
    assert [row["b"][-1] for row in table.rows] == ["−"] * 5
    (shown,) = report_tables.tables(Findings(found))
    cells = [row.cells[1] for _, rows in shown.families for row in rows]
    assert [cell.effect for cell in cells] == ["worse"] * 5
    assert [bool(cell.change) for cell in cells].count(False) == 2  # forgetting is a difference in itself
