"""How many CPU threads torch takes, and whoever takes turns with it."""

from __future__ import annotations

import os

import torch


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(threads: int | None) -> None:
    """Give torch this many CPU threads; None means the cores this process may use."""
    torch.set_num_threads(threads or available_cores())


def chosen_threads() -> int:
    """Return the number of CPU threads that torch was given, for what computes beside it, such as a captioner.

    Where nobody called :func:`set_threads`, it is torch's own choice, which heeds ``OMP_NUM_THREADS``.
    """
    return torch.get_num_threads()
