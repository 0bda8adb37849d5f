"""What a shell is offered behind the words typed so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from pcclip.plugins import registry

BUILT_IN = ("scenes", "stamps")  # of pcclip.data, which is not imported for a help text
# a string: in click 8.2 a CompletionItem is of no type
Callback: TypeAlias = "Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]"


def complete(kind: str) -> Callback:
    """Return a callback that offers the names of a kind of plugin."""

    def names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return plugin_names(kind, incomplete)

    return names


def plugin_names(kind: str, incomplete: str, before: str = "") -> list[CompletionItem[str]]:
    """Return the plugins of ``kind`` whose names begin with ``incomplete``, with ``before`` in front of each."""
    found = []
    for plugin in registry().plugins(kind):
        found += [
            CompletionItem(before + name, help=plugin.spec.summary)
            for name in plugin.spec.names
            if name.startswith(incomplete)
        ]
    return sorted(found, key=lambda item: item.value)


def any_plugin(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the name of a plugin of any kind."""
    found = {p.spec.name: p.spec.summary for p in registry().plugins()}
    return [CompletionItem(name, help=text) for name, text in sorted(found.items()) if name.startswith(incomplete)]


def loss_terms(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the last term of a sum of losses, ``contrastive+0.5*re``."""
    begun = max(incomplete.rfind("+"), incomplete.rfind("*")) + 1
    before, last = incomplete[:begun], incomplete[begun:]
    named = {term.rpartition("*")[2] for term in before.split("+")}
    return [item for item in plugin_names("loss", last, before) if item.value[begun:] not in named]


def one_of(names: Sequence[str]) -> Callback:
    """Return a callback that offers ``names``."""

    def offer(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return offer


def names_or_files(names: Sequence[str]) -> Callback:
    """Return a callback that offers ``names``, and files where none of them fits."""

    def offer(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        found = one_of(names)(ctx, param, incomplete) if incomplete else []
        return found or [CompletionItem(incomplete, type="file")]

    return offer


@add_completion_class
class Bash(BashComplete):
    """Bash, which takes ``--captioner=ll`` apart into three words because ``=`` ends words there."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor and the one begun, without those signs between flag and value."""
        words, incomplete = super().get_completion_args()
        flags = ["", *words]  # in front of each word the one before it
        return [w for w, flag in zip(words, flags, strict=False) if w != "=" or not flag.startswith("--")], incomplete
