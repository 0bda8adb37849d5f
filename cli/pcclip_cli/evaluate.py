"""``pcclip evaluate``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcclip.evaluation.settings import EvaluateSettings
from pcclip.suites.finding import NAMES as SUITES
from pcclip.suites.task import MEASURES
from pcclip_cli.choosing import Choice, PluginCommand, plugin_options
from pcclip_cli.completing import complete, names_or_files, one_of
from pcclip_cli.fields import given, option
from pcclip_cli.layout import layout_options
from pcclip_cli.numeric import Integer, Number
from pcclip_cli.output import common, format_option, print_json_line, print_table, progress, shown

if TYPE_CHECKING:
    from pcclip.evaluation.document import Evaluation

_COMPLETE: dict[str, Any] = {
    "strategy": complete("strategy"),
    "captioner": complete("captioner"),
    "measures": one_of(MEASURES),
}


def _names(value: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


def _backbone(value: str) -> list[str]:
    """Return the value where it names a backbone, whose options are then flags; a run has none."""
    from pcclip.plugins import registry

    return [value] if value in registry().names("embedder") else []


def _field_options() -> list[click.Parameter]:
    found: list[click.Parameter] = []
    for name, info in EvaluateSettings.model_fields.items():
        if not name.endswith("_options"):
            found.append(option(name, info, shell_complete=_COMPLETE.get(name)))
    return found


@click.command(
    "evaluate",
    cls=PluginCommand,
    choices=[
        Choice("strategy", "strategy", "comparative", _names, repeats=True),
        Choice("captioner", "captioner", EvaluateSettings.model_fields["captioner"].default),
        Choice("baseline", "embedder", names=_backbone),
    ],
)
@click.option("--model", "-m", "models", multiple=True, help="Run folder, or name of a backbone. May come again.")
@click.option("--baseline", help="What the others are compared with; none for nothing.  [default: the run's backbone]")
@click.option("--data", help="Pictures to measure on; with --suite the folder of its data sets.")
@click.option(
    "--suite",
    shell_complete=names_or_files(tuple(SUITES)),
    help=f"Name or TOML file of a suite of tasks: {', '.join(SUITES)}.",
)
@click.option("--download", is_flag=True, help="Let the suite fetch data sets that are missing.")
@click.option(
    "--attributes",
    "attributes_file",
    type=click.Path(path_type=Path),
    help="CSV of numbers by picture or class: picture,size or class,size.",
)
@click.option(
    "--sentence",
    "sentences",
    multiple=True,
    metavar="NAME=MORE|LESS|PHRASE",
    help="What a larger number of an attribute means, in texts that compare two pictures. May come again.",
)
@click.option("--support", metavar="DATA", help="Labelled pictures beside --data: shots of probes, and to validate on.")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), help="Folder for evaluation.json, results.csv and report.html."
)
@click.option("--overwrite", is_flag=True, help="Replace the evaluation that --out holds.")
@layout_options
@click.option(
    "--max-bad-fraction",
    type=Number(0, 1),
    default=0.1,
    show_default=True,
    help="Leave --data out when more of it than this is unusable.",
)
@click.option("--device", default="auto", show_default=True, help="Where models run: auto, cpu, cuda, mps.")
@click.option("--threads", type=Integer(min=1), help="CPU threads; default: the cores of this process.")
@format_option("table", "json", "csv")
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    models: tuple[str, ...],
    baseline: str | None,
    data: str | None,
    suite: str | None,
    download: bool,
    attributes_file: Path | None,
    sentences: tuple[str, ...],
    support: str | None,
    out: Path | None,
    overwrite: bool,
    images: Path | None,
    image_column: str | None,
    caption_column: str | None,
    label_column: str | None,
    max_bad_fraction: float,
    device: str,
    threads: int | None,
    format_: str,
    **_: Any,
) -> None:
    """Measure models on DATA or a suite, with intervals, against a baseline.

    Pictures that a model was trained on are left out of the test. A measure that cannot be taken is named with its
    reason, and the others are taken. The exit code is 1 where no task could be measured.
    """
    settings = given(ctx, EvaluateSettings.model_fields)
    settings["captioner_options"] = plugin_options(ctx, "captioner")
    settings["strategy_options"] = _strategy_options(ctx)
    options = {
        "images": images,
        "image_column": image_column,
        "caption_column": caption_column,
        "label_column": label_column,
    }
    from pcclip.evaluation.running import evaluate
    from pcclip.threads import set_threads

    set_threads(threads)
    evaluation = evaluate(
        models,
        baseline=baseline,
        baseline_options=plugin_options(ctx, "baseline") if baseline else None,
        data=data,
        suite=suite,
        attributes=sentences,
        attributes_file=attributes_file,
        support=support,
        download=download,
        out=out,
        overwrite=overwrite,
        device=device,
        data_options={name: value for name, value in options.items() if value is not None},
        max_bad_fraction=max_bad_fraction,
        progress=progress(),
        **settings,
    )
    _print(evaluation, format_)
    if out is not None:
        click.echo(f"Everything is in {out}", err=True)
    if all(task.skipped is not None for task in evaluation.tasks):
        ctx.exit(1)


def _strategy_options(ctx: click.Context) -> dict[str, dict[str, Any]]:
    names = _names(",".join(ctx.params["strategy"]))
    options = plugin_options(ctx, "strategy")
    if len(names) == 1:
        return {names[0]: options} if options else {}
    return options


def _print(evaluation: Evaluation, format_: str) -> None:
    from pcclip.evaluation.tables import csv_text, legend, tables

    if format_ == "json":
        print_json_line(evaluation.model_dump(mode="json"))
    elif format_ == "csv":
        click.echo(csv_text(evaluation), nl=False)
    else:
        for table in tables(evaluation):
            click.echo(table.title + "\n")
            print_table(table.rows)
            click.echo()
        if evaluation.results:
            click.echo(click.wrap_text(legend(evaluation), 78))
    for problem in evaluation.problems:
        part = f" ({problem.part})" if problem.part else ""
        click.echo(f"not measured on {problem.task}: {problem.measure}{part}: {shown(problem.message)}", err=True)


command.params[9:9] = _field_options()
