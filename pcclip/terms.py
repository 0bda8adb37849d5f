"""How a loss is written: the name of one, or a weighted sum such as ``contrastive+0.5*retain``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pcclip.errors import UsageError

_TERM = re.compile(
    r"\s*(?:(?P<weight>\d+\.?\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?)\s*\*\s*)?(?P<name>[a-z][a-z0-9._-]*)\s*",
    re.IGNORECASE,
)
_FORM = "Write a loss, or a sum of losses with weights: contrastive+0.5*retain"


@dataclass(frozen=True, slots=True)
class Term:
    """One loss of a sum, and its weight."""

    name: str
    weight: float = 1.0


def parse_terms(text: str) -> tuple[Term, ...]:
    """Return the terms of ``text`` in their order; the names are not looked up.

    Raises:
        UsageError: it is no sum of losses, a weight is not above 0, or a loss is named twice.
    """
    found: list[Term] = []
    position = 0
    while True:
        match = _TERM.match(text, position)
        if match is None or (match.end() < len(text) and text[match.end()] != "+"):
            rest = text[match.end() if match else position :].strip() or "nothing"
            raise UsageError(f"{text!r} is no loss: a loss or a '+' was expected, not {rest!r}", _FORM)
        weight = float(match["weight"] or 1)
        if not 0 < weight < math.inf:
            raise UsageError(f"{text!r}: the weight of {match['name']} is {match['weight']}", "Weights are above 0.")
        found.append(Term(match["name"], weight))
        if match.end() == len(text):
            break
        position = match.end() + 1
    names = [term.name for term in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{text!r} names {', '.join(twice)} twice", "Name each loss once.")
    return tuple(found)


def options_by_term(terms: Sequence[Term], options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each term's options by its name.

    Args:
        options: of one term, its own options; of several, a mapping of options for each name.

    Raises:
        UsageError: an entry belongs to no term, or is no mapping.
    """
    if len(terms) == 1:
        return {terms[0].name: dict(options)}
    found: dict[str, dict[str, Any]] = {term.name: {} for term in terms}
    for name, own in options.items():
        if name not in found or not isinstance(own, Mapping):
            raise UsageError(
                f"options of a sum of losses go by the name of the loss, not {name!r}",
                f"In a recipe: [loss_options.{terms[0].name}]; there are {', '.join(found)}",
            )
        found[name] = dict(own)
    return found


def joined_options(terms: Sequence[Term], by_term: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return options in the form that :func:`options_by_term` takes apart, without empty ones."""
    kept = {term.name: dict(by_term[term.name]) for term in terms if by_term.get(term.name)}
    return kept.get(terms[0].name, {}) if len(terms) == 1 else kept
