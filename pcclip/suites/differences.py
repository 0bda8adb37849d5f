"""Described differences between classes as what a task asks for: the text of two labels."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip.form import compose, take_apart
from pcclip.types import ClassComparative


class ClassTexts:
    """Looks up how one class differs from another; the other direction is turned round where the form allows.

    Args:
        comparatives: what is described; of several texts of two classes the first one counts.
    """

    def __init__(self, comparatives: Iterable[ClassComparative]) -> None:
        self._texts: dict[tuple[str, str], str] = {}
        for one in comparatives:
            self._texts.setdefault((one.first, one.second), one.text)

    def __call__(self, first: str, second: str) -> str | None:
        """Return how pictures of ``first`` differ from pictures of ``second``, or None where nothing says so."""
        if (first, second) in self._texts:
            return self._texts[first, second]
        sides = take_apart(self._texts.get((second, first), ""))
        return compose(sides[1], sides[0]) if sides else None
