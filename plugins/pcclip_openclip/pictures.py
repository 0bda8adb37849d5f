"""From any decoded picture to what an open_clip image tower reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor
from torchvision.transforms import Compose, ToTensor

from pcclip.towers import on_white


def transforms(
    preprocessing: Mapping[str, Any],
) -> tuple[Callable[[Image.Image], Image.Image], Callable[[Image.Image], Tensor]]:
    """Return open_clip's own evaluation transform, preceded by ``on_white``: open_clip itself drops alpha.

    Returned are the part that makes a picture small, and the whole; the whole does the same to a small picture.

    Args:
        preprocessing: the fields of open_clip's ``PreprocessCfg``: size, mean, std, interpolation,
            resize mode, fill colour.
    """
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in preprocessing.items()}
    steps = image_transform_v2(PreprocessCfg(**values), is_train=False).transforms
    first = next(k for k, step in enumerate(steps) if isinstance(step, ToTensor))
    resize, to_numbers = Compose(steps[:first]), Compose(steps[first:])

    def small(image: Image.Image) -> Image.Image:
        picture: Image.Image = resize(on_white(image))
        return picture

    def whole(image: Image.Image) -> Tensor:
        pixels: Tensor = to_numbers(small(image))
        return pixels

    return small, whole
