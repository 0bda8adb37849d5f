"""The training loop: texts learn to point where the image differences point."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pcclip import checkpoint
from pcclip.batches import Batches, TrainingPairs
from pcclip.config import FinetuneConfig
from pcclip.encoding import TextPass, resolve_precision
from pcclip.errors import RunError
from pcclip.faults import blaming, who
from pcclip.files import write_json
from pcclip.interfaces import Embedder, Loss
from pcclip.memory import freed_memory_kept
from pcclip.negatives import FalseNegatives, HardNegatives
from pcclip.objective import losses_of, names_of, values_of
from pcclip.optimizing import gradient_norm, is_finite, make_optimizer, set_learning_rate
from pcclip.processes import Processes
from pcclip.progress import NoProgress, Progress
from pcclip.schedule import Schedule
from pcclip.scopes import opened
from pcclip.towers import tensor_hash
from pcclip.watching import Watchers, watching

log = logging.getLogger(__name__)

Measure = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to.

    Attributes:
        steps: optimizer steps done.
        kept: the step whose weights the text tower has now; another one than the last where the best was kept.
        best: the best value of the measure that was asked for, or None.
    """

    steps: int
    kept: int
    best: float | None = None


def train(
    embedder: Embedder,
    loss: Loss,
    pairs: TrainingPairs,
    config: FinetuneConfig,
    *,
    checkpoints: Path,
    metrics: Path,
    measure: Measure | None = None,
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> Trained:
    """Train the text tower in place, going on from the last checkpoint where there is one.

    Batches of epoch e are drawn from a permutation that depends on the seed and e only, and a last
    batch that is not full is left out (a batch of another size has other negatives). Ends with a
    checkpoint at the last step.

    Args:
        measure: returns held-out measures of the embedder as it is; called every ``config.eval_every`` steps, for
            early stopping and for keeping the best weights. Of several processes only the first calls it.
        processes: who shares the work; checkpoints have to lie where each of them can read.

    Raises:
        RunError: there are fewer pairs than one batch needs, or the loss is not finite; the message
            names the step, pairs of the batch and the last good checkpoint, and ``failed-step.json`` beside
            ``checkpoints`` holds all of them.
        PluginError: the loss is no scalar, carries no gradient, or needs what the pairs do not hold.
    """
    together = processes or Processes()
    identity = _identity(config, embedder, loss, pairs)
    loss.to(embedder.device)
    text_pass = TextPass(embedder, resolve_precision(config.precision, embedder.device), config.chunk_size, together)
    false = _false_negatives(pairs, config)
    batches = Batches(embedder, pairs, loss.needs, false if config.false_negatives == "mask" else None)
    schedule = Schedule.of(config, len(pairs), _hard_negatives(embedder, pairs, config, false))
    torch.manual_seed(config.seed)
    with opened(embedder, config) as tower:
        own = {f"loss.{name}": parameter for name, parameter in loss.named_parameters() if parameter.requires_grad}
        optimizer = make_optimizer(tower, own, config)
        trainer = _Trainer(
            {**tower, **own}, own, optimizer, loss, batches, schedule, text_pass, checkpoints, identity, config, measure
        )
        resumed = trainer.resume()
        if resumed:
            log.info("going on from step %d of %d", resumed, schedule.steps)
        with (
            freed_memory_kept(),
            _watching(metrics, config, resumed, identity, together) as watchers,
            (progress or NoProgress()).task("Training", total=schedule.steps, unit="step", done=resumed) as task,
        ):
            while not trainer.is_done:
                record = trainer.step()
                watchers.record(trainer.done, record)
                task.advance()
                task.note(f"loss {record['loss']:.3f}")
                if trainer.is_saving:
                    watchers.flush()
                    trainer.save()
        return trainer.end()


def _watching(
    metrics: Path, config: FinetuneConfig, step: int, identity: str, processes: Processes
) -> AbstractContextManager[Watchers]:
    if processes.rank:
        return nullcontext(Watchers(()))
    return watching(metrics, config.log_to, step, identity, config.identity())


@dataclass(slots=True)
class _Trainer:
    """The state of a training between two steps."""

    trained: Mapping[str, nn.Parameter]
    of_loss: Mapping[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    loss: Loss
    batches: Batches
    schedule: Schedule
    text_pass: TextPass
    checkpoints: Path
    identity: str
    config: FinetuneConfig
    measure: Measure | None
    done: int = 0
    saved: int = 0
    best: _Best = field(default_factory=lambda: _Best())
    _improved: bool = False

    @property
    def failed(self) -> Path:
        """The file that names the pairs of a step that failed."""
        return self.checkpoints.with_name("failed-step.json")

    @property
    def is_done(self) -> bool:
        """Whether no step is left, or the held-out measure has stopped getting better."""
        patience = self.config.patience
        return self.done >= self.schedule.steps or (patience is not None and self.best.since >= patience)

    @property
    def is_saving(self) -> bool:
        return self.is_done or self._improved or self.done % self.config.checkpoint_every == 0

    def resume(self) -> int:
        """Go on from the last checkpoint; return its step, 0 where there is none."""
        processes = self.text_pass.processes
        if processes.rank == 0:
            self.failed.unlink(missing_ok=True)
        state = checkpoint.load_latest(self.checkpoints, self.identity) if processes.rank == 0 else None
        step = processes.told(lambda: state.step if state else 0)
        if not step:
            return 0
        state = state or checkpoint.load(self.checkpoints, step, self.identity)
        self._load_parameters(state)
        checkpoint.restore_optimizer(self.optimizer, state.optimizer, self.trained)
        torch.set_rng_state(state.rng)
        if state.device_rng is not None and self._device.type == "cuda":
            torch.cuda.set_rng_state(state.device_rng, self._device)
        self.best = _Best(**state.best)
        self.done = self.saved = state.step
        return self.done

    def step(self) -> dict[str, float]:
        """Do one optimizer step and, where it is due, measure; return what there is to record.

        Raises:
            RunError: loss or gradient is not finite.
        """
        started = time.perf_counter()
        rows = self.schedule.rows(self.done)
        share = self.schedule.share(self.done)
        set_learning_rate(self.optimizer, share)
        self.optimizer.zero_grad(set_to_none=True)
        request = self.batches.request(rows)
        values: dict[str, Tensor] = {}
        seen: list[Tensor] = []

        def backward(encoded: Tensor) -> None:
            value, terms = values_of(self.loss, self.batches.batch(request, encoded))
            with blaming(names_of(self.loss), "its gradient"):
                value.backward()  # type: ignore[no-untyped-call]
            values.update({"loss": value, **{f"loss/{name}": term for name, term in terms.items()}})
            seen.append(encoded.detach())

        self.text_pass.backward(request.tokens, backward)
        self.text_pass.processes.sum_gradients(self.trained.values(), self.of_loss.values())
        norm = float(gradient_norm(self.trained, self.config.clip_grad_norm))
        found = {name: float(value.detach()) for name, value in values.items()}
        if not is_finite(found["loss"], norm):
            raise self._failure(rows, found, norm, seen[0])
        self.optimizer.step()
        self.done += 1
        seconds = time.perf_counter() - started
        measured = self._measured()
        return {
            **found,
            "learning_rate": self.schedule.learning_rate(self.done - 1),
            "gradient_norm": norm,
            "pairs_per_s": round(len(rows) / seconds, 1),
            **{f"held_out/{name}": value for name, value in measured.items()},
        }

    def save(self) -> None:
        """Write a checkpoint."""
        names = {id(parameter): name for name, parameter in self.trained.items()}
        state = checkpoint.Checkpoint(
            self.done,
            self.trained,
            checkpoint.optimizer_tensors(self.optimizer, names),
            torch.get_rng_state(),
            torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
            self.best.as_json(),
            self.best.step if self.config.keep_best else None,
        )
        self.text_pass.processes.told(
            lambda: checkpoint.save(self.checkpoints, state, self.identity, self.config.keep_checkpoints)
        )
        self.saved = self.done

    def end(self) -> Trained:
        """Put the best weights back where they are to be kept."""
        kept = self.done
        if self.config.keep_best and self.best.step is not None and self.best.step != self.done:
            kept = self.best.step
            self._load_parameters(checkpoint.load(self.checkpoints, kept, self.identity))
        return Trained(self.done, kept, self.best.value)

    def _measured(self) -> Mapping[str, float]:
        every = self.config.eval_every
        if every is None and (self.config.patience is not None or self.config.keep_best):
            every = self.schedule.steps_per_epoch
        self._improved = False
        if self.measure is None or every is None or (self.done % every and self.done < self.schedule.steps):
            return {}
        measured: Mapping[str, float] = self.text_pass.processes.told(self.measure)
        if self.config.monitor not in measured:
            raise RunError(
                f"the held-out data have no measure {self.config.monitor!r}",
                f"Choose another one with --monitor: {', '.join(measured)}",
            )
        before = self.best
        self.best = before.after(self.done, measured[self.config.monitor])
        self._improved = self.config.keep_best and self.best.step != before.step
        return measured

    def _failure(self, rows: Tensor, found: Mapping[str, float], norm: float, encoded: Tensor) -> RunError:
        cause, names = self._cause(found, encoded), [self.batches.pairs.names[int(row)] for row in rows]
        if self.text_pass.processes.rank == 0:
            what = {"loss": str(found["loss"]), "gradient_norm": str(norm), "cause": cause}
            write_json(self.failed, {"schema": 1, "step": self.done + 1, **what, "saved": self.saved, "pairs": names})
        return RunError(
            f"training failed at step {self.done + 1}: loss {found['loss']}, gradient norm {norm}; "
            f"{cause}; pairs of the batch: {', '.join(names[:8])}"
            + (f" and {len(names) - 8} more, all of them in {self.failed}" if len(names) > 8 else "")
            + f"; last good checkpoint: {f'step {self.saved}' if self.saved else 'none'}",
            "Lower the learning rate or clip the gradient (--clip-grad-norm 1) in a new run.",
        )

    def _cause(self, found: Mapping[str, float], encoded: Tensor) -> str:
        """Say whose numbers were the first that are not finite."""
        if not bool(torch.isfinite(encoded).all()):
            return f"{who('embedder', self.text_pass.embedder)} gave text embeddings that are not finite"
        for name, loss in losses_of(self.loss).items():
            value = found[f"loss/{name}"] if f"loss/{name}" in found else found["loss"]
            if not math.isfinite(value):
                return f"{who('loss', loss)} gave {value}"
        return "each loss is finite, the gradient is not"

    def _load_parameters(self, state: checkpoint.Checkpoint) -> None:
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(state.parameters[name])

    @property
    def _device(self) -> torch.device:
        return self.text_pass.embedder.device


@dataclass(frozen=True, slots=True)
class _Best:
    """The best weights so far, by the held-out measure; the first of equals."""

    step: int | None = None
    value: float | None = None
    since: int = 0

    def after(self, step: int, value: float) -> _Best:
        if self.value is None or value > self.value:
            return _Best(step, value)
        return replace(self, since=self.since + 1)

    def as_json(self) -> dict[str, float | int | None]:
        return {} if self.step is None else {"step": self.step, "value": self.value, "since": self.since}


def _false_negatives(pairs: TrainingPairs, config: FinetuneConfig) -> FalseNegatives | None:
    if config.false_negatives == "keep" and not config.hard_negatives:
        return None
    return FalseNegatives(pairs.embeddings, pairs.first, pairs.second, pairs.texts)


def _hard_negatives(
    embedder: Embedder, pairs: TrainingPairs, config: FinetuneConfig, false: FalseNegatives | None
) -> HardNegatives | None:
    if not config.hard_negatives or false is None:
        return None
    return HardNegatives(torch.from_numpy(embedder.embed_texts(pairs.texts)), config.hard_negatives, false)


def _identity(config: FinetuneConfig, embedder: Embedder, loss: Loss, pairs: TrainingPairs) -> str:
    """Return a hash of what the trained weights depend on: settings, model and loss as they start, texts, pictures."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(config.identity(), sort_keys=True).encode())
    digest.update(embedder.image_fingerprint.encode() + embedder.text_fingerprint.encode())
    digest.update(tensor_hash(loss.state_dict(), {}).encode())
    for text in (*pairs.texts, *(text or "" for text in pairs.reversed_texts), *pairs.captions):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    for tensor in (pairs.first, pairs.second, pairs.embeddings):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
