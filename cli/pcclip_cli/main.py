"""The program ``pcclip``: a group whose commands are imported only when they are called."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name → (module, summary); the summaries stand here so that `pcclip --help` imports no command
COMMANDS = {
    "demo": "Run the whole job on real pictures with embedded models.",
    "finetune": "Teach a CLIP model the differences in your data.",
    "merge": "Average a finished model with its original, or with others.",
    "export": "Write a finished model as open_clip or transformers keep theirs.",
    "evaluate": "Measure models, with intervals, against a baseline.",
    "predict": "Classify pictures.",
    "compare": "Say which of two pictures fits a described difference.",
    "rank": "Order pictures by a described attribute.",
    "search": "Find pictures like one, but different in a described way.",
    "describe": "Write how pairs of captioned pictures differ.",
    "embed": "Write image embeddings to a file.",
    "data": "Look at data before using it.",
    "plugins": "List backbones, captioners, losses and strategies.",
    "completion": "Print the script that completes pcclip in your shell.",
}
COMPLETE = "_PCCLIP_COMPLETE"  # set by that script when it asks for completions


class LazyGroup(click.Group):
    """Imports a command's module when it is called, and turns errors into messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"pcclip_cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        from pcclip.errors import PcclipError

        if COMPLETE in os.environ:
            from pcclip_cli import completing  # noqa: F401 - teaches click what bash does with "="
        try:
            result = super().main(args, prog_name, complete_var or COMPLETE, standalone_mode=False, **extra)
        except PcclipError as error:
            if not standalone_mode:
                raise
            _fail(error.message, error.hint, error.exit_code)
        except click.ClickException as error:
            if not standalone_mode:
                raise
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            if not standalone_mode:
                raise
            _fail("interrupted", "What is done is kept: the same command goes on where it stopped.", 130)
        except BrokenPipeError:
            # the reader of our output has gone; keep Python from complaining when it closes stdout
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            from pcclip.faults import blame

            blamed = blame(error)
            if blamed is None:
                raise
            if not standalone_mode:
                raise blamed from error
            _fail(blamed.message, blamed.hint, blamed.exit_code)
        if standalone_mode:
            sys.exit(result if isinstance(result, int) else 0)
        return result


def _fail(message: str, hint: str | None, code: int) -> NoReturn:
    click.secho("Error: ", fg="red", nl=False, err=True)
    click.echo(message, err=True)
    if hint:
        click.echo(hint, err=True)
    sys.exit(code)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from pcclip import __version__

        click.echo(f"pcclip {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Teach CLIP what differs between two pictures.

    Finetune on described differences, then rank, compare, search and classify pictures by them.

    Start with: pcclip demo
    """


def run() -> None:
    """Run the program; the console script's entry point."""
    main()
