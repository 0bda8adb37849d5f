"""From any decoded picture to the square tensor the image tower reads."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pcclip.towers import on_white

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


def square(image: Image.Image) -> Image.Image:
    """Return the picture as RGB of 260 x 260: turned as EXIF says, on white, padded to a square."""
    picture = on_white(image)
    side = max(picture.size)
    if picture.width != picture.height:
        square = Image.new("RGB", (side, side), "white")
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        picture = square
    return picture if side == SIZE else picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def to_tensor(image: Image.Image) -> Tensor:
    """Return (3, 260, 260) float32: ``square``, normalised."""
    pixels = torch.from_numpy(np.array(square(image), dtype=np.float32)).permute(2, 0, 1)
    return (pixels / 255 - MEAN) / STD
