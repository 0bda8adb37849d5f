"""Labelled pictures that strategies may learn from, out of a data set of the user's."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pcclip.data import Dataset
from pcclip.embeddings import EmbeddingStore, embed
from pcclip.errors import DataError
from pcclip.interfaces import Embedder
from pcclip.progress import Progress
from pcclip.types import LabelledEmbeddings

log = logging.getLogger(__name__)


def embed_labelled(
    embedder: Embedder,
    dataset: Dataset,
    classes: Sequence[str],
    store: EmbeddingStore | None = None,
    progress: Progress | None = None,
) -> LabelledEmbeddings:
    """Embed the pictures of a data set that are of one of ``classes``.

    Pictures of other classes, without a label, or that cannot be read are left out with a warning, and so is said
    which class has no picture.

    Args:
        store: the embedding cache; by default the shared one.

    Raises:
        DataError: no picture is left.
    """
    known = set(classes)
    examples = [example for example in dataset.examples if example.label in known]
    others = sorted({example.label for example in dataset.examples if example.label} - known)
    if not examples:
        raise DataError(
            f"{dataset.name} has no picture of {', '.join(classes)}",
            f"Its classes are: {', '.join(others)}" if others else "Its pictures have no labels.",
        )
    if others:
        log.warning("%s: left out pictures of other classes: %s", dataset.name, ", ".join(others))
    unlabelled = sum(example.label is None for example in dataset.examples)
    if unlabelled:
        log.warning("%s: left out %d pictures without a label", dataset.name, unlabelled)
    found = embed(
        embedder,
        [example.image for example in examples],
        ids=[example.id for example in examples],
        store=store,
        progress=progress,
    )
    for row in found.quarantined:
        log.warning("set aside %r: %s: %s", row.id, row.reason, row.detail)
    labels = tuple(str(examples[position].label) for position in found.positions)
    if not labels:
        raise DataError(f"none of {len(examples)} labelled pictures of {dataset.name} can be read")
    missing = [name for name in classes if name not in labels]
    if missing:
        log.warning("%s has no picture of %s", dataset.name, ", ".join(map(repr, missing)))
    return LabelledEmbeddings(found.embeddings, labels)
