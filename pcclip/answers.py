"""What captioners made of the pairs they were asked for: rates of acceptance and rejection, with examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcclip.comparatives import ComparativeStore
from pcclip.form import reverse
from pcclip.types import Comparative, Rejection

if TYPE_CHECKING:
    from pcclip.interfaces import Embedder

ACCEPTED = "accepted"


@dataclass(slots=True)
class CaptionerReport:
    """The answers of one captioner.

    Attributes:
        captioner: its fingerprint.
        label: what a person calls it, where that is known.
        asked: pairs it was asked for.
        counts: answers by outcome: ``accepted`` or a reason of rejection.
        examples: a few answers of each outcome, the first ones stored.
        reversible: accepted answers whose form gives the reversed comparative.
        too_long: accepted answers that the text tower would cut, or None where no tower was given.
    """

    captioner: str
    label: str | None = None
    asked: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Comparative | Rejection]] = field(default_factory=dict)
    reversible: int = 0
    too_long: int | None = None

    @property
    def accepted(self) -> int:
        return self.counts.get(ACCEPTED, 0)

    @property
    def outcomes(self) -> Mapping[str, int]:
        """The counts, ``accepted`` first, then the reasons by frequency."""
        rest = sorted(
            (item for item in self.counts.items() if item[0] != ACCEPTED), key=lambda item: (-item[1], item[0])
        )
        return {ACCEPTED: self.accepted, **dict(rest)}

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the examples as JSON values."""
        return {
            "captioner": self.captioner,
            "label": self.label,
            "asked": self.asked,
            "accepted": self.accepted,
            "rejected": {outcome: number for outcome, number in self.outcomes.items() if outcome != ACCEPTED},
            "reversible": self.reversible,
            "too_long": self.too_long,
        }


def report(store: ComparativeStore, *, examples: int = 2, embedder: Embedder | None = None) -> list[CaptionerReport]:
    """Return a report for each captioner that has answers in the store.

    Args:
        examples: how many answers of each outcome to keep.
        embedder: whose text tower the accepted texts are held against, for the truncation rate.
    """
    labels = store.captioners()
    reports = {fingerprint: CaptionerReport(fingerprint, label) for fingerprint, label in labels.items()}
    for fingerprint, answer in store.all():
        found = reports[fingerprint]
        outcome = answer.reason if isinstance(answer, Rejection) else ACCEPTED
        found.asked += 1
        found.counts[outcome] = found.counts.get(outcome, 0) + 1
        kept = found.examples.setdefault(outcome, [])
        if len(kept) < examples:
            kept.append(answer)
        if isinstance(answer, Comparative):
            found.reversible += reverse(answer) is not None
            if embedder is not None:
                cut = embedder.token_count(answer.text) > embedder.context_length
                found.too_long = (found.too_long or 0) + cut
    return list(reports.values())
