"""The one sentence every answer has, as text to feed and slots to fill, and where a slot ends.

Only what stands between the fixed words has to be generated. A slot's end is found in bytes, for a
token may end inside a character.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

OPENING = "The first image shows"
MIDDLE = ", while the second image shows"

Stop = Callable[[bytes], "int | None"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A gap for the model to fill.

    Attributes:
        stop: given all bytes written so far, the number of bytes that count once the slot is full,
            or None to go on.
        max_tokens: the most tokens to generate.
    """

    stop: Stop
    max_tokens: int


def first_slot(caption: str, max_tokens: int) -> Slot:
    """Return the slot about the first picture, which ends where its half of the sentence does.

    A caption without a comma gets a slot that ends at the first comma, which spares a token a pair;
    else only a comma with "while" (or its like) ends it. The same holds for full stops.
    """
    ends = [r"\n", r",?\s*\b(?:while|whereas)\b", r"[,.]?\s*(?:but|and)? the second\b", r"\.\s+The\b"]
    inner = _inner(caption)
    if "," not in inner:
        ends.append(",")
    if "." not in inner:
        ends.append(r"\.")
    return Slot(_searcher(ends), max_tokens)


def second_slot(caption: str, max_tokens: int) -> Slot:
    """Return the slot about the second picture: to the full stop, or to the line's end if the caption has inner ones."""
    ends = [r"\n", r"\.\s+The first\b"]
    if "." not in _inner(caption):
        ends.append(r"\.")
    return Slot(_searcher(ends), max_tokens)


def _inner(caption: str) -> str:
    return caption.strip().rstrip(".,")


def _searcher(ends: list[str]) -> Stop:
    pattern = re.compile("|".join(ends).encode())

    def stop(written: bytes) -> int | None:
        lead = len(written) - len(written.lstrip())
        match = pattern.search(written, lead)
        return match.start() if match else None

    return stop
