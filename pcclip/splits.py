"""Which pictures a run trained on and which it held out, by content: made when it begins, asked for afterwards."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcclip.config import FinetuneConfig, make_config
from pcclip.data import read, read_quarantine
from pcclip.data.pictures import PictureError
from pcclip.embeddings import EmbeddingStore
from pcclip.errors import PcclipError, RunError
from pcclip.files import read_json, write_text
from pcclip.pairs import hold_out
from pcclip.progress import Progress
from pcclip.saved import model_folder, read_record
from pcclip.types import Example

FILE = "pictures.csv"
_COLUMNS = ("id", "blake2b", "side")


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of the pictures of a run: trained on, kept for measures while it trains, and held out."""

    training: list[int]
    validation: list[int]
    held_out: list[int]


def split(digests: Sequence[str], config: FinetuneConfig) -> Split:
    """Split pictures as a run with these settings does.

    Args:
        digests: content hashes of the usable pictures.

    Raises:
        UsageError: they are too few.
    """
    training, held_out = hold_out(digests, config.holdout, config.seed)
    if not config.measures:
        return Split(training, [], held_out)
    left, chosen = hold_out([digests[row] for row in training], config.validation, config.seed)
    return Split([training[row] for row in left], [training[row] for row in chosen], held_out)


def write_split(path: Path, examples: Sequence[Example], digests: Sequence[str], sides: Split) -> None:
    """Write a CSV row a picture: its id, its content hash, and its side."""
    side = {row: name for name in Split.__slots__ for row in getattr(sides, name)}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((example.id, digests[row], side[row]) for row, example in enumerate(examples))
    write_text(path, out.getvalue())


def trained_on(path: Path, progress: Progress | None = None) -> frozenset[str]:
    """Return the content hashes of all pictures that a model was trained on or chosen by.

    They stand in the run folder. For a run of an older pcclip, and for a model folder without its run, the data that
    the settings name is read and split again; a merge was trained on what its runs were trained on.

    Args:
        path: a run or model folder.

    Raises:
        PcclipError: it cannot be told; the message says why.
    """
    folder = model_folder(path)
    trained = read_record(folder)["trained"]
    if "merged" in trained:
        return frozenset().union(*(trained_on(Path(run["path"]), progress) for run in trained["merged"]["runs"]))
    run = next((place for place in (folder, folder.parent) if (place / "run.json").is_file()), None)
    if run is not None and (run / FILE).is_file():
        return _read_trained(run / FILE)
    return _split_again(run, make_config(**trained["config"]), progress)


def _read_trained(file: Path) -> frozenset[str]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            return frozenset(row["blake2b"] for row in csv.DictReader(lines) if row["side"] != "held_out")
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise RunError(f"{file} does not say which pictures trained the model: {error!r}") from None


def _split_again(run: Path | None, config: FinetuneConfig, progress: Progress | None) -> frozenset[str]:
    data = read(
        config.data,
        images=config.images,
        image_column=config.image_column,
        caption_column=config.caption_column,
        label_column=config.label_column,
        limit=config.limit,
        progress=progress,
    )
    unread = {row.id for row in read_quarantine(run / "quarantine.csv") if row.stage == "embed"} if run else set()
    digests = []
    with EmbeddingStore() as store:
        for example in data.examples:
            if example.caption and example.id not in unread:
                try:
                    digests.append(store.digest(example.image).hex())
                except PictureError as error:
                    raise PcclipError(f"{example.image} cannot be read: {error.detail}") from None
    sides = split(digests, config)
    if run is not None:
        counted: dict[str, Any] = read_json(run / "run.json").get("stages", {}).get("embed", {})
        now = {name: len(getattr(sides, name)) for name in Split.__slots__}
        changed = {name: number for name, number in now.items() if counted.get(name, number) != number}
        if changed:
            raise RunError(
                f"its data {config.data!r} has changed: "
                + ", ".join(f"{number} {name} pictures now, {counted[name]} then" for name, number in changed.items())
            )
    return frozenset(digests[row] for row in (*sides.training, *sides.validation))
