"""Options that say how the user's data is laid out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def layout_options(function: F) -> F:
    """Add ``--images``, ``--image-column``, ``--caption-column`` and ``--label-column``."""
    for decorator in (
        click.option("--label-column", help="Column that holds the class."),
        click.option("--caption-column", help="Column that holds the caption."),
        click.option("--image-column", help="Column that holds the picture's path."),
        click.option(
            "--images", type=click.Path(path_type=Path), help="Folder that relative picture paths start from."
        ),
    ):
        function = decorator(function)
    return function
