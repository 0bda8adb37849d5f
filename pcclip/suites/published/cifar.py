"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary version: the usual one is pickles, which run code."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcclip.data.cache import made_once
from pcclip.data.pictures import picture_digest
from pcclip.errors import DataError
from pcclip.files import cache_folder
from pcclip.progress import NoProgress, Progress
from pcclip.suites.published.downloads import fetch_cifar10, fetch_cifar100
from pcclip.suites.published.layout import PROTOCOL, SUPPORT_A_CLASS, Layout, notes_on_classes, read_lines
from pcclip.suites.splitting import few_of_each
from pcclip.suites.task import Attribute, Task
from pcclip.types import Example

SIDE = 32
_PIXELS = 3 * SIDE * SIDE

CIFAR10 = Layout(
    "CIFAR-10, binary version",
    ("cifar-10-batches-bin", "cifar-10-binary/cifar-10-batches-bin"),
    (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin", "batches.meta.txt"),
    "cifar-10-binary.tar.gz (162 MB) from https://www.cs.toronto.edu/~kriz/cifar.html; the python version is pickles, "
    "which are never read",
    fetch_cifar10,
)
CIFAR100 = Layout(
    "CIFAR-100, binary version",
    ("cifar-100-binary", "cifar-100-binary/cifar-100-binary"),
    ("train.bin", "test.bin", "fine_label_names.txt"),
    "cifar-100-binary.tar.gz (161 MB) from https://www.cs.toronto.edu/~kriz/cifar.html; the python version is pickles, "
    "which are never read",
    fetch_cifar100,
)

LARGE = ("camel", "leopard", "lion", "wolf")
SMALL = ("hamster", "rabbit", "shrew", "squirrel")
SIZE = Attribute(
    "large",
    "The first image contains a larger animal, while the second contains a smaller animal.",
    "The first image contains a smaller animal, while the second contains a larger animal.",
    "a large animal",
)
"""The groups and the sentences of the paper."""


def read_cifar10(folder: Path, progress: Progress | None = None) -> Task:
    """Read CIFAR-10: the test batch, and 32 training pictures of each class beside it.

    Raises:
        DataError: a file is cut off, or holds a label that has no name.
    """
    names = read_lines(folder / "batches.meta.txt")
    batches = [folder / f"data_batch_{number}.bin" for number in range(1, 6)]
    test, support = _pictures("cifar-10", batches, folder / "test_batch.bin", names, 1, progress)
    return _zero_shot("cifar-10", folder, names, test, support)


def read_cifar100(folder: Path, progress: Progress | None = None) -> Task:
    """Read CIFAR-100 with its fine labels, like :func:`read_cifar10`."""
    names = read_lines(folder / "fine_label_names.txt")
    test, support = _pictures("cifar-100", [folder / "train.bin"], folder / "test.bin", names, 2, progress)
    return _zero_shot("cifar-100", folder, names, test, support)


def read_cifar100_size(folder: Path, progress: Progress | None = None) -> Task:
    """Read the test pictures of four large and four small animals of CIFAR-100.

    Raises:
        DataError: as for :func:`read_cifar100`, or one of the eight classes has no name or no picture.
    """
    names = read_lines(folder / "fine_label_names.txt")
    unknown = [name for name in (*LARGE, *SMALL) if name not in names]
    if unknown:
        raise DataError(f"{str(folder / 'fine_label_names.txt')!r} does not name {', '.join(unknown)}")
    test, support = _pictures("cifar-100", [folder / "train.bin"], folder / "test.bin", names, 2, progress)
    chosen = [_with_size(example) for example in test if example.label in (*LARGE, *SMALL)]
    return Task(
        "cifar-100-size",
        ("difference", "ranking"),
        tuple(chosen),
        tuple(_with_size(example) for example in support if example.label in (*LARGE, *SMALL)),
        attributes=(SIZE,),
        protocol=PROTOCOL,
        source=str(folder),
        notes=notes_on_classes((*LARGE, *SMALL), chosen),
    )


def _zero_shot(
    name: str, folder: Path, names: Sequence[str], test: tuple[Example, ...], support: tuple[Example, ...]
) -> Task:
    return Task(
        name,
        ("zero-shot", "strategies", "probe"),
        test,
        support,
        class_names={label: label.replace("_", " ") for label in names},
        source=str(folder),
        notes=notes_on_classes(names, test),
    )


def _with_size(example: Example) -> Example:
    return Example(example.id, example.image, (), example.label, {"large": float(example.label in LARGE)})


@dataclass(frozen=True, slots=True)
class _Record:
    """Where a picture stands."""

    file: Path
    place: int


def _pictures(
    name: str,
    training: Sequence[Path],
    test: Path,
    names: Sequence[str],
    label_bytes: int,
    progress: Progress | None,
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return test pictures and support, as PNG files that are written into the cache on first use."""
    content = hashlib.blake2b(b"".join(picture_digest(file) for file in (*training, test)), digest_size=8)
    target = cache_folder() / f"{name}-{content.hexdigest()}"
    records: dict[str, _Record] = {}
    test_examples = _listed(target, "test", [test], names, label_bytes, records)
    support = few_of_each(_listed(target, "train", training, names, label_bytes, records), SUPPORT_A_CLASS)

    def make(scratch: Path) -> Path:
        pictures = scratch / "pictures"
        for part in ("test", "train"):
            (pictures / part).mkdir(parents=True)
        with (progress or NoProgress()).task(f"writing {name}", len(test_examples) + len(support), "picture") as task:
            for example in (*test_examples, *support):
                _write_png(records[example.id], label_bytes, pictures / example.id)
                task.advance()
        return pictures

    made_once(target, make)
    return test_examples, support


def _listed(
    target: Path,
    part: str,
    files: Sequence[Path],
    names: Sequence[str],
    label_bytes: int,
    records: dict[str, _Record],
) -> tuple[Example, ...]:
    examples: list[Example] = []
    for file in files:
        labels = _records(file, label_bytes)[:, label_bytes - 1]
        wrong = np.flatnonzero(labels >= len(names))
        if len(wrong):
            raise DataError(
                f"{str(file)!r}, picture {wrong[0]}: the label {labels[wrong[0]]} is out of range, there are "
                f"{len(names)} names"
            )
        for place, label in enumerate(labels.tolist()):
            id = f"{part}/{len(examples):05d}.png"
            examples.append(Example(id, target / id, (), names[label]))
            records[id] = _Record(file, place)
    return tuple(examples)


def _records(file: Path, label_bytes: int) -> NDArray[np.uint8]:
    """Return (n, label_bytes + 3072) bytes of a file: labels, then red, green and blue planes."""
    length = label_bytes + _PIXELS
    size = file.stat().st_size
    if size == 0 or size % length:
        raise DataError(
            f"{str(file)!r} has {size} bytes, which are no whole number of pictures of {length}; it is cut off",
            "Unpack the archive again",
        )
    return np.memmap(file, np.uint8, "r").reshape(-1, length)


def _write_png(record: _Record, label_bytes: int, path: Path) -> None:
    from PIL import Image

    planes = _records(record.file, label_bytes)[record.place, label_bytes:].reshape(3, SIDE, SIDE)
    Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0))).save(path)
