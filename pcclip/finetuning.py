"""The whole job: read, embed, choose pairs, describe, train, measure, save. Each stage goes on where it stopped."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pcclip.averaging import interpolate, put_text_weights, save_weights, text_weights
from pcclip.comparatives import ComparativeStore, rejection_counts
from pcclip.config import FinetuneConfig
from pcclip.data import Dataset, read, write_quarantine
from pcclip.describe import describe
from pcclip.embeddings import EmbeddingStore, embed
from pcclip.errors import DataError, RunError
from pcclip.evaluate import HeldOut, difference_cosines, evaluate, write_held_out_pairs
from pcclip.files import read_json, write_json
from pcclip.form import reverse
from pcclip.interfaces import Embedder
from pcclip.pairs import choose_pairs, hold_out
from pcclip.plugins import registry
from pcclip.progress import NoProgress, Progress
from pcclip.runs import RunFolder, open_run
from pcclip.saved import save
from pcclip.sweep import sweep
from pcclip.threads import set_threads
from pcclip.training import TrainingPairs, train
from pcclip.types import CaptionPair, Comparative, Example, FloatArray, Quarantined, Rejection

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run ended in.

    Attributes:
        path: the run folder.
        evaluation: the content of ``evaluation.json``: measures ``before`` and ``after``.
    """

    path: Path
    evaluation: dict[str, Any]


