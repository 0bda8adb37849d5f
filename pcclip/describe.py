"""Ask a captioner for what is not described yet, chunk by chunk, and store each chunk as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcclip.comparatives import ComparativeStore
from pcclip.errors import DataError, PluginError
from pcclip.files import make_writable_folder
from pcclip.interfaces import Captioner
from pcclip.pairs import choose_pairs
from pcclip.progress import NoProgress, Progress
from pcclip.types import CaptionPair, Comparative, Example, Rejection


def describe(
    pairs: Sequence[CaptionPair],
    captioner: Captioner,
    store: ComparativeStore,
    *,
    progress: Progress | None = None,
) -> list[Comparative | Rejection]:
    """Return an answer for each pair, from the store or from the captioner, in the order of ``pairs``.

    A pair that the store holds under this captioner's fingerprint is not asked for again, whether it
    was accepted or rejected.

    Raises:
        PluginError: the captioner left out a pair, answered one twice, or answered one it was not asked.
    """
    fingerprint = captioner.fingerprint
    fresh = store.missing(fingerprint, pairs)
    distinct = len({pair.key for pair in pairs})
    with (progress or NoProgress()).task(
        "Describing pairs", total=distinct, unit="pair", done=distinct - len(fresh)
    ) as task:
        for start in range(0, len(fresh), captioner.chunk_size):
            chunk = fresh[start : start + captioner.chunk_size]
            open_pairs = {pair.key: pair for pair in chunk}
            answers: list[Comparative | Rejection] = []
            for answer in captioner.describe(chunk):
                if open_pairs.pop(answer.pair.key, None) is None:
                    raise PluginError(
                        f"captioner {type(captioner).__name__} answered a pair twice or unasked: {answer.pair}"
                    )
                answers.append(answer)
                task.advance()
            if open_pairs:
                raise PluginError(
                    f"captioner {type(captioner).__name__} left {len(open_pairs)} of {len(chunk)} pairs unanswered, "
                    f"first: {next(iter(open_pairs.values()))}"
                )
            store.add(fingerprint, answers)
    stored = store.answers(fingerprint, pairs)
    complete = [answer for answer in stored if answer is not None]
    if len(complete) != len(pairs):
        raise PluginError(f"{store.path} lost {len(pairs) - len(complete)} answers that were just written")
    return complete


def describe_examples(
    examples: Sequence[Example],
    captioner: Captioner,
    store: Path,
    *,
    count: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Comparative | Rejection]:
    """Choose up to ``count`` pairs of captioned examples and describe them into the SQLite file ``store``.

    Raises:
        DataError: fewer than two examples have different captions.
    """
    captions = [example.caption for example in examples if example.caption]
    pairs = [CaptionPair(captions[i], captions[j]) for i, j in choose_pairs(captions, count, seed)]
    if not pairs:
        raise DataError(f"{len(captions)} captions give no pair to describe", "Pairs need captions that differ.")
    make_writable_folder(store.parent)
    with captioner, ComparativeStore(store) as opened:
        return describe(pairs, captioner, opened, progress=progress)
