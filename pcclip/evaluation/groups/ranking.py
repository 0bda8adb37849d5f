"""Attribute ranking: all test pictures in the order of a described attribute."""

from __future__ import annotations

import functools

import numpy as np

from pcclip.errors import DataError
from pcclip.evaluation.pairing import attribute_values, without_number
from pcclip.evaluation.view import Estimate, Estimates, View
from pcclip.metrics import ranking as metrics
from pcclip.metrics.statistics import of_resampled_rows

_MEASURES = {
    "ranking_spearman": metrics.spearman,
    "ranking_kendall": metrics.kendall,
    "ranking_pairwise_accuracy": metrics.pairwise_accuracy,
    "ranking_average_precision": metrics.average_precision,
}


def ranking(view: View) -> Estimates:
    """Take the rank correlations of ``<f_i, g(phrase)>`` with each attribute's values."""
    if not view.task.attributes:
        raise DataError("no attribute has sentences to rank by", "Give each attribute its sentences in a suite file.")
    for attribute in view.task.attributes:
        rows, values = attribute_values(view.task.examples, attribute.name)
        bad = without_number(view.task.examples, attribute.name)
        if bad:
            view.problem(
                "ranking",
                f"the value of {attribute.name!r} is no number for {len(bad)} test pictures, first {bad[0]!r}; "
                "they have no say",
                attribute.name,
            )
        if len(values) < 2 or np.ptp(values) == 0:
            seen = (
                f"{len(values)} test pictures have the value {values[0]:g}"
                if len(values)
                else f"no test picture has it; there are: {_known(view)}"
            )
            view.problem("ranking", f"the attribute {attribute.name!r} never varies: {seen}", attribute.name)
            continue
        text = view.embed_texts([attribute.phrase or attribute.more])[0]
        scores = metrics.projections(view.images[rows], text)
        view.found.ranking_scores[attribute.name] = scores
        for name, function in _MEASURES.items():
            resampled = functools.partial(_of_rows, function, scores, values)
            statistic = of_resampled_rows(resampled, rows)
            yield Estimate(name, attribute.name, function(scores, values), len(rows), (), statistic)


def _known(view: View) -> str:
    return ", ".join(sorted({name for example in view.task.examples for name in example.attributes})) or "none"


def _of_rows(
    function: metrics.Correlation, scores: metrics.Values, values: metrics.Values, rows: metrics.Rows
) -> float:
    return function(scores[rows], values[rows])
