"""How much memory this process holds, and held at most."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


def forget_peak() -> None:
    """Let the process's peak memory be what it holds now (Linux); getrusage's peak is the parent's too."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def peak_resident() -> int:
    """Return the largest memory in bytes since :func:`forget_peak`."""
    found = _status("VmHWM")
    if found is not None:
        return found
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def resident() -> int:
    """Return the memory in bytes now; where the system does not say, the peak."""
    found = _status("VmRSS")
    return peak_resident() if found is None else found


def _status(name: str) -> int | None:
    status = Path("/proc/self/status")
    match = re.search(rf"{name}:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(match[1]) * 1024 if match else None
