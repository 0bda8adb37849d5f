"""What described differences did to predictions, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pcclip.embeddings import EmbeddedFiles
from pcclip.errors import UsageError
from pcclip.interfaces import Classifier
from pcclip.types import ClassComparative, ClassKnowledge, FloatArray


@dataclass(frozen=True, slots=True)
class PairEffect:
    """What the described difference of two classes did.

    Attributes:
        first, second: the classes.
        texts: what was said of them, in either direction.
        to_first: pictures that were the second class's before and are the first's now.
        to_second: the other way round.
        rightly: how many of both went to the class of their label, or None where no label is known.
        wrongly: how many of both were in the class of their label before, or None as above. A picture of a
            third class is neither.
    """

    first: str
    second: str
    texts: tuple[str, ...]
    to_first: int
    to_second: int
    rightly: int | None
    wrongly: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What described differences did to predictions.

    Attributes:
        pairs: each described pair, in the order of the comparatives.
        pictures: how many pictures were looked at.
        labelled: of how many of them the label is known.
        moved: how many changed their class at all; those outside of ``pairs`` went from or to a third class.
        rightly, wrongly: of all that moved, as in :class:`PairEffect`.
    """

    pairs: tuple[PairEffect, ...]
    pictures: int
    labelled: int
    moved: int
    rightly: int | None
    wrongly: int | None

    @property
    def summary(self) -> str:
        """One sentence for a person."""
        inside = sum(pair.to_first + pair.to_second for pair in self.pairs)
        said = (
            f"{self.moved} of {self.pictures} pictures changed their class, {inside} of them between a described pair"
        )
        if self.rightly is None:
            return f"{said}. No labels are known."
        return f"{said}; {self.rightly} rightly, {self.wrongly} wrongly ({self.labelled} labels are known)."

    def table(self) -> list[dict[str, Any]]:
        """Return a row a pair for a person."""
        return [
            {
                "first": pair.first,
                "second": pair.second,
                "to first": pair.to_first,
                "to second": pair.to_second,
                "rightly": pair.rightly,
                "wrongly": pair.wrongly,
                "text": " / ".join(pair.texts),
            }
            for pair in self.pairs
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "pairs": [{**asdict(pair), "texts": list(pair.texts)} for pair in self.pairs]}


def explain(
    classifier: Classifier,
    comparatives: Sequence[ClassComparative],
    embeddings: FloatArray,
    labels: Sequence[str | None] | None = None,
) -> Explanation:
    """Compare a classifier's predictions with those of its baseline, which knows no described differences.

    Labels are read here and nowhere before: they only count what is already predicted.

    Args:
        embeddings: (n, dim) unit rows.
        labels: n, None where it is not known.

    Raises:
        UsageError: the classifier has no baseline, or the number of labels is another.
    """
    if classifier.baseline is None:
        raise UsageError(
            "nothing to explain: this strategy does not say what it does without described differences",
            "Explain comparative or fudd; a strategy of your own gives its classifier a baseline.",
        )
    if labels is not None and len(labels) != len(embeddings):
        raise UsageError(f"{len(labels)} labels do not fit {len(embeddings)} pictures")
    index = {name: place for place, name in enumerate(classifier.classes)}
    before = classifier.baseline.predict(embeddings).indices[:, 0]
    after = classifier.predict(embeddings).indices[:, 0]
    truth = np.array([index.get(label, -1) if label is not None else -1 for label in labels or [None] * len(after)])
    known = bool((truth >= 0).any())
    moved = before != after

    def right(rows: np.ndarray) -> int | None:
        return int((after[rows] == truth[rows]).sum()) if known else None

    def wrong(rows: np.ndarray) -> int | None:
        return int((before[rows] == truth[rows]).sum()) if known else None

    effects = []
    for (first, second), texts in _by_pair(comparatives).items():
        a, b = index[first], index[second]
        to_first, to_second = (before == b) & (after == a), (before == a) & (after == b)
        both = to_first | to_second
        effects.append(
            PairEffect(first, second, texts, int(to_first.sum()), int(to_second.sum()), right(both), wrong(both))
        )
    return Explanation(
        tuple(effects), len(after), int((truth >= 0).sum()), int(moved.sum()), right(moved), wrong(moved)
    )


def explain_files(classifier: Classifier, knowledge: ClassKnowledge, embedded: EmbeddedFiles) -> Explanation:
    """Explain predictions of picture files.

    The label of one is the folder it lies in, where that is named like a class. Pictures that are also among the
    labelled ones of ``knowledge`` are no test of what was chosen on these: their labels count as not known.
    """
    support = knowledge.support
    shown = {row.tobytes() for row in support.embeddings} if support is not None else set()
    labels = [
        path.absolute().parent.name if row.tobytes() not in shown else None
        for path, row in zip(embedded.paths, embedded.embeddings, strict=True)
    ]
    return explain(classifier, knowledge.comparatives, embedded.embeddings, labels)


def _by_pair(comparatives: Sequence[ClassComparative]) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for comparative in comparatives:
        pair = (comparative.first, comparative.second)
        key = pair[::-1] if pair[::-1] in found else pair
        found[key] = (*found.get(key, ()), comparative.text)
    return found
