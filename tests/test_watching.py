"""Where a training says how it goes."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

import pcclip
from pcclip.config import make_config
from pcclip.errors import MissingDependencyError, UsageError
from pcclip.watching import watching


def record(folder: Path, names: tuple[str, ...], step: int, last: int) -> None:
    with watching(folder / "metrics.jsonl", names, step, "identity", {"data": "x"}) as watchers:
        for number in range(step + 1, last + 1):
            watchers.record(number, {"loss": 1 / number, "loss/mse": number})
        watchers.flush()


def test_records_after_the_checkpoint_and_torn_lines_are_dropped(tmp_path: Path) -> None:
    record(tmp_path, (), 0, 5)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    record(tmp_path, (), 3, 4)
    found = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [one["step"] for one in found] == [1, 2, 3, 4]
    assert found[1] == {"step": 2, "loss": 0.5, "loss/mse": 2}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_holds_each_step_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record(tmp_path, ("tensorboard",), 0, 5)
    record(tmp_path, ("tensorboard",), 3, 6)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss", "loss/mse"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in events.Scalars("loss/mse")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=f"--log-to {name}") as caught:
        record(tmp_path, (name,), 0, 1)
    assert f"pip install {name}" in str(caught.value)


def test_names_are_read_with_commas_and_checked() -> None:
    assert make_config(data="d", log_to="tensorboard, wandb").log_to == ("tensorboard", "wandb")
    assert make_config(data="d", log_to=["wandb", "tensorboard,wandb"]).log_to == ("wandb", "tensorboard")
    with pytest.raises(UsageError, match="'mlflow'"):
        make_config(data="d", log_to="mlflow")


@pytest.mark.parametrize(
    ("settings", "package"),
    [({"log_to": "wandb"}, "wandb"), ({"log_to": "tensorboard"}, "tensorboard"), ({"train": "lora"}, "peft")],
)
def test_what_is_missing_is_said_before_the_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], package: str
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == package else real(name, *a))
    with pytest.raises(MissingDependencyError, match=package) as caught:
        pcclip.finetune(make_config(data="scenes:20", captioner="template", **settings), tmp_path / "run")
    assert "pip install" in str(caught.value)
    assert not (tmp_path / "run").exists()
