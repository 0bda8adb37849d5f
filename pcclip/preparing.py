"""What a run does before it trains: read, embed, split, choose pairs, describe. Each stage goes on where it stopped."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pcclip import boundary
from pcclip.comparatives import ComparativeStore, rejection_counts
from pcclip.config import FinetuneConfig
from pcclip.data import Dataset, read, write_quarantine
from pcclip.describe import chosen_pairs, describe
from pcclip.embeddings import EmbeddingStore, embed
from pcclip.errors import RunError
from pcclip.files import make_writable_folder
from pcclip.held_out import HeldOut
from pcclip.interfaces import Embedder
from pcclip.plugins import registry
from pcclip.progress import NoProgress, Progress
from pcclip.runs import RunFolder
from pcclip.splits import Split, split, write_split
from pcclip.types import CaptionPair, Comparative, Example, FloatArray, Quarantined, Rejection

log = logging.getLogger(__name__)

# A pair of rows of the pictures, with its answer
Described: TypeAlias = tuple[tuple[int, int], Comparative | Rejection]


@dataclass(frozen=True, slots=True)
class Pictures:
    """The usable pictures, their embeddings, and which of them are kept for measures in training and after it."""

    examples: tuple[Example, ...]
    embeddings: FloatArray
    training: list[int]
    validation: list[int]
    held_out: list[int]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run has in hand before it trains.

    Attributes:
        embedder: the original model.
        pictures: all usable pictures.
        training: pairs of training pictures with their answers.
        validation: what to measure on while it trains, where the settings ask for that.
        held_out: what to measure on before and after.
    """

    embedder: Embedder
    pictures: Pictures
    training: Sequence[Described]
    validation: HeldOut | None
    held_out: HeldOut


def prepare(embedder: Embedder, config: FinetuneConfig, run: RunFolder, progress: Progress | None = None) -> Prepared:
    """Do the stages before training, or read back what they stored.

    Args:
        embedder: the original model.

    Raises:
        PcclipError: of the kind that fits; RunError where model, data or captioner are not those the run began with.
    """
    shown = progress or NoProgress()
    run.fingerprint("image tower", boundary.fingerprint("embedder", embedder, "image_fingerprint"))
    run.fingerprint("text tower", boundary.fingerprint("embedder", embedder, "text_fingerprint"))
    pictures = _read_and_embed(embedder, config, run, shown)
    training, validation, held_out = _describe(embedder, pictures, config, run, shown)
    return Prepared(
        embedder,
        pictures,
        training,
        _held_out(pictures, pictures.validation, validation, embedder, run) if config.measures else None,
        _held_out(pictures, pictures.held_out, held_out, embedder, run),
    )


def fitting(embedder: Embedder, texts: Sequence[str]) -> list[bool]:
    """Say for each text whether the text tower sees all of it."""
    return [embedder.token_count(text) <= embedder.context_length for text in texts]


def _read_and_embed(embedder: Embedder, config: FinetuneConfig, run: RunFolder, progress: Progress) -> Pictures:
    data = read(
        config.data,
        images=config.images,
        image_column=config.image_column,
        caption_column=config.caption_column,
        label_column=config.label_column,
        limit=config.limit,
        progress=progress,
    )
    run.stage("read", "done", examples=len(data.examples), quarantined=len(data.quarantined))
    with EmbeddingStore() as store:
        embedded = embed(
            embedder,
            [example.image for example in data.examples],
            ids=[example.id for example in data.examples],
            store=store,
            progress=progress,
        )
    examples = [data.examples[position] for position in embedded.positions]
    uncaptioned = [
        Quarantined(example.id, "describe", "no-caption", "a picture without caption cannot be in a described pair")
        for example in examples
        if not example.caption
    ]
    usable = Dataset(
        data.name,
        tuple(example for example in examples if example.caption),
        (*data.quarantined, *embedded.quarantined, *uncaptioned),
    )
    write_quarantine(run.quarantine, usable.quarantined)
    usable.require(config.max_bad_fraction)
    if usable.quarantined:
        log.warning("%s Each is named in %s", usable.bad_summary(), run.quarantine)
    kept = [row for row, example in enumerate(examples) if example.caption]
    digests = [embedded.digests[row] for row in kept]
    sides = split(digests, config)
    write_split(run.pictures, usable.examples, digests, sides)
    counts = {name: len(getattr(sides, name)) for name in Split.__slots__}
    run.stage("embed", "done", pictures=len(kept), **counts)
    return Pictures(usable.examples, embedded.embeddings[kept], sides.training, sides.validation, sides.held_out)