def finetune(config: FinetuneConfig, out: str | Path, *, progress: Progress | None = None) -> Finished:
    """Finetune a CLIP model on described differences, or go on with a run that was cut off.

    The same call with the same settings goes on where the run stopped and ends in the same weights
    as an uninterrupted one: what is embedded, described or trained is not done again.

    Args:
        config: all settings.
        out: the run folder, new or begun with these settings.

    Raises:
        PcclipError: of the kind that fits; the message says what to do.
    """
    shown = progress or NoProgress()
    set_threads(config.threads)
    with open_run(Path(out), config) as run:
        prepared = prepare(config, run, shown)
        embedder, held_out = prepared.embedder, prepared.held_out
        if not run.is_done("evaluate"):
            texts = [comparative.text for comparative in held_out.comparatives]
            before, cosines_before = evaluate(embedder, held_out), difference_cosines(embedder, held_out, texts)
            averaged = config.alpha != 1 or config.swept_alphas
            original = text_weights(embedder) if averaged else None
            _train(embedder, prepared.pictures, prepared.described, config, run, shown)
            alpha = _average(embedder, original, held_out, config, run, shown) if original is not None else 1.0
            after, cosines_after = evaluate(embedder, held_out), difference_cosines(embedder, held_out, texts)
            write_held_out_pairs(run.held_out_pairs, held_out, cosines_before, cosines_after)
            write_json(run.evaluation, {"schema": 1, "before": before, "after": after})
            _save_model(embedder, config, run, alpha, before, after)
            run.stage("evaluate", "done")
        return Finished(run.path, read_json(run.evaluation))


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run has in hand before it trains: the original model, and its data read, embedded and described."""

    embedder: Embedder
    pictures: _Pictures
    described: _Described
    held_out: HeldOut


def prepare(config: FinetuneConfig, run: RunFolder, progress: Progress | None = None) -> Prepared:
    """Do the stages before training, or read back what they stored.

    Raises:
        PcclipError: of the kind that fits; RunError where model, data or captioner are not those the run began with.
    """
    shown = progress or NoProgress()
    embedder = registry().embedder(config.backbone, config.backbone_options)
    run.fingerprint("image tower", embedder.image_fingerprint)
    run.fingerprint("text tower", embedder.text_fingerprint)
    pictures = _read_and_embed(embedder, config, run, shown)
    described = _describe(pictures, config, run, shown)
    return Prepared(embedder, pictures, described, _held_out(pictures, described, embedder, run))


@dataclass(frozen=True, slots=True)
class _Pictures:
    """The usable pictures, their embeddings, and which of them are held out."""

    examples: tuple[Example, ...]
    embeddings: FloatArray
    training: list[int]
    held_out: list[int]


@dataclass(frozen=True, slots=True)
class _Described:
    """Pairs of rows of the pictures, with their answers."""

    training: list[tuple[tuple[int, int], Comparative | Rejection]]
    held_out: list[tuple[tuple[int, int], Comparative | Rejection]]


def _read_and_embed(embedder: Embedder, config: FinetuneConfig, run: RunFolder, progress: Progress) -> _Pictures:
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
    training, held_out = hold_out([embedded.digests[row] for row in kept], config.holdout, config.seed)
    run.stage("embed", "done", pictures=len(kept), training=len(training), held_out=len(held_out))
    return _Pictures(usable.examples, embedded.embeddings[kept], training, held_out)


def _describe(pictures: _Pictures, config: FinetuneConfig, run: RunFolder, progress: Progress) -> _Described:
    chosen = {}
    for side, rows, count in (
        ("training", pictures.training, config.pairs),
        ("held_out", pictures.held_out, config.eval_pairs),
    ):
        pairs = choose_pairs([pictures.examples[row].caption for row in rows], count, config.seed)
        if not pairs:
            raise DataError(
                f"the {side.replace('_', '-')} pictures all have the same caption",
                "Pairs need captions that differ.",
            )
        if len(pairs) < count:
            log.warning("only %d pairs of %s pictures have different captions", len(pairs), side.replace("_", "-"))
        chosen[side] = [(rows[i], rows[j]) for i, j in pairs]
    everything = [*chosen["held_out"], *chosen["training"]]
    caption_pairs = [CaptionPair(pictures.examples[i].caption, pictures.examples[j].caption) for i, j in everything]
    run.stage("describe", "running", pairs=len(everything))
    with (
        registry().captioner(config.captioner, config.captioner_options) as captioner,
        ComparativeStore(run.comparatives) as store,
    ):
        run.fingerprint("captioner", captioner.fingerprint)
        answers = describe(caption_pairs, captioner, store, progress=progress)
    rejected = rejection_counts(answers)
    run.stage("describe", "done", pairs=len(everything), rejected=rejected)
    if rejected:
        log.info("%d of %d answers rejected: %s", sum(rejected.values()), len(answers), rejected)
    split = len(chosen["held_out"])
    described = list(zip(everything, answers, strict=True))
    return _Described(described[split:], described[:split])


def _fitting(embedder: Embedder, texts: Sequence[str]) -> list[bool]:
    """Say for each text whether the text tower sees all of it."""
    return [embedder.token_count(text) <= embedder.context_length for text in texts]


def _held_out(pictures: _Pictures, described: _Described, embedder: Embedder, run: RunFolder) -> HeldOut:
    local = {row: position for position, row in enumerate(pictures.held_out)}
    accepted = [(pair, answer) for pair, answer in described.held_out if isinstance(answer, Comparative)]
    fitting = _fitting(embedder, [answer.text for _, answer in accepted])
    kept = [item for item, fits in zip(accepted, fitting, strict=True) if fits]
    if not kept:
        raise RunError(
            f"none of {len(described.held_out)} held-out pairs got a usable text; nothing could be measured",
            f"Look at the answers in {run.comparatives}, or choose another captioner.",
        )
    return HeldOut(
        [pictures.examples[row] for row in pictures.held_out],
        pictures.embeddings[pictures.held_out],
        [(local[i], local[j]) for (i, j), _ in kept],
        [answer for _, answer in kept],
    )


def _train(
    embedder: Embedder,
    pictures: _Pictures,
    described: _Described,
    config: FinetuneConfig,
    run: RunFolder,
    progress: Progress,
) -> None:
    directed: list[tuple[int, int, str]] = []
    for (i, j), answer in described.training:
        if isinstance(answer, Comparative):
            directed.append((i, j, answer.text))
            turned = reverse(answer) if config.reversals else None
            if turned is not None:
                directed.append((j, i, turned.text))
    fitting = _fitting(embedder, [text for _, _, text in directed])
    kept = [row for row, fits in zip(directed, fitting, strict=True) if fits]
    if len(kept) < len(directed):
        log.warning(
            "%d of %d texts are longer than the %d tokens that the text tower reads, and were left out",
            len(directed) - len(kept),
            len(directed),
            embedder.context_length,
        )
    pairs = TrainingPairs(
        torch.from_numpy(pictures.embeddings),
        torch.tensor([i for i, _, _ in kept], dtype=torch.int64),
        torch.tensor([j for _, j, _ in kept], dtype=torch.int64),
        [text for _, _, text in kept],
        [f"({pictures.examples[i].id}, {pictures.examples[j].id})" for i, j, _ in kept],
    )
    run.stage("train", "running", texts=len(kept), too_long=len(directed) - len(kept))
    steps = train(
        embedder,
        registry().loss(config.loss, config.loss_options or None),
        pairs,
        config,
        checkpoints=run.checkpoints,
        metrics=run.metrics,
        progress=progress,
    )
    run.stage("train", "done", steps=steps)


def _average(
    embedder: Embedder,
    original: Mapping[str, torch.Tensor],
    held_out: HeldOut,
    config: FinetuneConfig,
    run: RunFolder,
    progress: Progress,
) -> float:
    """Leave the embedder with the average of tuned and original weights that is wanted, and return its alpha.

    Keeps the tuned weights in the run where the result is another, so that it can be merged otherwise later.
    """
    tuned, fingerprint = text_weights(embedder), embedder.text_fingerprint
    if config.swept_alphas:
        found = sweep(
            embedder,
            original,
            tuned,
            held_out,
            alphas=config.swept_alphas,
            alpha=config.alpha,
            progress=progress,
        )
        found.write(run.path)
        alpha = found.chosen
    else:
        alpha = float(config.alpha)
        put_text_weights(embedder, interpolate(original, tuned, alpha))
    if alpha < 1:
        save_weights(run.tuned, tuned)
        run.note(fingerprints={"tuned text tower": fingerprint})
    return alpha


def _save_model(
    embedder: Embedder,
    config: FinetuneConfig,
    run: RunFolder,
    alpha: float,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    fingerprints = run.record["fingerprints"]
    trained = {
        "config": config.identity(),
        "captioner_fingerprint": fingerprints["captioner"],
        "original": {"image": fingerprints["image tower"], "text": fingerprints["text tower"]},
        "alpha": alpha,
        "alpha_chosen": config.alpha == "auto",
        "before": before,
        "after": after,
    }
    save(embedder, run.model, plugin=config.backbone, trained=trained)
