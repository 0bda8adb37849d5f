"""What training minimises: one loss plugin, or a weighted sum of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from pcclip.errors import PluginError
from pcclip.interfaces import Loss, LossBatch
from pcclip.plugins import registry
from pcclip.terms import Term, options_by_term, parse_terms

# What a loss may ask for, beside what every batch holds
NEEDS = frozenset(field.name for field in dataclasses.fields(LossBatch)) - {
    "image_differences",
    "text",
    "false_negatives",
}


class LossSum(Loss):
    """The weighted sum of losses.

    Args:
        terms: name and weight of each loss.
        losses: the losses, in the same order.
    """

    def __init__(self, terms: Sequence[Term], losses: Sequence[Loss]) -> None:
        super().__init__()
        self._weights = {term.name: term.weight for term in terms}
        self.losses = nn.ModuleList(losses)
        self.needs = frozenset().union(*(loss.needs for loss in losses))

    def terms(self, batch: LossBatch) -> dict[str, Tensor]:
        """Return the value of each loss by its name, before its weight."""
        return {name: loss(batch) for name, loss in zip(self._weights, self.losses, strict=True)}

    def forward(self, batch: LossBatch) -> Tensor:
        return self.total(self.terms(batch))

    def total(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum of what :meth:`terms` returned."""
        parts = [weight * values[name] for name, weight in self._weights.items()]
        return sum(parts[1:], parts[0])


def make_loss(text: str, options: Mapping[str, Any] | None = None) -> Loss:
    """Make what ``--loss`` names: one loss, or a sum such as ``contrastive+0.5*retain``.

    Args:
        options: of one loss, its own; of a sum, a mapping of options by the name of each loss.

    Raises:
        UsageError: it is no sum of losses, a loss is unknown, or an option is unknown or out of bounds.
        PluginError: a plugin asks for what no batch holds.
    """
    terms = parse_terms(text)
    by_term = options_by_term(terms, options or {})
    losses = [registry().loss(term.name, by_term[term.name] or None) for term in terms]
    for term, loss in zip(terms, losses, strict=True):
        unknown = sorted(set(loss.needs) - NEEDS)
        if unknown:
            raise PluginError(
                f"loss {term.name!r} needs {', '.join(unknown)}, which no batch holds",
                f"A loss can ask for: {', '.join(sorted(NEEDS))}",
            )
    if len(losses) == 1 and terms[0].weight == 1:
        return losses[0]
    return LossSum(terms, losses)


def values_of(loss: Loss, batch: LossBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the scalar loss of a batch, and the value of each term where it is a sum.

    Raises:
        PluginError: the loss is no scalar, or carries no gradient.
    """
    terms = loss.terms(batch) if isinstance(loss, LossSum) else {}
    value: Tensor = loss.total(terms) if isinstance(loss, LossSum) else loss(batch)
    if value.ndim or not value.requires_grad:
        raise PluginError(f"loss {type(loss).__name__} returned shape {tuple(value.shape)} without a usable gradient")
    return value, terms
