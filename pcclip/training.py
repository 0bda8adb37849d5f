"""The training loop: texts learn to point where the image differences point."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pcclip import checkpoint
from pcclip.config import FinetuneConfig
from pcclip.errors import PluginError, RunError
from pcclip.files import write_text
from pcclip.interfaces import Embedder, Loss, Tokens
from pcclip.progress import NoProgress, Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingPairs:
    """What is trained on; row k is one described pair.

    Attributes:
        embeddings: (N, dim) float32 unit rows f(I) of the training pictures.
        first, second: (n,) int64 rows of ``embeddings``; the text speaks of the first against the second.
        texts: n comparatives.
        names: n pair names for messages.
    """

    embeddings: Tensor
    first: Tensor
    second: Tensor
    texts: Sequence[str]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)

    def differences(self, rows: Tensor) -> Tensor:
        """Return (m, dim) image differences ``d_ij``, not normalised."""
        return self.embeddings[self.first[rows]] - self.embeddings[self.second[rows]]


def train(
    embedder: Embedder,
    loss: Loss,
    pairs: TrainingPairs,
    config: FinetuneConfig,
    *,
    checkpoints: Path,
    metrics: Path,
    progress: Progress | None = None,
) -> int:
    """Train the text tower in place, going on from the last checkpoint where there is one.

    Batches of epoch e are drawn from a permutation that depends on the seed and e only, and a last
    batch that is not full is left out (a batch of another size has other negatives). Ends with a
    checkpoint at the last step.

    Returns:
        The number of optimizer steps.

    Raises:
        RunError: there are fewer pairs than one batch needs, or the loss is not finite; the message
            names the step, the pairs of the batch and the last good checkpoint.
        PluginError: the loss is no scalar or carries no gradient.
    """
    schedule = Schedule.of(config, len(pairs))
    parameters = embedder.trainable(config.train)
    _freeze_all_but(embedder, parameters)
    loss.to(embedder.device)
    groups = [{"params": list(parameters.values())}]
    own = {f"loss.{name}": parameter for name, parameter in loss.named_parameters()}
    if own:
        groups.append({"params": list(own.values())})
    trained = {**parameters, **own}
    optimizer = _optimizer(groups, config)
    names = {id(parameter): name for name, parameter in trained.items()}
    identity = _identity(config, embedder, pairs)

    torch.manual_seed(config.seed)
    resumed = checkpoint.load_latest(checkpoints, identity)
    if resumed is not None:
        _restore(resumed, trained, optimizer)
    done = saved = resumed.step if resumed else 0
    _cut_metrics(metrics, done)
    if done:
        log.info("going on from step %d of %d", done, schedule.steps)

    tokens = embedder.tokenize(pairs.texts)
    with (
        metrics.open("a", encoding="utf-8") as log_file,
        (progress or NoProgress()).task("Training", total=schedule.steps, unit="step", done=done) as task,
    ):
        for step in range(done, schedule.steps):
            started = time.perf_counter()
            rows = schedule.rows(step)
            rate = schedule.learning_rate(step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            value, norm = _step(embedder, loss, tokens.take(rows), pairs.differences(rows), optimizer, trained, config)
            if not (math.isfinite(value) and math.isfinite(norm)):
                raise RunError(
                    f"training failed at step {step + 1}: loss {value}, gradient norm {norm}; pairs of the batch: "
                    + ", ".join(pairs.names[int(row)] for row in rows[:8])
                    + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
                    + f"; last good checkpoint: {f'step {saved}' if saved else 'none'}",
                    "Lower the learning rate or clip the gradient (--clip-grad-norm 1) in a new run.",
                )
            record = {
                "step": step + 1,
                "loss": value,
                "learning_rate": rate,
                "gradient_norm": norm,
                "pairs_per_s": round(len(rows) / (time.perf_counter() - started), 1),
            }
            log_file.write(json.dumps(record) + "\n")
            task.advance()
            task.note(f"loss {value:.3f}")
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == schedule.steps:
                log_file.flush()
                state = checkpoint.Checkpoint(
                    step + 1, trained, checkpoint.optimizer_tensors(optimizer, names), torch.get_rng_state()
                )
                checkpoint.save(checkpoints, state, identity, config.keep_checkpoints)
                saved = step + 1
    return schedule.steps


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which rows and which learning rate each optimizer step has: pure functions of the step."""

    n: int
    config: FinetuneConfig
    batch_size: int
    steps_per_epoch: int
    steps: int

    @classmethod
    def of(cls, config: FinetuneConfig, n: int) -> Schedule:
        """Return the schedule for ``n`` described pairs.

        Raises:
            RunError: fewer than two pairs are there to train on.
        """
        if n < 2:
            raise RunError(
                f"{n} described pairs are too few to train on", "Bring more captioned pictures, or raise --pairs."
            )
        batch_size = min(config.batch_size, n)
        if batch_size < config.batch_size:
            log.warning("only %d described pairs: the batch size is %d, not %d", n, batch_size, config.batch_size)
        per_epoch = n // batch_size
        steps = per_epoch * config.epochs
        return cls(n, config, batch_size, per_epoch, min(steps, config.max_steps or steps))

    def rows(self, step: int) -> Tensor:
        """Return (batch_size,) int64 row numbers of a step, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        seed = hashlib.blake2b(f"{self.config.seed}:{epoch}".encode(), digest_size=7).digest()
        order = torch.randperm(self.n, generator=torch.Generator().manual_seed(int.from_bytes(seed, "little")))
        return order[position * self.batch_size : (position + 1) * self.batch_size]

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        peak, warmup = self.config.learning_rate, self.config.warmup_steps
        if step < warmup:
            return peak * (step + 1) / (warmup + 1)
        if self.config.schedule == "exponential":
            return float(peak * self.config.decay ** (step // self.steps_per_epoch))
        if self.config.schedule == "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))
        return peak


def _step(
    embedder: Embedder,
    loss: Loss,
    tokens: Tokens,
    differences: Tensor,
    optimizer: torch.optim.Optimizer,
    trained: Mapping[str, nn.Parameter],
    config: FinetuneConfig,
) -> tuple[float, float]:
    """Do one optimizer step unless it is not finite; return the loss and the gradient's norm before clipping."""
    optimizer.zero_grad(set_to_none=True)
    text = embedder.encode_text(tokens.to(embedder.device))
    value = loss(differences.to(embedder.device), text)
    if value.ndim or not value.requires_grad:
        raise PluginError(f"loss {type(loss).__name__} returned shape {tuple(value.shape)} without a usable gradient")
    value.backward()
    limit = config.clip_grad_norm or math.inf
    norm = nn.utils.clip_grad_norm_(list(trained.values()), limit) if math.isfinite(limit) else _norm(trained)
    loss_value, gradient_norm = value.detach().item(), norm.item()
    if math.isfinite(loss_value) and math.isfinite(gradient_norm):
        optimizer.step()
    return loss_value, gradient_norm


