"""How many CPU threads torch takes."""

from __future__ import annotations

import os

import torch


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(threads: int | None) -> None:
    """Give torch this many CPU threads; None means the cores this process may use."""
    torch.set_num_threads(threads or available_cores())
