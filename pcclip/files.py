"""Write files and folders so that a cut-off leaves the old state or the new one, never a half."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import platformdirs
from safetensors import SafetensorError

from pcclip.errors import PcclipError


def cache_folder() -> Path:
    """Return the folder for what can be computed or fetched again: ``PCCLIP_CACHE`` or the user's cache."""
    named = os.environ.get("PCCLIP_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("pcclip", appauthor=False))


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield an empty file that becomes ``path`` when the block ends well, replacing what was there.

    A link's target is replaced, not the link. A device or a pipe is written to as it is.

    Raises:
        PcclipError: the file cannot be written.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with writing(path), path.open("wb") as file:
            yield file
        return
    path = path.resolve()
    building = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            building = Path(file.name)
            yield file
            file.flush()
            _sync(building)  # by its name: safetensors puts another file in its place
        building.chmod(0o666 & ~_umask())  # temporary files are private, results are not
        building.replace(path)
    except OSError as error:
        raise PcclipError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if building is not None:
            building.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8 as a whole; lone surrogates, as in odd file names, are escaped."""
    with new_file(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: object) -> None:
    """Replace ``path`` by ``value`` as JSON. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        PcclipError: the file is missing, not readable, or not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PcclipError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise PcclipError(f"{path} is not JSON: {error}") from None


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``path`` when the block ends well, replacing what was there."""
    building = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield building
        building.chmod(0o777 & ~_umask())
        for file in building.rglob("*"):
            if file.is_file():
                file.chmod(0o666 & ~_umask())  # safetensors makes private files
                _sync(file)
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.replace(old / path.name)
            building.replace(path)
            shutil.rmtree(old)
        else:
            building.replace(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong in writing ``path``, such as a full disk, into a PcclipError that names it."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise PcclipError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error


def claim_folder(path: Path, *, ours: bool) -> None:
    """Make sure that a result may become ``path``, and make the folders above it.

    Args:
        ours: whether what is there was written by the same command before, and so may be replaced.

    Raises:
        PcclipError: ``path`` is a file, holds something else, or cannot be written.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not ours):
        what = "is a file" if path.is_file() else "is not empty, and holds no earlier result of this command"
        raise PcclipError(f"{path} {what}", "Choose a new or an empty folder.")
    make_writable_folder(path.absolute().parent)


def make_writable_folder(path: Path) -> None:
    """Make ``path`` a folder that can be written to.

    Raises:
        PcclipError: it cannot be; the message says why.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise PcclipError(
            f"cannot write to {path}: {error.strerror or error}", "Choose another folder, or free or unlock this one."
        ) from None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