def _norm(parameters: Mapping[str, nn.Parameter]) -> Tensor:
    return nn.utils.get_total_norm([p.grad for p in parameters.values() if p.grad is not None])


def _optimizer(groups: list[dict[str, list[nn.Parameter]]], config: FinetuneConfig) -> torch.optim.Optimizer:
    """Return the optimizer, in its fused form: one pass over the parameters in place of a dozen."""
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def _freeze_all_but(embedder: Embedder, parameters: Mapping[str, nn.Parameter]) -> None:
    for parameter in embedder.trainable("text").values():
        parameter.requires_grad_(False)
    for parameter in parameters.values():
        parameter.requires_grad_(True)


def _restore(
    state: checkpoint.Checkpoint, trained: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(state.parameters[name])
    checkpoint.restore_optimizer(optimizer, state.optimizer, trained)
    torch.set_rng_state(state.rng)


def _identity(config: FinetuneConfig, embedder: Embedder, pairs: TrainingPairs) -> str:
    """Return a hash of what the trained weights depend on: settings, model as it starts, texts and pictures."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(config.identity(), sort_keys=True).encode())
    digest.update(embedder.image_fingerprint.encode() + embedder.text_fingerprint.encode())
    for text in pairs.texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    for tensor in (pairs.first, pairs.second, pairs.embeddings):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _cut_metrics(path: Path, step: int) -> None:
    """Drop records of steps after the checkpoint, which are done again, and a line that was cut off."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text("utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    write_text(path, "".join(kept))
