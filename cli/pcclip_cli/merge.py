"""``pcclip merge``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcclip_cli.fields import numbers
from pcclip_cli.output import common, print_sweep, progress


@click.command("merge")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--alpha",
    help="Weight of the tuned parameters, 0 to 1, the rest being the original's; auto takes the alpha of the sweep "
    "with the best difference accuracy among those that lower no other measure.  "
    "[default: 0.5; of several runs 1]",
)
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), help="Model folder to write; an earlier merge is replaced."
)
@click.option(
    "--sweep-alpha",
    type=numbers,
    metavar="NUMBERS",
    help="Measure these alphas, such as 0,0.25,0.5,0.75,1, on the run's held-out pictures, and keep table and plot "
    "in RUN. Needs no --out.",
)
@common
def command(runs: tuple[Path, ...], alpha: str | None, out: Path | None, sweep_alpha: Any, **_: Any) -> None:
    """Average the model of a run with its original, or the models of several RUNS of one backbone.

    The result is alpha times the (mean of the) tuned text tower plus 1 - alpha times the original.
    """
    wanted = _alpha(alpha)
    sweeps = bool(sweep_alpha) or wanted == "auto"
    if sweeps and len(runs) > 1:
        raise click.UsageError("a sweep measures one run, on the pictures that it held out")
    if out is None and not sweeps:
        raise click.UsageError("Missing option '--out'.")
    from pcclip.merging import merge, sweep_run

    if sweeps:
        found = sweep_run(runs[0], sweep_alpha or (), alpha=wanted, progress=progress())
        print_sweep(found)
        wanted = found.chosen if wanted == "auto" else wanted
    if out is not None:
        chosen = (0.5 if len(runs) == 1 else 1.0) if wanted is None else float(wanted)
        folder = merge(runs, out, alpha=chosen)
        click.echo(f"The model with alpha {chosen:g} is in {folder}", err=True)


def _alpha(given: str | None) -> Any:
    if given is None or given == "auto":
        return given
    try:
        return float(given)
    except ValueError:
        raise click.BadParameter(f"{given!r} is neither a number nor auto.", param_hint="'--alpha'") from None
