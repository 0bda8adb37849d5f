"""``pcclip completion``"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pcclip_cli.main import COMPLETE, main

INSTALL = {
    "bash": "pcclip completion bash > ~/.local/share/bash-completion/completions/pcclip\n"
    '# or, without the package bash-completion, a line in ~/.bashrc:  eval "$(pcclip completion bash)"',
    "zsh": 'a line in ~/.zshrc, behind compinit:  eval "$(pcclip completion zsh)"',
    "fish": "pcclip completion fish > ~/.config/fish/completions/pcclip.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(INSTALL)))
def command(shell: str) -> None:
    """Print the script that completes pcclip in SHELL: bash, zsh or fish.

    It completes commands, flags, the names of plugins and the flags that the plugins chosen so far bring. The last
    lines of the script say how to install it.
    """
    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(main, {}, "pcclip", COMPLETE).source().rstrip())
    click.echo(f"\n# To install: {INSTALL[shell]}")
