"""From any decoded picture to the square tensor the image tower reads."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

SIZE = 260
MEAN = 127 / 255
STD = 128 / 255
PREPROCESSING: dict[str, object] = {
    "size": SIZE,
    "resize": "pad to a square, bicubic",
    "background": "white",
    "mean": MEAN,
    "std": STD,
}


def to_tensor(image: Image.Image) -> Tensor:
    """Return (3, 260, 260) float32: turned as EXIF says, on white, padded to a square, normalised."""
    picture = on_white(image)
    side = max(picture.size)
    if picture.width != picture.height:
        square = Image.new("RGB", (side, side), "white")
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        picture = square
    if side != SIZE:
        picture = picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(picture, dtype=np.float32)).permute(2, 0, 1)
    return (pixels / 255 - MEAN) / STD


def on_white(image: Image.Image) -> Image.Image:
    """Return the picture as RGB: upright, transparency on white, 16 bit scaled to 8.

    Turning by EXIF a second time does nothing, so it does not matter whether the reader has done it.
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
