"""Measure a model on held-out pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcclip import boundary, metrics
from pcclip.files import write_text
from pcclip.form import reverse
from pcclip.interfaces import Embedder
from pcclip.plugins import registry
from pcclip.types import ClassKnowledge, Comparative, Example, FloatArray

_MAX_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Pictures that no training pair holds, and described pairs of them.

    Attributes:
        examples: n pictures.
        embeddings: (n, dim) unit rows f(I); the image tower is frozen, so they serve before and after.
        pairs: m pairs of rows, first against second.
        comparatives: m texts.
    """

    examples: Sequence[Example]
    embeddings: FloatArray
    pairs: Sequence[tuple[int, int]]
    comparatives: Sequence[Comparative]


def evaluate(embedder: Embedder, held_out: HeldOut) -> dict[str, float | int]:
    """Return the held-out measures of a model.

    ``difference_accuracy`` and ``difference_swap_accuracy`` over the described pairs, recall@1 and @5
    over the captions, ``zero_shot_accuracy`` where at least two labels are known, and the counts
    behind them (``pairs``, ``pictures``, ``classes``).
    """
    found: dict[str, float | int] = {"pairs": len(held_out.pairs), "pictures": len(held_out.examples)}
    if held_out.pairs:
        cosines = difference_cosines(embedder, held_out, [c.text for c in held_out.comparatives])
        found["difference_accuracy"] = metrics.difference_accuracy(cosines)
        found["difference_cosine"] = float(cosines.mean())
        turned = [reverse(comparative) for comparative in held_out.comparatives]
        kept = [row for row, comparative in enumerate(turned) if comparative is not None]
        if kept:
            texts = embedder.embed_texts([comparative.text for comparative in turned if comparative is not None])
            first, second = _sides(held_out, kept)
            found["difference_swap_accuracy"] = metrics.difference_swap_accuracy(
                cosines[kept], metrics.difference_cosines(texts, second, first)
            )
    captioned = [row for row, example in enumerate(held_out.examples) if example.caption]
    if captioned:
        captions = [held_out.examples[row].caption for row in captioned]
        texts = embedder.embed_texts(list(dict.fromkeys(captions)))
        found.update(metrics.retrieval(held_out.embeddings[captioned], texts, captions))
    found.update(_zero_shot(embedder, held_out))
    return found


def difference_cosines(embedder: Embedder, held_out: HeldOut, texts: Sequence[str]) -> FloatArray:
    """Return ``<g(t), N(f_i - f_j)>`` of each held-out pair with its text."""
    first, second = _sides(held_out, range(len(held_out.pairs)))
    return metrics.difference_cosines(embedder.embed_texts(texts), first, second)


def write_held_out_pairs(path: Path, held_out: HeldOut, before: FloatArray, after: FloatArray) -> None:
    """Write a CSV row a held-out pair: both pictures, the text, and its cosine before and after training."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["first", "second", "text", "cosine_before", "cosine_after"])
    for (i, j), comparative, *cosines in zip(held_out.pairs, held_out.comparatives, before, after, strict=True):
        ids = (held_out.examples[i].id, held_out.examples[j].id)
        writer.writerow([*ids, comparative.text, *(f"{cosine:.6f}" for cosine in cosines)])
    write_text(path, out.getvalue())


def _sides(held_out: HeldOut, rows: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    pairs = np.array([held_out.pairs[row] for row in rows]).reshape(-1, 2)
    return held_out.embeddings[pairs[:, 0]], held_out.embeddings[pairs[:, 1]]


def _zero_shot(embedder: Embedder, held_out: HeldOut) -> dict[str, float | int]:
    labelled = [(row, example.label) for row, example in enumerate(held_out.examples) if example.label]
    classes = tuple(sorted({label for _, label in labelled}))
    if not 2 <= len(classes) <= _MAX_CLASSES:
        return {}
    classifier = boundary.fit(registry().strategy("zero-shot"), embedder, ClassKnowledge(classes))
    scores = classifier.scores(held_out.embeddings[[row for row, _ in labelled]])
    return {
        "zero_shot_accuracy": metrics.accuracy(scores, [label for _, label in labelled], classifier.classes),
        "classes": len(classes),
    }
