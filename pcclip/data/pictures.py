"""Opens picture files of every kind into what embedders take, and names what is wrong with the others."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pcclip.data.collecting import file_problem
from pcclip.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

REASONS = ("missing-file", "not-a-file", "empty-file", "not-a-picture", "truncated", "too-large", "undecodable")
"""Why a picture cannot be opened."""

_BLOCK = 1 << 20


class PictureError(DataError):
    """A picture file that cannot be opened.

    Args:
        reason: one of :data:`REASONS`.
        detail: what exactly.
        path: the file.
    """

    def __init__(self, reason: str, detail: str, path: Path) -> None:
        super().__init__(f"cannot open the picture {str(path)!r} ({reason}): {detail}")
        self.reason = reason
        self.detail = detail
        self.path = path


def open_picture(path: str | Path) -> Image.Image:
    """Decode a picture wholly and return it upright, in mode RGB, or RGBA where it has transparency.

    The orientation that cameras note in EXIF is applied, the first frame of an animation is
    taken, 16-bit grey is scaled to 8 bits, and palettes, grey and CMYK become RGB. The file is
    closed. Warnings of Pillow do not come through.

    Raises:
        PictureError: the file is missing, empty, no picture, cut off, damaged, or of more pixels
            than ``PIL.Image.MAX_IMAGE_PIXELS`` (89 million by default).
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    problem = file_problem(path)
    if problem:
        raise PictureError(*problem, path)
    with _quiet_pillow():
        try:
            with Image.open(path) as image:
                limit = Image.MAX_IMAGE_PIXELS
                if limit is not None and image.width * image.height > limit:
                    raise Image.DecompressionBombError(f"{image.width} × {image.height} pixels, more than {limit}")
                image.load()
                return _as_rgb(_upright(image))
        except Image.DecompressionBombError as error:
            raise PictureError("too-large", str(error), path) from error
        except UnidentifiedImageError as error:
            raise PictureError("not-a-picture", "no known picture format", path) from error
        except Exception as error:  # the decoders raise nearly everything on damaged files
            text = str(error) or type(error).__name__
            cut = isinstance(error, EOFError) or "truncated" in text.lower() or "incomplete" in text.lower()
            raise PictureError("truncated" if cut else "undecodable", text, path) from error


def picture_digest(path: str | Path) -> bytes:
    """Return the BLAKE2b hash of a file's content, 32 bytes, read in blocks of 1 MiB.

    Raises:
        PictureError: the file cannot be read.
    """
    path = Path(path)
    problem = file_problem(path)
    if problem and problem[0] != "empty-file":
        raise PictureError(*problem, path)
    digest = hashlib.blake2b(digest_size=32)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise PictureError("missing-file", error.strerror or str(error), path) from error
    return digest.digest()


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF; the pixels are whole
        return image


def _as_rgb(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode in ("RGB", "RGBA") and "transparency" not in image.info:
        return image.copy()
    if mode in ("I", "F") or mode.startswith("I;16"):
        return _as_grey(image).convert("RGB")
    if "transparency" in image.info or mode in ("LA", "La", "PA", "RGBa"):
        through = {"La": "LA", "RGBa": "RGBA"}.get(mode)
        return (image.convert(through) if through else image).convert("RGBA")
    return image.convert("RGB")


def _as_grey(image: Image.Image) -> Image.Image:
    """Return values of 16 or 32 bits as 8 bits: by the range that the mode has, or that the values show."""
    top = 65535.0
    if not image.mode.startswith("I;16"):
        extrema = image.getextrema()
        largest = extrema[1] if isinstance(extrema[1], (int, float)) else 0
        top = next((limit for limit in (1.0, 255.0, 65535.0) if largest <= limit), float(largest))
        if image.mode == "I" and top == 1.0:
            top = 255.0
    return image.convert("F").point(lambda value: value * (255.0 / top) + 0.0).convert("L")


_lock = threading.Lock()
_inside = 0
_saved: warnings.catch_warnings[None] | None = None


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Ignore the warnings of Pillow's modules while any thread is inside.

    ``warnings.catch_warnings`` alone is not safe in threads: the first one in changes the
    filters, the last one out restores them.
    """
    global _inside, _saved
    with _lock:
        if _inside == 0:
            _saved = warnings.catch_warnings()
            _saved.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _saved is not None:
                _saved.__exit__(None, None, None)
                _saved = None
