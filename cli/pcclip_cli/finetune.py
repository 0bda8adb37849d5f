"""``pcclip finetune``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcclip.config import RECIPES, FinetuneConfig, make_config
from pcclip.terms import parse_terms
from pcclip_cli.choosing import Choice, PluginCommand, plugin_options
from pcclip_cli.completing import BUILT_IN, complete, loss_terms, names_or_files, one_of
from pcclip_cli.fields import given, option
from pcclip_cli.output import common, print_sweep, print_table, progress

_FLAGS = {"backbone": "embedder", "captioner": "captioner", "loss": "loss"}
_COMPLETE: dict[str, Any] = {
    "data": names_or_files(BUILT_IN),
    "backbone": complete("embedder"),
    "captioner": complete("captioner"),
    "loss": loss_terms,
    "train": one_of(("text", "blocks", "projection", "last-1", "lora")),
}


def _choice(flag: str) -> Choice:
    names = (lambda value: [term.name for term in parse_terms(value)]) if flag == "loss" else None
    return Choice(flag, _FLAGS[flag], FinetuneConfig.model_fields[flag].default, names)


def _field_options() -> list[click.Parameter]:
    found: list[click.Parameter] = []
    for name, info in FinetuneConfig.model_fields.items():
        if name.endswith("_options"):
            continue
        made = option(name, info, shell_complete=_COMPLETE.get(name))
        made.required = False  # a recipe may bring it; make_config says what is missing
        found.append(made)
    return found


@click.command(
    "finetune",
    cls=PluginCommand,
    choices=[_choice(flag) for flag in _FLAGS],
    recipe="recipe",
)
@click.option(
    "--out", "-o", required=True, type=click.Path(path_type=Path), help="Run folder; the same command goes on in it."
)
@click.option(
    "--recipe",
    shell_complete=names_or_files(tuple(RECIPES)),
    help="default, paper, a TOML file of settings, or a run to repeat; flags override it.",
)
@common
@click.pass_context
def command(ctx: click.Context, /, out: Path, recipe: str | None, **_: Any) -> None:
    """Teach a CLIP model the differences in your data.

    DATA is a COCO captions JSON, a CSV, TSV or JSONL table, a folder of pictures with .txt captions,
    a folder of class folders, or one of the sets that come with pcclip: stamps and scenes.

    A run that was cut off goes on with the same command.
    """
    settings = given(ctx, FinetuneConfig.model_fields)
    for flag in _FLAGS:
        options = plugin_options(ctx, flag)
        if options:
            settings[f"{flag}_options"] = options
    if "data" not in settings and not recipe:
        raise click.UsageError("Missing option '--data'.")
    config = make_config(recipe, **settings)

    from pcclip.card import measure_rows
    from pcclip.finetuning import finetune
    from pcclip.sweep import read_sweep

    finished = finetune(config, out, progress=progress())
    if finished.rank:
        return
    found = read_sweep(finished.path)
    if found is not None:
        print_sweep(found)
    print_table(measure_rows(finished.evaluation["before"], finished.evaluation["after"]))
    click.echo(f"\nThe model is in {finished.path / 'model'}", err=True)


command.params[:0] = _field_options()
