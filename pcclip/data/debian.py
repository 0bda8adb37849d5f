"""Fetches and unpacks a Debian package with apt's own tools, without root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pcclip.errors import DataError
from pcclip.progress import NoProgress, Progress

_STALL = ("Acquire::http::Timeout=20", "Acquire::https::Timeout=20", "Acquire::Retries=0")  # seconds without a byte
_UPDATE_TIMEOUT = 180.0  # seconds
_DOWNLOAD_TIMEOUT = 1200.0
_UNPACK_TIMEOUT = 300.0
_COMPLAINTS = ("E:", "W: Failed", "dpkg-deb: error")  # the telling ones first


def fetch_package(
    package: str,
    folder: Path,
    *,
    progress: Progress | None = None,
    options: Sequence[str] = (),
    timeout: float = _DOWNLOAD_TIMEOUT,
) -> Path:
    """Download a package's newest .deb file with ``apt-get download``, which checks it against apt's signed lists.

    Where the machine's lists do not lead to the package, they are fetched into ``folder``; no
    file outside of it is written, so no root is needed.

    Args:
        package: the package's name.
        folder: an existing folder to download into.
        progress: where to report bytes to.
        options: further apt options, such as ``Dir::Etc::sourcelist=FILE``.
        timeout: seconds after which a download is given up.

    Returns:
        The .deb file.

    Raises:
        DataError: there is no apt here, or the package cannot be had; holds what apt said.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise DataError(f"{package!r} is fetched with apt-get and dpkg-deb, which this machine does not have")
    root = _options("APT::Sandbox::User=root") if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    apt = ["apt-get", "-q", *_options(*_STALL, *options), *root]
    complaint = _download(apt, package, folder / "download", timeout, progress)
    if complaint and ("Failed to fetch" not in complaint or "404" in complaint):  # no lists, or old ones
        apt += _private_folders(folder)
        _, update_complaint = _run([*apt, "update"], folder, min(timeout, _UPDATE_TIMEOUT))
        complaint = _download(apt, package, folder / "download", timeout, progress)
        if complaint and update_complaint:
            complaint = f"{complaint} (apt-get update: {update_complaint})"
    if complaint:
        raise DataError(f"apt cannot fetch {package!r}: {complaint}")
    return next((folder / "download").glob("*.deb"))


def unpack_package(file: Path, folder: Path) -> None:
    """Unpack the files of a .deb file into an existing folder.

    Raises:
        DataError: it cannot be unpacked; holds what dpkg-deb said.
    """
    succeeded, complaint = _run(["dpkg-deb", "-x", str(file), str(folder)], folder, _UNPACK_TIMEOUT)
    if not succeeded:
        raise DataError(f"cannot unpack {file.name!r}: {complaint}")


def _download(apt: list[str], package: str, target: Path, timeout: float, progress: Progress | None) -> str:
    """Download into the empty folder ``target``; return a complaint, or an empty string where the file is there."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with (progress or NoProgress()).task(f"fetching {package}", _download_size(apt, package), "B") as task:
        reported = 0

        def report() -> None:
            nonlocal reported
            size = sum(file.stat().st_size for file in target.glob("*.deb"))
            task.advance(max(0, size - reported))
            reported = max(size, reported)

        succeeded, complaint = _run([*apt, "download", package], target, timeout, report)
    if succeeded:
        return "" if any(target.glob("*.deb")) else "apt-get wrote no file"
    return complaint


def _download_size(apt: list[str], package: str) -> int | None:
    """Return the bytes that apt is going to fetch, from lines such as ``'URI' NAME SIZE HASH``."""
    command = [*apt, "--print-uris", "download", package]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return None
    sizes = [line.split() for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith("'")]
    return next((int(parts[2]) for parts in sizes if len(parts) > 2 and parts[2].isdecimal()), None)


def _options(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("-o", setting)]


def _private_folders(folder: Path) -> list[str]:
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return _options(
        f"Dir::State={folder / 'state'}",
        f"Dir::State::lists={folder / 'state' / 'lists'}",
        f"Dir::Cache={folder / 'cache'}",
        "Dir::State::status=/var/lib/dpkg/status",
    )


def _run(command: list[str], folder: Path, timeout: float, tick: Callable[[], None] | None = None) -> tuple[bool, str]:
    """Run a command in ``folder``; return whether it succeeded, and its complaints in one line."""
    log = folder / ".said"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            start_new_session=True,  # so that what it starts ends with it
        )
        end = time.monotonic() + timeout
        try:
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
                if tick is not None:
                    tick()
        finally:
            timed_out = process.poll() is None
            if timed_out:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    log.unlink()
    if timed_out:
        return False, f"{command[0]} did not finish in {timeout:g} seconds"
    complaints = [line for kind in _COMPLAINTS for line in lines if line.startswith(kind)]
    complaint = " ".join(dict.fromkeys(complaints[:2]))[:400]
    if process.returncode and not complaint:
        complaint = lines[-1][:400] if lines else f"{command[0]} ended with code {process.returncode}"
    return process.returncode == 0, complaint
