"""``pcclip export``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcclip_cli.output import common


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "format_", required=True, help="open_clip, transformers, or another that its backbone knows.")
@click.option(
    "--out", "-o", required=True, type=click.Path(path_type=Path), help="New or empty folder, or an earlier export."
)
@common
def command(run: Path, format_: str, out: Path, **_: Any) -> None:
    """Write the model of RUN, a run or model folder, as another library keeps it.

    open_clip: open_clip.create_model_and_transforms("local-dir:OUT") reads it.

    transformers: CLIPModel.from_pretrained("OUT") and CLIPProcessor read it; for CLIP's own ViT architectures.

    The folder's README.md is the model card, with the code that loads it.
    """
    from pcclip.exporting import export

    folder = export(run, format_, out)
    click.echo(f"The model as {format_}: {folder}; its README.md says how to load it.", err=True)
