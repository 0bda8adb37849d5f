"""Small copies of pictures as data URIs, each picture once, within a budget."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, features

from pcclip.data.pictures import PictureError, open_picture

if TYPE_CHECKING:
    from pcclip.evaluation.document import Picture

SIDE = 288
"""The longest side of a copy in pixels."""

_QUALITY = 78


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture as pages refer to it.

    Attributes:
        anchor: id of the element that holds the copy, or an empty string where there is none.
        width, height: of the copy, in pixels.
        uri: the copy as a data URI.
        problem: why there is no copy, or an empty string.
    """

    anchor: str = ""
    width: int = 4
    height: int = 3
    uri: str = ""
    problem: str = ""


class Album:
    """The thumbnails of a report.

    Args:
        most: how many different pictures are copied; later ones get a placeholder that says so.
        most_bytes: how large the copies may be together.
    """

    def __init__(self, most: int = 400, most_bytes: int = 8_000_000) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._bytes = 0
        self._by_path: dict[str, Thumbnail] = {}
        self._by_copy: dict[bytes, Thumbnail] = {}

    @property
    def copies(self) -> tuple[Thumbnail, ...]:
        """Every copy, once, in the order in which pictures came."""
        return tuple(self._by_copy.values())

    @property
    def size(self) -> int:
        """The size of all copies together, in bytes before base64."""
        return self._bytes

    @property
    def problems(self) -> dict[str, int]:
        """How many pictures have no copy, by reason."""
        counts: dict[str, int] = {}
        for thumbnail in self._by_path.values():
            if thumbnail.problem:
                counts[thumbnail.problem] = counts.get(thumbnail.problem, 0) + 1
        return counts

    def add(self, picture: Picture) -> Thumbnail:
        """Return the copy of a picture, made at its first call; files with equal copies share one."""
        known = self._by_path.get(picture.path)
        if known is None:
            known = self._by_path[picture.path] = self._make(picture.path)
        return known

    def _make(self, path: str) -> Thumbnail:
        if len(self._by_copy) >= self._most or self._bytes >= self._most_bytes:
            return Thumbnail(problem="left out to keep this file small")
        try:
            image = _small(Path(path))
        except PictureError as error:
            return Thumbnail(problem=error.reason.replace("-", " "))
        except (OSError, ValueError):  # such as a path with a NUL
            return Thumbnail(problem="not a path")
        copy, kind = _encode(image)
        if copy not in self._by_copy:
            if self._bytes + len(copy) > self._most_bytes:
                return Thumbnail(problem="left out to keep this file small")
            self._bytes += len(copy)
            uri = f"data:image/{kind};base64,{base64.b64encode(copy).decode('ascii')}"
            self._by_copy[copy] = Thumbnail(f"picture-{len(self._by_copy) + 1}", *image.size, uri)
        return self._by_copy[copy]


def _small(path: Path) -> Image.Image:
    image = open_picture(path)  # upright already
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _encode(image: Image.Image) -> tuple[bytes, str]:
    kind = "webp" if features.check("webp") else "jpeg"
    buffer = io.BytesIO()
    image.save(buffer, format=kind, quality=_QUALITY)
    return buffer.getvalue(), kind
