"""Which pictures are held out, and which pairs are described.

Nothing here lists all pairs: N pictures have N(N-1)/2 of them, and a seeded permutation of that
range is walked lazily, in constant memory. Only ``similar`` remembers the pairs that it gave.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

import numpy as np

from pcclip.errors import DataError, UsageError
from pcclip.types import Example, FloatArray, PairStrategy

_ROUNDS = 4
_COSINES_AT_ONCE = 1 << 24
_SAME = 1e-6  # cosine distance of two embeddings of the same pixels


def hold_out(groups: Sequence[str], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Split items into training and held-out ones, whole groups at a time.

    Args:
        groups: one key an item; items with the same key (copies of one picture) stay together.
        fraction: share of the groups to hold out.

    Returns:
        Indices to train on and indices held out, both ascending. Whether a group is drawn early
        depends on its key and the seed only, so adding pictures moves few others.

    Raises:
        UsageError: one of the two sides would have fewer than two pictures.
    """
    ranked = sorted(set(groups), key=lambda group: hashlib.blake2b(f"{seed}:{group}".encode()).digest())
    held = set(ranked[: max(2, round(len(ranked) * fraction))])
    training = [i for i, group in enumerate(groups) if group not in held]
    held_out = [i for i, group in enumerate(groups) if group in held]
    if len(training) < 2 or len(held_out) < 2:
        raise UsageError(
            f"{len(set(groups))} different pictures are too few to hold out {fraction:g} of them",
            "Bring more pictures: both sides need at least two.",
        )
    return training, held_out


def choose_pairs(
    examples: Sequence[Example],
    count: int,
    seed: int,
    *,
    strategy: PairStrategy = "random",
    embeddings: FloatArray | None = None,
    attribute: str | None = None,
) -> Iterator[tuple[int, int]]:
    """Yield up to ``count`` different pairs of examples with different captions.

    No unordered pair comes twice; its direction is drawn too. The first k pairs are the same for
    every ``count`` ≥ k. Fewer come only when there are no more. Examples without caption are left out.

    Args:
        strategy: ``random``: any two. ``similar``: every picture with its nearest neighbour, then with its
            second nearest, and so on: the pairs that are hard to tell apart. ``by-label``: two of the same
            class, the classes in turn. ``attribute``: two whose value of ``attribute`` differs.
        embeddings: (n, dim) unit rows, one an example; ``similar`` needs them.
        attribute: a key of :attr:`Example.attributes`.

    Raises:
        UsageError: the strategy lacks what it needs or is unknown, or no example has the attribute.
        DataError: no example has a label.
    """
    captions = [" ".join(example.caption.casefold().split()).rstrip(".") for example in examples]
    captioned = [row for row, caption in enumerate(captions) if caption]
    if strategy == "random":
        pairs = _among(captioned, seed)
    elif strategy == "similar":
        if embeddings is None:
            raise UsageError("pairs of similar pictures need embeddings", "Name a backbone: --backbone NAME.")
        pairs = _mapped(captioned, similar_pairs(embeddings[captioned], seed))
    elif strategy == "by-label":
        pairs = _within_labels(examples, captioned, seed)
    elif strategy == "attribute":
        if attribute is None:
            raise UsageError("pairs by attribute need its name", "Name it: --pair-attribute NAME.")
        pairs = _differing(examples, captioned, attribute, seed)
    else:
        raise UsageError(
            f"unknown way to choose pairs: {strategy!r}", f"There are: {', '.join(get_args(PairStrategy))}"
        )
    return itertools.islice((pair for pair in pairs if captions[pair[0]] != captions[pair[1]]), count)


def similar_pairs(embeddings: FloatArray, seed: int) -> Iterator[tuple[int, int]]:
    """Yield every unordered pair of (n, dim) unit rows once: nearest neighbours first, then second nearest, …

    Within a rank the order is seeded. Rows with the same embedding differ in nothing and are no pair.
    A rank costs one pass over all cosines, some rows at a time, and is computed when it is asked for.
    """
    n = len(embeddings)
    rows_at_once = max(1, _COSINES_AT_ONCE // max(1, n))
    seen: set[tuple[int, int]] = set()
    for rank in range(1, n):
        order = _permuted(n, seed)  # the same for every rank: other batches would give other last bits
        while anchors := list(itertools.islice(order, rows_at_once)):
            distances = 1 - embeddings[anchors] @ embeddings.T
            distances[np.arange(len(anchors)), anchors] = -np.inf  # itself has rank 0
            bounds = np.partition(distances, rank, axis=1)[:, rank]
            for anchor, row, bound in zip(anchors, distances, bounds, strict=True):
                ties = np.flatnonzero(row == bound)  # by index, so that no neighbour comes twice or never
                neighbour = int(ties[rank - np.count_nonzero(row < bound)])
                pair = (min(anchor, neighbour), max(anchor, neighbour))
                if pair not in seen:
                    seen.add(pair)
                    if bound > _SAME:
                        yield pair if _bits(seed, _ROUNDS, pair[1] * n + pair[0]) & 1 else pair[::-1]


def _mapped(rows: Sequence[int], pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    return ((rows[i], rows[j]) for i, j in pairs)


def _among(rows: Sequence[int], seed: int) -> Iterator[tuple[int, int]]:
    return _mapped(rows, random_pairs(len(rows), seed))


def _within_labels(examples: Sequence[Example], rows: Sequence[int], seed: int) -> Iterator[tuple[int, int]]:
    groups: dict[str, list[int]] = {}
    for row in rows:
        label = examples[row].label
        if label is not None:
            groups.setdefault(label, []).append(row)
    if not groups:
        raise DataError(
            "no captioned picture has a label, so none can be paired by it", "Name a column: --label-column."
        )
    turns = [_among(group, seed + number) for number, (_, group) in enumerate(sorted(groups.items()))]
    return (pair for turn in itertools.zip_longest(*turns) for pair in turn if pair is not None)


def _differing(
    examples: Sequence[Example], rows: Sequence[int], attribute: str, seed: int
) -> Iterator[tuple[int, int]]:
    having = [row for row in rows if attribute in examples[row].attributes]
    if not having:
        known = sorted({key for row in rows for key in examples[row].attributes})
        raise UsageError(
            f"no captioned picture has the attribute {attribute!r}", f"There are: {', '.join(known) or 'none'}"
        )
    return (
        (i, j)
        for i, j in _among(having, seed)
        if examples[i].attributes[attribute] != examples[j].attributes[attribute]
    )


def random_pairs(n: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield every unordered pair of ``range(n)`` once, in a seeded random order and direction."""
    total = n * (n - 1) // 2
    for position in _permuted(total, seed):
        high = (1 + math.isqrt(1 + 8 * position)) // 2
        low = position - high * (high - 1) // 2
        yield (low, high) if _bits(seed, _ROUNDS, position) & 1 else (high, low)


def _permuted(total: int, seed: int) -> Iterator[int]:
    """Yield ``range(total)`` in a seeded order: a Feistel network over the next power of four, cycle-walked."""
    half = max(1, ((total - 1).bit_length() + 1) // 2) if total else 1
    mask = (1 << half) - 1
    for counter in range(total):
        value = counter
        while True:
            left, right = value >> half, value & mask
            for round_ in range(_ROUNDS):
                left, right = right, left ^ (_bits(seed, round_, right) & mask)
            value = left << half | right
            if value < total:
                break
        yield value


def _bits(seed: int, round_: int, value: int) -> int:
    digest = hashlib.blake2b(f"{seed}:{round_}:{value}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
