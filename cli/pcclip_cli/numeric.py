"""Numbers on the command line, called INTEGER and NUMBER in help texts; their bounds follow the text of the flag."""

from __future__ import annotations

import math
from typing import Any

import click


class Integer(click.IntRange):
    """A whole number, within bounds where there are some."""

    name = "integer"


class Number(click.FloatRange):
    """A number, within bounds where there are some."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse ``nan`` as well, which lies outside of no bounds."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return number
