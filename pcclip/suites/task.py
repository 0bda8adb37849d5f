"""What a suite is made of: tasks, each a data set with the measures to take on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pcclip.errors import UsageError
from pcclip.form import compose
from pcclip.progress import Progress
from pcclip.types import Example, Quarantined

MEASURES = ("difference", "ranking", "zero-shot", "strategies", "retrieval", "geometry", "composed", "probe")
"""Names of the groups of measures that a task can ask for."""


PARTS = frozenset({"captions", "classes"})
"""What results call texts of pictures' captions and texts about classes: no attribute can be called so."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something in which pictures differ, and how that is said.

    Attributes:
        name: key in :attr:`Example.attributes`; examples without a number there have no say.
        more: text true of (first, second) where the first picture's value is the larger one.
        less: text of the opposite order.
        phrase: what to rank by, such as ``a large animal``; ``more`` where it is empty.

    Raises:
        UsageError: the name is one of :data:`PARTS`.
    """

    name: str
    more: str
    less: str
    phrase: str = ""

    def __post_init__(self) -> None:
        if self.name in PARTS:
            raise UsageError(
                f"an attribute cannot be called {self.name!r}: results call texts of another kind so",
                "Rename the column.",
            )

    @classmethod
    def between(cls, name: str, more: str, less: str, phrase: str = "") -> Attribute:
        """Return the attribute whose texts say that one picture shows ``more`` where the other one shows ``less``."""
        return cls(name, compose(more, less), compose(less, more), phrase)


@dataclass(frozen=True, slots=True)
class ClassWords:
    """How pictures of two labels differ, from what sets each label off.

    Attributes:
        words: what pictures of a label show, such as ``a bird with feathers``.
    """

    words: Mapping[str, str]

    def __call__(self, first: str, second: str) -> str | None:
        if first == second or first not in self.words or second not in self.words:
            return None
        return compose(self.words[first], self.words[second])


@dataclass(frozen=True, slots=True)
class Protocol:
    """How often and of how much a measure over pairs is taken.

    Attributes:
        seeds: draws of pictures; the measure's mean and standard error are over them.
        pictures: drawn a seed, or None for all.
        pairs: the most pairs a seed, or None for all pairs of the pictures drawn.
        shots: labelled pictures a class of the linear probe.
    """

    seeds: int = 5
    pictures: int | None = 100
    pairs: int | None = None
    shots: int = 16


@dataclass(frozen=True, slots=True)
class Task:
    """A data set that has been read, with what is asked of it.

    Attributes:
        name: what tables call it.
        measures: names of the measures to take, in the order of the tables; see :mod:`pcclip.evaluation`.
        examples: the test pictures.
        support: labelled pictures that are no test pictures: the shots of a probe, the validation split.
        quarantined: what was set aside while reading.
        class_names: the words for a class in prompts, by label; a label without an entry is its own.
        template: class prompt, ``{label}`` where the words go.
        attributes: numeric attributes with their sentences.
        class_difference: the text that says how the first of two labels differs from the second, or None for none.
        protocol: how often and of how much.
        source: where the data comes from, for the report.
        notes: sentences for a person about choices that reading made.
    """

    name: str
    measures: tuple[str, ...]
    examples: tuple[Example, ...]
    support: tuple[Example, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    class_names: Mapping[str, str] = field(default_factory=dict)
    template: str = "This is a photo of a {label}"
    attributes: tuple[Attribute, ...] = ()
    class_difference: Callable[[str, str], str | None] | None = None
    protocol: Protocol = Protocol()
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The different labels of the test pictures, sorted."""
        return tuple(sorted({example.label for example in self.examples if example.label is not None}))


def repeated(names: Iterable[str]) -> str | None:
    """Return the first of the names that comes more than once, or None."""
    counts = Counter(names)
    return next((name for name, count in counts.items() if count > 1), None)


class TaskSource(ABC):
    """Where a task comes from; reading waits until it is asked for."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The task's name."""

    @abstractmethod
    def load(self, root: Path | None, progress: Progress | None = None) -> Task:
        """Read the task.

        Args:
            root: folder of data sets in their published layouts (``--data``), for sources that need one.

        Raises:
            DataError: it is not there or cannot be read. The evaluation reports that and leaves the task out.
        """


@dataclass(frozen=True, slots=True)
class Suite:
    """Tasks that are run together.

    Attributes:
        name: ``paper``, ``stamps``, or a file's name.
        sources: at least one.
    """

    name: str
    sources: Sequence[TaskSource]
