"""Commands whose flags depend on the plugins that the user chose.

``--captioner llama`` makes the fields of llama's options real flags of the command
(``--captioner-n-parallel``), with bounds and defaults in the help text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from pcclip.errors import PcclipError
from pcclip.plugins import registry
from pcclip_cli.fields import given, options_of

_META = "pcclip_cli.chosen"


@dataclass(frozen=True, slots=True)
class Choice:
    """A flag that chooses a plugin.

    Attributes:
        flag: ``captioner`` for ``--captioner``; also the prefix of the plugin's own flags.
        kind: the kind of plugin, ``captioner``.
        default: what is chosen where the flag is not given, or None for nothing.
        names: takes a value that chooses several plugins apart into their names; where there are several, their
            flags carry the name too, ``--loss-retain-target``.
        repeats: whether the flag may come again; its values are then joined by commas.
    """

    flag: str
    kind: str
    default: str | None = None
    names: Callable[[str], Sequence[str]] | None = None
    repeats: bool = False


class PluginCommand(click.Command):
    """A command with flags of the chosen plugins.

    Args:
        choices: which flags choose plugins.
        recipe: name of the flag that names a recipe, whose choices count where a flag is not given.
    """

    def __init__(self, *args: Any, choices: Sequence[Choice], recipe: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choices = tuple(choices)
        self.recipe = recipe

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            ctx.meta[_META] = self._chosen(args)
        except PcclipError:
            if not ctx.resilient_parsing:
                raise
            ctx.meta[_META] = {}  # a shell asks for completions: nobody waits for an error
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params = super().get_params(ctx)
        taken = {name for param in params for name in param.opts}
        for choice in self.choices:
            params[-1:-1] = [o for o in self._plugin_options(ctx, choice) if not taken & set(o.opts)]
        return params

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        parts = [(choice, part) for choice in self.choices for part in self._parts(ctx, choice)]
        dynamic = {id(option) for _, part in parts for option in part.options}
        fixed = [p for p in self.get_params(ctx) if isinstance(p, click.Option) and id(p) not in dynamic]
        own = [record for option in fixed if (record := option.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl(own)
        for choice, part in parts:
            records = [r for o in part.options if (r := o.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(f"Options of the {choice.flag} {part.name}"):
                    formatter.write_dl(records)

    def _chosen(self, args: list[str]) -> dict[str, str | None]:
        recipe = _value_of(args, self.recipe) if self.recipe else None
        settings: dict[str, Any] = {}
        if recipe:
            from pcclip.config import read_recipe

            settings = read_recipe(recipe)
        return {
            choice.flag: _value_of(args, choice.flag, choice.repeats) or settings.get(choice.flag) or choice.default
            for choice in self.choices
        }

    def _plugin_options(self, ctx: click.Context, choice: Choice) -> list[click.Option]:
        return [option for part in self._parts(ctx, choice) for option in part.options]

    def _parts(self, ctx: click.Context, choice: Choice) -> list[_Part]:
        """Return the plugins that a flag's value chooses, with their flags."""
        cached: dict[str, list[_Part]] = ctx.meta.setdefault(f"{_META}.options", {})
        if choice.flag not in cached:
            try:
                cached[choice.flag] = self._find_parts(ctx, choice)
            except Exception:
                if not ctx.resilient_parsing:
                    raise
                cached[choice.flag] = []
        return cached[choice.flag]

    def _find_parts(self, ctx: click.Context, choice: Choice) -> list[_Part]:
        value = ctx.meta.get(_META, {}).get(choice.flag)
        names = [] if not value else choice.names(value) if choice.names else [value]
        if value == choice.default and not set(names) <= set(registry().names(choice.kind)):
            names = []  # a default that is not installed: using it says so
        parts = []
        for name in names:
            model = registry().options_model(choice.kind, name)
            prefix = choice.flag if len(names) == 1 else f"{choice.flag}-{name}".replace(".", "-")
            parts.append(_Part(name, prefix, options_of(model, prefix) if model else []))
        return parts


@dataclass(frozen=True, slots=True)
class _Part:
    """One chosen plugin, and the flags of its options."""

    name: str
    prefix: str
    options: list[click.Option]

    def given(self, ctx: click.Context) -> dict[str, Any]:
        prefix = self.prefix.replace("-", "_")
        return given(ctx, [o.name[len(prefix) + 1 :] for o in self.options if o.name], prefix)


def plugin_options(ctx: click.Context, flag: str) -> dict[str, Any]:
    """Return what the user gave for the options of the plugin chosen by ``flag``; of several, by their names."""
    command = ctx.command
    assert isinstance(command, PluginCommand)
    choice = next(choice for choice in command.choices if choice.flag == flag)
    parts = command._parts(ctx, choice)
    if len(parts) == 1:
        return parts[0].given(ctx)
    return {part.name: options for part in parts if (options := part.given(ctx))}


def _value_of(args: list[str], flag: str, repeats: bool = False) -> str | None:
    """Return the last value of ``--flag`` in raw arguments, before ``--``; all of them where it ``repeats``."""
    found: list[str] = []
    for position, argument in enumerate(args):
        if argument == "--":
            break
        if argument.startswith(f"--{flag}="):
            found.append(argument.partition("=")[2])
        elif argument == f"--{flag}" and position + 1 < len(args):
            found.append(args[position + 1])
    return ",".join(found) if repeats and found else found[-1] if found else None
