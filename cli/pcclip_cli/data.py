"""``pcclip data``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcclip_cli.completing import BUILT_IN, names_or_files
from pcclip_cli.layout import layout_options
from pcclip_cli.output import common, print_json_line, print_quarantined, print_table, progress


@click.group("data")
def command() -> None:
    """Look at data before using it."""


@command.command("check", short_help="Read data and name what was set aside.")
@click.argument("data", shell_complete=names_or_files(BUILT_IN))
@layout_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the rows that were set aside to this CSV file.")
@common
@click.pass_context
def check(ctx: click.Context, /, data: str, as_json: bool, out: Path | None, **where: Any) -> None:
    """Read DATA, decode every picture, and say what is there and what was set aside.

    The exit code is 1 where something was set aside.
    """
    from pcclip.data import check as check_data
    from pcclip.data.quarantine import write_quarantine

    where = {key: where[key] for key in ("images", "image_column", "caption_column", "label_column")}
    report = check_data(data, progress=progress(), **where)
    if as_json:
        print_json_line(report.to_dict())
    else:
        print_table([{"": name, report.name: value} for name, value in report.rows])
        print_quarantined(report.quarantined)
    if out is not None:
        write_quarantine(out, report.quarantined)
    if report.quarantined:
        ctx.exit(1)
