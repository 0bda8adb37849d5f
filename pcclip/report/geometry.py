"""The geometry plot: how the cosines between texts and differences are spread, a row a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcclip.evaluation import words
from pcclip.report.findings import Findings

BINS = 48

_PANELS = (
    ("image_cosines", "Text and picture difference", "cosine of g(t) and N(f₁ − f₂)"),
    ("caption_cosines", "Text and caption difference", "cosine of g(t) and N(g(c₁) − g(c₂))"),
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A model's histogram as the ``d`` of an SVG path in a box of 100 by 100; ``mean_at`` in percent from the left."""

    model: str
    path: str
    mean: str
    mean_at: float
    above: str
    n: int
    baseline: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """One kind of cosine; all rows share the axis from ``low`` to ``high``, with zero at ``zero_at`` percent."""

    title: str
    axis: str
    low: str
    high: str
    zero_at: float
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """The panels of a task."""

    task: str
    panels: tuple[Panel, ...]


def plots(findings: Findings) -> tuple[Plot, ...]:
    """Return a plot for each task with cosines."""
    tasks = dict.fromkeys(row.task for row in findings.evaluation.geometry)
    made = (Plot(task, tuple(_panels(findings, task))) for task in tasks)
    return tuple(plot for plot in made if plot.panels)


def _panels(findings: Findings, task: str) -> list[Panel]:
    panels = []
    for field, title, axis in _PANELS:
        cosines = {}
        for model in findings.models:
            for row in findings.evaluation.geometry:
                if row.task == task and row.model == model.name:
                    values = np.asarray(getattr(row, field), np.float64)
                    cosines[model.name] = values[np.isfinite(values)]
        cosines = {name: values for name, values in cosines.items() if len(values)}
        if cosines:
            panels.append(_panel(findings, title, axis, cosines))
    return panels


def _panel(findings: Findings, title: str, axis: str, cosines: dict[str, NDArray[np.float64]]) -> Panel:
    """Draw the rows on one axis that holds all of them and zero, its ends on tenths."""
    together = np.concatenate(list(cosines.values()))
    low = min(-0.1, float(np.floor(10 * together.min()) / 10))
    high = max(0.1, float(np.ceil(10 * together.max()) / 10))
    edges = np.linspace(low, high, BINS + 1)
    # each row has an area of its own: models may have been measured on different numbers of pairs
    shares = {name: np.histogram(values, edges)[0] / len(values) for name, values in cosines.items()}
    top = max(float(share.max()) for share in shares.values())
    baseline = findings.baseline.name if findings.baseline else None
    curves = tuple(
        Curve(
            name,
            _steps(shares[name] / top),
            words.change(float(values.mean()), "coefficient"),
            round(100 * (float(values.mean()) - low) / (high - low), 2),
            words.figure(float((values > 0).mean()), "share"),
            len(values),
            name == baseline,
        )
        for name, values in cosines.items()
    )
    return Panel(title, axis, _tenths(low), _tenths(high), round(100 * -low / (high - low), 2), curves)


def _tenths(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _steps(heights: NDArray[np.float64]) -> str:
    """Return a histogram's outline as path data, the ground at 100 and the tallest bar at 4."""
    width = 100 / len(heights)
    parts = ["M0 100"]
    for i, height in enumerate(heights):
        parts.append(f"V{100 - 96 * float(height):.2f}H{(i + 1) * width:.3f}")
    return "".join([*parts, "V100Z"])
