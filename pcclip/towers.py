"""What embedders share: pictures on white, the hash of a tower, where it runs, and errors in reading it back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors import SafetensorError
from torch import Tensor

from pcclip.errors import RunError, UsageError

# what reading a damaged or foreign model raises: files, safetensors, load_state_dict, entries of its configuration
_UNREADABLE = (
    OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, AssertionError
)  # fmt: skip


def on_white(image: Image.Image) -> Image.Image:
    """Return the picture as RGB: upright, transparency on white, 16 bit scaled to 8.

    Dropping the alpha channel instead would show whatever colour lies under transparent pixels.
    Turning by EXIF a second time does nothing, so it does not matter whether the reader did.
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


def tensor_hash(tensors: Mapping[str, Tensor], extra: Mapping[str, object]) -> str:
    """Return 32 hexadecimal digits that change with any name, shape, value or entry of ``extra``.

    Args:
        tensors: at any device; hashed in the order of their names.
        extra: JSON values.
    """
    digest = hashlib.blake2b(json.dumps(extra, sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is CUDA, else MPS, else the CPU.

    Raises:
        UsageError: there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).strip().split("\n")[0]
        raise UsageError(f"device {name!r} cannot be used here: {first}", "Use auto or cpu.") from None
    return device


@contextmanager
def reading_model(kind: str, folder: Path, config: Mapping[str, object], format_: int) -> Iterator[None]:
    """Let what goes wrong in reading a saved model be one error that names its folder.

    Args:
        kind: the name of the kind of model, such as ``mini``.
        folder: where it was saved.
        config: what its ``save`` returned; its ``format`` is checked.
        format_: the only format that is read.

    Raises:
        RunError: the model was written in another format, or cannot be read.
    """
    if config.get("format") != format_:
        raise RunError(
            f"{folder}: written as format {config.get('format')!r} of {kind}, this pcclip reads {format_}",
            "Install the version of pcclip that wrote it; its number is in run.json.",
        )
    try:
        yield
    except _UNREADABLE as error:
        cause = str(error).strip().split("\n")[0]
        raise RunError(f"{folder}: this is no readable {kind} model: {cause}") from error