def _describe(
    embedder: Embedder, pictures: Pictures, config: FinetuneConfig, run: RunFolder, progress: Progress
) -> tuple[list[Described], list[Described], list[Described]]:
    """Return the described pairs of training, validation and held-out pictures."""
    held_out = _choose("held-out", pictures, pictures.held_out, config.eval_pairs, config.seed)
    validation = (
        _choose("validation", pictures, pictures.validation, config.eval_pairs, config.seed) if config.measures else []
    )
    training = _choose(
        "training",
        pictures,
        pictures.training,
        config.pairs,
        config.seed,
        strategy=config.pair_strategy,
        embeddings=pictures.embeddings[pictures.training],
        attribute=config.pair_attribute,
    )
    everything = [*held_out, *validation, *training]
    caption_pairs = [CaptionPair(pictures.examples[i].caption, pictures.examples[j].caption) for i, j in everything]
    run.stage("describe", "running", pairs=len(everything))
    path = config.comparatives or run.comparatives
    make_writable_folder(path.parent)
    with (
        registry().captioner(config.captioner, config.captioner_options) as captioner,
        ComparativeStore(path) as store,
    ):
        run.fingerprint("captioner", boundary.fingerprint("captioner", captioner))
        answers = describe(caption_pairs, captioner, store, progress=progress)
    rejected = rejection_counts(answers)
    texts = [answer.text for answer in answers if isinstance(answer, Comparative)]
    too_long = fitting(embedder, texts).count(False)
    run.stage("describe", "done", pairs=len(everything), rejected=rejected, too_long=too_long)
    if rejected:
        log.info("%d of %d answers rejected: %s", sum(rejected.values()), len(answers), rejected)
    if too_long:
        log.warning(
            "%d of %d texts (%.1f%%) are longer than the %d tokens that the text tower reads, and are left out",
            too_long,
            len(texts),
            100 * too_long / len(texts),
            embedder.context_length,
        )
    described = list(zip(everything, answers, strict=True))
    first, second = len(held_out), len(held_out) + len(validation)
    return described[second:], described[first:second], described[:first]


def _choose(
    side: str, pictures: Pictures, rows: list[int], count: int, seed: int, **strategy: Any
) -> list[tuple[int, int]]:
    """Return pairs of rows of all pictures, chosen among ``rows``."""
    pairs = chosen_pairs([pictures.examples[row] for row in rows], count, seed, of=side, **strategy)
    return [(rows[i], rows[j]) for i, j in pairs.indices()]


def _held_out(
    pictures: Pictures, rows: list[int], described: Sequence[Described], embedder: Embedder, run: RunFolder
) -> HeldOut:
    local = {row: position for position, row in enumerate(rows)}
    accepted = [(pair, answer) for pair, answer in described if isinstance(answer, Comparative)]
    fits = fitting(embedder, [answer.text for _, answer in accepted])
    kept = [item for item, fitting_ in zip(accepted, fits, strict=True) if fitting_]
    if not kept:
        raise RunError(
            f"none of {len(described)} held-out pairs got a usable text; nothing could be measured",
            f"Look at the answers in {run.comparatives}, or choose another captioner.",
        )
    return HeldOut(
        [pictures.examples[row] for row in rows],
        pictures.embeddings[rows],
        [(local[i], local[j]) for (i, j), _ in kept],
        [answer for _, answer in kept],
    )
