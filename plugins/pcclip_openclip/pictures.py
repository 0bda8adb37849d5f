"""From any decoded picture to what an open_clip image tower reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image, ImageOps
from torch import Tensor


def transform(preprocessing: Mapping[str, Any]) -> Callable[[Image.Image], Tensor]:
    """Return open_clip's own evaluation transform, preceded by :func:`on_white`.

    Args:
        preprocessing: the fields of open_clip's ``PreprocessCfg``: size, mean, std, interpolation,
            resize mode, fill colour.
    """
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in preprocessing.items()}
    steps = image_transform_v2(PreprocessCfg(**values), is_train=False)

    def apply(image: Image.Image) -> Tensor:
        pixels: Tensor = steps(on_white(image))
        return pixels

    return apply


def on_white(image: Image.Image) -> Image.Image:
    """Return the picture as RGB: upright, transparency on white, 16 bit scaled to 8.

    open_clip itself drops the alpha channel, which shows whatever colour lies under transparent
    pixels. Turning by EXIF a second time does nothing, so it does not matter whether the reader did.
    """
    picture = ImageOps.exif_transpose(image)
    if picture.mode.startswith("I") or picture.mode == "F":
        return _grey(picture).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")


def _grey(picture: Image.Image) -> Image.Image:
    """Scale deep grey values to 8 bit: by the range the mode holds, or a float picture's 0 to 1."""
    values = np.nan_to_num(np.array(picture, dtype=np.float64))
    top = values.max(initial=0.0)
    if picture.mode == "F" and top <= 1:
        values = values * 255
    elif picture.mode.startswith("I;16") or top > 255:
        values = values / 257
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))
