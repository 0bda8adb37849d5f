"""Texts about classes: read from a file, or written by a captioner."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from pcclip import boundary, prompts
from pcclip.class_tables import read_object, read_rows, read_text
from pcclip.errors import DataError, PcclipError
from pcclip.files import cache_folder, make_writable_folder, read_json, write_json
from pcclip.plugins import registry
from pcclip.progress import NoProgress, Progress

_HINT = 'Write CSV with the columns class,text or JSON {"cat": ["a long tail", "A cat has whiskers."]}.'


def read_descriptions(path: Path, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read texts about every class.

    CSV or TSV with the columns ``class, text``, JSON lines with those keys, or a JSON object
    ``{"cat": ["text", "text"]}``. A class may have any number of texts, at least one.

    Raises:
        DataError: the file cannot be read, a row names an unknown class or has no text, or a class has no row.
    """
    found: dict[str, list[str]] = {name: [] for name in classes}
    for place, name, described in _rows(path, read_text(path, "descriptions")):
        if name not in found:
            raise DataError(f"{path}, {place}: unknown class {name!r}", f"The classes are: {', '.join(classes)}")
        if not described:
            raise DataError(f"{path}, {place}: the description of {name!r} is empty")
        if described not in found[name]:
            found[name].append(described)
    missing = [name for name, texts in found.items() if not texts]
    if missing:
        raise DataError(
            f"{path} describes {len(classes) - len(missing)} of {len(classes)} classes and lacks "
            + ", ".join(map(repr, missing[:10]))
            + (f" and {len(missing) - 10} more" if len(missing) > 10 else ""),
            _HINT,
        )
    return {name: tuple(texts) for name, texts in found.items()}


def _rows(path: Path, text: str) -> list[tuple[str, str, str]]:
    """Return (place, class, text) of each row."""
    if path.suffix.lower() != ".json":
        return [(place, *_two(values)) for place, values in read_rows(path, text, ("class", "text"), _HINT)]
    rows = []
    for name, value in read_object(path, text, _HINT):
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            raise DataError(f"{path}: {name!r} is followed by no text and no list of texts", _HINT)
        rows += [(repr(name), name.strip(), one.strip()) for one in texts]
    return rows


def _two(values: tuple[str, ...]) -> tuple[str, str]:
    name, described = values
    return name, described


def write_descriptions(
    classes: Sequence[str],
    captioner: str,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, tuple[str, ...]]:
    """Have a captioner write what pictures of each class look like.

    It knows the names alone. Answers are kept in the cache folder under the captioner's fingerprint, so a class is
    asked for once.

    Raises:
        UsageError: this captioner writes no descriptions.
        DataError: it had nothing to say of a class.
        PluginError: it failed, or left a class out. The chunks of classes that it described before are kept.
    """
    with registry().captioner(captioner, options) as writer:
        asked_how = json.dumps(
            [boundary.fingerprint("captioner", writer), prompts.CLASS_INSTRUCTION, prompts.class_turns()]
        )
        key = hashlib.blake2b(asked_how.encode(), digest_size=16).hexdigest()
        store = cache_folder() / "descriptions" / f"{key}.json"
        make_writable_folder(store.parent)
        with FileLock(f"{store}.lock"):
            known = _read_store(store)
            asked = [name for name in dict.fromkeys(classes) if name not in known]
            size = boundary.chunk_size(writer)
            with (progress or NoProgress()).task("Describing classes", total=len(asked), unit="class") as task:
                for start in range(0, len(asked), size):
                    names = asked[start : start + size]
                    known |= boundary.class_descriptions(writer, names)
                    write_json(store, known)
                    task.advance(len(names))
    silent = [name for name in classes if not known[name]]
    if silent:
        raise DataError(
            f"captioner {captioner!r} wrote no usable description of {', '.join(map(repr, silent))}",
            "Write the descriptions yourself (--descriptions FILE), or choose another captioner.",
        )
    return {name: tuple(known[name]) for name in classes}


def _read_store(path: Path) -> dict[str, list[str]]:
    if not path.exists():
        return {}
    try:
        found = read_json(path)
        return {str(name): [str(text) for text in texts] for name, texts in found.items()}
    except (PcclipError, AttributeError, TypeError):  # damaged: it is asked for again
        return {}
