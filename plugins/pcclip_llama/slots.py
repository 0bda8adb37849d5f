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

_ARTICLES = frozenset(("a", "an", "the", "some", "this", "these", "our", "two", "three", "four"))

Stop = Callable[[bytes], "int | None"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A gap for the model to fill.

    Attributes:
        stop: given all bytes written so far, the number of bytes that count once the slot is full,
            or None to go on.
        max_tokens: the most tokens to generate.
        start: text the slot begins with, given and not generated; ``stop`` must not match in it.
    """

    stop: Stop
    max_tokens: int
    start: str = ""


def first_slot(caption: str, max_tokens: int, *, guided: bool = False) -> Slot:
    """Return the slot about the first picture, which ends where its half of the sentence does.

    A caption without a comma gets a slot that ends at the first comma, which spares a token a pair;
    else only a comma with "while" (or its like) ends it. The same holds for full stops.

    Args:
        caption: of the first picture, in one line.
        guided: begin with the caption's first words, which keeps a model from telling of the other picture.
    """
    ends = [r"\n", r",?\s*\b(?:while|whereas)\b", r"[,.]?\s*(?:but|and)? the second\b", r"\.\s+The\b"]
    inner = _inner(caption)
    if "," not in inner and "." not in inner:  # two sentences may be joined by a comma
        ends.append(",")
    if "." not in inner:
        ends.append(r"\.")
    return _slot(ends, max_tokens, caption if guided else "")


def second_slot(caption: str, max_tokens: int, *, guided: bool = False) -> Slot:
    """Return the slot about the second picture, which ends with the sentence.

    A caption with inner full stops gets a slot that runs to the line's end. ``guided`` as above.
    """
    ends = [r"\n", r"\.\s+The first\b"]
    if "." not in _inner(caption):
        ends.append(r"\.")
    return _slot(ends, max_tokens, caption if guided else "")


def sentence_slot(start: str, max_tokens: int) -> Slot:
    """Return the slot of a whole sentence that begins with ``start``, whatever stops that holds."""
    pattern = re.compile(rb"\n|\.")
    given = len(start.encode("utf-8", "replace"))

    def stop(written: bytes) -> int | None:
        match = pattern.search(written, given)
        return match.start() if match else None

    return Slot(stop, max_tokens, start)


def _slot(ends: list[str], max_tokens: int, guide: str) -> Slot:
    """Make the slot; it starts with an article and a word of ``guide``, or else with its first word."""
    stop = _searcher(ends)
    words = [word for word in guide.rstrip(".,;:!?…").split() if any(map(str.isalnum, word))]
    if not words:
        return Slot(stop, max_tokens)
    one, after = words[0], words[1] if len(words) > 1 else ""
    if one.lower() in _ARTICLES:
        one = f"{one.lower()} {after}".rstrip()
    elif one.isalpha() and one.istitle() and after[:1].islower():  # a sentence's capital more often than a name's
        one = one.lower()
    start = f" {one}"
    return Slot(stop, max_tokens, start if stop(f"{start} ".encode("utf-8", "replace")) is None else "")


def _inner(caption: str) -> str:
    return caption.strip().rstrip(".,")


def _searcher(ends: list[str]) -> Stop:
    pattern = re.compile("|".join(ends).encode())

    def stop(written: bytes) -> int | None:
        lead = len(written) - len(written.lstrip())
        match = pattern.search(written, lead)
        return match.start() if match else None

    return stop
