"""``pcclip compare``"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from pcclip_cli.choosing import PluginCommand
from pcclip_cli.output import common, format_option, print_json_line
from pcclip_cli.using import BACKBONE, model_options, open_model


@click.command("compare", cls=PluginCommand, choices=[BACKBONE])
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.argument("text")
@model_options
@format_option("table", "json")
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    first: Path,
    second: Path,
    text: str,
    model_path: Path | None,
    backbone: str | None,
    device: str,
    threads: int | None,
    format_: str,
    **_: Any,
) -> None:
    """Say whether TEXT fits FIRST against SECOND.

    TEXT speaks of the first picture: "The first image shows a larger animal."
    """
    found = open_model(ctx, model_path, backbone, device, threads).compare(first, second, text)
    if format_ == "json":
        print_json_line(dataclasses.asdict(found))
    else:
        verdict = "fits" if found.holds else "does not fit; it fits the opposite order"
        click.echo(f"The text {verdict} (cosine {found.cosine:+.3f}).")
        click.echo(f"  first:  {first}\n  second: {second}\n  text:   {text}")
