"""Runs a bench: ``python tests/bench NAME``, or ``tox -e bench -- NAME``. Without a name, lists them."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import click

from pcclip.errors import PcclipError

FOLDER = Path(__file__).resolve().parent
sys.path[0] = str(FOLDER.parent)  # this folder itself would make every module importable under two names


class Benches(click.Group):
    """The modules of this folder that hold a ``command``; the one that runs is the one imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = (module.name for module in pkgutil.iter_modules([str(FOLDER)]) if not module.name.startswith("_"))
        return sorted(name for name in found if self.get_command(ctx, name))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if not (FOLDER / f"{name}.py").is_file():
            return None
        return getattr(importlib.import_module(f"bench.{name}"), "command", None)


@click.group(cls=Benches, invoke_without_command=True)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Measure what the documentation claims. The last line of stdout is one JSON object."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


if __name__ == "__main__":
    try:
        main(prog_name="python tests/bench")
    except PcclipError as error:
        sys.exit(str(error))
