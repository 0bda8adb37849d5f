"""Described differences between classes: read from a file, or written by a captioner."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pcclip.class_tables import Row, read_object, read_rows, read_text
from pcclip.comparatives import ComparativeStore
from pcclip.confusable import confusable_pairs, embed_prompts
from pcclip.describe import describe
from pcclip.errors import DataError, UsageError
from pcclip.files import cache_folder, make_writable_folder
from pcclip.form import reverse
from pcclip.interfaces import Captioner, Embedder
from pcclip.plugins import registry
from pcclip.progress import Progress
from pcclip.types import CaptionPair, ClassComparative, Comparative, Confusable, FloatArray, LabelledEmbeddings

log = logging.getLogger(__name__)
_WAIT = 600.0  # seconds: all predictions of a user share this store, and describing classes takes seconds


def describe_classes(
    classes: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    captioner: Captioner,
    store: ComparativeStore,
    progress: Progress | None = None,
) -> tuple[list[ClassComparative], list[str]]:
    """Have the differences of ``pairs`` of classes written, and turn each round where its form allows.

    Returns:
        The comparatives, and a line for each pair that the captioner could not describe.
    """
    caption_pairs = [CaptionPair(_caption(classes[a]), _caption(classes[b])) for a, b in pairs]
    found, failed = [], []
    for (a, b), answer in zip(pairs, describe(caption_pairs, captioner, store, progress=progress), strict=True):
        if not isinstance(answer, Comparative):
            failed.append(f"{classes[a]} against {classes[b]}: {answer.reason} ({answer.text!r})")
            continue
        found.append(ClassComparative(classes[a], classes[b], answer.text))
        turned = reverse(answer)
        if turned is not None:
            found.append(ClassComparative(classes[b], classes[a], turned.text))
    return found, failed


def write_differences(
    embedder: Embedder,
    classes: Sequence[str],
    count: int,
    captioner: str,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    *,
    confusable: Confusable = "similar",
    unlabelled: FloatArray | None = None,
    support: LabelledEmbeddings | None = None,
) -> tuple[ClassComparative, ...]:
    """Have a captioner describe ``count`` pairs of classes that are easily confused, in both directions.

    Answers are kept in the cache folder, so the same classes are asked for once. A pair that the
    captioner could not describe is named in a warning.

    Args:
        confusable, unlabelled, support: how the pairs are chosen, see :func:`pcclip.confusable.confusable_pairs`.

    Raises:
        DataError: no pair got a usable description, or no pair was confused.
        UsageError: what ``confusable`` reads is missing.
    """
    prompts = embed_prompts(embedder, classes)
    pairs = confusable_pairs(confusable, count, classes, prompts, unlabelled=unlabelled, support=support)
    make_writable_folder(cache_folder())
    with (
        registry().captioner(captioner, options) as writer,
        ComparativeStore(cache_folder() / "classes.sqlite", wait=_WAIT) as store,
    ):
        found, failed = describe_classes(classes, pairs, writer, store, progress)
    for line in failed:
        log.warning("no usable difference of %s", line)
    if not found:
        raise DataError(
            f"captioner {captioner!r} described none of the confusable classes",
            "Write the differences yourself (--differences FILE), or choose another captioner.",
        )
    return tuple(found)


def _caption(name: str) -> str:
    words = name.replace("_", " ").strip()
    return f"{'An' if words[:1].lower() in 'aeiou' else 'A'} {words}."


def read_differences(path: Path, classes: Sequence[str]) -> tuple[ClassComparative, ...]:
    """Read described differences between classes.

    CSV or TSV with the columns ``first, second, text``, JSON lines with those keys, or a JSON object
    ``{"cat|dog": "text"}``. Pairs that name no class of ``classes`` are an error.

    Raises:
        DataError: the file cannot be read or a row lacks something; the message names the row.
    """
    text = read_text(path, "differences")
    known = set(classes)
    found = []
    for place, (first, second, described) in _difference_rows(path, text):
        for name in (first, second):
            if name not in known:
                raise DataError(f"{path}, {place}: unknown class {name!r}", f"The classes are: {', '.join(classes)}")
        try:
            found.append(ClassComparative(first, second, described))
        except UsageError as error:
            raise DataError(f"{path}, {place}: {error.message}") from None
    if not found:
        raise DataError(f"{path} holds no described differences", "It needs rows of first, second and text.")
    return tuple(found)


def _difference_rows(path: Path, text: str) -> list[Row]:
    hint = 'Write CSV with the columns first,second,text or JSON {"cat|dog": "text"}.'
    if path.suffix.lower() != ".json":
        return read_rows(path, text, ("first", "second", "text"), hint)
    pairs = read_object(path, text, hint)
    if not all(key.count("|") == 1 for key, _ in pairs):
        raise DataError(f"{path} is no object of 'first|second' keys", hint)
    return [Row(repr(key), (*map(str.strip, key.split("|")), str(described))) for key, described in pairs]
