"""Encode the texts of a batch at their own lengths, and carry the loss's gradient back into the text tower."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pcclip import boundary
from pcclip.errors import PluginError, UsageError
from pcclip.faults import who
from pcclip.interfaces import Embedder, Tokens
from pcclip.processes import Processes

# What starting one more pass costs, in tokens that could have been encoded instead
_PASS_COST = {"cpu": 128, "cuda": 16384}


def length_groups(lengths: Tensor, most: int | None = None, pass_cost: float = 128) -> list[Tensor]:
    """Return the texts in groups of similar length, so that little is padded.

    The groups are the cheapest there are where a group of n texts, the longest of length L, costs
    ``n·L + pass_cost``.

    Args:
        lengths: (M,) int64.
        most: the most texts of a group.
        pass_cost: infinite for as few groups as ``most`` allows.

    Returns:
        Numbers of texts, shortest first; each text is in one group.
    """
    order = torch.argsort(lengths, stable=True)
    if pass_cost == math.inf:
        return list(torch.split(order, most or len(order)))
    values, counts = torch.unique_consecutive(lengths[order], return_counts=True)
    ends = [0, *torch.cumsum(counts, 0).tolist()]
    cost, cut = [0.0], [0]  # of the best grouping of the texts of the first k lengths, and where its last group starts
    for k, length in enumerate(values.tolist(), 1):
        best = min(range(k), key=lambda j: cost[j] + (ends[k] - ends[j]) * length + pass_cost)
        cost.append(cost[best] + (ends[k] - ends[best]) * length + pass_cost)
        cut.append(best)
    groups: list[Tensor] = []
    k = len(values)
    while k:
        groups.append(order[ends[cut[k]] : ends[k]])
        k = cut[k]
    return [part for group in reversed(groups) for part in torch.split(group, most or len(group))]


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return ``fp32`` or ``bf16`` for ``auto``: bf16 on GPUs that compute in it, fp32 elsewhere.

    Whether bf16 is faster on a CPU depends on its make, so there it has to be asked for; see ``docs/benchmarks.md``.

    Raises:
        UsageError: the device cannot compute in bf16.
    """
    able = device.type == "cpu" or (device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False))
    if precision == "bf16" and not able:
        raise UsageError(f"{device} does not compute in bf16", "Use --precision fp32.")
    return ("bf16" if able and device.type != "cpu" else "fp32") if precision == "auto" else precision


@dataclass(frozen=True, slots=True)
class TextPass:
    """How texts are encoded in training.

    Attributes:
        embedder: its text tower is trained.
        precision: ``fp32``, or ``bf16``: products in bfloat16, weights and their updates in float32.
        chunk_size: the most texts whose activations are held at once, or None for all of a batch. With it,
            embeddings are computed without gradients first, and each chunk again with its gradient
            (gradient caching, arXiv:2101.06983): the same gradient, for a third more work.
        processes: who shares the work.
    """

    embedder: Embedder
    precision: str = "fp32"
    chunk_size: int | None = None
    processes: Processes = field(default_factory=Processes)

    def backward(self, tokens: Tokens, backward_loss: Callable[[Tensor], None]) -> None:
        """Add the gradient of a loss to the parameters of the text tower.

        Args:
            tokens: M texts.
            backward_loss: takes the (M, dim) embeddings, a leaf that requires a gradient, and calls ``backward``
                of the loss.

        Raises:
            PluginError: the loss does not depend on the texts, or the embedder carries no gradient.
        """
        share = self.processes.share(tokens.lengths)
        lengths = tokens.lengths[share]
        pass_cost = math.inf if self.embedder.packs else _PASS_COST.get(self._device.type, 4096)
        groups = [share[group] for group in length_groups(lengths, self.chunk_size, pass_cost)]
        cached = self.chunk_size is not None and len(share) > self.chunk_size
        states: list[_RandomState] = []
        parts: list[Tensor] = []
        with torch.set_grad_enabled(not cached), self._autocast():
            for group in groups:
                if cached:
                    states.append(_RandomState.now(self._device))
                parts.append(boundary.text_features(self.embedder, tokens.take(group)))
        own = torch.cat(parts)[torch.argsort(torch.cat([_places(group, share) for group in groups]))]
        encoded = self.processes.gathered(own, tokens.lengths).requires_grad_()
        backward_loss(encoded)
        if encoded.grad is None:
            raise PluginError("the loss does not depend on the texts")
        after = _RandomState.now(self._device) if cached else None
        for number, (group, part) in enumerate(zip(groups, parts, strict=True)):
            gradient = encoded.grad[group.to(encoded.device)]
            if cached:
                states[number].restore(self._device)  # the same dropout as the first time
                with self._autocast():
                    part = boundary.text_features(self.embedder, tokens.take(group))
            if not part.requires_grad:
                raise PluginError(f"{who('embedder', self.embedder)} carries no gradient to what is trained")
            torch.autograd.backward(part, gradient)
        if after is not None:
            after.restore(self._device)

    @property
    def _device(self) -> torch.device:
        return self.embedder.device

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            yield


def _places(group: Tensor, share: Tensor) -> Tensor:
    """Return where in ``share`` the texts of ``group`` stand."""
    place = torch.empty(int(share.max()) + 1, dtype=torch.int64)
    place[share] = torch.arange(len(share))
    return place[group]


@dataclass(frozen=True, slots=True)
class _RandomState:
    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> _RandomState:
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(torch.get_rng_state(), cuda)

    def restore(self, device: torch.device) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, device)
