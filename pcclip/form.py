"""The one form of a comparative, and what follows from it: composing, taking apart, turning round."""

from __future__ import annotations

import re

from pcclip.types import Comparative

_FORM = re.compile(
    r"\s*the first (?:image|picture|photo)?\s*shows\s+(?P<first>.+?),\s*(?:while|whereas|and|but) "
    r"the second (?:image|picture|photo)?\s*shows\s+(?P<second>.+?)\s*\.?\s*",
    re.IGNORECASE | re.DOTALL,
)


def compose(first: str, second: str) -> str:
    """Return ``The first image shows {first}, while the second image shows {second}.``"""
    return f"The first image shows {first}, while the second image shows {second}."


def take_apart(text: str) -> tuple[str, str] | None:
    """Return what is said of the first and of the second picture, or None where the form is another."""
    match = _FORM.fullmatch(text)
    return (match["first"].strip(), match["second"].strip()) if match else None


def reverse(comparative: Comparative) -> Comparative | None:
    """Return the comparative of the reversed pair, or None where the form does not allow it."""
    sides = take_apart(comparative.text)
    if sides is None:
        return None
    first, second = sides
    return Comparative(comparative.pair.reversed, compose(second, first))
