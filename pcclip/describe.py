"""Ask a captioner for what is not described yet, chunk by chunk, and store each chunk as a whole."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pcclip import boundary
from pcclip.comparatives import ComparativeStore
from pcclip.embeddings import EmbeddingStore, embed
from pcclip.errors import DataError, RunError
from pcclip.files import make_writable_folder
from pcclip.interfaces import Captioner, Embedder
from pcclip.pairs import choose_pairs
from pcclip.progress import NoProgress, Progress
from pcclip.types import CaptionPair, Comparative, Example, FloatArray, PairStrategy, Rejection

log = logging.getLogger(__name__)


def describe(
    pairs: Sequence[CaptionPair],
    captioner: Captioner,
    store: ComparativeStore,
    *,
    progress: Progress | None = None,
) -> list[Comparative | Rejection]:
    """Return an answer for each pair, from the store or from the captioner, in the order of ``pairs``.

    See :func:`fill`, which does the work and is the one to call where the answers do not fit into memory.
    """
    fill(pairs, captioner, store, progress=progress)
    return complete_answers(store, captioner, pairs)


def complete_answers(
    store: ComparativeStore, captioner: Captioner, pairs: Collection[CaptionPair]
) -> list[Comparative | Rejection]:
    """Return the stored answer to each pair.

    Raises:
        RunError: a pair has none.
    """
    complete = [answer for answer in store.answers(captioner.fingerprint, pairs) if answer is not None]
    if len(complete) != len(pairs):
        raise RunError(f"{store.path} lacks answers to {len(pairs) - len(complete)} of {len(pairs)} pairs")
    return complete


def fill(
    pairs: Iterable[CaptionPair],
    captioner: Captioner,
    store: ComparativeStore,
    *,
    progress: Progress | None = None,
) -> None:
    """Have every pair described that the store does not hold under this captioner's fingerprint.

    A pair is asked for once, whether it was then accepted or rejected. Memory does not grow with the
    number of pairs.

    Args:
        pairs: iterated twice, so no generator; pairs may come again.

    Raises:
        PluginError: the captioner failed, left out a pair, answered one twice, or answered one it was not asked.
            Whole chunks that it answered before are kept.
    """
    fingerprint = boundary.fingerprint("captioner", captioner)
    store.name(fingerprint, captioner.label)
    total = done = 0
    for known in store.known(fingerprint, pairs):
        total += 1
        done += known
    shown = done
    with (progress or NoProgress()).task("Describing pairs", total=total, unit="pair", done=done) as task:
        for chunk in _chunks(pairs, fingerprint, store, boundary.chunk_size(captioner)):
            answers: list[Comparative | Rejection] = []
            for answer in boundary.answers(captioner, chunk):
                answers.append(answer)
                task.advance()
            store.add(fingerprint, answers)
            shown += len(chunk)
        task.advance(total - shown)  # pairs that came again


def _chunks(
    pairs: Iterable[CaptionPair], captioner: str, store: ComparativeStore, size: int
) -> Iterator[list[CaptionPair]]:
    """Yield chunks of ``size`` different pairs that were never asked for; the last may be smaller."""
    walker = iter(pairs)
    chunk: dict[str, CaptionPair] = {}
    while some := list(islice(walker, size - len(chunk))):
        for pair, known in zip(some, store.known(captioner, some), strict=True):
            if not known:
                chunk.setdefault(pair.key, pair)
        if len(chunk) == size:
            yield list(chunk.values())
            chunk = {}
    if chunk:
        yield list(chunk.values())


class ChosenPairs(Collection[CaptionPair]):
    """The caption pairs of chosen pairs of examples, made while they are walked; 16 bytes a pair are kept.

    Args:
        examples: captioned, in the order that the indices count.
        pairs: pairs of indices.
    """

    def __init__(self, examples: Sequence[Example], pairs: Iterable[tuple[int, int]]) -> None:
        self._examples = examples
        self._indices = array("q", chain.from_iterable(pairs))

    def __len__(self) -> int:
        return len(self._indices) // 2

    def __iter__(self) -> Iterator[CaptionPair]:
        for i, j in self.indices():
            yield CaptionPair(self._examples[i].caption, self._examples[j].caption)

    def __contains__(self, pair: object) -> bool:
        return any(pair == own for own in self)

    def indices(self) -> Iterator[tuple[int, int]]:
        """Yield the pairs of indices."""
        walker = iter(self._indices)
        return zip(walker, walker, strict=True)


def chosen_pairs(
    examples: Sequence[Example], count: int, seed: int, *, of: str = "", strategy: PairStrategy = "random", **needs: Any
) -> ChosenPairs:
    """Choose pairs of examples as :func:`pcclip.pairs.choose_pairs` does, and say where they are fewer than ``count``.

    Args:
        of: which pictures these are, for messages: ``held-out``.
        needs: what the strategy needs.

    Raises:
        DataError: there is no pair.
        UsageError: the strategy lacks what it needs.
    """
    pictures = f"{of} pictures".strip()
    chosen = ChosenPairs(examples, choose_pairs(examples, count, seed, strategy=strategy, **needs))
    if not chosen:
        captioned = sum(bool(example.caption) for example in examples)
        raise DataError(
            f"{captioned} captioned {pictures} give no pair to describe with the strategy {strategy!r}",
            "Pairs need captions that differ.",
        )
    if len(chosen) < count:
        log.warning("only %d pairs of %s can be described, not %d", len(chosen), pictures, count)
    return chosen


def describe_examples(
    examples: Sequence[Example],
    captioner: Captioner,
    store: Path,
    *,
    count: int,
    seed: int = 0,
    strategy: PairStrategy = "random",
    attribute: str | None = None,
    embedder: Embedder | None = None,
    progress: Progress | None = None,
) -> list[Comparative | Rejection]:
    """Choose up to ``count`` pairs of captioned examples and describe them into the SQLite file ``store``.

    Args:
        strategy, attribute: which pairs, see :func:`pcclip.pairs.choose_pairs`; examples without
            caption may be among them and are left out.
        embedder: whose near neighbours are ``similar``; other strategies need none.

    Raises:
        DataError: no two examples have different captions, or none fit the strategy.
        UsageError: the strategy lacks what it needs.
    """
    embeddings = None
    if strategy == "similar" and embedder is not None:
        examples, embeddings = _embedded(examples, embedder, progress)
    chosen = chosen_pairs(examples, count, seed, strategy=strategy, embeddings=embeddings, attribute=attribute)
    make_writable_folder(store.parent)
    with captioner, ComparativeStore(store) as opened:
        fill(chosen, captioner, opened, progress=progress)
        return complete_answers(opened, captioner, chosen)


def _embedded(
    examples: Sequence[Example], embedder: Embedder, progress: Progress | None
) -> tuple[list[Example], FloatArray]:
    """Return the examples whose pictures could be embedded, with their rows."""
    with EmbeddingStore() as cache:
        embedded = embed(
            embedder,
            [example.image for example in examples],
            ids=[example.id for example in examples],
            store=cache,
            progress=progress,
        )
    for row in embedded.quarantined:
        log.warning("set aside %r: %s: %s", row.id, row.reason, row.detail)
    return [examples[position] for position in embedded.positions], embedded.embeddings
