"""Quality of recipes, losses, scopes and captioners on held-out pictures: mean and standard error over seeds.

Every row is a set of settings that differs from the demo's in what its name says. A row is run as a
user would run it, through ``pcclip.finetune``; captioners' answers are shared between the rows.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import pcclip
from bench.report import Bound, facts, finish, note, table
from pcclip.config import RECIPES

MEASURES = {
    "difference accuracy": "difference_accuracy",
    "both orders": "difference_swap_accuracy",
    "R@1 image to text": "image_to_text_r1",
    "R@1 text to image": "text_to_image_r1",
    "R@5": "retrieval_r5",
    "zero-shot": "zero_shot_accuracy",
}
_PAPER = {
    key: value
    for key, value in RECIPES["paper"].items()
    if key not in ("backbone", "backbone_options", "limit", "holdout", "pairs")
}  # its training, on the demo's backbone and data
ROWS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "loss contrastive": {"loss": "contrastive"},
    "loss contrastive+0.5*retain, text": {"loss_options": {"retain": {"target": "text"}}},
    "loss contrastive+0.25*retain": {"loss": "contrastive+0.25*retain"},
    "loss contrastive+retain": {"loss": "contrastive+retain"},
    "loss retain alone": {"loss": "retain"},
    "loss mse": {"loss": "mse"},
    "loss siglip": {"loss": "siglip"},
    "loss contrastive+antisymmetry": {"loss": "contrastive+antisymmetry"},
    "false negatives masked": {"false_negatives": "mask"},
    "captioner llama": {"captioner": "llama"},
    "paper recipe": _PAPER,
    "paper recipe, learning rate 3e-5": {**_PAPER, "learning_rate": 3e-5},
    "train blocks": {"train": "blocks"},
    "train projection": {"train": "projection"},
    "train last-2": {"train": "last-2"},
    "train lora": {"train": "lora", "learning_rate": 3e-4},
    "precision bf16": {"precision": "bf16"},
    "pairs 100": {"pairs": 100},
    "pairs 1000": {"pairs": 1000},
    "pairs 3000": {"pairs": 3000},
    "pairs 10000": {"pairs": 10000},
    "pairs similar": {"pair_strategy": "similar"},
}


@click.command("quality", help=__doc__)
@click.option("--rows", multiple=True, type=click.Choice(list(ROWS)), help="Only these rows; default: all.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Seeds 0, 1, … a row.")
@click.option("--data", default="stamps", show_default=True, help="Captioned pictures.")
@click.option("--captioner", default="template", show_default=True, help="Who writes, where the row does not say.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; default: the cores of this process.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the runs; finished ones are not run again, so a bench that was cut off goes on.",
)
@click.option("--check", is_flag=True, help="Exit with 1 if a bound is missed.")
def command(
    rows: tuple[str, ...], seeds: int, data: str, captioner: str, threads: int | None, out: Path, check: bool
) -> None:
    results = {}
    for name in rows or ROWS:
        settings = {"captioner": captioner, **ROWS[name]}
        store = out / f"{settings['captioner']}.sqlite"
        evaluations = []
        for seed in range(seeds):
            config = pcclip.make_config("demo", data=data, seed=seed, comparatives=store, threads=threads, **settings)
            note(f"{name}, seed {seed}")
            evaluations.append(
                pcclip.finetune(config, out / name.replace(" ", "-").replace("*", "x") / str(seed)).evaluation
            )
        results[name] = evaluations
        print(
            table([_row("before", [e["before"] for e in evaluations]), _row(name, [e["after"] for e in evaluations])])
        )
    first = next(iter(results.values()))
    print()
    print(
        table(
            [
                _row("before training", [evaluation["before"] for evaluation in first]),
                *(_row(name, [evaluation["after"] for evaluation in found]) for name, found in results.items()),
            ]
        )
    )
    bounds = []
    if "default" in results:
        for measure in MEASURES.values():
            gains = [found["after"][measure] - found["before"][measure] for found in results["default"]]
            bounds.append(Bound(f"default recipe, mean gain in {measure}", statistics.fmean(gains), 0.0))
    finish(
        {
            **facts("torch"),
            "seeds": seeds,
            "data": data,
            "rows": {
                name: {key: statistics.fmean(e["after"][key] for e in found) for key in MEASURES.values()}
                for name, found in results.items()
            },
        },
        bounds,
        check=check,
    )


def _row(name: str, evaluations: list[dict[str, float]]) -> dict[str, str]:
    return {
        "": name,
        **{title: _mean(evaluation[key] for evaluation in evaluations) for title, key in MEASURES.items()},
    }


def _mean(values: Any) -> str:
    """Return mean ± standard error, in points of a hundred."""
    found = [100 * value for value in values]
    error = statistics.stdev(found) / len(found) ** 0.5 if len(found) > 1 else 0.0
    return f"{statistics.fmean(found):.1f} ± {error:.1f}"
