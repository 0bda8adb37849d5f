"""Directives that write pages from the program itself: its commands, its plugins' options, what it generates.

sphinx-click knows neither commands that are imported late nor flags that depend on other flags.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from pcclip.plugins import KINDS, registry
from pcclip.scaffold import new_plugin
from pcclip_cli.fields import options_of
from pcclip_cli.main import main

FLAGS = {"embedder": "backbone"}


class Commands(Directive):
    """``{pcclip-commands}``: a section for every command."""

    def run(self) -> Sequence[nodes.Node]:
        return list(_commands(main, "pcclip"))


class PluginOptions(Directive):
    """``{pcclip-plugin-options}``: a section for every plugin that comes with pcclip and has options."""

    def run(self) -> Sequence[nodes.Node]:
        return [
            _section(
                f"options-{plugin.kind}-{plugin.spec.name}",
                f"--{flag} {plugin.spec.name}",
                [*_paragraphs(f"{plugin.spec.summary[:1].upper()}{plugin.spec.summary[1:]}."), _records(options)],
            )
            for kind in KINDS
            for plugin in registry().plugins(kind)
            if plugin.distribution == "pcclip"
            and (model := registry().options_model(kind, plugin.spec.names[0])) is not None
            and (options := options_of(model, flag := FLAGS.get(kind, kind)))
        ]


class Generated(Directive):
    """``{pcclip-new} KIND NAME FILE``: a file of the package that ``pcclip plugins new KIND NAME`` writes."""

    required_arguments = 3

    def run(self) -> Sequence[nodes.Node]:
        kind, name, file = self.arguments
        with tempfile.TemporaryDirectory() as folder:
            text = (new_plugin(kind, name, folder) / file).read_text("utf-8")
        code = nodes.literal_block(text, text, language={".toml": "toml", ".py": "python"}[Path(file).suffix])
        caption = nodes.caption("", "", nodes.Text(file))
        return [nodes.container("", caption, code, literal_block=True, classes=["literal-block-wrapper"])]


def _commands(group: click.Group, path: str) -> Iterator[nodes.section]:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        full = f"{path} {name}"
        parts = _command(command, full)
        if isinstance(command, click.Group):
            parts += _commands(command, full)
        yield _section(full.replace(" ", "-"), full, parts)


def _command(command: click.Command, full: str) -> list[nodes.Node]:
    context = click.Context(command, info_name=full)
    usage = " ".join([full, *command.collect_usage_pieces(context)])
    options = [p for p in command.get_params(context) if isinstance(p, click.Option) and "--help" not in p.opts]
    return [
        nodes.literal_block(usage, usage, language="text"),
        *_paragraphs(command.help or ""),
        *([_records(options)] if options else []),
    ]


def _records(options: Iterable[click.Option]) -> nodes.definition_list:
    """Return flags and what ``--help`` says of them, bounds and defaults too."""
    context = click.Context(click.Command("pcclip"))
    found = nodes.definition_list(classes=["flags"])
    for option in options:
        record = option.get_help_record(context)
        if record is not None:
            term, text = record
            body = nodes.definition("", nodes.paragraph("", "", *_text(re.sub(r"\s+", " ", text))))
            found += nodes.definition_list_item("", nodes.term("", "", nodes.literal(term, term)), body)
    return found


def _paragraphs(text: str) -> list[nodes.Node]:
    return [nodes.paragraph("", "", *_text(" ".join(part.split()))) for part in text.split("\n\n") if part.strip()]


def _text(text: str) -> Iterator[nodes.Node]:
    """Yield text in which what stands in brackets, defaults and bounds, is set as code."""
    for part in re.split(r"(\[(?:default|required|\d|x|-\d)[^\]]*\])", text):
        yield nodes.literal(part[1:-1], part[1:-1]) if part.startswith("[") else nodes.Text(part)


def _section(identity: str, title: str, parts: Sequence[nodes.Node]) -> nodes.section:
    return nodes.section("", nodes.title(title, title), *parts, ids=[identity], names=[identity])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("pcclip-commands", Commands)
    app.add_directive("pcclip-new", Generated)
    app.add_directive("pcclip-plugin-options", PluginOptions)
    return {"parallel_read_safe": True}
