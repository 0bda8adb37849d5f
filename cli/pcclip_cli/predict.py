"""``pcclip predict``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcclip_cli.choosing import Choice, PluginCommand, plugin_options
from pcclip_cli.completing import complete
from pcclip_cli.output import common, format_option, print_json_line, print_quarantined, print_rows, progress
from pcclip_cli.using import BACKBONE, model_options, open_model


@click.command(
    "predict",
    cls=PluginCommand,
    choices=[Choice("strategy", "strategy", "zero-shot"), Choice("captioner", "captioner"), BACKBONE],
)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_options
@click.option(
    "--strategy", default="zero-shot", show_default=True, shell_complete=complete("strategy"), help="How to classify."
)
@click.option("--classes", required=True, help="Class names with commas between, or @FILE with one a line.")
@click.option(
    "--differences", type=click.Path(path_type=Path), help="CSV (first,second,text) or JSON of how classes differ."
)
@click.option("--captioner", shell_complete=complete("captioner"), help="Who writes how similar classes differ.")
@click.option(
    "--confusable-pairs",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Pairs of most similar classes to describe.",
)
@format_option("table", "json", "csv")
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
    strategy: str,
    classes: str,
    differences: Path | None,
    captioner: str | None,
    confusable_pairs: int,
    format_: str,
    **_: Any,
) -> None:
    """Classify IMAGES, files or folders of pictures.

    A picture that cannot be read gets a row that says why, and the exit code is 1.
    """
    if differences is not None and captioner is not None:
        raise click.UsageError("Give --differences or --captioner, not both.")
    names = _class_names(classes)
    from pcclip.data import picture_files
    from pcclip.differences import read_differences, write_differences
    from pcclip.types import ClassKnowledge

    ClassKnowledge(names)  # a wrong class list is an error before a model is loaded
    described = read_differences(differences, names) if differences is not None else ()
    model = open_model(ctx, model_path, backbone, device, threads)
    if captioner is not None:
        described = write_differences(
            model.embedder, names, confusable_pairs, captioner, plugin_options(ctx, "captioner"), progress()
        )
    embedded = model.embed(picture_files(images), progress())
    found = model.predict(
        embedded, names, strategy=strategy, strategy_options=plugin_options(ctx, "strategy"), differences=described
    )
    if format_ == "json":
        for prediction in found:
            print_json_line({"image": prediction.image, "label": prediction.label, "scores": prediction.scores})
        for bad in embedded.quarantined:
            print_json_line({"image": bad.id, "error": bad.reason, "detail": bad.detail})
    else:
        rows = [{"image": p.image, "label": p.label, "score": p.scores[p.label]} for p in found]
        print_rows(rows, format_)
    print_quarantined(embedded.quarantined)
    if embedded.quarantined:
        ctx.exit(1)


def _class_names(text: str) -> tuple[str, ...]:
    if not text.startswith("@"):
        return tuple(name.strip() for name in text.split(","))
    try:
        lines = Path(text[1:]).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"cannot read the classes {text[1:]!r}: {error}") from None
    return tuple(line.strip() for line in lines if line.strip())
