from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pcclip import checkpoint
from pcclip.batches import TrainingPairs
from pcclip.config import FinetuneConfig
from pcclip.errors import PluginError, RunError
from pcclip.interfaces import Loss, LossBatch
from pcclip.plugins import registry
from pcclip.schedule import Schedule
from pcclip.testing import HashEmbedder
from pcclip.training import Measure, train


def config(**settings: object) -> FinetuneConfig:
    values = {"data": "x", "batch_size": 8, "epochs": 2, "learning_rate": 0.05, "checkpoint_every": 4, **settings}
    return FinetuneConfig.model_validate(values)


def pairs(n: int = 32) -> TrainingPairs:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(12, 32)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = torch.arange(n) % 12, (torch.arange(n) * 5 + 1) % 12
    texts = [f"thing {i} while thing {j}" for i, j in zip(first.tolist(), second.tolist(), strict=True)]
    return TrainingPairs(torch.from_numpy(embeddings), first, second, texts, [f"pair-{k}" for k in range(n)])


def run(
    folder: Path, loss: Loss | None = None, measure: Measure | None = None, **settings: object
) -> tuple[HashEmbedder, int]:
    folder.mkdir(exist_ok=True)
    embedder = HashEmbedder()
    trained = train(
        embedder,
        loss or registry().loss("contrastive"),
        pairs(),
        config(**settings),
        checkpoints=folder / "checkpoints",
        metrics=folder / "metrics.jsonl",
        measure=measure,
    )
    return embedder, trained.steps


def records(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


class Interrupting(Loss):
    """The contrastive loss, until the given step."""

    def __init__(self, at: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        super().__init__()
        self.inner, self.at, self.calls, self.error = registry().loss("contrastive"), at, 0, error

    def forward(self, batch: LossBatch) -> torch.Tensor:
        self.calls += 1
        if self.calls > self.at:
            raise self.error
        value: torch.Tensor = self.inner(batch)
        return value


def test_the_loss_goes_down_and_only_the_scope_moves(tmp_path: Path) -> None:
    embedder, steps = run(tmp_path, epochs=5)
    start = HashEmbedder()
    assert steps == 20
    logged = records(tmp_path)
    assert [record["step"] for record in logged] == list(range(1, 21))
    assert logged[-1]["loss"] < logged[0]["loss"]
    assert not torch.equal(embedder.table, start.table)
    assert torch.equal(embedder.projection, start.projection)
    assert embedder.image_fingerprint == start.image_fingerprint


@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
@pytest.mark.parametrize("stop", [1, 4, 6])
def test_a_cut_off_training_ends_in_the_same_bits(tmp_path: Path, stop: int, optimizer: str) -> None:
    settings = {"optimizer": optimizer, "weight_decay": 0.01, "schedule": "cosine", "warmup_steps": 2}
    whole, _ = run(tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", Interrupting(stop), **settings)
    going_on, _ = run(tmp_path / "cut", **settings)
    assert torch.equal(whole.table, going_on.table)
    assert [r["loss"] for r in records(tmp_path / "cut")] == [r["loss"] for r in records(tmp_path / "whole")]


def test_a_finished_training_does_nothing_again(tmp_path: Path) -> None:
    whole, _ = run(tmp_path)
    again, _ = run(tmp_path, Interrupting(0, AssertionError))
    assert torch.equal(whole.table, again.table)


def test_only_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    run(tmp_path, checkpoint_every=1, keep_checkpoints=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000007", "step-00000008"]


@pytest.mark.parametrize("damage", ["torn", "missing", "state", "foreign"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole, _ = run(tmp_path)
    last = tmp_path / "checkpoints" / "step-00000008"
    if damage == "torn":
        file = last / "parameters.safetensors"
        file.write_bytes(file.read_bytes()[:-10])
    elif damage == "missing":
        (last / "optimizer.safetensors").unlink()
    elif damage == "state":
        (last / "state.json").write_text("{")
    else:
        state = json.loads((last / "state.json").read_text())
        (last / "state.json").write_text(json.dumps({**state, "identity": "of another training"}))
    again, _ = run(tmp_path)
    assert torch.equal(whole.table, again.table)
    assert "step-00000008" in caplog.text
    assert "passed over" in caplog.text


def test_checkpoints_of_other_settings_are_not_gone_on_with(tmp_path: Path) -> None:
    run(tmp_path)
    other, _ = run(tmp_path / "other", learning_rate=0.01)
    shutil.rmtree(tmp_path / "other")
    shutil.copytree(tmp_path / "checkpoints", tmp_path / "other" / "checkpoints")
    again, _ = run(tmp_path / "other", learning_rate=0.01)
    assert torch.equal(other.table, again.table)


def test_a_half_written_checkpoint_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", failing)
    state = checkpoint.Checkpoint(1, {}, {}, torch.get_rng_state())
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(tmp_path, state, "x", keep=1)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_names_step_pairs_and_checkpoint(tmp_path: Path) -> None:
    class Exploding(Interrupting):
        def forward(self, batch: LossBatch) -> torch.Tensor:
            self.calls += 1
            value: torch.Tensor = self.inner(batch)
            return value * float("nan") if self.calls > self.at else value

    with pytest.raises(RunError) as caught:
        run(tmp_path, Exploding(5))
    assert "step 6" in str(caught.value)
    assert "pair-" in str(caught.value)
    assert "last good checkpoint: step 4" in str(caught.value)
    whole, _ = run(tmp_path / "whole")
    going_on, _ = run(tmp_path)
    assert torch.equal(whole.table, going_on.table)


def test_a_loss_that_is_no_scalar_is_named(tmp_path: Path) -> None:
    class Wrong(Loss):
        def forward(self, batch: LossBatch) -> torch.Tensor:
            return batch.text

    with pytest.raises(PluginError, match="Wrong"):
        run(tmp_path, Wrong())


def test_each_epoch_sees_each_full_batch_once_in_another_order() -> None:
    schedule = Schedule.of(config(epochs=2), 20)
    assert (schedule.steps_per_epoch, schedule.steps) == (2, 4)
    seen = [schedule.rows(step).tolist() for step in range(4)]
    assert all(len(rows) == 8 for rows in seen)
    assert len({*seen[0], *seen[1]}) == 16
    assert seen[:2] != seen[2:]


def test_learning_rates() -> None:
    exponential = Schedule.of(config(schedule="exponential", decay=0.9, learning_rate=1.0, epochs=3), 16)
    assert [exponential.learning_rate(s) for s in range(6)] == pytest.approx([1, 1, 0.9, 0.9, 0.81, 0.81])
    cosine = Schedule.of(config(schedule="cosine", learning_rate=1.0, warmup_steps=1, epochs=2), 16)
    assert [cosine.learning_rate(s) for s in range(4)] == pytest.approx([0.5, 1.0, 0.75, 0.25])
    assert Schedule.of(config(max_steps=3, epochs=9), 16).steps == 3


def test_too_few_pairs_to_train_on() -> None:
    with pytest.raises(RunError, match="too few"):
        Schedule.of(config(), 1)
