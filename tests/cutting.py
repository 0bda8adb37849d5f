"""A small run of finetune, and commands that are killed in the middle of it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

SETTINGS = {
    "data": "scenes:60",
    "backbone": "mini",
    "captioner": "template",
    "pairs": 60,
    "eval_pairs": 20,
    "batch_size": 16,
    "max_steps": 6,
    "checkpoint_every": 2,
}


def flags(**changes: object) -> list[str]:
    return [
        part for key, value in {**SETTINGS, **changes}.items() for part in (f"--{key.replace('_', '-')}", str(value))
    ]


def kill_when(command: list[str], ready: Callable[[], bool]) -> None:
    """Start a command, and kill it with SIGKILL as soon as ``ready``."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 240
        while not ready():
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline, "the moment to kill it never came"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
