"""Which rows and which learning rate each optimizer step has: pure functions of the step."""

from __future__ import annotations

import functools
import hashlib
import logging
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pcclip.config import FinetuneConfig
from pcclip.errors import RunError
from pcclip.negatives import HardNegatives

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The plan of a training over ``n`` described pairs; a run that was cut off makes the same plan again."""

    n: int
    config: FinetuneConfig
    batch_size: int
    steps_per_epoch: int
    steps: int
    hard: HardNegatives | None = field(default=None, compare=False)

    @classmethod
    def of(cls, config: FinetuneConfig, n: int, hard: HardNegatives | None = None) -> Schedule:
        """Return the schedule for ``n`` described pairs.

        Args:
            hard: fills part of each batch with pairs that are easily mistaken for others in it.

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
        return cls(n, config, batch_size, per_epoch, min(steps, config.max_steps or steps), hard)

    def rows(self, step: int) -> Tensor:
        """Return (batch_size,) int64 row numbers of a step, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = _order(self.n, self.config.seed, epoch, self.batch_size, self.hard)
        return order[position * self.batch_size : (position + 1) * self.batch_size]

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return self.config.learning_rate * self.share(step)

    def share(self, step: int) -> float:
        """Return the learning rate of a step as a share of its peak."""
        warmup = self.config.warmup_steps
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if self.config.schedule == "exponential":
            return float(self.config.decay ** (step // self.steps_per_epoch))
        if self.config.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))
        return 1.0


@functools.lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int, batch_size: int, hard: HardNegatives | None) -> Tensor:
    """Return the order of all rows in an epoch; it depends on the seed and the epoch only."""
    digest = hashlib.blake2b(f"{seed}:{epoch}".encode(), digest_size=7).digest()
    order = torch.randperm(n, generator=torch.Generator().manual_seed(int.from_bytes(digest, "little")))
    return order if hard is None else hard.batched(order, batch_size)
