"""From any decoded picture to what an open_clip image tower reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor

from pcclip.towers import on_white


def transform(preprocessing: Mapping[str, Any]) -> Callable[[Image.Image], Tensor]:
    """Return open_clip's own evaluation transform, preceded by ``on_white``: open_clip itself drops alpha.

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
