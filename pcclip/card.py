"""The card that every model folder carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pcclip import __version__
from pcclip.config import FinetuneConfig

MEASURES: Mapping[str, str] = {
    "difference_accuracy": "difference accuracy",
    "difference_swap_accuracy": "difference accuracy, both orders",
    "retrieval_r1": "caption retrieval R@1",
    "retrieval_r5": "caption retrieval R@5",
    "zero_shot_accuracy": "zero-shot accuracy",
}


def measure_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row a measure that both have: its name in words, before, after and the change."""
    return [
        {
            "held-out measure": words,
            "before": before[key],
            "after": after[key],
            "change": f"{after[key] - before[key]:+.3f}",
        }
        for key, words in MEASURES.items()
        if key in before and key in after
    ]


def model_card(config: FinetuneConfig, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return the card of a finetuned model as Markdown."""
    lines = [
        f"# {config.backbone}, finetuned on described differences",
        "",
        f"Made by pcclip {__version__} with the method of PC-CLIP (arXiv:2409.09721): texts that say how two pictures",
        "differ were drawn onto the difference of the pictures' embeddings. The image tower is unchanged.",
        "",
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
        f"Comparatives by `{config.captioner}`, loss `{config.loss}`, trained scope `{config.train}`,",
        f"learning rate {config.learning_rate:g}, batch {config.batch_size}, seed {config.seed}.",
        "All settings: `embedder.json`.",
        "",
        "```python",
        "import pcclip",
        "",
        'model = pcclip.load("path/of/this/folder")',
        'model.compare("a.jpg", "b.jpg", "The first image shows a larger animal.")',
        "```",
        "",
        "The licences of the backbone's weights and of the training pictures apply to these weights too.",
        "",
    ]
    return "\n".join(lines)
