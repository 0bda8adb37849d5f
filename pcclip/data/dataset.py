"""A data set that has been read: its examples, and what was set aside with the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pcclip.errors import DataError, UsageError
from pcclip.types import Example, Quarantined

KEEPS_EXAMPLE = frozenset({"bad-attribute"})
"""Reasons that set aside one value of an example and keep the example itself."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Captioned pictures in a fixed order.

    Attributes:
        name: what it is called in messages and reports.
        examples: the usable examples; their ids are unique.
        quarantined: one row for everything that was set aside.
        notes: sentences for a person about choices that reading made.
    """

    name: str
    examples: tuple[Example, ...]
    quarantined: tuple[Quarantined, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @property
    def n(self) -> int:
        """The number of usable examples."""
        return len(self.examples)

    @property
    def labels(self) -> tuple[str, ...]:
        """The different labels, sorted; examples without a label add nothing."""
        return tuple(sorted({example.label for example in self.examples if example.label is not None}))

    @property
    def label_counts(self) -> dict[str, int]:
        """The number of examples a label, most frequent first."""
        counts = Counter(example.label for example in self.examples if example.label is not None)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def reasons(self) -> dict[str, int]:
        """The number of quarantined rows a reason, most frequent first."""
        counts = Counter(row.reason for row in self.quarantined)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def bad_fraction(self) -> float:
        """What share of all that was found is not usable, in [0, 1]; 0 for nothing at all.

        A row that cost an example only one attribute does not count.
        """
        bad = sum(row.reason not in KEEPS_EXAMPLE for row in self.quarantined)
        return bad / (bad + self.n) if bad else 0.0

    def require(self, max_bad_fraction: float) -> Dataset:
        """Return this data set where it is good enough to work with.

        Args:
            max_bad_fraction: the largest share of bad rows to accept, in [0, 1].

        Raises:
            DataError: no example is left, or more than that share was set aside; names the reasons.
            UsageError: ``max_bad_fraction`` is not in [0, 1].
        """
        if not 0 <= max_bad_fraction <= 1:
            raise UsageError(f"max_bad_fraction is a share between 0 and 1, not {max_bad_fraction!r}")
        if not self.examples:
            raise DataError(f"{self.name}: no usable example. {self.bad_summary()}", _NEXT_STEP)
        if self.bad_fraction > max_bad_fraction:
            raise DataError(
                f"{self.name}: {self.bad_fraction:.1%} of it was set aside, more than the accepted "
                f"{max_bad_fraction:.1%}. {self.bad_summary()}",
                f"{_NEXT_STEP} Or accept it with --max-bad-fraction {min(1.0, self.bad_fraction + 0.01):.2f}",
            )
        return self

    def bad_summary(self) -> str:
        """Return one sentence with the counts by reason and up to two examples."""
        if not self.quarantined:
            return "Nothing was set aside."
        counts = ", ".join(f"{number} {reason}" for reason, number in self.reasons.items())
        shown = "; ".join(
            f"{row.id!r} ({row.reason}{': ' + row.detail if row.detail else ''})" for row in self.quarantined[:2]
        )
        return f"Set aside: {counts}. For example {shown}."


_NEXT_STEP = "See all of it with: pcclip data check DATA"
