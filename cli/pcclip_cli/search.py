"""``pcclip search``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcclip_cli.choosing import PluginCommand
from pcclip_cli.numeric import Integer, Number
from pcclip_cli.output import common, format_option, print_quarantined, print_rows, progress
from pcclip_cli.using import BACKBONE, model_options, open_model


@click.command("search", cls=PluginCommand, choices=[BACKBONE])
@click.argument("query", type=click.Path(path_type=Path))
@click.argument("text")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_options
@click.option(
    "--weight",
    type=Number(min=0),
    default=1.0,
    show_default=True,
    help="Weight of the text against the picture.",
)
@click.option("--top", type=Integer(min=1), help="Print only this many.")
@format_option("table", "json", "csv")
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    query: Path,
    text: str,
    images: tuple[Path, ...],
    model_path: Path | None,
    backbone: str | None,
    device: str,
    threads: int | None,
    weight: float,
    top: int | None,
    format_: str,
    **_: Any,
) -> None:
    """Order IMAGES by their nearness to the picture QUERY changed by TEXT, such as "but darker"."""
    from pcclip.data import picture_files

    model = open_model(ctx, model_path, backbone, device, threads)
    embedded = model.embed(picture_files(images), progress())
    found = model.search(query, text, embedded, weight)[:top]
    print_rows([{"rank": n, "image": r.image, "score": r.score} for n, r in enumerate(found, 1)], format_)
    print_quarantined(embedded.quarantined)
    if embedded.quarantined:
        ctx.exit(1)
