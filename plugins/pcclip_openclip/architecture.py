"""Build an open_clip model from its config, and put weights into it that may come from anywhere."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg
from safetensors import safe_open
from torch import nn

from pcclip.errors import PcclipError, UsageError
from pcclip_openclip.pretrained import Weights, unreachable

TEXT_CONFIG = "text_config"
"""Folder beside the weights that holds a Hugging Face text tower's ``config.json``."""


def build(config: Mapping[str, Any], folder: Path | None = None) -> nn.Module:
    """Return an open_clip model of random weights, in eval mode, float32, on the CPU.

    Args:
        config: open_clip's model config, with the activation as its ``quick_gelu``.
        folder: where a Hugging Face text tower's config may lie, in :data:`TEXT_CONFIG`.

    Raises:
        PcclipError: the text tower's config is on the hub, and the hub cannot be reached.
    """
    values: dict[str, Any] = copy.deepcopy(dict(config))
    text = values["text_cfg"]
    if "timm_model_name" in values["vision_cfg"]:
        values["vision_cfg"]["timm_model_pretrained"] = False
    hub_text = text.get("hf_model_name")
    custom = bool(values.pop("custom_text", False) or hub_text)
    if hub_text:
        text["hf_model_pretrained"] = False
        text["hf_model_name"] = _hub_text_config(hub_text, folder)
    kind = open_clip.CLIP
    if custom:
        kind = open_clip.CoCa if "multimodal_cfg" in values else open_clip.CustomTextCLIP
    with torch.random.fork_rng(devices=[]), quiet():
        model: nn.Module = kind(**values)
    return model.float().eval()


def preprocessing(model: nn.Module, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole preprocessing of a model as JSON values: open_clip's default, overlaid with ``given``."""
    values = dataclasses.asdict(PreprocessCfg())
    values |= {key: value for key, value in given.items() if key in values and value is not None}
    values["size"] = getattr(model.visual, "image_size", values["size"])
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def fill(model: nn.Module, weights: Weights, architecture: str) -> None:
    """Load a weights file into a model, as open_clip does, running no code from the file.

    Raises:
        UsageError: it is no weights file, or of another architecture.
    """
    _check(weights.path)
    try:
        with quiet():
            open_clip.load_checkpoint(model, str(weights.path), strict=True, weights_only=True)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, AssertionError) as error:
        raise UsageError(
            f"the weights in {weights.path} do not fit {architecture}: {_mismatch(error)}",
            f"Choose the backbone that they were trained as (here {architecture.lower()}), or other weights.",
        ) from None


def _hub_text_config(name: str, folder: Path | None) -> str:
    """Return where ``transformers`` finds a text tower's config: a local folder, else the hub's name."""
    if folder is not None and (folder / TEXT_CONFIG / "config.json").is_file():
        return str(folder / TEXT_CONFIG)
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(name, local_files_only=True)
    except Exception as error:  # whatever the reason, it is not in the cache
        cause = unreachable()
        if cause is not None:
            place = folder / TEXT_CONFIG if folder else TEXT_CONFIG
            raise PcclipError(
                f"the text tower's config ({name}) is not on this machine and cannot be downloaded: {cause}",
                f"Go online once, or put its config.json into {place}.",
            ) from error
    return name


@contextmanager
def quiet() -> Iterator[None]:
    """Keep open_clip's log lines from setting up logging, and so from the screen, where nobody else has."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _check(path: Path) -> None:
    """Make sure that a file holds named tensors and nothing else, without reading the tensors.

    Raises:
        UsageError: it does not.
    """
    hint = "It must hold tensors only: a .safetensors file, or a state dict saved by torch.save."
    zipped = zipfile.is_zipfile(path)
    if zipped and _is_torchscript(path):
        raise UsageError(
            f"{path} is a TorchScript archive, which holds code as well as weights",
            "Convert it once where you trust it: torch.save(torch.jit.load(PATH).state_dict(), 'weights.pt')",
        )
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                names = set(file.keys())
        else:
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
            inner = found.get("state_dict", found) if isinstance(found, dict) else {}
            names = {name for name, value in inner.items() if isinstance(value, torch.Tensor)}
    except pickle.UnpicklingError as error:
        cause = "it holds objects that only code could restore" if zipped else _first_line(error)
        raise UsageError(f"{path} is not read as weights: {cause}", hint) from None
    except Exception as error:  # a file of any other kind, which the readers answer in every way
        cause = f"{type(error).__name__}: {_first_line(error)}"
        raise UsageError(f"{path} cannot be read as weights ({cause})", hint) from None
    if not names:
        raise UsageError(f"{path} holds no named tensors", hint)


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0].split(". ")[0]
    return (text or type(error).__name__)[:200]


def _mismatch(error: BaseException) -> str:
    """Return the most telling line of a failed ``load_state_dict``: a size, else what is missing or extra."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    telling = [line for line in lines if line.startswith("size mismatch")] or lines[1:] or lines
    return (telling[0] if telling else type(error).__name__)[:200]
