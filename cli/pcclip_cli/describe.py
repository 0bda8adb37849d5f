"""``pcclip describe``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from pcclip.types import PairStrategy
from pcclip_cli.choosing import Choice, PluginCommand, plugin_options
from pcclip_cli.completing import BUILT_IN, complete, names_or_files
from pcclip_cli.layout import layout_options
from pcclip_cli.numeric import Integer, Number
from pcclip_cli.output import (
    common,
    format_option,
    print_quarantined,
    print_rows,
    print_table,
    progress,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcclip.interfaces import Embedder
    from pcclip.types import Comparative, Rejection

_SHOWN = 100  # rows of a table; a program reads all rows


@click.command(
    "describe",
    cls=PluginCommand,
    choices=[Choice("captioner", "captioner", "llama"), Choice("backbone", "embedder")],
)
@click.argument("data", required=False, shell_complete=names_or_files(BUILT_IN))
@click.option(
    "--out",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    help="The .sqlite file that holds the answers; goes on in it.",
)
@click.option(
    "--captioner", default="llama", show_default=True, shell_complete=complete("captioner"), help="Who writes."
)
@click.option("--pairs", type=Integer(min=1), default=100, show_default=True, help="How many pairs to describe.")
@click.option(
    "--pair-strategy",
    type=click.Choice(get_args(PairStrategy)),
    default="random",
    show_default=True,
    help="Which pairs: any two; near neighbours by --backbone; of one class; with another value of --pair-attribute.",
)
@click.option("--pair-attribute", help="With --pair-strategy attribute: whose values must differ.")
@click.option("--seed", type=Integer(min=0), default=0, show_default=True, help="Seed of the choice of pairs.")
@click.option(
    "--backbone",
    shell_complete=complete("embedder"),
    help="CLIP model whose neighbours are paired, and whose context --report holds the texts against.",
)
@layout_options
@click.option(
    "--max-bad-fraction",
    type=Number(0, 1),
    default=0.1,
    show_default=True,
    help="Stop when more of DATA than this is unusable.",
)
@click.option("--threads", type=Integer(min=1), help="CPU threads; default: the cores of this process.")
@click.option("--report", is_flag=True, help="Print rates and examples of all that --out holds, not the answers.")
@click.option(
    "--import",
    "import_",
    type=click.Path(path_type=Path),
    help="First bring in the answers of a JSONL file (first, second, text).",
)
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    help="At the end write all that --out holds to a JSONL file; - for standard output.",
)
@format_option("table", "json", "csv")
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    data: str | None,
    out: Path,
    captioner: str,
    pairs: int,
    pair_strategy: PairStrategy,
    pair_attribute: str | None,
    seed: int,
    backbone: str | None,
    images: Path | None,
    image_column: str | None,
    caption_column: str | None,
    label_column: str | None,
    max_bad_fraction: float,
    threads: int | None,
    report: bool,
    import_: Path | None,
    export: Path | None,
    format_: str,
    **_: Any,
) -> None:
    """Write how pairs of captioned pictures of DATA differ.

    What is described already is not asked for again; what was rejected is shown with its reason.
    Without DATA, only --import, --export and --report do their work.

    The exit code is 1 where a picture of DATA was set aside.
    """
    if data is None and not (report or import_ or export):
        raise click.UsageError("Name DATA to describe, or one of --report, --import and --export.")
    if export is not None and any(given and _same_file(export, Path(given)) for given in (data, out, import_)):
        raise click.UsageError(f"--export {export} would overwrite what is read from it.")
    from pcclip.plugins import registry
    from pcclip.threads import set_threads

    set_threads(threads)
    embedder = registry().embedder(backbone, plugin_options(ctx, "backbone")) if backbone else None
    if import_ is not None:
        _import(ctx, import_, out, captioner)
    if data is not None:
        from pcclip.data import read
        from pcclip.describe import describe_examples

        found = read(
            data,
            images=images,
            image_column=image_column,
            caption_column=caption_column,
            label_column=label_column,
            progress=progress(),
        ).require(max_bad_fraction)
        answers = describe_examples(
            found.examples,
            registry().captioner(captioner, plugin_options(ctx, "captioner")),
            out,
            count=pairs,
            seed=seed,
            strategy=pair_strategy,
            attribute=pair_attribute,
            embedder=embedder,
            progress=progress(),
        )
        if not report:
            _print_answers(answers, format_)
        print_quarantined(found.quarantined)
        _sum_up(answers, out)
    if export is not None:
        _export(out, export)
    if report:
        _report(out, embedder, format_)
    if data is not None and found.quarantined:
        ctx.exit(1)


def _same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _import(ctx: click.Context, path: Path, out: Path, captioner: str) -> None:
    from pcclip.comparatives import ComparativeStore
    from pcclip.exchange import import_comparatives
    from pcclip.files import make_writable_folder
    from pcclip.plugins import registry

    fingerprint = label = None
    if ctx.get_parameter_source("captioner") is click.core.ParameterSource.COMMANDLINE:
        with registry().captioner(captioner, plugin_options(ctx, "captioner")) as writer:
            fingerprint, label = writer.fingerprint, writer.label
    make_writable_folder(out.parent)
    with ComparativeStore(out) as store:
        imported = import_comparatives(store, path, fingerprint, label)
    click.echo(
        f"{path}: {imported.new} new answers, {imported.known} for pairs that were there already; "
        f"{imported.rejected} of all are rejections",
        err=True,
    )


def _export(out: Path, path: Path) -> None:
    from pcclip.comparatives import ComparativeStore
    from pcclip.exchange import export_comparatives, write_comparatives

    with ComparativeStore(out, read_only=True) as store:
        if str(path) == "-":
            write_comparatives(store, sys.stdout.buffer)
            return
        written = export_comparatives(store, path)
    click.echo(f"{written} answers written to {path}", err=True)


def _print_answers(answers: Sequence[Comparative | Rejection], format_: str) -> None:
    some = answers if format_ != "table" else answers[:_SHOWN]
    print_rows(
        [
            {
                "first": answer.pair.first,
                "second": answer.pair.second,
                "text": answer.text,
                "rejected": getattr(answer, "reason", None),
            }
            for answer in some
        ],
        format_,
    )
    if len(some) < len(answers):
        click.echo(f"The first {len(some)} of {len(answers)}; --format json or csv prints all.", err=True)


def _sum_up(answers: Sequence[Comparative | Rejection], out: Path) -> None:
    from pcclip.comparatives import rejection_counts

    rejected = rejection_counts(answers)
    reasons = f" ({', '.join(f'{reason} {number}' for reason, number in rejected.items())})" if rejected else ""
    if not click.get_current_context().meta["pcclip_cli.quiet"]:
        click.echo(
            f"{len(answers)} pairs: {len(answers) - sum(rejected.values())} accepted, "
            f"{sum(rejected.values())} rejected{reasons}; kept in {out}",
            err=True,
        )


def _report(out: Path, embedder: Embedder | None, format_: str) -> None:
    from pcclip.answers import report
    from pcclip.comparatives import ComparativeStore

    with ComparativeStore(out, read_only=True) as store:
        reports = report(store, embedder=embedder)
    if format_ != "table":
        print_rows([found.to_dict() for found in reports], format_)
        return
    if not reports:
        click.echo(f"{out} holds no answers")
    for found in reports:
        click.echo(f"{found.label or 'a captioner'} ({found.captioner}): {found.asked} pairs\n")
        print_table(
            [
                {"outcome": outcome, "pairs": number, "share": f"{number / found.asked:.1%}"}
                for outcome, number in found.outcomes.items()
            ]
        )
        click.echo(f"\n{found.reversible} of {found.accepted} accepted texts give the reversed pair as well.")
        if found.too_long is not None and embedder is not None:
            share = found.too_long / max(1, found.accepted)
            click.echo(
                f"{found.too_long} of {found.accepted} ({share:.1%}) are longer than the {embedder.context_length} "
                "tokens that the text tower reads."
            )
        for outcome in found.outcomes:
            for answer in found.examples.get(outcome, ()):
                captions = f"{outcome}: {shown(answer.pair.first)} | {shown(answer.pair.second)}"
                click.echo("\n" + click.wrap_text(captions, 78))
                click.echo(click.wrap_text(shown(answer.text) or "(no text)", 78, "    ", "    "))
        click.echo()
