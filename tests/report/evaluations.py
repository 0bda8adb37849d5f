"""Evaluations to report on, made of real pictures with made-up numbers that hang together."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from pcclip.data.dataset import Dataset
from pcclip.data.scenes import read_scenes
from pcclip.evaluation.document import (
    CaptionerFacts,
    Compared,
    Confusion,
    Evaluation,
    Explanation,
    Geometry,
    ModelFacts,
    PairExample,
    Picture,
    Problem,
    RankingExample,
    Result,
    TaskFacts,
)
from pcclip.types import Example

BEFORE, AFTER = "mini", "mini-tuned"
MODELS = (
    ModelFacts(name=BEFORE, backbone="mini", baseline=True, image_fingerprint="a41f" * 8, text_fingerprint="09c2" * 8),
    ModelFacts(
        name=AFTER,
        backbone="mini",
        path="/home/ada/private/runs/scenes-1/model",
        image_fingerprint="a41f" * 8,
        text_fingerprint="77de" * 8,
    ),
)


def whole(folder: Path, number: int = 48) -> Evaluation:
    """Return an evaluation of two models on scenes that has every part."""
    scenes = read_scenes(number, folder=folder / "scenes")
    rng = random.Random(7)
    results, comparisons = _results()
    return Evaluation(
        created="2026-11-24T13:20:05+00:00",
        versions={"pcclip": "0.1.0", "torch": "2.14.1", "open_clip": "3.2.0", "python": "3.11.7"},
        suite="scenes",
        settings={
            "seed": 0,
            "bootstrap": 2000,
            "data": "/home/ada/private/data",
            "strategies": {"comparative": {"alpha": 0.85, "confusable": "predictions", "pairs": 6}},
        },
        models=MODELS,
        tasks=(
            TaskFacts(
                name="scenes",
                source="scenes: drawn by pcclip",
                pictures=number,
                support=number // 2,
                classes=scenes.labels,
                prompts={label: f"This is a photo of a {label}" for label in scenes.labels}
                | {"size": "The first image contains a larger shape."},
                quarantined=({"id": "00017.png", "stage": "read", "reason": "truncated", "detail": "image file cut"},),
                notes=("The support pictures are the first half of the training side.",),
            ),
            TaskFacts(name="awa2", skipped="there is no folder Animals_with_Attributes2 below the data folder"),
        ),
        results=results,
        comparisons=comparisons,
        problems=(
            Problem(task="scenes", measure="ranking_spearman", part="background", message="never varies: all are 1"),
        ),
        pair_examples=_pairs(scenes, rng),
        rankings=tuple(_ranking(scenes, rng, attribute) for attribute in ("size", "count")),
        confusions=_confusions(scenes.labels),
        explanations=tuple(
            Explanation(
                task="scenes",
                model=AFTER,
                strategy="comparative",
                first=first,
                second=second,
                text=f"The first picture shows a {first} with {why}, the second a {second}.",
                moved=moved,
                moved_rightly=rightly,
            )
            for first, second, why, moved, rightly in (
                ("circle", "ring", "a filled middle", 14, 11),
                ("square", "diamond", "level edges", 9, 8),
                ("cross", "star", "four arms", 3, 1),
            )
        ),
        geometry=_geometry(),
        captioners=(
            CaptionerFacts(
                task="scenes",
                captioner="llama gemma3-270m",
                asked=1200,
                accepted=968,
                rejected={"too-short": 118, "echo": 71, "repeated": 43},
                examples=(
                    {"first": "A red star.", "second": "Two blue rings.", "text": "The first is one red star, the "
                     "second shows two blue rings.", "reason": ""},
                    {"first": "A huge heart.", "second": "A tiny heart.", "text": "Larger.", "reason": "too-short"},
                ),
            ),
        ),
    )  # fmt: skip


def picture(example: Example) -> Picture:
    return Picture(id=example.id, path=str(example.image), caption=example.caption, label=example.label)


def _results() -> tuple[tuple[Result, ...], tuple[Compared, ...]]:
    rows = (
        # measure, part, before, after, half an interval, of the difference, n, seeds
        ("difference_accuracy", "size", 0.581, 0.874, 0.031, 0.045, 1128, 5),
        ("difference_accuracy", "count", 0.542, 0.701, 0.033, 0.046, 1128, 5),
        ("difference_swap_accuracy", "size", 0.402, 0.792, 0.035, 0.05, 1128, 5),
        ("difference_auc", "size", 0.613, 0.931, 0.02, 0.03, 1128, 0),
        ("caption_difference_accuracy", "size", 0.612, 0.633, 0.031, 0.045, 1128, 5),
        ("ranking_spearman", "size", 0.214, 0.792, 0.08, 0.09, 48, 0),
        ("ranking_spearman", "count", 0.118, 0.164, 0.09, 0.12, 48, 0),
        ("ranking_kendall", "size", 0.151, 0.611, 0.07, 0.08, 48, 0),
        ("zero_shot_top1", "", 0.646, 0.604, 0.09, 0.062, 48, 0),
        ("zero_shot_worst_class", "", 0.2, 0.2, 0.15, 0.2, 48, 0),
        ("strategy_top1", "comparative", 0.667, 0.688, 0.09, 0.07, 48, 0),
        ("image_to_text_r1", "", 0.312, 0.229, 0.06, 0.058, 48, 0),
        ("geometry_image_cosine", "", 0.021, 0.312, 0.01, 0.012, 1128, 0),
        ("probe_accuracy", "", 0.9375, 0.9375, 0.05, 0.0, 48, 0),
    )
    results, comparisons = [], []
    for measure, part, before, after, half, apart, n, seeds in rows:
        for model, value in ((BEFORE, before), (AFTER, after)):
            results.append(
                Result(
                    task="scenes",
                    model=model,
                    measure=measure,
                    part=part,
                    value=value,
                    standard_error=0.006 if seeds else None,
                    low=max(-1.0, value - half),
                    high=min(1.0, value + half),
                    n=n,
                    seeds=tuple(value + 0.005 * (i - 2) for i in range(seeds)),
                    higher_is_better=None if measure == "probe_accuracy" else True,
                )
            )
        comparisons.append(
            Compared(
                task="scenes",
                measure=measure,
                part=part,
                model=AFTER,
                baseline=BEFORE,
                difference=after - before,
                low=after - before - apart,
                high=after - before + apart,
                p=0.0004 if abs(after - before) > apart else 0.31,
            )
        )
    for part, change, half in (("zero-shot", -0.042, 0.062), ("retrieval", -0.083, 0.058)):
        results.append(
            Result(
                task="scenes",
                model=AFTER,
                measure="forgetting",
                part=part,
                value=change,
                low=change - half,
                high=change + half,
                n=48,
            )
        )
    return tuple(results), tuple(comparisons)


def _pairs(scenes: Dataset, rng: random.Random) -> tuple[PairExample, ...]:
    made = []
    for _ in range(20):
        first, second = rng.sample(scenes.examples, 2)
        if first.attributes["size"] < second.attributes["size"]:  # type: ignore[operator]
            first, second = second, first
        text = "The first picture shows a larger shape, while the second shows a smaller one."
        cosines = {BEFORE: rng.gauss(0.01, 0.08), AFTER: rng.gauss(0.2, 0.14)}
        made.append(
            PairExample(task="scenes", first=picture(first), second=picture(second), text=text, cosines=cosines)
        )
    return tuple(made)


def _ranking(scenes: Dataset, rng: random.Random, attribute: str) -> RankingExample:
    values = {example.id: float(example.attributes[attribute]) for example in scenes.examples[:30]}
    spread = max(values.values()) - min(values.values())
    orders = {
        model: tuple(sorted(values, key=lambda key: -values[key] - noise * spread * rng.gauss(0, 1)))
        for model, noise in ((BEFORE, 1.5), (AFTER, 0.2))
    }
    pictures = {example.id: picture(example) for example in scenes.examples[:30]}
    return RankingExample(
        task="scenes",
        attribute=attribute,
        text=f"a picture with a large {attribute}",
        pictures=pictures,
        values=values,
        orders=orders,
    )


def _confusions(classes: tuple[str, ...]) -> tuple[Confusion, ...]:
    return tuple(confusion(classes, AFTER, strategy) for strategy in ("comparative", "zero-shot"))


def confusion(classes: tuple[str, ...], model: str, strategy: str, task: str = "scenes") -> Confusion:
    rng = np.random.default_rng(3 if strategy == "zero-shot" else 4)
    size = len(classes)
    counts = rng.poisson(0.4 if size < 30 else 0.01, (size, size)) + np.diag(rng.poisson(6, size))
    if size > 1:
        counts[0, 1] = 9 if strategy == "zero-shot" else 2
    rows = tuple(tuple(int(count) for count in row) for row in counts)
    return Confusion(task=task, model=model, strategy=strategy, classes=classes, counts=rows)


def _geometry() -> tuple[Geometry, ...]:
    rng = np.random.default_rng(5)
    return tuple(
        Geometry(
            task="scenes",
            model=model,
            image_cosines=tuple(rng.normal(mean, 0.1, 1128).clip(-1, 1).tolist()),
            caption_cosines=tuple(rng.normal(2 * mean, 0.14, 1128).clip(-1, 1).tolist()),
        )
        for model, mean in ((BEFORE, 0.021), (AFTER, 0.24))
    )
