"""The values that travel between the stages: frozen, and checked where they are made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from pcclip.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FloatArray: TypeAlias = "NDArray[np.float32]"  # a string: numpy is not imported for a name
PairStrategy: TypeAlias = Literal["random", "similar", "by-label", "attribute"]
Confusable: TypeAlias = Literal["similar", "predictions", "validation"]


@dataclass(frozen=True, slots=True)
class Example:
    """One picture with what is known about it.

    Attributes:
        id: unique in its data set and stable between runs (a relative path, or the user's own id).
        image: path of the picture file.
        captions: texts that describe it; the first one is used to write comparatives. May be empty.
        label: its class, where the data has classes.
        attributes: known values by attribute name, such as ``{"size": 0.4, "colour": "red"}``.
    """

    id: str
    image: Path
    captions: tuple[str, ...] = ()
    label: str | None = None
    attributes: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def caption(self) -> str:
        """The first caption, or an empty string."""
        return self.captions[0] if self.captions else ""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something that was set aside, and why: one row of ``quarantine.csv``.

    Attributes:
        id: the example's id or the place in the file it came from.
        stage: where it was set aside: ``read``, ``embed`` or ``describe``.
        reason: a short fixed word for counting, such as ``missing-file``.
        detail: what exactly, for a person.
    """

    id: str
    stage: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CaptionPair:
    """Two captions whose difference is to be put in words, in this direction: first against second."""

    first: str
    second: str

    def __post_init__(self) -> None:
        if not self.first.strip() or not self.second.strip():
            raise UsageError(f"a caption pair needs two captions, not {self.first!r} and {self.second!r}")

    @property
    def key(self) -> str:
        """A hash of both captions, 32 hexadecimal digits: what the store files the answer under."""
        digest = hashlib.blake2b(digest_size=16)
        for caption in (self.first, self.second):
            raw = caption.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "little"))
            digest.update(raw)
        return digest.hexdigest()

    @property
    def reversed(self) -> CaptionPair:
        """The same captions in the other direction."""
        return CaptionPair(self.second, self.first)


@dataclass(frozen=True, slots=True)
class Comparative:
    """Text that says how the first caption of a pair differs from the second (``t_ij``)."""

    pair: CaptionPair
    text: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise UsageError("a comparative needs a text; an empty answer is a Rejection")


@dataclass(frozen=True, slots=True)
class Rejection:
    """A pair that got no usable comparative.

    Attributes:
        pair: the pair that was asked for.
        reason: a short fixed word for counting, such as ``echo`` or ``order-swapped``.
        text: what the captioner wrote, for a person to judge.
    """

    pair: CaptionPair
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ClassComparative:
    """Text that says how pictures of class ``first`` differ from pictures of class ``second``."""

    first: str
    second: str
    text: str

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise UsageError(f"a class comparative needs two classes, not {self.first!r} twice")
        if not self.text.strip():
            raise UsageError(f"the comparative of {self.first!r} against {self.second!r} is empty")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledEmbeddings:
    """Pictures whose class is known and that nobody will be tested on: examples to learn from, or a validation split.

    Attributes:
        embeddings: (n, dim) float32 unit rows f(I), n at least 1.
        labels: n class names.
    """

    embeddings: FloatArray
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        import numpy as np

        rows = self.embeddings
        if rows.ndim != 2 or len(rows) != len(self.labels):
            raise UsageError(f"embeddings of shape {rows.shape} do not fit {len(self.labels)} labels")
        if not len(rows):
            raise UsageError("there are no labelled pictures")
        norms = np.linalg.norm(rows, axis=1)
        bad = np.flatnonzero(~(np.abs(norms - 1) < 1e-3))  # NaN is not near 1 either
        if len(bad):
            raise UsageError(f"row {bad[0]} of the labelled embeddings is no unit vector: its norm is {norms[bad[0]]}")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class ClassKnowledge:
    """The classes to tell apart, and what is known about them.

    It holds nothing about the pictures that are to be classified, so what a strategy makes of it cannot
    depend on their labels.

    Attributes:
        names: at least two class names, all different.
        comparatives: described differences between pairs of classes.
        descriptions: texts about a class, by class name.
        support: labelled pictures, which are none of those to be classified.
    """

    names: tuple[str, ...]
    comparatives: tuple[ClassComparative, ...] = ()
    descriptions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    support: LabelledEmbeddings | None = None

    def __post_init__(self) -> None:
        if any(not name.strip() for name in self.names):
            raise UsageError("a class name is empty", "Give the classes as a comma-separated list: cat,dog,horse")
        duplicates = sorted({name for name in self.names if self.names.count(name) > 1})
        if duplicates:
            raise UsageError(f"class named twice: {', '.join(map(repr, duplicates))}", "Give each class once.")
        if len(self.names) < 2:
            raise UsageError(
                f"classification needs at least two classes, got {list(self.names)}",
                "Give them as a comma-separated list: cat,dog,horse",
            )
        known = set(self.names)
        for comparative in self.comparatives:
            for name in (comparative.first, comparative.second):
                if name not in known:
                    raise UsageError(
                        f"a comparative names the unknown class {name!r}",
                        f"The classes are: {', '.join(self.names)}",
                    )
        for name in self.descriptions:
            if name not in known:
                raise UsageError(
                    f"a description names the unknown class {name!r}", f"The classes are: {', '.join(self.names)}"
                )
        unknown = sorted(set(self.support.labels) - known) if self.support is not None else []
        if unknown:
            raise UsageError(
                f"a labelled picture is of the unknown class {unknown[0]!r}",
                f"The classes are: {', '.join(self.names)}",
            )


class TopClasses(NamedTuple):
    """The best classes of n pictures, the best first.

    Attributes:
        indices: (n, top) int64, places in ``Classifier.classes``.
        scores: (n, top) float32.
    """

    indices: NDArray[np.int64]
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a strategy says of one picture.

    Attributes:
        image: the picture's path as given.
        label: the class with the largest score.
        scores: the score of every class, a cosine for linear strategies.
    """

    image: str
    label: str
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which of two pictures fits a described difference.

    Attributes:
        first, second: the two pictures' paths as given.
        text: the described difference, which speaks of the first picture against the second.
        cosine: ``<g(text), N(f(first) - f(second))>``, in [-1, 1].
        holds: True where the text fits this order of the pictures (cosine above 0).
    """

    first: str
    second: str
    text: str
    cosine: float
    holds: bool


@dataclass(frozen=True, slots=True)
class Ranked:
    """One picture's place in a ranking by a described attribute.

    Attributes:
        image: the picture's path as given.
        score: ``<g(text), f(image)>``, a cosine.
    """

    image: str
    score: float
