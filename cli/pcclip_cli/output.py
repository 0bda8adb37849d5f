"""What commands share in speaking: results to stdout, everything else to stderr."""

from __future__ import annotations

import csv
import functools
import io
import json
import logging
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pcclip.progress import NoProgress, Progress, Task

if TYPE_CHECKING:
    from rich.console import Console

    from pcclip.sweep import AlphaSweep
    from pcclip.types import Quarantined

Command = Callable[..., Any]

_NO_FOLDING = 10_000
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # turn the direction of what follows


def common(function: Command) -> Command:
    """Add ``--quiet`` and ``-v`` to a command and set logging up by them."""

    @click.option("-q", "--quiet", is_flag=True, help="Only results and errors, no progress.")
    @click.option("-v", "--verbose", count=True, help="Say more; twice for debugging.")
    @functools.wraps(function)
    def wrapper(*args: Any, quiet: bool, verbose: int, **kwargs: Any) -> Any:
        level = logging.ERROR if quiet else {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
        _set_up_logging(level)
        _report_plugins()
        click.get_current_context().meta["pcclip_cli.quiet"] = quiet
        return function(*args, **kwargs)

    return wrapper


def format_option(*formats: str) -> Callable[[Command], Command]:
    """Add ``--format`` with the given choices, the first being the default."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How results are printed: a table for a person, JSON lines or CSV for a program.",
    )


@functools.cache
def console() -> Console:
    """Return the console on stderr that logs and progress bars share."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def progress() -> Progress:
    """Return progress bars on stderr, or nothing where it is no terminal or ``--quiet`` was given."""
    context = click.get_current_context(silent=True)
    quiet = context is not None and context.meta.get("pcclip_cli.quiet", False)
    return NoProgress() if quiet or not sys.stderr.isatty() else Bars()


class Bars:
    """Progress bars with rates and the time left."""

    @contextmanager
    def task(self, title: str, total: int | None = None, unit: str = "it", done: int = 0) -> Iterator[Task]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=console()) as bars:
            identity = bars.add_task(title, total=total, completed=done, rate="", note="")

            class _Bar:
                def advance(self, steps: int = 1) -> None:
                    bars.advance(identity, steps)
                    speed = bars.tasks[0].speed
                    if speed:
                        rate = f"{speed:.1f} {unit}/s" if speed >= 1 else f"{1 / speed:.1f} s/{unit}"
                        bars.update(identity, rate=rate)

                def note(self, text: str) -> None:
                    bars.update(identity, note=text)

            yield _Bar()


def print_json_line(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    click.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def print_rows(rows: Sequence[Mapping[str, Any]], format_: str, title: str | None = None) -> None:
    """Print rows with the same keys as a table, JSON lines or CSV."""
    if format_ == "json":
        for row in rows:
            print_json_line(row)
    elif format_ == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        click.echo(text.getvalue(), nl=False)
    else:
        print_table(rows, title)


def print_table(rows: Sequence[Mapping[str, Any]], title: str | None = None, *, error: bool = False) -> None:
    """Print rows with the same keys as a table, to stdout or stderr; numbers on the right.

    On a terminal long texts are folded at its width.
    """
    if not rows:
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, show_edge=False)
    for key, value in rows[0].items():
        table.add_column(key, justify="right" if isinstance(value, int | float) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    stream = sys.stderr if error else sys.stdout
    # for another program a row is a line, however long the paths in it
    width = None if stream.isatty() or "COLUMNS" in os.environ else _NO_FOLDING
    Console(file=stream, highlight=False, width=width).print(table)


def print_sweep(sweep: AlphaSweep) -> None:
    """Print a table of averages, which was chosen by what rule, and what the rule of ``auto`` would take."""
    from pcclip.sweep import RULE, choose

    print_table(sweep.table())
    click.echo(f"\nChosen: alpha {sweep.chosen:g}, {sweep.rule}.")
    if sweep.rule != RULE:
        click.echo(f"--alpha auto would take {choose(sweep.rows):g}, {RULE}.")
    click.echo()


def print_notes(notes: Sequence[str]) -> None:
    """Say on stderr what was chosen on the way, but not with ``--quiet``."""
    if not click.get_current_context().meta.get("pcclip_cli.quiet", False):
        for note in notes:
            click.echo(shown(note), err=True)


def print_quarantined(rows: Sequence[Quarantined]) -> None:
    """Name on stderr what was set aside and why."""
    for row in rows:
        click.echo(f"set aside {row.id!r}: {row.reason}: {shown(row.detail)}", err=True)


def shown(text: str, limit: int = 300) -> str:
    """Return text of a user's or a model's for the terminal: without what would steer it, and not without end."""
    safe = "".join(f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" or c in _TURNING else c for c in text)
    return safe if len(safe) <= limit else f"{safe[:limit]}… ({len(text)} characters)"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else shown(str(value))


class _Handler(logging.Handler):
    """Writes log records through the console, above a running bar."""

    def emit(self, record: logging.LogRecord) -> None:
        from rich.text import Text

        word = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        console().print(Text(f"{word}{record.getMessage()}"), soft_wrap=True)


def _set_up_logging(level: int) -> None:
    logger = logging.getLogger("pcclip")
    logger.handlers[:] = [_Handler()]
    logger.setLevel(level)
    logger.propagate = False


def _report_plugins() -> None:
    from pcclip.plugins import registry

    for trouble in (*registry().broken, *registry().slow, *registry().ageing):
        logging.getLogger("pcclip").warning("%s", trouble)
    for name in registry().unknown:
        logging.getLogger("pcclip").warning(
            "PCCLIP_DISABLE_PLUGINS names %r, which is no entry point: pcclip plugins --json shows them", name
        )
