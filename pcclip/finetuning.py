"""The whole job: read, embed, choose pairs, describe, train, measure, save. Each stage goes on where it stopped."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pcclip import scopes, watching
from pcclip.averaging import interpolate, put_text_weights, save_weights, text_weights
from pcclip.batches import TrainingPairs
from pcclip.card import MEASURES
from pcclip.config import FinetuneConfig
from pcclip.encoding import resolve_precision
from pcclip.errors import RunError
from pcclip.files import read_json, write_json
from pcclip.form import reverse
from pcclip.held_out import difference_cosines, evaluate, write_held_out_pairs
from pcclip.interfaces import Embedder, Loss
from pcclip.objective import make_loss
from pcclip.plugins import registry
from pcclip.preparing import Prepared, fitting, prepare
from pcclip.processes import Processes, launched
from pcclip.progress import NoProgress, Progress
from pcclip.runs import RunFolder, open_run
from pcclip.saved import save
from pcclip.sweep import sweep
from pcclip.threads import available_cores, set_threads
from pcclip.training import Measure, train
from pcclip.types import Comparative


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
    # A wrong name or option, or a missing package, is said now: not hours later, and before anything is written.
    loss = make_loss(config.loss, config.loss_options)
    registry().parse_options("embedder", config.backbone, config.backbone_options)
    registry().parse_options("captioner", config.captioner, config.captioner_options)
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
        prepared = prepare(_original(config), config, run, shown)
        embedder, held_out = prepared.embedder, prepared.held_out
        if not run.is_done("evaluate"):
            texts = [comparative.text for comparative in held_out.comparatives]
            before, cosines_before = evaluate(embedder, held_out), difference_cosines(embedder, held_out, texts)
            averaged = config.alpha != 1 or config.swept_alphas
            original = text_weights(embedder) if averaged else None
            _train(prepared, loss, config, run, shown, team)
            alpha = _average(prepared, original, config, run, shown) if original is not None else 1.0
            after, cosines_after = evaluate(embedder, held_out), difference_cosines(embedder, held_out, texts)
            write_held_out_pairs(run.held_out_pairs, held_out, cosines_before, cosines_after)
            write_json(run.evaluation, {"schema": 1, "before": before, "after": after})
            _save_model(embedder, config, run, alpha, before, after)
            run.stage("evaluate", "done")
        return Finished(run.path, read_json(run.evaluation))


def _original(config: FinetuneConfig) -> Embedder:
    """Return the model to train.

    Raises:
        UsageError: it has no such parameters to train, or its device does not compute in such a precision.
    """
    embedder = registry().embedder(config.backbone, config.backbone_options)
    embedder.trainable(scopes.result_scope(config.train))
    resolve_precision(config.precision, embedder.device)
    return embedder


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


def _train(
    prepared: Prepared, loss: Loss, config: FinetuneConfig, run: RunFolder, progress: Progress, team: _Team
) -> None:
    embedder, pictures = prepared.embedder, prepared.pictures
    directed = _directed(prepared, config)
    fits = fitting(embedder, [one.text for one in directed])
    kept = [one for one, fitting_ in zip(directed, fits, strict=True) if fitting_]
    pairs = TrainingPairs(
        torch.from_numpy(pictures.embeddings),
        torch.tensor([one.first for one in kept], dtype=torch.int64),
        torch.tensor([one.second for one in kept], dtype=torch.int64),
        [one.text for one in kept],
        [f"({pictures.examples[one.first].id}, {pictures.examples[one.second].id})" for one in kept],
        [one.reversed for one in kept],
        [example.caption for example in pictures.examples],
    )
    measure = _measure(prepared, config)
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
    run.stage("train", "done", steps=trained.steps, kept=trained.kept)


def _measure(prepared: Prepared, config: FinetuneConfig) -> Measure | None:
    """Return what measures the model on the validation pictures while it trains, None where there are none.

    Raises:
        RunError: they do not give the measure that is to be watched.
    """
    if prepared.validation is None:
        return None
    measure = functools.partial(evaluate, prepared.embedder, prepared.validation)
    there = measure()
    if config.monitor not in there:
        raise RunError(
            f"the validation pictures give no measure {config.monitor!r}",
            f"Choose another one with --monitor: {', '.join(name for name in MEASURES if name in there)}",
        )
    return measure


@dataclass(frozen=True, slots=True)
class _Directed:
    """A text that speaks of the first picture against the second, and the text of the reversed pair if there is one."""

    first: int
    second: int
    text: str
    reversed: str | None


def _directed(prepared: Prepared, config: FinetuneConfig) -> list[_Directed]:
    found: list[_Directed] = []
    for (i, j), answer in prepared.training:
        if isinstance(answer, Comparative):
            turned = reverse(answer)
            found.append(_Directed(i, j, answer.text, turned.text if turned else None))
            if turned is not None and config.reversals:
                found.append(_Directed(j, i, turned.text, answer.text))
    return found


def _average(
    prepared: Prepared, original: Mapping[str, torch.Tensor], config: FinetuneConfig, run: RunFolder, progress: Progress
) -> float:
    """Leave the embedder with the average of tuned and original weights that is wanted, and return its alpha.

    Keeps the tuned weights in the run where the result is another, so that it can be merged otherwise later.
    """
    embedder = prepared.embedder
    tuned, fingerprint = text_weights(embedder), embedder.text_fingerprint
    if config.swept_alphas:
        found = sweep(prepared, original, tuned, alphas=config.swept_alphas, alpha=config.alpha, progress=progress)
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
        "config": config.model_dump(mode="json"),
        "captioner_fingerprint": fingerprints["captioner"],
        "original": {"image": fingerprints["image tower"], "text": fingerprints["text tower"]},
        "alpha": alpha,
        "before": before,
        "after": after,
    }
    save(embedder, run.model, plugin=config.backbone, trained=trained)
