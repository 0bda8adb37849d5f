"""The pictures that runs keep of their measures, drawn by matplotlib (the extra ``plot``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcclip.card import MEASURES
from pcclip.errors import MissingDependencyError
from pcclip.files import new_file

if TYPE_CHECKING:
    from pcclip.sweep import AlphaSweep

_ACROSS = ("zero_shot_accuracy", "retrieval_r1", "retrieval_r5")
_INK, _MUTED, _LINE, _CHOSEN = "#1f2933", "#7b8794", "#3b6fb6", "#d9480f"


def plot_sweep(sweep: AlphaSweep, path: Path) -> None:
    """Draw difference accuracy against zero-shot accuracy and caption retrieval, one point an alpha, as an SVG.

    Above and right of the dashed lines a point is better than the original in both measures.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            f"matplotlib is not installed ({error})", 'Install it: pip install "pcclip[plot]"'
        ) from error
    across = [key for key in _ACROSS if key in sweep.rows[0].measures]
    counts = sweep.rows[0].measures
    # fixed ids and no date, so that the same sweep gives the same file
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "pcclip", "font.size": 10}):
        figure = Figure(figsize=(3.6 * len(across) + 0.6, 3.9), layout="constrained")
        for axes, key in zip(figure.subplots(1, len(across), sharey=True, squeeze=False)[0], across, strict=True):
            _panel(axes, sweep, key)
        figure.axes[0].set_ylabel("difference accuracy, %")
        figure.suptitle(
            f"How much of the tuned weights to keep: α from 0, the original, to {sweep.rows[-1].alpha:g}"
            f"\n{counts['pairs']} described pairs of {counts['pictures']} {sweep.pictures} pictures; orange: α = "
            f"{sweep.chosen:g}, chosen",
            fontsize=10,
            color=_INK,
        )
        with new_file(path) as file:
            figure.savefig(file, format="svg", metadata={"Date": None})


def _panel(axes: Any, sweep: AlphaSweep, key: str) -> None:
    points = [(100 * row.measures[key], 100 * row.measures["difference_accuracy"]) for row in sweep.rows]
    across, up = zip(*points, strict=True)
    axes.axvline(across[0], color=_MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.axhline(up[0], color=_MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.plot(across, up, color=_LINE, linewidth=1.2, zorder=2)
    # Fewer than five percentage points across are mostly chance, and must not look like a trend.
    middle, half = (min(across) + max(across)) / 2, max(2.5, 0.66 * (max(across) - min(across)))
    axes.set_xlim(middle - half, middle + half)
    spans = (2 * half, 1.32 * (max(up) - min(up)) or 1.0)
    for number, (row, point) in enumerate(zip(sweep.rows, points, strict=True)):
        colour = _CHOSEN if row.alpha == sweep.chosen else _LINE
        axes.plot(*point, marker="o", markersize=6, color=colour, markeredgecolor="white", zorder=3)
        axes.annotate(
            f"{row.alpha:g}",
            point,
            xytext=_beside(points, number, spans),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9,
            color=colour,
            zorder=4,
        )
    axes.set_xlabel(f"{MEASURES[key]}, %")
    axes.margins(y=0.16)
    axes.grid(color="#e4e7eb", linewidth=0.6, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(color=_MUTED, labelcolor=_INK)


def _beside(points: Sequence[tuple[float, float]], number: int, spans: tuple[float, float]) -> tuple[float, float]:
    """Return where the label of a point goes, in typographic points: away from the line on both sides of it.

    Args:
        spans: what the panel shows across and up, so that directions are those on paper.
    """
    wide, high = 16, 12
    before, after = (_towards(points[number], points[other : other + 1], spans) for other in (number - 1, number + 1))
    across, up = -(before[0] + after[0]), -(before[1] + after[1])
    if math.hypot(across, up) < 0.5:  # the line passes nearly straight: to the right of it
        across, up = after[1] - before[1], before[0] - after[0]
    length = math.hypot(across, up)
    return (wide * across / length, high * up / length) if length else (wide, 0.0)


def _towards(
    start: tuple[float, float], end: Sequence[tuple[float, float]], spans: tuple[float, float]
) -> tuple[float, float]:
    """Return the unit direction on paper from a point to another, or nothing where there is none."""
    if not end:
        return (0.0, 0.0)
    across, up = ((b - a) / span for a, b, span in zip(start, end[0], spans, strict=True))
    length = math.hypot(across, up)
    return (across / length, up / length) if length else (0.0, 0.0)
