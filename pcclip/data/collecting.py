"""Where every reader puts what it finds: makes examples, and sets aside with a reason what is not usable.

Reasons of the stage ``read``: ``missing-file``, ``not-a-file``, ``empty-file``, ``remote-file``,
``missing-caption``, ``empty-caption``, ``not-utf8``, ``unreadable-row``, ``unreadable-folder``,
``missing-label``, ``duplicate``, ``conflicting-label``, ``unknown-image``, ``missing-picture`` and
``bad-attribute``; the last one costs an example one value, the others cost the example.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pcclip.data.dataset import Dataset
from pcclip.types import Example, Quarantined

_DETAIL_LENGTH = 300
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_NOT_A_NUMBER = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)


def clean_id(text: str) -> str:
    """Return a text that UTF-8 can hold: bytes of a file name that are not UTF-8 become ``\\xNN``."""
    raw = text.encode("utf-8", "surrogateescape" if _escaped(text) else "surrogatepass")
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _escaped(text: str) -> bool:
    return all(not "\ud800" <= char <= "\udfff" or "\udc80" <= char <= "\udcff" for char in text)


def parse_value(text: str) -> float | str | None:
    """Return a cell as a number, a text, or None where it is empty; ``nan`` and ``inf`` come as such numbers."""
    text = text.strip()
    if not text:
        return None
    if _NUMBER.fullmatch(text) or _NOT_A_NUMBER.fullmatch(text):
        return float(text)
    return text


def label_caption(label: str) -> str:
    """Return ``a photo of a {label}`` with the underscores and plus signs of folder names as spaces."""
    return f"a photo of a {' '.join(re.sub('[_+]', ' ', label).split())}"


@dataclass
class _Draft:
    image: Path
    captions: list[str] = field(default_factory=list)
    label: str | None = None
    attributes: dict[str, float | str] = field(default_factory=dict)


class Collector:
    """Gathers examples under unique ids, in the order in which they were found.

    Args:
        name: the data set's name.
        merge: whether a further entry with a known id adds its captions (rows of a table), or is a duplicate.
    """

    def __init__(self, name: str, *, merge: bool = False) -> None:
        self.name = name
        self.merge = merge
        self.notes: list[str] = []
        self._drafts: dict[str, _Draft] = {}
        self._rows: list[Quarantined] = []
        self._differing: Counter[str] = Counter()

    def set_aside(self, id: str, reason: str, detail: str = "") -> None:
        """Add a row to the quarantine."""
        detail = clean_id(detail)
        if len(detail) > _DETAIL_LENGTH:
            detail = detail[:_DETAIL_LENGTH] + "…"
        self._rows.append(Quarantined(clean_id(id), "read", reason, detail))

    def add(
        self,
        id: str,
        image: Path,
        captions: Iterable[str],
        *,
        label: str | None = None,
        attributes: Mapping[str, float | str] | None = None,
        where: str = "",
    ) -> bool:
        """Add an example, or set it aside.

        Args:
            id: unique and stable between runs.
            image: the picture file; looked at, not decoded.
            captions: its captions; empty ones do not count.
            label: its class, or None.
            attributes: known values; a value that is not finite is set aside.
            where: the place it came from, such as ``line 12``, for messages.

        Returns:
            True where it is (part of) an example now.
        """
        id = clean_id(id)
        at = f"{where}: " if where else ""
        texts = list(dict.fromkeys(text for caption in captions if (text := clean_id(caption).strip())))
        known = self._drafts.get(id)
        if known is not None and not self.merge:
            self.set_aside(id, "duplicate", f"{at}another example has this id")
            return False
        if known is None and (problem := file_problem(image)):
            self.set_aside(id, problem[0], at + problem[1])
            return False
        if not texts:
            self.set_aside(id, "empty-caption", f"{at}the caption is empty")
            return False
        if known is not None and label is not None and known.label is not None and label != known.label:
            self.set_aside(id, "conflicting-label", f"{at}label {label!r}, and {known.label!r} in an earlier row")
            return False
        if known is not None and all(text in known.captions for text in texts):
            self.set_aside(id, "duplicate", f"{at}the same picture with the same caption as in an earlier row")
            return False
        draft = self._drafts.setdefault(id, _Draft(image))
        draft.captions.extend(text for text in texts if text not in draft.captions)
        draft.label = draft.label if label is None else label
        for key, value in (attributes or {}).items():
            if isinstance(value, float) and not math.isfinite(value):
                self.set_aside(id, "bad-attribute", f"{at}{key} is {value}, not a finite number; left out")
            elif draft.attributes.setdefault(key, value) != value:
                self._differing[key] += 1
        return True

    def finish(self) -> Dataset:
        """Return the data set as gathered so far."""
        notes = list(self.notes)
        for key, number in sorted(self._differing.items()):
            notes.append(f"{number} rows give a picture another {key!r} than an earlier row; the first one is kept.")
        examples = tuple(
            Example(id, draft.image, tuple(draft.captions), draft.label, draft.attributes)
            for id, draft in self._drafts.items()
        )
        return Dataset(self.name, examples, tuple(self._rows), tuple(notes))


def file_problem(path: Path) -> tuple[str, str] | None:
    """Return the reason why a path cannot be a picture file and a detail, or None where it can."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return "missing-file", f"there is no file {os.fspath(path)!r}"
    except (OSError, ValueError) as error:
        return "missing-file", f"{os.fspath(path)!r}: {getattr(error, 'strerror', None) or error}"
    if not stat.S_ISREG(status.st_mode):
        return "not-a-file", f"{os.fspath(path)!r} is not a regular file"
    if status.st_size == 0:
        return "empty-file", f"{os.fspath(path)!r} has no content"
    return None
