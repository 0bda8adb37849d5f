"""Comparatives that say only what differs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pcclip.form import compose
from pcclip.interfaces import Captioner
from pcclip.types import CaptionPair, Comparative, Rejection
from pcclip_distinct.options import DistinctOptions

_VERSION = 1  # raise it when the same captions would get another text


class Distinct(Captioner):
    """Cuts each caption before its prepositions and leaves out the parts that the other caption has too.

    The first part, the thing itself, always stays. Rejects pairs of which nothing different is left
    (``nothing-differs``).
    """

    def __init__(self, options: DistinctOptions) -> None:
        self._prepositions = options.prepositions
        words = "|".join(map(re.escape, options.prepositions))
        self._cut = re.compile(rf"\s+(?=(?:{words})\b)", re.IGNORECASE)

    @property
    def fingerprint(self) -> str:
        return f"distinct-{_VERSION}-{'-'.join(self._prepositions)}"

    @property
    def label(self) -> str:
        return "distinct"

    def describe(self, pairs: Sequence[CaptionPair]) -> Iterator[Comparative | Rejection]:
        for pair in pairs:
            first, second = self._parts(pair.first), self._parts(pair.second)
            said_first, said_second = _without(first, second), _without(second, first)
            text = compose(said_first, said_second)
            same = said_first.casefold() == said_second.casefold()
            yield Rejection(pair, "nothing-differs", text) if same else Comparative(pair, text)

    def _parts(self, caption: str) -> list[str]:
        line = " ".join(caption.split()).rstrip(" .") or caption.strip()
        article, _, rest = line.partition(" ")
        if article in ("A", "An", "The"):
            line = f"{article.lower()} {rest}"
        return self._cut.split(line)


def _without(parts: list[str], others: list[str]) -> str:
    known = {part.casefold() for part in others}
    return " ".join([parts[0], *(part for part in parts[1:] if part.casefold() not in known)])
