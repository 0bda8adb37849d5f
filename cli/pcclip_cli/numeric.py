"""Numbers on the command line, called INTEGER and NUMBER in help texts; their bounds follow the text of the flag."""

from __future__ import annotations

import math
from typing import Any

import click


class Integer(click.IntRange):
    """A whole number within bounds."""

    name = "integer"


class Number(click.FloatRange):
    """A number within bounds."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse ``nan`` and ``inf`` as well, which lie outside of no bounds."""
        return _finite(self, super().convert(value, param, ctx), param, ctx)


class AnyNumber(click.types.FloatParamType):
    """A number without bounds."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _finite(self, super().convert(value, param, ctx), param, ctx)


def _finite(kind: click.ParamType[Any], number: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
    if not math.isfinite(number):
        kind.fail(f"'{number}' is not a valid {kind.name}.", param, ctx)
    return number
