"""Checkpoints that are whole or not there, and that a run goes on from bit for bit."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pcclip.errors import PcclipError, RunError
from pcclip.files import new_folder, read_json, write_json, writing

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
        device_rng: the random state of the device that is trained on, where it has its own.
        best: the step whose weights measured best so far, the measure, and how many times since it was measured
            without getting better; empty where nothing is measured.
        keeps: a step whose checkpoint is kept beside the last ones, because training may end in its weights.
    """

    step: int
    parameters: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    rng: Tensor
    device_rng: Tensor | None = None
    best: Mapping[str, Any] = field(default_factory=dict)
    keeps: int | None = None


def save(folder: Path, checkpoint: Checkpoint, identity: str, keep: int) -> None:
    """Write ``folder/step-N`` as a whole, then remove all before it but the last ``keep`` and the one it keeps.

    Those of later steps were passed over: they do not count, and stay until training comes to their step.

    Args:
        identity: hash of what the training depends on; a checkpoint of another training is passed over.

    Raises:
        PcclipError: it cannot be written, as on a full disk.
    """
    folder.mkdir(exist_ok=True)
    path = _path(folder, checkpoint.step)
    with writing(path), new_folder(path) as building:
        parameters = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.parameters.items()}
        optimizer = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.optimizer.items()}
        states = {"rng": checkpoint.rng}
        if checkpoint.device_rng is not None:
            states["device_rng"] = checkpoint.device_rng
        contents = dict(zip(_FILES, (parameters, {**optimizer, **states}), strict=True))

        def write(name: str) -> str:
            save_file(contents[name], building / name)
            return _hash(building / name)

        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="checkpoint") as pool:  # training waits for it
            hashes = dict(zip(_FILES, pool.map(write, _FILES), strict=True))
        write_json(
            building / "state.json",
            {"schema": SCHEMA, "step": checkpoint.step, "identity": identity, "best": checkpoint.best}
            | {"keeps": checkpoint.keeps, "sha256": hashes},
        )
    for old in [one for one in _all(folder) if one <= path][:-keep]:
        if checkpoint.keeps is None or old != _path(folder, checkpoint.keeps):
            shutil.rmtree(old)


def load_latest(folder: Path, identity: str) -> Checkpoint | None:
    """Return the newest usable checkpoint; a torn or foreign one is named in a warning and passed over.

    One that keeps a torn checkpoint is passed over too: going on from it could not end in that one's weights.
    """
    for path in reversed(_all(folder)):
        try:
            found = _load(path, identity)
            if found.keeps is not None and found.keeps != found.step:
                _load(_path(folder, found.keeps), identity)
            return found
        except PcclipError as error:
            log.warning("passed over checkpoint %s: %s", path, error.message)
    return None


def load(folder: Path, step: int, identity: str) -> Checkpoint:
    """Return the checkpoint of a step.

    Raises:
        PcclipError: it is missing, torn, or belongs to another training.
    """
    try:
        return _load(_path(folder, step), identity)
    except PcclipError as error:
        raise RunError(f"{_path(folder, step)}: {error.message}", "Remove it and run the same command again.") from None


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
    state: Any = read_json(path / "state.json")
    if not isinstance(state, dict):
        raise PcclipError("state.json is not the one of a checkpoint")
    if state.get("schema") != SCHEMA:
        raise PcclipError(f"its schema is {state.get('schema')}, this pcclip reads {SCHEMA}")
    if state.get("identity") != identity:
        raise PcclipError("it belongs to another training (other settings, data or texts)")
    for name in _FILES:
        try:
            actual = _hash(path / name)
        except OSError as error:
            raise PcclipError(f"{name}: {error.strerror or error}") from None
        if actual != state.get("sha256", {}).get(name):
            raise PcclipError(f"{name} is damaged")
    try:
        parameters, optimizer = (load_file(path / name) for name in _FILES)
    except SafetensorError as error:
        raise PcclipError(f"it cannot be read: {error}") from None
    rng, device_rng = optimizer.pop("rng"), optimizer.pop("device_rng", None)
    return Checkpoint(state["step"], parameters, optimizer, rng, device_rng, state["best"], state["keeps"])


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def _all(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()  # processors have instructions for it
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
