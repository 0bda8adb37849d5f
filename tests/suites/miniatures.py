"""What the miniatures of published data sets are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def cifar_bytes(labels: list[int], label_bytes: int, first: int = 0) -> bytes:
    """Return records of pictures: red counts up, green is the number of the picture, blue is 7."""
    records = []
    for place, label in enumerate(labels):
        planes = np.zeros((3, 32, 32), np.uint8)
        planes[0] = np.arange(1024, dtype=np.uint16).reshape(32, 32) % 251
        planes[1], planes[2] = first + place, 7
        records.append(bytes([9] * (label_bytes - 1) + [label]) + planes.tobytes())
    return b"".join(records)


FINE = ["apple", "aquarium_fish", "camel", "hamster", "leopard", "lion", "rabbit", "shrew", "squirrel", "wolf"]


def draw(path: Path, number: int = 0) -> Path:
    """Write a real picture, whose content follows from its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), (number * 37 % 256, number * 91 % 256, number % 256)).save(path)
    return path


def write(path: Path, text: str) -> Path:
    """Write a text file with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
