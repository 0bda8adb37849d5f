from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts so what it puts into the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several test processes cores of its own: threads that wait for each other's core waste both."""
    worker, count = os.environ.get("PYTEST_XDIST_WORKER"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[int(worker.removeprefix("gw")) % count :: count] or cores)


@pytest.fixture
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PCCLIP_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def log_settings_of_its_own() -> Iterator[None]:
    """Undo what a command line called in this process did to the logger, so that records reach pytest again."""
    yield
    logger = logging.getLogger("pcclip")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
