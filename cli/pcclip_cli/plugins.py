"""``pcclip plugins``"""

from __future__ import annotations

from typing import Any

import click

from pcclip.plugins import KINDS, Plugin, registry
from pcclip_cli.completing import any_plugin
from pcclip_cli.output import print_json_line, print_table


@click.group("plugins", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a plugin.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List backbones, captioners, losses and strategies, and where each came from."""
    if ctx.invoked_subcommand is not None:
        return
    conflicts = {name for kind in KINDS for name in registry().conflicts(kind)}
    rows = [_row(plugin, conflicts) for plugin in registry().plugins()]
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
            print_json_line({**row, "summary": plugin.spec.summary, "variants": list(plugin.spec.variants)})
        for row in broken:
            print_json_line({**row, "summary": "", "variants": []})
        return
    shown = [{**row, "name": _shown_name(plugin)} for row, plugin in zip(rows, registry().plugins(), strict=True)]
    print_table([*shown, *broken])


@command.command("show")
@click.argument("name", shell_complete=any_plugin)
def show(name: str) -> None:
    """Print what the plugin NAME is and its options."""
    found = [p for p in registry().plugins() if name == p.spec.name or name in p.spec.variants]
    if not found:
        every = sorted({p.spec.name for p in registry().plugins()})
        raise click.UsageError(f"no plugin is called {name!r}; there are: {', '.join(every)}")
    for plugin in found:
        click.echo(f"{plugin.kind} {plugin.spec.name} ({plugin.origin}): {plugin.spec.summary}")
        if plugin.spec.variants:
            click.echo(click.wrap_text("names: " + ", ".join(plugin.spec.variants), 78, "  ", "  "))
        model = registry().options_model(plugin.kind, plugin.spec.names[0])
        if model is None:
            click.echo("  no options")
            continue
        flag = {"embedder": "backbone"}.get(plugin.kind, plugin.kind)
        from pcclip_cli.fields import options_of

        context = click.Context(click.Command(name))
        records = [record for o in options_of(model, flag) if (record := o.get_help_record(context))]
        formatter = click.HelpFormatter(width=80)
        with formatter.indentation():
            formatter.write_dl(records)
        click.echo(formatter.getvalue(), nl=False)


def _row(plugin: Plugin, conflicts: set[str]) -> dict[str, Any]:
    twice = sorted(set(plugin.spec.names) & conflicts)
    return {
        "kind": plugin.kind,
        "name": plugin.spec.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": f"conflict: {', '.join(twice)}" if twice else "ok",
    }


def _shown_name(plugin: Plugin) -> str:
    variants = plugin.spec.variants
    return f"{plugin.spec.name} ({len(variants)} names)" if variants else plugin.spec.name
