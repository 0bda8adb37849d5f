"""Labelled pictures beside the test pictures, never the same picture on both sides."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from pcclip.data.pictures import PictureError, picture_digest
from pcclip.pairs import hold_out
from pcclip.types import Example


def split_by_content(
    examples: Sequence[Example], support: float, seed: int = 0
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Split pictures into test pictures and labelled ones beside them; copies of a file stay together.

    The order of the draw is that of :func:`pcclip.pairs.hold_out`: a run on the same data with the
    same seed that holds out at most ``1 - support`` of it holds out test pictures only.

    Args:
        examples: all pictures; one that cannot be read stays with the test, where reading names it.
        support: the share of the pictures that is not tested on, above 0 and below 1.

    Returns:
        Test pictures, and pictures beside that have a label.

    Raises:
        UsageError: they are too few to split.
    """
    beside, test = hold_out([_digest(example) for example in examples], 1 - support, seed)
    return tuple(examples[row] for row in test), tuple(examples[row] for row in beside if examples[row].label)


def few_of_each(examples: Sequence[Example], number: int) -> tuple[Example, ...]:
    """Return at most so many pictures a label, in their order; which ones depends on their ids only."""
    by_label: dict[str | None, list[int]] = {}
    for row, example in enumerate(examples):
        by_label.setdefault(example.label, []).append(row)
    chosen = (sorted(rows, key=lambda row: _drawn(examples[row].id))[:number] for rows in by_label.values())
    return tuple(examples[row] for row in sorted(row for rows in chosen for row in rows))


def split_by_name(examples: Sequence[Example], number: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Split the pictures of a published set that has no split: test pictures, and so many a label beside them.

    At most half of a label's pictures go beside. Which ones depends on their ids only; no file is read.
    """
    counts = Counter(example.label for example in examples)
    chosen = few_of_each(examples, number)
    taken: Counter[str | None] = Counter()
    beside: list[Example] = []
    for example in chosen:
        taken[example.label] += 1
        if taken[example.label] <= counts[example.label] // 2:
            beside.append(example)
    ids = {example.id for example in beside}
    return tuple(example for example in examples if example.id not in ids), tuple(beside)


def _drawn(id: str) -> bytes:
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass")).digest()


def _digest(example: Example) -> str:
    try:
        return picture_digest(example.image).hex()
    except PictureError:
        return f"unreadable {example.id}"
