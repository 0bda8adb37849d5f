"""Described differences between classes: read from a file, or written by a captioner."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pcclip.comparatives import ComparativeStore
from pcclip.describe import describe
from pcclip.errors import DataError, UsageError
from pcclip.files import cache_folder, make_writable_folder
from pcclip.form import reverse
from pcclip.interfaces import Captioner, Embedder
from pcclip.plugins import registry
from pcclip.progress import Progress
from pcclip.types import CaptionPair, ClassComparative, Comparative, FloatArray

log = logging.getLogger(__name__)
_WAIT = 600.0  # seconds: all predictions of a user share this store, and describing classes takes seconds


def similar_classes(prompts: FloatArray, count: int) -> list[tuple[int, int]]:
    """Return the ``count`` pairs of classes whose prompts are nearest, the nearest first.

    Uses no labels: the (k, dim) unit rows are the text embeddings of the class prompts.
    """
    cosines = prompts @ prompts.T
    rows, columns = np.triu_indices(len(prompts), 1)
    order = np.argsort(-cosines[rows, columns], kind="stable")[:count]
    return [(int(rows[i]), int(columns[i])) for i in order]


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
) -> tuple[ClassComparative, ...]:
    """Have a captioner describe the ``count`` most similar pairs of classes, in both directions.

    Answers are kept in the cache folder, so the same classes are asked for once. A pair that the
    captioner could not describe is named in a warning.

    Raises:
        DataError: no pair got a usable description.
    """
    prompts = embedder.embed_texts([f"This is a photo of a {name.replace('_', ' ')}" for name in classes])
    make_writable_folder(cache_folder())
    with (
        registry().captioner(captioner, options) as writer,
        ComparativeStore(cache_folder() / "classes.sqlite", wait=_WAIT) as store,
    ):
        found, failed = describe_classes(classes, similar_classes(prompts, count), writer, store, progress)
    for line in failed:
        log.warning("no usable difference of %s", line)
    if not found:
        raise DataError(
            f"captioner {captioner!r} described none of the similar classes",
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
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the differences {path}: {error}") from None
    rows = _difference_rows(path, text)
    known = set(classes)
    found = []
    for place, first, second, described in rows:
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


def _difference_rows(path: Path, text: str) -> list[tuple[str, str, str, str]]:
    hint = 'Write CSV with the columns first,second,text or JSON {"cat|dog": "text"}.'
    try:
        if path.suffix.lower() == ".json":
            value = json.loads(text)
            if not isinstance(value, dict) or not all(key.count("|") == 1 for key in value):
                raise DataError(f"{path} is no object of 'first|second' keys", hint)
            pairs = [(key, *key.split("|"), str(described)) for key, described in value.items()]
            return [(repr(key), first.strip(), second.strip(), described) for key, first, second, described in pairs]
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            records = [(n, json.loads(line)) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        else:
            delimiter = "\t" if path.suffix.lower() == ".tsv" or "\t" in text.partition("\n")[0] else ","
            reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
            missing = {"first", "second", "text"} - set(reader.fieldnames or ())
            if missing:
                raise DataError(
                    f"{path} lacks the columns {', '.join(sorted(missing))}; it has: "
                    f"{', '.join(reader.fieldnames or ()) or 'none'}",
                    hint,
                )
            records = [(n, row) for n, row in enumerate(reader, 2)]
        return [(f"line {n}", _text(row, "first"), _text(row, "second"), _text(row, "text")) for n, row in records]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: {error}", hint) from None


def _text(row: Mapping[str, Any], key: str) -> str:
    return str(row[key] or "").strip()
