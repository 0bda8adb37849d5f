"""What measures are called and how their values are written, for the terminal and the report alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Unit: TypeAlias = Literal["share", "coefficient", "points"]
Role: TypeAlias = Literal["aim", "cost", ""]


@dataclass(frozen=True, slots=True)
class Measure:
    """How a measure is said.

    Attributes:
        words: its name in words, for the head of a row.
        family: the measures it stands beside in tables.
        unit: ``share`` is written in percent; ``points`` is a difference of shares, with its sign; ``coefficient`` (a
            correlation, a cosine, an area) has three decimals.
        role: whether finetuning on differences is for it (``aim``), may pay with it (``cost``), or neither.
        about: one sentence for a person who has not met it, or nothing.
    """

    words: str
    family: str
    unit: Unit = "share"
    role: Role = ""
    about: str = ""


_DIFFERENCES, _RANKING = "Differences between two pictures", "Ranking by an attribute"
_ZERO_SHOT, _STRATEGIES, _FORGETTING = "Zero-shot classification", "Strategies of classification", "Forgetting"
_RETRIEVAL, _COMPOSED = "Retrieval by caption", "Composed retrieval"
_GEOMETRY, _PROBE, _OTHER = "Geometry of the embeddings", "Linear probe", "Other"

MEASURES: Mapping[str, Measure] = {
    "difference_accuracy": Measure(
        "difference accuracy",
        _DIFFERENCES,
        role="aim",
        about="Share of pairs whose text fits the order of the two pictures. A guess gives 50%.",
    ),
    "difference_swap_accuracy": Measure(
        "difference accuracy, both orders",
        _DIFFERENCES,
        about="Share of pairs right with the text and with the reversed text too. A guess gives 25%.",
    ),
    "difference_auc": Measure(
        "difference AUC",
        _DIFFERENCES,
        "coefficient",
        about="Area under the ROC curve of the cosines, right order against wrong. A guess gives 0.5.",
    ),
    "caption_difference_accuracy": Measure(
        "difference accuracy from captions",
        _DIFFERENCES,
        about="The same with the difference of the two captions in place of the pictures: what text alone can do.",
    ),
    "ranking_spearman": Measure(
        "ranking, Spearman",
        _RANKING,
        "coefficient",
        "aim",
        "Rank correlation between the model's order and the true values: 1 is the right order, 0 is chance.",
    ),
    "ranking_kendall": Measure("ranking, Kendall", _RANKING, "coefficient"),
    "ranking_pairwise_accuracy": Measure("ranking, pairs in the right order", _RANKING),
    "ranking_average_precision": Measure("ranking, average precision", _RANKING, "coefficient"),
    "zero_shot_top1": Measure(
        "zero-shot accuracy",
        _ZERO_SHOT,
        role="cost",
        about="Share of pictures whose class prompt is the nearest one.",
    ),
    "zero_shot_top5": Measure("zero-shot accuracy, top 5", _ZERO_SHOT),
    "zero_shot_mean_per_class": Measure("zero-shot accuracy, mean of classes", _ZERO_SHOT),
    "zero_shot_worst_class": Measure("zero-shot accuracy, worst class", _ZERO_SHOT),
    "comparative_gain": Measure(
        "comparative prompting over zero-shot",
        _STRATEGIES,
        "points",
        about="Accuracy with comparative prompts, less without.",
    ),
    "strategy_top1": Measure("accuracy", _STRATEGIES),
    "forgetting": Measure(
        "forgetting",
        _FORGETTING,
        "points",
        about="What tuning did to zero-shot accuracy, and to R@1 both ways. Below zero is forgotten.",
    ),
    "image_to_text_r1": Measure("caption by picture R@1", _RETRIEVAL, role="cost"),
    **{f"image_to_text_r{k}": Measure(f"caption by picture R@{k}", _RETRIEVAL) for k in (5, 10)},
    "text_to_image_r1": Measure("picture by caption R@1", _RETRIEVAL, role="cost"),
    **{f"text_to_image_r{k}": Measure(f"picture by caption R@{k}", _RETRIEVAL) for k in (5, 10)},
    **{f"composed_r{k}": Measure(f"composed retrieval R@{k}", _COMPOSED) for k in (1, 5, 10)},
    "geometry_image_cosine": Measure(
        "cosine of text and picture difference",
        _GEOMETRY,
        "coefficient",
        about="Mean cosine of g(t) and N(f₁ − f₂): how far a text points along the difference it describes.",
    ),
    "geometry_caption_cosine": Measure(
        "cosine of text and caption difference",
        _GEOMETRY,
        "coefficient",
        about="Mean cosine of g(t) and N(g(c₁) − g(c₂)).",
    ),
    "geometry_class_cosine": Measure(
        "cosine of text and prompt difference",
        _GEOMETRY,
        "coefficient",
        about="Mean cosine of a class comparative g(t_ab) and N(e_a − e_b), over pairs of classes in both directions.",
    ),
    "analogy_accuracy": Measure(
        "analogy accuracy", _GEOMETRY, about="Is a picture of class a plus “how b differs from a” nearest to class b?"
    ),
    "probe_accuracy": Measure(
        "linear probe accuracy", _PROBE, about="The image tower is frozen, so this must not change."
    ),
}

FAMILIES = (
    _DIFFERENCES, _RANKING, _ZERO_SHOT, _STRATEGIES, _FORGETTING, _RETRIEVAL, _COMPOSED, _GEOMETRY, _PROBE, _OTHER,
)  # fmt: skip
"""The headings that measures stand under, in the order of tables."""


def measure(name: str) -> Measure:
    """Return how a measure is said; a name that is not in the table is spelled out, and is a share where it says so."""
    known = MEASURES.get(name)
    if known is not None:
        return known
    shares = ("accuracy", "recall", "rate", "precision_at", "share", "gain")
    words = name.replace("_", " ").strip() or "a measure without a name"
    return Measure(words, _OTHER, "share" if any(share in name for share in shares) else "coefficient")


def figure(value: float, unit: Unit) -> str:
    """Return a value as it stands in tables: ``88.7%``, ``0.812``, ``+1.2 points``; what is no number is a dash."""
    if not math.isfinite(value):
        return "–"
    if unit == "points":
        return change(value, unit)
    return f"{_signed_minus(f'{100 * value:.1f}')}%" if unit == "share" else _signed_minus(f"{value:.3f}")


def change(value: float, unit: Unit) -> str:
    """Return a difference with its sign: ``+26.8 points`` of a hundred, ``−0.120``."""
    if not math.isfinite(value):
        return "–"
    if unit == "coefficient":
        return _signed_minus(f"{value:+.3f}")
    return f"{_signed_minus(f'{100 * value:+.1f}')} points"


def interval(low: float, high: float, unit: Unit, *, signed: bool = False) -> str:
    """Return the two ends of an interval: ``86.1 to 90.9``, with signs where it is one of a difference."""
    sign = "+" if signed or unit == "points" else ""
    scale, decimals = (1, 3) if unit == "coefficient" else (100, 1)
    ends = (_signed_minus(f"{scale * end:{sign}.{decimals}f}") if math.isfinite(end) else "–" for end in (low, high))
    return " to ".join(ends)


def _signed_minus(text: str) -> str:
    """Write a minus as a minus, and no sign before a zero."""
    return text.lstrip("+-") if not text.strip("+-0.") else text.replace("-", "−")
