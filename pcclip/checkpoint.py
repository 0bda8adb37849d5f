"""Checkpoints that are whole or not there, and that a run goes on from bit for bit."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pcclip.errors import PcclipError
from pcclip.files import new_folder, read_json, write_json

log = logging.getLogger(__name__)
SCHEMA = 1
_NAME = re.compile(r"step-(\d{8})")
_FILES = ("parameters.safetensors", "optimizer.safetensors")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything training needs to go on after ``step`` optimizer steps.

    Attributes:
        step: optimizer steps done.
        parameters: the trained parameters by name.
        optimizer: the optimizer's tensors, named ``<parameter>/<state>``.
        rng: torch's CPU random state.
    """

    step: int
    parameters: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    rng: Tensor


def save(folder: Path, checkpoint: Checkpoint, identity: str, keep: int) -> None:
    """Write ``folder/step-N`` as a whole, then remove all but the last ``keep``.

    Args:
        identity: hash of what the training depends on; a checkpoint of another training is passed over.
    """
    folder.mkdir(exist_ok=True)
    with new_folder(folder / f"step-{checkpoint.step:08d}") as building:
        parameters = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.parameters.items()}
        optimizer = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.optimizer.items()}
        save_file(parameters, building / _FILES[0])
        save_file({**optimizer, "rng": checkpoint.rng}, building / _FILES[1])
        hashes = {name: _hash(building / name) for name in _FILES}
        write_json(
            building / "state.json",
            {"schema": SCHEMA, "step": checkpoint.step, "identity": identity, "blake2b": hashes},
        )
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old)


def load_latest(folder: Path, identity: str) -> Checkpoint | None:
    """Return the newest usable checkpoint; a torn or foreign one is named in a warning and passed over."""
    for path in reversed(_all(folder)):
        try:
            return _load(path, identity)
        except PcclipError as error:
            log.warning("passed over checkpoint %s: %s", path, error.message)
    return None


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: Mapping[int, str]) -> dict[str, Tensor]:
    """Return the optimizer's state as tensors; ``names`` maps ``id(parameter)`` to the parameter's name."""
    return {
        f"{names[id(parameter)]}/{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], parameters: Mapping[str, torch.nn.Parameter]
) -> None:
    """Put back what :func:`optimizer_tensors` returned."""
    for joined, tensor in tensors.items():
        name, _, key = joined.rpartition("/")
        parameter = parameters[name]
        # Adam's own counter stays on the CPU; its moments live where the parameter lives
        optimizer.state[parameter][key] = tensor if tensor.ndim == 0 else tensor.to(parameter.device)


def _load(path: Path, identity: str) -> Checkpoint:
    state: dict[str, Any] = read_json(path / "state.json")
    if state.get("schema") != SCHEMA:
        raise PcclipError(f"its schema is {state.get('schema')}, this pcclip reads {SCHEMA}")
    if state.get("identity") != identity:
        raise PcclipError("it belongs to another training (other settings, data or texts)")
    for name in _FILES:
        try:
            actual = _hash(path / name)
        except OSError as error:
            raise PcclipError(f"{name}: {error.strerror or error}") from None
        if actual != state["blake2b"].get(name):
            raise PcclipError(f"{name} is damaged")
    try:
        parameters, optimizer = (load_file(path / name) for name in _FILES)
    except SafetensorError as error:
        raise PcclipError(f"it cannot be read: {error}") from None
    rng = optimizer.pop("rng")
    return Checkpoint(state["step"], parameters, optimizer, rng)


def _all(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.blake2b(digest_size=16)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
