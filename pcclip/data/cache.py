"""Puts a folder into the cache, whole or not at all, and once though several processes want it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from pcclip.errors import DataError

_LOCK_TIMEOUT = 1800.0  # seconds; another process may be fetching 160 MB over a slow line


def made_once(folder: Path, make: Callable[[Path], Path], lock_timeout: float = _LOCK_TIMEOUT) -> Path:
    """Return ``folder``, made by ``make`` where it is not there yet.

    ``make`` gets an empty temporary folder on the same file system and returns the folder in it
    that is to become ``folder``, by one rename. So a process that is killed leaves nothing that
    is later taken for whole, and of two processes one makes it and the other waits.

    Raises:
        DataError: the cache cannot be written, or another process holds it for too long.
    """
    if folder.is_dir():
        return folder
    import filelock

    lock = filelock.FileLock(str(folder.with_name(f".{folder.name}.lock")), timeout=lock_timeout)
    prefix = f".{folder.name}.making-"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock:
            for leftover in folder.parent.glob(f"{prefix}*"):  # of a killed process: the lock is ours
                shutil.rmtree(leftover, ignore_errors=True)
            if not folder.is_dir():
                scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
                try:
                    make(scratch).rename(folder)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
    except filelock.Timeout as error:
        raise DataError(
            f"another process has been making {str(folder)!r} for more than {lock_timeout:.0f} seconds",
            f"Wait for it, or end it; the lock is {str(lock.lock_file)!r}",
        ) from error
    except OSError as error:
        raise DataError(
            f"cannot write {str(folder)!r}: {error.strerror or error}",
            "Set PCCLIP_CACHE to a folder with room that you may write",
        ) from error
    return folder
