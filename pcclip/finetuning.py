"""The whole job: read, embed, choose pairs, describe, train, measure, save. Each stage goes on where it stopped."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pcclip import scopes, watching
from pcclip.batches import TrainingPairs
from pcclip.card import MEASURES, model_card
from pcclip.comparatives import ComparativeStore, rejection_counts
from pcclip.config import FinetuneConfig
from pcclip.data import Dataset, read, write_quarantine
from pcclip.describe import describe
from pcclip.embeddings import EmbeddingStore, embed
from pcclip.errors import DataError, RunError
from pcclip.evaluate import HeldOut, difference_cosines, evaluate, write_held_out_pairs
from pcclip.files import read_json, write_json
from pcclip.form import reverse
from pcclip.interfaces import Embedder, Loss
from pcclip.objective import make_loss
from pcclip.pairs import choose_pairs, hold_out
from pcclip.plugins import registry
from pcclip.processes import Processes, launched
from pcclip.progress import NoProgress, Progress
from pcclip.runs import RunFolder, open_run
from pcclip.saved import save
from pcclip.threads import available_cores, set_threads
from pcclip.training import train
from pcclip.types import CaptionPair, Comparative, Example, FloatArray, Quarantined, Rejection

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run ended in.

    Attributes:
        path: the run folder.
        evaluation: the content of ``evaluation.json``: measures ``before`` and ``after``; empty in all processes
            but the first.
        rank: number of this process, 0 where it is the only one.
    """

    path: Path
    evaluation: dict[str, Any]
    rank: int = 0


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
    loss = make_loss(config.loss, config.loss_options)  # a wrong name or a missing package is said now, not hours later
    scopes.require(config.train)
    watching.require(config.log_to)
    with launched() as processes:
        set_threads(config.threads or available_cores() // processes.neighbours or 1)
        if processes.rank:
            return _follow(loss, config, Path(out), processes)
        team = _Team(processes)
        try:
            return _lead(loss, config, Path(out), progress or NoProgress(), team)
        finally:
            team.go(None)  # where nothing was left to train, or something failed before


def _lead(loss: Loss, config: FinetuneConfig, out: Path, shown: Progress, team: _Team) -> Finished:
    """Do all the work but other processes' share of the training."""
    with open_run(out, config) as run:
        embedder = registry().embedder(config.backbone, config.backbone_options)
        run.fingerprint("image tower", embedder.image_fingerprint)
        run.fingerprint("text tower", embedder.text_fingerprint)
        pictures = _read_and_embed(embedder, config, run, shown)
        described = _describe(pictures, config, run, shown)
        held_out = _held_out(pictures, pictures.held_out, described.held_out, embedder, run)
        if not run.is_done("evaluate"):
            texts = [comparative.text for comparative in held_out.comparatives]
            before, cosines_before = evaluate(embedder, held_out), difference_cosines(embedder, held_out, texts)
            _train(embedder, loss, pictures, described, config, run, shown, team)
            after, cosines_after = evaluate(embedder, held_out), difference_cosines(embedder, held_out, texts)
            write_held_out_pairs(run.held_out_pairs, held_out, cosines_before, cosines_after)
            write_json(run.evaluation, {"schema": 1, "before": before, "after": after})
            _save_model(embedder, config, run, before, after)
            run.stage("evaluate", "done")
        return Finished(run.path, read_json(run.evaluation))


@dataclass(slots=True)
class _Team:
    """The other processes, which wait for what to train on."""

    processes: Processes
    _sent: bool = False

    def go(self, pairs: TrainingPairs | None) -> None:
        """Tell them once: the pairs to train on, or None where there is nothing to do."""
        if not self._sent:
            self._sent = True
            self.processes.told(lambda: pairs)


def _follow(loss: Loss, config: FinetuneConfig, out: Path, processes: Processes) -> Finished:
    """Wait for the pairs, and take part in training on them."""
    pairs: TrainingPairs | None = processes.told(dict)
    if pairs is not None:
        logging.getLogger("pcclip").setLevel(logging.ERROR)  # process 0 speaks for all
        train(
            registry().embedder(config.backbone, config.backbone_options),
            loss,
            pairs,
            config,
            checkpoints=out / "checkpoints",
            metrics=out / "metrics.jsonl",
            measure=dict if config.measures else None,
            processes=processes,
        )
    return Finished(out, {}, processes.rank)


@dataclass(frozen=True, slots=True)
class _Pictures:
    """The usable pictures, their embeddings, and which of them are kept for measures in training and after it."""

    examples: tuple[Example, ...]
    embeddings: FloatArray
    training: list[int]
    validation: list[int]
    held_out: list[int]


@dataclass(frozen=True, slots=True)
class _Described:
    """Pairs of rows of the pictures, with their answers."""

    training: list[tuple[tuple[int, int], Comparative | Rejection]]
    validation: list[tuple[tuple[int, int], Comparative | Rejection]]
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
    digests = [embedded.digests[row] for row in kept]
    training, held_out = hold_out(digests, config.holdout, config.seed)
    validation: list[int] = []
    if config.measures:
        left, chosen = hold_out([digests[row] for row in training], config.validation, config.seed)
        training, validation = [training[row] for row in left], [training[row] for row in chosen]
    counts = {"training": len(training), "validation": len(validation), "held_out": len(held_out)}
    run.stage("embed", "done", pictures=len(kept), **counts)
    return _Pictures(usable.examples, embedded.embeddings[kept], training, validation, held_out)


def _describe(pictures: _Pictures, config: FinetuneConfig, run: RunFolder, progress: Progress) -> _Described:
    chosen = {}
    for side, rows, count in (
        ("training", pictures.training, config.pairs),
        ("validation", pictures.validation, config.eval_pairs if config.measures else 0),
        ("held_out", pictures.held_out, config.eval_pairs),
    ):
        pairs = choose_pairs([pictures.examples[row].caption for row in rows], count, config.seed)
        if count and not pairs:
            raise DataError(
                f"the {side.replace('_', '-')} pictures all have the same caption",
                "Pairs need captions that differ.",
            )
        if len(pairs) < count:
            log.warning("only %d pairs of %s pictures have different captions", len(pairs), side.replace("_", "-"))
        chosen[side] = [(rows[i], rows[j]) for i, j in pairs]
    everything = [*chosen["held_out"], *chosen["validation"], *chosen["training"]]
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
    described = list(zip(everything, answers, strict=True))
    first, second = len(chosen["held_out"]), len(chosen["held_out"]) + len(chosen["validation"])
    return _Described(described[second:], described[first:second], described[:first])


def _fitting(embedder: Embedder, texts: Sequence[str]) -> list[bool]:
    """Say for each text whether the text tower sees all of it."""
    return [embedder.token_count(text) <= embedder.context_length for text in texts]


def _held_out(
    pictures: _Pictures,
    rows: list[int],
    described: list[tuple[tuple[int, int], Comparative | Rejection]],
    embedder: Embedder,
    run: RunFolder,
) -> HeldOut:
    local = {row: position for position, row in enumerate(rows)}
    accepted = [(pair, answer) for pair, answer in described if isinstance(answer, Comparative)]
    fitting = _fitting(embedder, [answer.text for _, answer in accepted])
    kept = [item for item, fits in zip(accepted, fitting, strict=True) if fits]
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


def _train(
    embedder: Embedder,
    loss: Loss,
    pictures: _Pictures,
    described: _Described,
    config: FinetuneConfig,
    run: RunFolder,
    progress: Progress,
    team: _Team,
) -> None:
    directed = _directed(described, config)
    fitting = _fitting(embedder, [one.text for one in directed])
    kept = [one for one, fits in zip(directed, fitting, strict=True) if fits]
    if len(kept) < len(directed):
        log.warning(
            "%d of %d texts are longer than the %d tokens that the text tower reads, and were left out",
            len(directed) - len(kept),
            len(directed),
            embedder.context_length,
        )
    pairs = TrainingPairs(
        torch.from_numpy(pictures.embeddings),
        torch.tensor([one.first for one in kept], dtype=torch.int64),
        torch.tensor([one.second for one in kept], dtype=torch.int64),
        [one.text for one in kept],
        [f"({pictures.examples[one.first].id}, {pictures.examples[one.second].id})" for one in kept],
        [one.reversed for one in kept],
        [example.caption for example in pictures.examples],
    )
    measure = None
    if config.measures:
        validation = _held_out(pictures, pictures.validation, described.validation, embedder, run)
        measure = functools.partial(evaluate, embedder, validation)
        if config.monitor not in (there := measure()):
            raise RunError(
                f"the validation pictures give no measure {config.monitor!r}",
                f"Choose another one with --monitor: {', '.join(name for name in MEASURES if name in there)}",
            )
    scope = scopes.result_scope(config.train)
    original = {name: p.detach().clone() for name, p in embedder.trainable(scope).items()}
    run.stage("train", "running", texts=len(kept), too_long=len(directed) - len(kept))
    team.go(pairs)
    trained = train(
        embedder,
        loss,
        pairs,
        config,
        checkpoints=run.checkpoints,
        metrics=run.metrics,
        measure=measure,
        progress=progress,
        processes=team.processes,
    )
    average(embedder, original, config)
    run.stage("train", "done", steps=trained.steps, kept=trained.kept)


@dataclass(frozen=True, slots=True)
class _Directed:
    """A text that speaks of the first picture against the second, and the text of the reversed pair if there is one."""

    first: int
    second: int
    text: str
    reversed: str | None


def _directed(described: _Described, config: FinetuneConfig) -> list[_Directed]:
    found: list[_Directed] = []
    for (i, j), answer in described.training:
        if isinstance(answer, Comparative):
            turned = reverse(answer)
            found.append(_Directed(i, j, answer.text, turned.text if turned else None))
            if turned is not None and config.reversals:
                found.append(_Directed(j, i, turned.text, answer.text))
    return found


def average(embedder: Embedder, original: dict[str, torch.Tensor], config: FinetuneConfig) -> None:
    """Replace the trained parameters by ``alpha · tuned + (1 - alpha) · original`` (WiSE-FT, arXiv:2109.01903)."""
    if config.alpha < 1:
        with torch.no_grad():
            for name, parameter in embedder.trainable(scopes.result_scope(config.train)).items():
                parameter.mul_(config.alpha).add_(original[name], alpha=1 - config.alpha)


def _save_model(
    embedder: Embedder, config: FinetuneConfig, run: RunFolder, before: dict[str, Any], after: dict[str, Any]
) -> None:
    captioner = run.record["fingerprints"]["captioner"]
    trained = {"config": config.identity(), "captioner_fingerprint": captioner, "before": before, "after": after}
    save(embedder, run.model, plugin=config.backbone, card=model_card(config, before, after), trained=trained)
