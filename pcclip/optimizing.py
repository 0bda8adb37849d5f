"""The optimizer, and which parameters are decayed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pcclip.config import FinetuneConfig


def make_optimizer(
    tower: Mapping[str, nn.Parameter], loss: Mapping[str, nn.Parameter], config: FinetuneConfig
) -> torch.optim.Optimizer:
    """Return the optimizer in its fused form: one pass over the parameters in place of a dozen.

    Matrices of the text tower decay; biases, norms, scales and embeddings do not, nor do a loss's own parameters.
    Each group holds its peak learning rate as ``peak``.
    """
    decayed = {name: parameter for name, parameter in tower.items() if _decays(name, parameter)}
    rest = [parameter for name, parameter in tower.items() if name not in decayed]
    groups = [
        {"params": list(decayed.values()), "weight_decay": config.weight_decay, "peak": config.learning_rate},
        {"params": rest, "weight_decay": 0.0, "peak": config.learning_rate},
        {"params": list(loss.values()), "weight_decay": 0.0, "peak": config.loss_learning_rate},
    ]
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind([group for group in groups if group["params"]], lr=config.learning_rate, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Give every group ``share`` of its peak learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


def gradient_norm(parameters: Mapping[str, nn.Parameter], limit: float | None) -> Tensor:
    """Return the L2 norm of all gradients together, and scale them down to ``limit`` where it is above."""
    found = [parameter for parameter in parameters.values() if parameter.grad is not None]
    norm = nn.utils.get_total_norm([parameter.grad for parameter in found if parameter.grad is not None])
    if limit is not None:
        nn.utils.clip_grads_with_norm_(found, limit, norm)
    return norm


def is_finite(loss: float, norm: float) -> bool:
    """Whether a step may be done: neither its loss nor its gradient is infinite or no number."""
    return math.isfinite(loss) and math.isfinite(norm)


def _decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and "embedding" not in name
