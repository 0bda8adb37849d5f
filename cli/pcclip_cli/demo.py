"""``pcclip demo``"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from pcclip.config import make_config
from pcclip_cli.choosing import Choice, PluginCommand, plugin_options
from pcclip_cli.completing import BUILT_IN, complete, names_or_files
from pcclip_cli.numeric import Integer
from pcclip_cli.output import common, print_table, progress

log = logging.getLogger("pcclip.demo")


@click.command("demo", cls=PluginCommand, choices=[Choice("captioner", "captioner", "llama")])
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), default=Path("pcclip-demo"), show_default=True, help="Run folder."
)
@click.option(
    "--data",
    default="stamps",
    show_default=True,
    shell_complete=names_or_files(BUILT_IN),
    help="Captioned pictures.",
)
@click.option(
    "--captioner",
    default="llama",
    show_default=True,
    shell_complete=complete("captioner"),
    help="Who writes how two pictures differ.",
)
@click.option("--pairs", type=Integer(min=1), default=600, show_default=True, help="Pairs of pictures to describe.")
@click.option("--seed", type=Integer(min=0), default=0, show_default=True, help="Seed.")
@common
@click.pass_context
def command(ctx: click.Context, /, out: Path, data: str, captioner: str, pairs: int, seed: int, **_: Any) -> None:
    """Run the whole job on real pictures with embedded models.

    About 450 captioned pictures from Debian's tuxpaint-stamps-default, a small language model that
    writes how pairs of them differ, and a small CLIP model that learns it. Needs no GPU.
    """
    from pcclip.card import measure_rows
    from pcclip.demo import demo_data, worked_examples
    from pcclip.finetuning import finetune

    source = demo_data(data, progress())
    config = make_config(
        "demo",
        data=source,
        captioner=captioner,
        captioner_options=plugin_options(ctx, "captioner"),
        pairs=pairs,
        seed=seed,
    )
    click.echo(f"Data {source}, captioner {captioner}, backbone {config.backbone}: {pairs} described pairs.", err=True)
    finished = finetune(config, out, progress=progress())
    before, after = finished.evaluation["before"], finished.evaluation["after"]
    click.echo(
        f"Measured on {after['pictures']} pictures that no training pair held, {after['pairs']} described pairs:\n"
    )
    print_table(measure_rows(before, after))
    click.echo("\nDoes the text fit the order of the pictures? (it does in all of these)\n")
    for example in worked_examples(finished.path):
        click.echo(f"  {example.first}  against  {example.second}")
        click.echo(click.wrap_text(f'"{example.text}"', 76, "    ", "    "))
        click.echo(f"    before: {_verdict(example.before)}    after: {_verdict(example.after)}\n")
    click.echo(f"The model and everything it came from: {finished.path}")
    click.echo(f'Next: pcclip rank "a large animal" PICTURES... --model {finished.path}')


def _verdict(cosine: float) -> str:
    return f"{'yes' if cosine > 0 else 'no '} ({cosine:+.3f})"
