"""Real picture files for the readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

MakePicture = Callable[..., Path]


@pytest.fixture
def picture() -> MakePicture:
    """Write a real picture, whose colour follows from its number, and return its path."""

    def make(path: Path, number: int = 0, size: tuple[int, int] = (8, 6)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (number * 37 % 256, number * 91 % 256, number)).save(path)
        return path

    return make
