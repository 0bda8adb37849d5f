"""Flags by which commands that use a model choose it: a finished run, or an untuned backbone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pcclip_cli.choosing import Choice, plugin_options
from pcclip_cli.completing import complete
from pcclip_cli.numeric import Integer

if TYPE_CHECKING:
    from pcclip.model import Model

F = TypeVar("F", bound=Callable[..., Any])
BACKBONE = Choice("backbone", "embedder")


def model_options(function: F) -> F:
    """Add ``--model``, ``--backbone``, ``--device`` and ``--threads``."""
    for decorator in (
        click.option("--threads", type=Integer(min=1), help="CPU threads; default: the cores of this process."),
        click.option("--device", default="auto", show_default=True, help="Where the model runs: auto, cpu, cuda, mps."),
        click.option("--backbone", shell_complete=complete("embedder"), help="Use an untuned backbone instead."),
        click.option("--model", "-m", "model_path", type=click.Path(path_type=Path), help="Folder of a finished run."),
    ):
        function = decorator(function)
    return function


def open_model(
    ctx: click.Context, model_path: Path | None, backbone: str | None, device: str, threads: int | None
) -> Model:
    """Return the model that the flags name."""
    if (model_path is None) == (backbone is None):
        raise click.UsageError("Name one model: --model RUN, or --backbone NAME for an untuned one.")
    from pcclip.model import Model
    from pcclip.saved import load
    from pcclip.threads import set_threads

    set_threads(threads)
    if model_path is not None:
        return load(model_path, device)
    options = plugin_options(ctx, "backbone")
    if device != "auto":
        options.setdefault("device", device)
    return Model.from_backbone(backbone or "", options)
