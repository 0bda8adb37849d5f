"""What measures are called where there is room for whole words, and how their values are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pcclip.evaluation import measures

Unit: TypeAlias = Literal["share", "points", "coefficient"]
Role: TypeAlias = Literal["aim", "cost", ""]


@dataclass(frozen=True, slots=True)
class Words:
    """How a measure is said.

    Attributes:
        words: its name, understood without the heading above it.
        about: a sentence for a person who has not met it, or nothing.
        role: whether finetuning on differences is for it (``aim``), may pay with it (``cost``), or neither.
    """

    words: str
    about: str = ""
    role: Role = ""


FAMILIES: Mapping[str, str] = {
    "difference": "Differences between two pictures",
    "ranking": "Ranking by an attribute",
    "zero-shot": "Zero-shot classification",
    "strategies": "Strategies of classification",
    "forgetting": "Forgetting",
    "retrieval": "Retrieval by caption",
    "composed": "Composed retrieval",
    "geometry": "Geometry of the embeddings",
    "probe": "Linear probe",
    "other": "Other",
}
"""The heading of each group of measures, in the order of tables."""

WORDS: Mapping[str, Words] = {
    "difference_accuracy": Words(
        "difference accuracy",
        "Share of pairs whose text fits the order of the two pictures. A guess gives 50%.",
        "aim",
    ),
    "difference_swap_accuracy": Words(
        "difference accuracy, both orders", "Right with the text and with the reversed text. A guess gives 25%."
    ),
    "difference_auc": Words(
        "difference AUC", "Area under the ROC curve of the cosines, right order against wrong. A guess gives 50%."
    ),
    "caption_difference_accuracy": Words(
        "difference accuracy from captions", "With the difference of the captions in place of the pictures."
    ),
    "ranking_spearman": Words(
        "ranking, Spearman", "Rank correlation of the model's order with the true values. Chance is 0.", "aim"
    ),
    "ranking_kendall": Words("ranking, Kendall's tau"),
    "ranking_pairwise_accuracy": Words("ranking, pairs in the right order", "A guess gives 50%."),
    "ranking_average_precision": Words("ranking, average precision"),
    "zero_shot_top1": Words("zero-shot accuracy", "Share of pictures whose class prompt is the nearest one.", "cost"),
    "zero_shot_top5": Words("zero-shot accuracy, top 5"),
    "zero_shot_mean_per_class": Words("zero-shot accuracy, mean of the classes"),
    "zero_shot_worst_class": Words("zero-shot accuracy, worst class"),
    "strategy_top1": Words("accuracy"),
    "comparative_gain": Words(
        "comparative prompting over zero-shot", "Accuracy with comparative prompts, less accuracy without."
    ),
    "forgetting": Words("change against the baseline", "Below zero is forgotten."),
    "image_to_text_r1": Words("caption by picture, R@1", "Is the picture's caption the nearest one?", "cost"),
    "image_to_text_r5": Words("caption by picture, R@5"),
    "image_to_text_r10": Words("caption by picture, R@10"),
    "text_to_image_r1": Words("picture by caption, R@1", "Is the caption's picture the nearest one?", "cost"),
    "text_to_image_r5": Words("picture by caption, R@5"),
    "text_to_image_r10": Words("picture by caption, R@10"),
    "composed_r1": Words("composed retrieval, R@1"),
    "composed_r5": Words("composed retrieval, R@5"),
    "composed_r10": Words("composed retrieval, R@10"),
    "geometry_image_cosine": Words(
        "cosine of text and picture difference", "How far a text points along the difference that it describes."
    ),
    "geometry_caption_cosine": Words("cosine of text and caption difference"),
    "geometry_class_cosine": Words("cosine of text and class prompt difference"),
    "analogy_accuracy": Words(
        "analogy accuracy", "Does a picture plus “how b differs from a” come nearest to class b?"
    ),
    "probe_accuracy": Words("linear probe accuracy", "The image tower is frozen: this must not change."),
}

_POINTS = frozenset({"forgetting", "comparative_gain"})  # differences of shares


def words(name: str) -> Words:
    """Return how a measure is said; one that is not listed has its name spelled out."""
    return WORDS.get(name) or Words(measures.measure(name).title.strip() or "a measure without a name")


def family(name: str) -> str:
    """Return the heading that a measure stands under."""
    return FAMILIES.get(measures.measure(name).group, FAMILIES["other"])


def unit(name: str) -> Unit:
    """Return how a measure's values are written: ``share`` in percent, ``points`` with a sign, or three decimals."""
    if name in _POINTS:
        return "points"
    return "share" if measures.measure(name).percent else "coefficient"


def figure(value: float, unit: Unit) -> str:
    """Return a value as it stands in tables: ``88.7%``, ``+1.2 points``, ``0.812``; what is no number is a dash."""
    if not math.isfinite(value):
        return "–"
    if unit == "points":
        return change(value, unit)
    return f"{_minus(f'{100 * value:.1f}')}%" if unit == "share" else _minus(f"{value:.3f}")


def change(value: float, unit: Unit) -> str:
    """Return a difference with its sign: ``+26.8 points`` of a hundred, ``−0.120``."""
    if not math.isfinite(value):
        return "–"
    if unit == "coefficient":
        return _minus(f"{value:+.3f}")
    return f"{_minus(f'{100 * value:+.1f}')} points"


def interval(low: float, high: float, unit: Unit, *, signed: bool = False) -> str:
    """Return the two ends of an interval: ``86.1 to 90.9``, with signs where it is one of a difference."""
    sign = "+" if signed or unit == "points" else ""
    scale, decimals = (1, 3) if unit == "coefficient" else (100, 1)
    return " to ".join(
        _minus(f"{scale * end:{sign}.{decimals}f}") if math.isfinite(end) else "–" for end in (low, high)
    )


def _minus(text: str) -> str:
    """Write a minus as a minus, and no sign before a zero."""
    return text.lstrip("+-") if not text.strip("+-0.") else text.replace("-", "−")
