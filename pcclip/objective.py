"""What training minimises: one loss plugin, or a weighted sum of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from pcclip import boundary
from pcclip.errors import PluginError
from pcclip.faults import who
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

    @property
    def by_name(self) -> dict[str, Loss]:
        """The losses by their names."""
        losses = cast("Iterable[Loss]", self.losses)
        return dict(zip(self._weights, losses, strict=True))

    def terms(self, batch: LossBatch) -> dict[str, Tensor]:
        """Return the value of each loss by its name, before its weight.

        Raises:
            PluginError: one of them failed, or is no scalar.
        """
        return {name: boundary.loss_value(loss, batch) for name, loss in self.by_name.items()}

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
                f"loss {term.name!r} needs {', '.join(unknown)}, which no batch holds ({who('loss', loss)})",
                f"A loss can ask for: {', '.join(sorted(NEEDS))}",
            )
    if len(losses) == 1 and terms[0].weight == 1:
        return losses[0]
    return LossSum(terms, losses)


def values_of(loss: Loss, batch: LossBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the scalar loss of a batch, and the value of each term where it is a sum.

    Raises:
        PluginError: the loss failed, is no scalar, or carries no gradient.
    """
    terms = loss.terms(batch) if isinstance(loss, LossSum) else {}
    value = loss.total(terms) if isinstance(loss, LossSum) else boundary.loss_value(loss, batch)
    if not value.requires_grad:
        raise PluginError(f"{names_of(loss)} carries no gradient to the texts")
    return value, terms


def losses_of(loss: Loss) -> dict[str, Loss]:
    """Return the losses of a sum by their names in it, or the only one under an empty name."""
    return loss.by_name if isinstance(loss, LossSum) else {"": loss}


def names_of(loss: Loss) -> str:
    """Return what messages call a loss, or the losses of a sum."""
    return " or ".join(who("loss", one) for one in losses_of(loss).values())
