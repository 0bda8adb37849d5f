"""Flags from options models: what authors may write in one is what reaches the model."""

from __future__ import annotations

from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, ConfigDict, Field

from pcclip_cli.fields import given, options_of


class Inner(BaseModel):
    depth: int = 1


class Odd(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    nShots: int = Field(3, ge=1, description="shots")  # noqa: N815 - what is tested
    share: float = Field(0.5, description="share")
    count: int = Field(2, multiple_of=2, description="count")
    tags: frozenset[str] = Field(frozenset(), description="tags")
    size: tuple[int, int] = Field((1, 2), description="size")
    level: Literal[1, 2] = Field(1, description="level")
    inner: Inner = Field(Inner(), description="inner")


def odd(*arguments: str) -> tuple[Odd, str]:
    """Return what the command line makes of ``arguments``, and the output."""
    made: list[Odd] = []

    @click.pass_context
    def read(ctx: click.Context, /, **_: Any) -> None:
        made.append(Odd.model_validate(given(ctx, Odd.model_fields, "odd")))

    done = CliRunner().invoke(click.Command("odd", params=[*options_of(Odd, "odd")], callback=read), arguments)
    assert done.exit_code in (0, 2), done.exception
    return made[0] if made else Odd(), done.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--odd-nShots 5", {"nShots": 5}),
        ("--odd-share -1e9", {"share": -1e9}),
        ("--odd-tags a --odd-tags b", {"tags": frozenset("ab")}),
        ("--odd-size 3 4", {"size": (3, 4)}),
        ("--odd-level 2", {"level": 2}),
    ],
)
def test_values_arrive(arguments: str, expected: dict[str, Any]) -> None:
    assert odd(*arguments.split())[0] == Odd(**expected)


def test_help_shows_bounds_only_where_there_are_some() -> None:
    text = odd("--help")[1]
    assert "None" not in text
    assert "[default: 3; x>=1]" in text
    assert "--odd-share NUMBER" in text
    assert "--odd-count INTEGER" in text
    assert "--odd-size <INTEGER INTEGER>..." in text
    assert "frozenset" not in text
    assert "inner" not in text


@pytest.mark.parametrize("arguments", ["--odd-share nan", "--odd-level 3", "--odd-nShots 0", "--odd-size 3"])
def test_wrong_values_are_refused(arguments: str) -> None:
    assert "Error: " in odd(*arguments.split())[1]
