"""``pcclip rank``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcclip_cli.choosing import PluginCommand
from pcclip_cli.output import common, format_option, print_quarantined, print_rows, progress
from pcclip_cli.using import BACKBONE, model_options, open_model


@click.command("rank", cls=PluginCommand, choices=[BACKBONE])
@click.argument("text")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_options
@format_option("table", "json", "csv")
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    text: str,
    images: tuple[Path, ...],
    model_path: Path | None,
    backbone: str | None,
    device: str,
    threads: int | None,
    format_: str,
    **_: Any,
) -> None:
    """Order IMAGES, files or folders, by the attribute that TEXT describes, the strongest first."""
    from pcclip.data import picture_files

    model = open_model(ctx, model_path, backbone, device, threads)
    embedded = model.embed(picture_files(images), progress())
    found = model.rank(text, embedded)
    print_rows([{"rank": n, "image": r.image, "score": r.score} for n, r in enumerate(found, 1)], format_)
    print_quarantined(embedded.quarantined)
    if embedded.quarantined:
        ctx.exit(1)
