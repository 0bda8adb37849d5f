"""The names of all measures, with what people call them and which way is better. The one list that tables follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """What is known of a measure before it is taken.

    Attributes:
        group: the name in ``Task.measures`` that asks for it.
        title: what tables call it.
        percent: whether it is a share, which tables give in points of a hundred.
        higher_is_better: None where neither is.
    """

    group: str
    title: str
    percent: bool = True
    higher_is_better: bool | None = True


MEASURES: Mapping[str, Measure] = {
    "difference_accuracy": Measure("difference", "difference accuracy"),
    "difference_swap_accuracy": Measure("difference", "both orders right"),
    "difference_auc": Measure("difference", "difference AUC"),
    "caption_difference_accuracy": Measure("difference", "by captions, no pixels"),
    "ranking_spearman": Measure("ranking", "Spearman", percent=False),
    "ranking_kendall": Measure("ranking", "Kendall's tau", percent=False),
    "ranking_pairwise_accuracy": Measure("ranking", "pairwise accuracy"),
    "ranking_average_precision": Measure("ranking", "average precision"),
    "zero_shot_top1": Measure("zero-shot", "zero-shot top-1"),
    "zero_shot_top5": Measure("zero-shot", "zero-shot top-5"),
    "zero_shot_mean_per_class": Measure("zero-shot", "mean per class"),
    "zero_shot_worst_class": Measure("zero-shot", "worst class"),
    "strategy_top1": Measure("strategies", "top-1"),
    "comparative_gain": Measure("strategies", "comparative gain"),
    "image_to_text_r1": Measure("retrieval", "image to text R@1"),
    "image_to_text_r5": Measure("retrieval", "image to text R@5"),
    "image_to_text_r10": Measure("retrieval", "image to text R@10"),
    "text_to_image_r1": Measure("retrieval", "text to image R@1"),
    "text_to_image_r5": Measure("retrieval", "text to image R@5"),
    "text_to_image_r10": Measure("retrieval", "text to image R@10"),
    "geometry_image_cosine": Measure("geometry", "cos(text, images)", percent=False),
    "geometry_caption_cosine": Measure("geometry", "cos(text, captions)", percent=False),
    "geometry_class_cosine": Measure("geometry", "cos(text, prompts)", percent=False),
    "analogy_accuracy": Measure("geometry", "analogy accuracy"),
    "composed_r1": Measure("composed", "composed R@1"),
    "composed_r5": Measure("composed", "composed R@5"),
    "composed_r10": Measure("composed", "composed R@10"),
    "probe_accuracy": Measure("probe", "linear probe", higher_is_better=None),
    "forgetting": Measure("forgetting", "forgetting", higher_is_better=False),
}

FORGETTING: Mapping[str, tuple[str, ...]] = {
    "zero-shot": ("zero_shot_top1",),
    "retrieval": ("image_to_text_r1", "text_to_image_r1"),
}
"""What a finetuned model may have forgotten: by part, the measures whose mean loss against the baseline it is."""


def measure(name: str) -> Measure:
    """Return what is known of a measure; one that is not listed is a share and called by its name."""
    return MEASURES.get(name, Measure("other", name.replace("_", " ")))
