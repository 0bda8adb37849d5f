"""``pcclip plugins``"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pcclip.plugins import KINDS, Plugin, registry
from pcclip_cli.completing import any_plugin
from pcclip_cli.output import print_json_line, print_table, shown

_KIND = click.Choice(sorted({*KINDS, "backbone"}))


@click.group("plugins", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a plugin.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List backbones, captioners, losses and strategies, and where each came from."""
    if ctx.invoked_subcommand is not None:
        return
    rows = [_row(plugin) for plugin in registry().plugins()]
    broken = [
        {
            "kind": "",
            "name": b.entry_point,
            "distribution": b.distribution,
            "version": b.version,
            "status": f"broken: {b.cause}",
        }
        for b in registry().broken
    ]
    if as_json:
        for row, plugin in zip(rows, registry().plugins(), strict=True):
            about = {"summary": plugin.spec.summary, "variants": list(plugin.spec.variants)}
            print_json_line({**row, **about, "entry_point": plugin.entry_point})
        for row in broken:
            print_json_line({**row, "summary": "", "variants": [], "entry_point": row["name"]})
        return
    shown = [{**row, "name": _shown_name(plugin)} for row, plugin in zip(rows, registry().plugins(), strict=True)]
    print_table([*shown, *broken])


@command.command("show")
@click.argument("name", shell_complete=any_plugin)
def show(name: str) -> None:
    """Print what the plugin NAME is and its options."""
    for plugin in _named(name):
        click.echo(f"{plugin.kind} {plugin.spec.name} ({plugin.origin}): {plugin.spec.summary}")
        if plugin.spec.variants:
            click.echo(click.wrap_text("names: " + ", ".join(plugin.spec.variants), 78, "  ", "  "))
        model = registry().options_model(plugin.kind, plugin.spec.names[0])
        if model is None:
            click.echo("  no options")
            continue
        flag = _flag(plugin.kind)
        from pcclip_cli.fields import options_of

        context = click.Context(click.Command(name))
        records = [record for o in options_of(model, flag) if (record := o.get_help_record(context))]
        formatter = click.HelpFormatter(width=80)
        with formatter.indentation():
            formatter.write_dl(records)
        click.echo(formatter.getvalue(), nl=False)


@command.command("new", short_help="Write a package with a plugin that works.")
@click.argument("kind", type=_KIND)
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where the package's folder is made; default: here.",
)
def new(kind: str, name: str, into: Path) -> None:
    """Write a package with the plugin NAME: one that works, and passes its tests.

    An embedder is what --backbone chooses; either word will do.
    """
    from pcclip.scaffold import new_plugin

    kind = _kind(kind)
    folder = new_plugin(kind, name, into)
    click.echo(folder)
    place = shlex.quote(str(folder))
    click.echo(
        f'Next: cd {place} && pip install -e ".[test]" && pytest. Then --{_flag(kind)} {name} is there.', err=True
    )


@command.command("check")
@click.argument("name", shell_complete=any_plugin)
@click.option("--kind", type=_KIND, help="Where plugins of several kinds have this name.")
@click.option(
    "--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help="An option of the plugin; may come again."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a check.")
@click.pass_context
def check(ctx: click.Context, name: str, kind: str | None, options: Sequence[str], as_json: bool) -> None:
    """Hold the plugin NAME to the contract of its kind.

    The same checks as in pcclip.testing. Exit code 1 where one fails.
    """
    found = [p for p in _named(name) if kind is None or p.kind == _kind(kind)]
    if not found:
        raise click.UsageError(f"no {kind} is called {name!r}")
    values = dict(_key_and_value(option) for option in options)
    from pcclip.testing.checking import check_plugin

    failed = 0
    for plugin in found:
        chosen = name if name in plugin.spec.names else plugin.spec.names[0]
        if values:
            registry().parse_options(plugin.kind, chosen, values)  # a wrong one is the caller's mistake
        if not as_json:
            click.echo(f"{plugin.kind} {chosen} ({plugin.origin})")
        for outcome in check_plugin(plugin.kind, chosen, values):
            failed += outcome.status != "ok"
            if as_json:
                about = {"kind": plugin.kind, "name": chosen, "distribution": plugin.distribution}
                about |= {"version": plugin.version, "check": outcome.check}
                print_json_line({**about, "status": outcome.status, "detail": outcome.detail})
            else:
                word = outcome.status.upper() if outcome.status == "failed" else outcome.status
                why = f": {shown(outcome.detail)}" if outcome.detail else ""
                click.echo(f"  {word:<8} {outcome.check}{why}")
    ctx.exit(1 if failed else 0)


def _kind(word: str) -> str:
    """Return the kind of plugin that ``word`` means."""
    return "embedder" if word == "backbone" else word


def _flag(kind: str) -> str:
    """Return the flag that chooses a plugin of ``kind``."""
    return "backbone" if kind == "embedder" else kind


def _named(name: str) -> list[Plugin]:
    """Return the plugins that are called ``name``, by themselves or by one of their variants."""
    found = [p for p in registry().plugins() if name == p.spec.name or name in p.spec.variants]
    if not found:
        every = sorted({p.spec.name for p in registry().plugins()})
        left_out = "".join(f"\n{broken}" for broken in registry().broken)  # one of them may be what was meant
        raise click.UsageError(f"no plugin is called {name!r}; there are: {', '.join(every)}{left_out}")
    return found


def _key_and_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--option {text!r} is not of the form KEY=VALUE")
    return key.strip().replace("-", "_"), value


def _row(plugin: Plugin) -> dict[str, Any]:
    return {
        "kind": plugin.kind,
        "name": plugin.spec.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": _status(plugin),
    }


def _status(plugin: Plugin) -> str:
    if plugin.outdated:
        return f"unusable: {plugin.outdated}"
    twice = sorted(set(plugin.spec.names) & registry().conflicts(plugin.kind).keys())
    if twice:
        return f"conflict: {', '.join(twice)}"
    places = {(slow.distribution, slow.entry_point): slow.cause for slow in registry().slow}
    slow = places.get((plugin.distribution, plugin.entry_point))
    return f"slow: {slow}" if slow else "ok"


def _shown_name(plugin: Plugin) -> str:
    variants = plugin.spec.variants
    return f"{plugin.spec.name} ({len(variants)} names)" if variants else plugin.spec.name
