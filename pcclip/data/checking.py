"""``check``: what a data set holds and what is wrong with it, before anything is trained on it."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

from pcclip.data.dataset import Dataset
from pcclip.data.reading import read_all, spread
from pcclip.data.tables import Columns
from pcclip.errors import UsageError
from pcclip.progress import NoProgress, Progress
from pcclip.types import Example, Quarantined

LONG_CAPTION = 300
"""Characters; text towers read 77 tokens, which is about as much, and cut off the rest."""

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Spread:
    """The smallest, middle and largest of some numbers."""

    smallest: float
    median: float
    largest: float


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What :func:`check` found.

    Attributes:
        name: the data set.
        examples: how many are usable.
        set_aside: how many rows are in the quarantine.
        bad_fraction: the share of what was found that is not usable, in [0, 1].
        captions: the number of captions, over all examples.
        caption_characters, caption_words: the spread of their lengths; None without captions.
        long_captions: ids of examples with a caption of more than :data:`LONG_CAPTION` characters.
        duplicate_captions: first captions that several pictures share, with how many, most frequent first.
        labels: the number of examples a label, most frequent first.
        attributes: the number of examples that have an attribute.
        decoded: whether the pictures were decoded; the rest is empty otherwise.
        widths, heights: the spread of the pictures' sizes in pixels, upright; None where none was decoded.
        modes: the number of pictures without (``RGB``) and with transparency (``RGBA``).
        identical_pictures: groups of ids whose files have the same content.
        reasons: the number of quarantined rows a reason.
        quarantined: the rows.
        notes: sentences for a person.
    """

    name: str
    examples: int
    set_aside: int
    bad_fraction: float
    captions: int
    caption_characters: Spread | None
    caption_words: Spread | None
    long_captions: tuple[str, ...]
    duplicate_captions: tuple[tuple[str, int], ...]
    labels: dict[str, int]
    attributes: dict[str, int]
    decoded: bool
    widths: Spread | None
    heights: Spread | None
    modes: dict[str, int]
    identical_pictures: tuple[tuple[str, ...], ...]
    reasons: dict[str, int]
    quarantined: tuple[Quarantined, ...]
    notes: tuple[str, ...]

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The report as lines of a name and a value, for a table."""
        rows = [
            ("data", self.name),
            ("examples", str(self.examples)),
            ("set aside", f"{self.set_aside} ({self.bad_fraction:.1%} of all)" if self.set_aside else "0"),
            *((f"  {reason}", str(number)) for reason, number in self.reasons.items()),
            ("captions", str(self.captions)),
        ]
        if self.caption_characters and self.caption_words:
            rows.append(("  characters", _shown(self.caption_characters)))
            rows.append(("  words", _shown(self.caption_words)))
        if self.long_captions:
            rows.append((f"  longer than {LONG_CAPTION}", f"{len(self.long_captions)} examples; the end is cut off"))
        if self.duplicate_captions:
            pictures = sum(number for _, number in self.duplicate_captions)
            rows.append(("  shared", f"{len(self.duplicate_captions)} captions by {pictures} pictures"))
        rows.append(("labels", _counted(self.labels)))
        rows.append(("attributes", _counted(self.attributes)))
        if self.widths and self.heights:
            rows.append(("width", _shown(self.widths) + " pixels"))
            rows.append(("height", _shown(self.heights) + " pixels"))
            rows.append(("modes", _counted(self.modes)))
        if self.identical_pictures:
            rows.append(("identical files", f"{len(self.identical_pictures)} groups"))
        rows += [("note", note) for note in self.notes]
        return rows

    def to_dict(self) -> dict[str, object]:
        """Return the report as values that JSON can hold."""
        return asdict(self)


def check(
    source: str | Path,
    *,
    images: Path | None = None,
    caption_column: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
    decode: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Read a data set, decode every picture, and report; what is bad is in the report, not raised.

    Args:
        source, images, caption_column, image_column, label_column, limit: as for ``read``.
        decode: whether to decode the pictures.
        workers: threads that decode; by default one a processor, at most 16.
        progress: where to report to.

    Raises:
        DataError: there is nothing at ``source``, or it cannot be told how to read it.
        UsageError: ``limit`` or ``workers`` is less than 1.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers is at least 1, not {workers}")
    columns = Columns(image_column, caption_column, label_column)
    dataset = spread(read_all(source, images=images, columns=columns, progress=progress), limit)
    pictures = _Pictures()
    if decode:
        dataset = _decode(dataset, pictures, workers or min(16, os.cpu_count() or 1), progress)
    captions = [caption for example in dataset for caption in example.captions]
    firsts = Counter(example.caption for example in dataset if example.captions)
    attributes = Counter(key for example in dataset for key in example.attributes)
    return CheckReport(
        name=dataset.name,
        examples=dataset.n,
        set_aside=len(dataset.quarantined),
        bad_fraction=dataset.bad_fraction,
        captions=len(captions),
        caption_characters=_spread([len(caption) for caption in captions]),
        caption_words=_spread([len(caption.split()) for caption in captions]),
        long_captions=tuple(e.id for e in dataset if any(len(caption) > LONG_CAPTION for caption in e.captions)),
        duplicate_captions=tuple((text, number) for text, number in firsts.most_common() if number > 1),
        labels=dataset.label_counts,
        attributes=dict(attributes),
        decoded=decode,
        widths=_spread(pictures.widths),
        heights=_spread(pictures.heights),
        modes=dict(pictures.modes),
        identical_pictures=tuple(tuple(ids) for ids in pictures.by_digest.values() if len(ids) > 1),
        reasons=dataset.reasons,
        quarantined=dataset.quarantined,
        notes=dataset.notes,
    )


@dataclass(frozen=True, slots=True)
class _Decoded:
    size: tuple[int, int]
    mode: str
    digest: bytes


class _Pictures:
    def __init__(self) -> None:
        self.widths: list[int] = []
        self.heights: list[int] = []
        self.modes: Counter[str] = Counter()
        self.by_digest: dict[bytes, list[str]] = {}

    def add(self, id: str, one: _Decoded) -> None:
        self.widths.append(one.size[0])
        self.heights.append(one.size[1])
        self.modes[one.mode] += 1
        self.by_digest.setdefault(one.digest, []).append(id)


def _decode(dataset: Dataset, pictures: _Pictures, workers: int, progress: Progress | None) -> Dataset:
    kept: list[Example] = []
    aside: list[Quarantined] = []
    with (progress or NoProgress()).task("decoding pictures", dataset.n, "picture") as task:
        for example, outcome in _in_threads(_decode_one, dataset.examples, workers):
            task.advance()
            if isinstance(outcome, _Decoded):
                kept.append(example)
                pictures.add(example.id, outcome)
            else:
                aside.append(outcome)
    return replace(dataset, examples=tuple(kept), quarantined=(*dataset.quarantined, *aside))


def _decode_one(example: Example) -> _Decoded | Quarantined:
    from pcclip.data.pictures import PictureError, open_picture, picture_digest

    try:
        picture = open_picture(example.image)
        return _Decoded(picture.size, picture.mode, picture_digest(example.image))
    except PictureError as error:
        return Quarantined(example.id, "read", error.reason, error.detail)


def _in_threads(
    work: Callable[[Example], _Decoded | Quarantined], items: Sequence[Example], workers: int
) -> Iterator[tuple[Example, _Decoded | Quarantined]]:
    """Yield every item with its outcome, in order; no more than a few hundred are waiting at a time."""
    pool = ThreadPoolExecutor(workers)
    todo: Iterator[Example] = iter(items)
    waiting: deque[tuple[Example, Future[_Decoded | Quarantined]]] = deque()
    try:
        while True:
            for item in islice(todo, 8 * workers - len(waiting)):
                waiting.append((item, pool.submit(work, item)))
            if not waiting:
                return
            item, future = waiting.popleft()
            yield item, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _spread(numbers: Iterable[int]) -> Spread | None:
    ordered = sorted(numbers)
    if not ordered:
        return None
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Spread(ordered[0], median, ordered[-1])


def _shown(spread: Spread) -> str:
    return f"{spread.smallest:g} to {spread.largest:g}, median {spread.median:g}"


def _counted(counts: dict[str, int]) -> str:
    listed = ", ".join(f"{name} {number}" for name, number in islice(counts.items(), _SHOWN))
    return (listed or "none") + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")
