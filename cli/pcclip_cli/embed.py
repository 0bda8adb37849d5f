"""``pcclip embed``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcclip_cli.choosing import PluginCommand
from pcclip_cli.output import common, print_quarantined, progress
from pcclip_cli.using import BACKBONE, model_options, open_model


@click.command("embed", cls=PluginCommand, choices=[BACKBONE])
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_options
@click.option(
    "--out",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    help="The .npy file to write; a .csv beside it names the rows.",
)
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    images: tuple[Path, ...],
    model_path: Path | None,
    backbone: str | None,
    device: str,
    threads: int | None,
    out: Path,
    **_: Any,
) -> None:
    """Write the embeddings of IMAGES, files or folders, as one (n, dim) float32 array of unit rows."""
    if out.suffix != ".npy":
        raise click.UsageError(f"--out {out}: name a .npy file")
    from pcclip.data import picture_files
    from pcclip.embeddings import write_embeddings

    model = open_model(ctx, model_path, backbone, device, threads)
    embedded = model.embed(picture_files(images), progress())
    names = write_embeddings(out, embedded)
    click.echo(f"{len(embedded.paths)} rows of {model.embedder.dim} in {out}, named in {names}", err=True)
    print_quarantined(embedded.quarantined)
    if embedded.quarantined:
        ctx.exit(1)
