"""``pcclip predict``"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcclip_cli.choosing import Choice, PluginCommand, plugin_options
from pcclip_cli.completing import complete
from pcclip_cli.numeric import Integer
from pcclip_cli.output import (
    common,
    format_option,
    print_json_line,
    print_notes,
    print_quarantined,
    print_rows,
    print_table,
    progress,
)
from pcclip_cli.using import BACKBONE, model_options, open_model

if TYPE_CHECKING:
    from pcclip.types import Confusable


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
@click.option("--descriptions", type=click.Path(path_type=Path), help="CSV (class,text) or JSON of how classes look.")
@click.option("--support", metavar="DATA", help="Labelled pictures to learn from and to choose on; others than IMAGES.")
@click.option(
    "--captioner",
    shell_complete=complete("captioner"),
    help="Who writes what the strategy needs: differences of confusable classes, or descriptions of classes.",
)
@click.option(
    "--confusable",
    type=click.Choice(["similar", "predictions", "validation"]),
    default="similar",
    show_default=True,
    help="Which pairs of classes the captioner describes: those with similar prompts, those between which the model "
    "wavers on IMAGES, or those it confuses on --support. No labels of IMAGES are used.",
)
@click.option(
    "--confusable-pairs",
    type=Integer(min=1),
    default=3,
    show_default=True,
    help="How many pairs of classes the captioner describes.",
)
@click.option(
    "--explain",
    "explained",
    is_flag=True,
    help="Say for each described pair how many pictures it moved, and how many rightly where a picture lies in a "
    "folder named like its class. On standard error, or as a last JSON line.",
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
    descriptions: Path | None,
    support: str | None,
    captioner: str | None,
    confusable: Confusable,
    confusable_pairs: int,
    explained: bool,
    format_: str,
    **_: Any,
) -> None:
    """Classify IMAGES, files or folders of pictures.

    A picture that cannot be read gets a row that says why, and the exit code is 1.
    """
    if captioner is None:
        for flag in ("confusable", "confusable_pairs"):
            if ctx.get_parameter_source(flag) is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{flag.replace('_', '-')} says what a captioner describes: give --captioner.")
    if confusable == "validation" and support is None:
        raise click.UsageError("--confusable validation reads labelled pictures: give --support DATA.")
    names = _class_names(classes)
    from pcclip.data import picture_files
    from pcclip.descriptions import read_descriptions
    from pcclip.differences import read_differences
    from pcclip.knowledge import to_write, warn_of_unread, written
    from pcclip.types import ClassKnowledge

    ClassKnowledge(names)  # a wrong class list is an error before anything is read
    brought = {"comparatives": differences, "descriptions": descriptions}
    if captioner is not None and not to_write(strategy, [name for name, path in brought.items() if path is not None]):
        given = "--differences" if differences is not None else "--descriptions"
        raise click.UsageError(f"Give {given} or --captioner, not both.")
    if support is not None and (captioner is None or confusable != "validation"):
        warn_of_unread([strategy], ["support"])
    knowledge = ClassKnowledge(
        names,
        read_differences(differences, names) if differences is not None else (),
        read_descriptions(descriptions, names) if descriptions is not None else {},
    )
    model = open_model(ctx, model_path, backbone, device, threads)
    embedded = model.embed(picture_files(images), progress())
    if support is not None:
        knowledge = replace(knowledge, support=model.labelled(support, names, progress()))
    if captioner is not None:
        knowledge = written(
            strategy,
            knowledge,
            model.embedder,
            captioner,
            plugin_options(ctx, "captioner"),
            progress(),
            pairs=confusable_pairs,
            confusable=confusable,
            unlabelled=embedded.embeddings,
        )
    classifier = model.fit(knowledge, strategy=strategy, strategy_options=plugin_options(ctx, "strategy"))
    print_notes(classifier.notes)
    found = model.classify(embedded, classifier)
    if format_ == "json":
        for prediction in found:
            print_json_line({"image": prediction.image, "label": prediction.label, "scores": prediction.scores})
        for bad in embedded.quarantined:
            print_json_line({"image": bad.id, "error": bad.reason, "detail": bad.detail})
    else:
        rows = [{"image": p.image, "label": p.label, "score": p.scores[p.label]} for p in found]
        print_rows(rows, format_)
    if explained:
        from pcclip.explaining import explain_files

        explanation = explain_files(classifier, knowledge, embedded)
        if format_ == "json":
            print_json_line({"explain": explanation.to_dict()})
        else:
            print_table(explanation.table(), error=True)
            print_notes([explanation.summary])
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
