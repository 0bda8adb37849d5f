"""Where a training says how it goes: ``metrics.jsonl`` always, TensorBoard and Weights & Biases when asked for."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from pcclip.errors import MissingDependencyError
from pcclip.files import write_text


class Watcher(Protocol):
    """One place that records go to."""

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Note the values of an optimizer step, counted from 1."""

    def flush(self) -> None:
        """Make sure that what was noted is on its way to disk."""

    def close(self) -> None:
        """End well."""


class JsonLines:
    """Appends one JSON object a step to a file.

    Args:
        path: the file; records of steps after ``step``, which are done again, and a line that was cut off are dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        if path.exists():
            kept = [line + "\n" for line in path.read_text("utf-8").splitlines() if _step_of(line, step + 1) <= step]
            write_text(path, "".join(kept))
        self._file = path.open("a", encoding="utf-8")

    def record(self, step: int, values: Mapping[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **values}) + "\n")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorBoard:
    """Writes TensorBoard's event files into a folder; of steps that are done again, the last record counts."""

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise _missing("tensorboard", error) from error
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def record(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class Wandb:
    """Sends records to Weights & Biases, as the environment (``WANDB_MODE``, ``WANDB_PROJECT``) says.

    A run that was cut off goes on under its own id.

    Args:
        folder: where its files lie; wandb itself calls it ``wandb``.
    """

    def __init__(self, folder: Path, identity: str, settings: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise _missing("wandb", error) from error
        name = hashlib.blake2b(f"{identity} {folder.resolve()}".encode(), digest_size=8).hexdigest()
        self._run = wandb.init(dir=str(folder.parent), id=name, resume="allow", config=dict(settings))

    def record(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._run.finish()


class Watchers:
    """All of them as one."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def record(self, step: int, values: Mapping[str, float]) -> None:
        for watcher in self._watchers:
            watcher.record(step, values)

    def flush(self) -> None:
        for watcher in self._watchers:
            watcher.flush()


@contextmanager
def watching(
    metrics: Path, names: Sequence[str], step: int, identity: str, settings: Mapping[str, Any]
) -> Iterator[Watchers]:
    """Open ``metrics`` and the watchers called ``names``, whose files lie beside it.

    Args:
        step: the step that training goes on from.
        identity: hash of the training.
        settings: what it was asked to do.

    Raises:
        MissingDependencyError: a watcher's package is not installed.
    """
    made: list[Watcher] = []
    with ExitStack() as open_ones:

        def keep(watcher: Watcher) -> None:
            made.append(watcher)
            open_ones.callback(watcher.close)

        keep(JsonLines(metrics, step))
        for name in names:
            folder = metrics.parent / name
            keep(TensorBoard(folder, step) if name == "tensorboard" else Wandb(folder, identity, settings))
        yield Watchers(made)


def require(names: Sequence[str]) -> None:
    """Make sure that the packages of these watchers are installed.

    Raises:
        MissingDependencyError: one is not.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise _missing(name, ImportError(f"No module named {name!r}"))


def _step_of(line: str, otherwise: int) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return otherwise


def _missing(package: str, error: ImportError) -> MissingDependencyError:
    return MissingDependencyError(
        f"--log-to {package} cannot start: {error}", f"Install it: pip install {package}, or leave --log-to out."
    )
