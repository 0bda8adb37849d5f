"""From estimates to results with intervals, and to differences from the baseline: one bootstrap a task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pcclip.evaluation.document import Compared, Problem, Result
from pcclip.evaluation.view import Estimate
from pcclip.metrics.statistics import Floats, distributions, interval, two_sided_p

FORGETTING: Mapping[str, tuple[str, ...]] = {
    "zero-shot": ("zero_shot_top1",),
    "retrieval": ("image_to_text_r1", "text_to_image_r1"),
}
"""What a finetuned model may have forgotten: by part, the measures whose mean change it is; below 0 is forgotten."""

NEITHER_IS_BETTER = frozenset({"probe_accuracy"})
"""Measures that are there to stay the same."""


def compare(
    task: str,
    estimates: Mapping[str, Sequence[Estimate]],
    baseline: str | None,
    pictures: int,
    *,
    resamples: int,
    seed: int,
) -> tuple[list[Result], list[Compared], list[Problem]]:
    """Return the results of all models on a task, their differences from the baseline, and what had no value.

    Every measure of every model is taken on the same resamples of the test pictures, so that differences are paired.

    Args:
        estimates: by model.
        baseline: the model that the others are compared with, None for none.
        pictures: number of test pictures.
    """
    flat = [(model, one) for model, found in estimates.items() for one in found if math.isfinite(one.value)]
    problems = [
        Problem(
            task=task, measure=one.measure, part=one.part, message=f"{model} gives it no value: its scores are constant"
        )
        for model, found in estimates.items()
        for one in found
        if not math.isfinite(one.value)
    ]
    resampled = [(model, one) for model, one in flat if one.statistic is not None]
    drawn = distributions(
        [one.statistic for _, one in resampled if one.statistic is not None], pictures, resamples=resamples, seed=seed
    )
    spread = {(model, one.measure, one.part): row for (model, one), row in zip(resampled, drawn, strict=True)}
    known = {(model, one.measure, one.part): one for model, one in flat}
    results, compared = [], []
    for model, one in flat:
        key = (model, one.measure, one.part)
        results.append(_result(task, model, one, spread.get(key)))
        base = (str(baseline), one.measure, one.part)
        if model != baseline and base in spread and key in spread:
            compared.append(_compared(task, one, model, base[0], known[base], spread[key] - spread[base]))
    if baseline is not None:
        for model in estimates:
            if model != baseline:
                forgotten = _forgetting(task, model, baseline, known, spread)
                results += [result for result, _ in forgotten]
                compared += [against for _, against in forgotten]
    return results, compared, problems


def _result(task: str, model: str, one: Estimate, distribution: Floats | None) -> Result:
    bounds = None if distribution is None else interval(distribution)
    return Result(
        task=task,
        model=model,
        measure=one.measure,
        part=one.part,
        value=one.value,
        standard_error=one.standard_error,
        low=bounds.low if bounds else None,
        high=bounds.high if bounds else None,
        n=one.n,
        seeds=one.seeds,
        higher_is_better=None if one.measure in NEITHER_IS_BETTER else True,
    )


def _compared(task: str, one: Estimate, model: str, baseline: str, base: Estimate, differences: Floats) -> Compared:
    bounds, difference = interval(differences), one.value - base.value
    return Compared(
        task=task,
        measure=one.measure,
        part=one.part,
        model=model,
        baseline=baseline,
        difference=difference,
        low=bounds.low if bounds else difference,
        high=bounds.high if bounds else difference,
        p=two_sided_p(differences) if bounds else 1.0,
    )


def _forgetting(
    task: str,
    model: str,
    baseline: str,
    known: Mapping[tuple[str, str, str], Estimate],
    spread: Mapping[tuple[str, str, str], Floats],
) -> list[tuple[Result, Compared]]:
    """Return what the model forgot: a result of its own, which is a difference from the baseline in itself."""
    found = []
    for part, names in FORGETTING.items():
        there = [name for name in names if (model, name, "") in spread and (baseline, name, "") in spread]
        if there:
            changes = [known[model, name, ""].value - known[baseline, name, ""].value for name in there]
            differences = np.mean([spread[model, name, ""] - spread[baseline, name, ""] for name in there], axis=0)
            one = Estimate("forgetting", part, float(np.mean(changes)), known[model, there[0], ""].n)
            same = replace(one, value=0.0)
            found.append(
                (_result(task, model, one, differences), _compared(task, one, model, baseline, same, differences))
            )
    return found
