"""Which pictures are held out, and which pairs are described.

Nothing here lists all pairs: N pictures have N(N-1)/2 of them, and a seeded permutation of that
range is walked lazily, in constant memory.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence

from pcclip.errors import UsageError

_ROUNDS = 4


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


def choose_pairs(captions: Sequence[str], count: int, seed: int) -> list[tuple[int, int]]:
    """Return up to ``count`` different pairs of items with different captions.

    No unordered pair comes twice; its direction is drawn too. The first k pairs are the same for
    every ``count`` ≥ k. Fewer come back only when there are no more.
    """
    normal = [" ".join(caption.casefold().split()).rstrip(".") for caption in captions]
    usable = (pair for pair in random_pairs(len(captions), seed) if normal[pair[0]] != normal[pair[1]])
    return list(itertools.islice(usable, count))


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
