"""The run folder: what was asked for, how far it got, and who is at work in it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pcclip.config import FinetuneConfig
from pcclip.errors import RunError
from pcclip.files import make_writable_folder, read_json, write_json

SCHEMA = 1
_PACKAGES = ("pcclip", "torch", "open_clip_torch", "transformers", "timm", "llama_cpp_python", "numpy", "safetensors")


class RunFolder:
    """One run on disk; made by :func:`open_run`.

    Attributes:
        path: the folder.
        record: the content of ``run.json``: schema, config, versions, fingerprints, stages.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record

    @property
    def comparatives(self) -> Path:
        return self.path / "comparatives.sqlite"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def held_out_pairs(self) -> Path:
        return self.path / "held_out_pairs.csv"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures.csv"

    @property
    def tuned(self) -> Path:
        return self.path / "tuned.safetensors"

    @property
    def quarantine(self) -> Path:
        return self.path / "quarantine.csv"

    def note(self, **values: Any) -> None:
        """Merge ``values`` into run.json; a mapping is merged into the mapping that is there."""
        for key, value in values.items():
            present = self.record.get(key)
            self.record[key] = {**present, **value} if isinstance(present, dict) and isinstance(value, dict) else value
        write_json(self.path / "run.json", self.record)

    def fingerprint(self, name: str, value: str) -> None:
        """Note a fingerprint, or refuse to go on where the run was begun with another.

        Raises:
            RunError: the run was begun with another model, prompt or data of that name.
        """
        before = self.record.get("fingerprints", {}).get(name)
        if before is not None and before != value:
            raise RunError(
                f"{self.path} was begun with another {name} (fingerprint {before[:12]}, now {value[:12]})",
                "Its files changed since. Restore them, or start a new run with another --out.",
            )
        self.note(fingerprints={name: value})

    def stage(self, name: str, status: str, **details: Any) -> None:
        """Note that a stage is ``running`` or ``done``."""
        self.note(stages={name: {"status": status, **details}})

    def is_done(self, name: str) -> bool:
        """Whether a stage was noted as done."""
        return bool(self.record.get("stages", {}).get(name, {}).get("status") == "done")


@contextmanager
def open_run(path: Path, config: FinetuneConfig) -> Iterator[RunFolder]:
    """Open or begin the run in ``path`` and hold it alone; one that has not come to its first stage begins anew.

    Raises:
        RunError: another process is at work in it, it was begun with other settings, or the folder
            holds something else.
        PcclipError: the folder cannot be written to.
    """
    existed = path.exists() and any(entry.name != ".lock" for entry in path.iterdir()) if path.is_dir() else False
    make_writable_folder(path)
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"another process is at work in {path}", "Wait until it ends, or choose another --out."
        ) from None
    try:
        run = RunFolder(path, _record(path, existed))
        if not run.record.get("stages"):
            run.record.clear()  # a wrong name of data or of parameters may be corrected
        if "config" in run.record:
            _refuse_other_settings(path, run.record["config"], config)
        run.note(schema=SCHEMA, config=config.model_dump(mode="json"), seed=config.seed, versions=_versions())
        yield run
    finally:
        lock.release()


def _record(path: Path, existed: bool) -> dict[str, Any]:
    file = path / "run.json"
    if not file.exists():
        if existed:
            raise RunError(f"{path} is not empty and holds no run.json", "Choose an empty or new folder with --out.")
        return {}
    record = read_json(file)
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise RunError(f"{file} is not a run of this pcclip (schema {SCHEMA})", "Choose another folder with --out.")
    return record


def _refuse_other_settings(path: Path, before: dict[str, Any], config: FinetuneConfig) -> None:
    now = config.identity()
    free = {*config.model_dump()} - {*now}  # speed and bookkeeping may change on the way
    changed = [key for key in sorted({*before, *now} - free) if before.get(key) != now.get(key)]
    if changed:
        lines = "\n".join(f"  {key}: {before.get(key)!r} before, {now.get(key)!r} now" for key in changed)
        raise RunError(
            f"{path} was begun with other settings:\n{lines}",
            "Give the same settings to go on with it, or choose another --out.",
        )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
