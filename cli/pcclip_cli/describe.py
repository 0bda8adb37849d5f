"""``pcclip describe``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcclip_cli.choosing import Choice, PluginCommand, complete, plugin_options
from pcclip_cli.output import common, format_option, print_rows, progress


@click.command("describe", cls=PluginCommand, choices=[Choice("captioner", "captioner", "llama")])
@click.argument("data")
@click.option(
    "--captioner", default="llama", show_default=True, shell_complete=complete("captioner"), help="Who writes."
)
@click.option("--pairs", type=click.IntRange(min=1), default=100, show_default=True, help="How many pairs to describe.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the choice of pairs.")
@click.option(
    "--out",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    help="The .sqlite file that holds the answers; goes on in it.",
)
@click.option("--images", type=click.Path(path_type=Path), help="Folder that relative picture paths start from.")
@click.option("--image-column", help="Column that holds the picture's path.")
@click.option("--caption-column", help="Column that holds the caption.")
@format_option("table", "json", "csv")
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    data: str,
    captioner: str,
    pairs: int,
    seed: int,
    out: Path,
    images: Path | None,
    image_column: str | None,
    caption_column: str | None,
    format_: str,
    **_: Any,
) -> None:
    """Write how pairs of captioned pictures of DATA differ.

    What is described already is not asked for again; what was rejected is shown with its reason.
    """
    from pcclip.data import read
    from pcclip.describe import describe_examples
    from pcclip.plugins import registry
    from pcclip.types import Rejection

    found = read(data, images=images, image_column=image_column, caption_column=caption_column, progress=progress())
    writer = registry().captioner(captioner, plugin_options(ctx, "captioner"))
    answers = describe_examples(found.examples, writer, out, count=pairs, seed=seed, progress=progress())
    rows = [
        {
            "first": answer.pair.first,
            "second": answer.pair.second,
            "text": answer.text,
            "rejected": answer.reason if isinstance(answer, Rejection) else None,
        }
        for answer in answers
    ]
    print_rows(rows, format_)
