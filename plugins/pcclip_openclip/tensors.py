"""Hashing of tensors, and the choice of a device."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

from pcclip.errors import UsageError


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
