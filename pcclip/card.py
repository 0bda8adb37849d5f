"""The card that every model folder carries, ours and exported ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pcclip import __version__
from pcclip.evaluation import words

MEASURES: Mapping[str, str] = {
    **{name: words.measure(name).words for name in ("difference_accuracy", "difference_swap_accuracy")},
    "retrieval_r1": "caption retrieval R@1",
    "retrieval_r5": "caption retrieval R@5",
    "zero_shot_accuracy": words.measure("zero_shot_top1").words,
}
"""Held-out measures of a run in words; an evaluation has those of :mod:`pcclip.evaluation.words`."""
USAGE = """\
import pcclip

model = pcclip.load("path/of/this/folder")
found = model.compare("a.jpg", "b.jpg", "The first image shows a larger animal.")
print("it does" if found.holds else "it is the other way round", found.cosine)"""
_TRANSPARENCY = [
    "Transparent pictures were put on white before they were embedded. Put yours on white too: what `convert` shows",
    "under the transparency is arbitrary.",
    "",
]
# Settings that say nothing about the weights, or are said elsewhere in the card.
_UNSAID = {"images", "backbone", "threads", "checkpoint_every", "keep_checkpoints", "max_bad_fraction"}
_UNSAID |= {"alpha", "sweep_alpha"}


def measure_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row a measure that both have: its name in words, before, after and the change."""
    return [
        {
            "held-out measure": said,
            "before": before[key],
            "after": after[key],
            "change": f"{after[key] - before[key]:+.3f}",
        }
        for key, said in MEASURES.items()
        if key in before and key in after
    ]


def model_card(trained: Mapping[str, Any], usage: str = USAGE, *, library: str = "pcclip") -> str:
    """Return the card of a finetuned model as Markdown.

    Args:
        trained: what ``embedder.json`` keeps under that name: ``config``, ``alpha``, ``before``, ``after``, and for
            a merged model ``merged``.
        usage: Python code that loads the folder.
        library: what that code loads it with, as the Hugging Face hub calls it.
    """
    config = trained["config"]
    lines = [
        "---",
        f"library_name: {library}",
        "pipeline_tag: zero-shot-image-classification",
        "tags: [clip, pc-clip]",
        "---",
        "",
        f"# {config['backbone']}, finetuned on described differences",
        "",
        f"Made by pcclip {__version__} with the method of PC-CLIP (arXiv:2409.09721): texts that say how two pictures",
        "differ were drawn onto the difference of the pictures' embeddings. The image tower is unchanged.",
        "",
        *_averaging(trained),
        *_measures(trained),
        "## Load it",
        "",
        "Does the text fit the order of the two pictures?",
        "",
        "```python",
        usage,
        "```",
        "",
        *(_TRANSPARENCY if library != "pcclip" else []),
        "## What it was trained with",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in _settings(config)),
        "",
        "The licences of the backbone's weights and of the training pictures apply to these weights too.",
        "",
    ]
    return "\n".join(lines)


def _averaging(trained: Mapping[str, Any]) -> list[str]:
    alpha, runs = trained.get("alpha", 1.0), trained.get("merged", {}).get("runs", [])
    lines = []
    if len(runs) > 1:
        lines += [
            f"The text towers of {len(runs)} runs were averaged (arXiv:2203.05482); the settings are the first's."
        ]
    if alpha < 1:
        lines += [
            f"The text tower is {alpha:g} times the tuned one plus {1 - alpha:g} times the original "
            "(WiSE-FT, arXiv:2109.01903)."
        ]
    if trained.get("alpha_chosen"):
        lines += [
            f"That alpha, {alpha:g}, was chosen on the same held-out pictures that the measures below are of, which "
            "flatters them a little."
        ]
    return [*lines, ""] if lines else []


def _measures(trained: Mapping[str, Any]) -> list[str]:
    before, after = trained.get("before"), trained.get("after")
    if not before or not after:
        return ["These weights were not measured.", ""]
    return [
        "| held-out measure | before | after |",
        "|---|---|---|",
        *(
            f"| {row['held-out measure']} | {row['before']:.3f} | {row['after']:.3f} |"
            for row in measure_rows(before, after)
        ),
        "",
        f"Measured on {after.get('pairs', 0)} described pairs of {after.get('pictures', 0)} pictures that no training",
        "pair held.",
        "",
    ]


def _settings(config: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the settings that shaped the weights; of absolute paths only the last part, since cards are published."""
    for name, value in config.items():
        if name in _UNSAID or value in (None, {}, []):
            continue
        if isinstance(value, Mapping):
            yield name, ", ".join(f"{key} = {_unplaced(one)}" for key, one in value.items())
        else:
            yield name, _unplaced(value)


def _unplaced(value: Any) -> str:
    text = str(value)
    return Path(text).name if Path(text).is_absolute() else text
