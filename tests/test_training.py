from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from pcclip import checkpoint
from pcclip.batches import Batches, TrainingPairs
from pcclip.config import FinetuneConfig
from pcclip.errors import PcclipError, PluginError, RunError
from pcclip.interfaces import Loss, LossBatch
from pcclip.objective import LossSum, make_loss
from pcclip.optimizing import gradient_norm, make_optimizer, set_learning_rate
from pcclip.plugins import registry
from pcclip.schedule import Schedule
from pcclip.testing import HashEmbedder
from pcclip.training import Measure, Trained, train


def config(**settings: object) -> FinetuneConfig:
    values = {"data": "x", "batch_size": 8, "epochs": 2, "learning_rate": 0.05, "checkpoint_every": 4, **settings}
    return FinetuneConfig.model_validate(values)


def pairs(n: int = 32) -> TrainingPairs:
    """Described pairs of 12 pictures, half of them with a reversed text."""
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(12, 32)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = torch.arange(n) % 12, (torch.arange(n) * 5 + 1) % 12
    texts = [f"thing {i} while thing {j}" for i, j in zip(first.tolist(), second.tolist(), strict=True)]
    turned = [
        f"thing {j} while thing {i}" if k % 2 else None
        for k, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True))
    ]
    captions = [f"thing {i % 10}" for i in range(12)]
    names = [f"pair-{k}" for k in range(n)]
    return TrainingPairs(torch.from_numpy(embeddings), first, second, texts, names, turned, captions)


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
    embedder, steps = run(tmp_path, epochs=5, train="blocks")
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


@pytest.mark.parametrize("damage", ["torn", "missing", "state", "list", "foreign"])
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
    elif damage == "list":
        (last / "state.json").write_text("[]")
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


def test_checkpoints_that_were_passed_over_do_not_count_among_those_kept(tmp_path: Path) -> None:
    run(tmp_path / "other", learning_rate=0.01, checkpoint_every=7)
    foreign = tmp_path / "other" / "checkpoints"
    (tmp_path / "own").mkdir()
    foreign.rename(tmp_path / "own" / "checkpoints")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "own", Interrupting(5), checkpoint_every=2)
    left = sorted(path.name for path in (tmp_path / "own" / "checkpoints").iterdir())
    assert left == ["step-00000002", "step-00000004", "step-00000007", "step-00000008"]


def test_a_half_written_checkpoint_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", failing)
    state = checkpoint.Checkpoint(1, {}, {}, torch.get_rng_state())
    with pytest.raises(PcclipError, match=r"cannot write .*step-00000001: disk full"):
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
    failed = json.loads((tmp_path / "failed-step.json").read_text())
    assert (failed["step"], failed["saved"], failed["loss"]) == (6, 4, "nan")
    assert len(failed["pairs"]) == config().batch_size == len(set(failed["pairs"]))
    assert all(name in failed["pairs"] for name in re.findall(r"pair-\d+", str(caught.value)))
    whole, _ = run(tmp_path / "whole")
    going_on, _ = run(tmp_path)
    assert torch.equal(whole.table, going_on.table)
    assert not (tmp_path / "failed-step.json").exists()


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


FEATURES: list[dict[str, object]] = [
    {"loss": "contrastive+0.5*retain+0.2*antisymmetry"},
    {"loss": "siglip+0.3*retain", "loss_options": {"retain": {"target": "images"}}},
    {"chunk_size": 3, "clip_grad_norm": 0.1},
    {"precision": "bf16"},
    {"false_negatives": "mask", "hard_negatives": 0.5},
    {"keep_best": True, "eval_every": 3, "patience": 2, "keep_checkpoints": 1},
]


def falling_and_rising(embedder: HashEmbedder) -> Measure:
    """A measure of the weights as they are, that is best in the middle of training."""
    start = embedder.table.detach().clone()

    def measure() -> dict[str, float]:
        moved = float((embedder.table.detach() - start).norm())
        return {"difference_accuracy": -abs(moved - 40)}

    return measure


@pytest.mark.parametrize("features", FEATURES, ids=lambda f: "-".join(f))
def test_every_feature_goes_on_bit_for_bit(tmp_path: Path, features: dict[str, object]) -> None:
    def whole_run(folder: Path, at: int | None = None) -> HashEmbedder:
        folder.mkdir(exist_ok=True)
        embedder = HashEmbedder()
        settings = config(**{"epochs": 3, "checkpoint_every": 2, "weight_decay": 0.1, **features})
        loss = make_loss(settings.loss, settings.loss_options)
        calls: list[object] = []

        def interrupt(*_: object) -> None:
            calls.append(1)
            if at is not None and len(calls) > at:
                raise KeyboardInterrupt

        (loss.losses[0] if isinstance(loss, LossSum) else loss).register_forward_pre_hook(interrupt)
        train(
            embedder,
            loss,
            pairs(),
            settings,
            checkpoints=folder / "checkpoints",
            metrics=folder / "metrics.jsonl",
            measure=falling_and_rising(embedder),
        )
        return embedder

    whole = whole_run(tmp_path / "whole")
    for stop in (1, 5, 8):
        with pytest.raises(KeyboardInterrupt):
            whole_run(tmp_path / f"cut-{stop}", stop)
        going_on = whole_run(tmp_path / f"cut-{stop}")
        assert torch.equal(whole.table, going_on.table)
        assert [r["loss"] for r in records(tmp_path / "whole")] == [
            r["loss"] for r in records(tmp_path / f"cut-{stop}")
        ]
    again = whole_run(tmp_path / "whole")
    assert torch.equal(whole.table, again.table)


def test_a_losss_own_parameters_are_trained_at_their_own_rate_and_kept(tmp_path: Path) -> None:
    loss = make_loss("contrastive", {"learn_temperature": True})
    (scale,) = loss.parameters()
    before = scale.item()
    run(tmp_path, loss, loss_learning_rate=0.1)
    assert abs(scale.item() - before) > 0.05
    again = make_loss("contrastive", {"learn_temperature": True})
    run(tmp_path, again, loss_learning_rate=0.1)
    assert torch.equal(next(again.parameters()), scale)


def test_terms_of_a_sum_and_held_out_measures_are_recorded(tmp_path: Path) -> None:
    run(tmp_path, make_loss("contrastive+0.5*mse"), lambda: {"difference_accuracy": 0.5}, eval_every=4)
    for record in records(tmp_path):
        total = record["loss/contrastive"] + 0.5 * record["loss/mse"]
        assert record["loss"] == pytest.approx(total, rel=1e-6)
    assert [r["step"] for r in records(tmp_path) if "held_out/difference_accuracy" in r] == [4, 8]


def run_measured(
    folder: Path, values: list[float], **settings: object
) -> tuple[HashEmbedder, Trained, list[HashEmbedder]]:
    """Train with these values measured one after the other; return the weights as they were when measured, too."""
    folder.mkdir(exist_ok=True)
    embedder, seen = HashEmbedder(), []

    def measure() -> dict[str, float]:
        copy = HashEmbedder()
        copy.table.data.copy_(embedder.table)
        seen.append(copy)
        return {"retrieval_r1": values[len(seen) - 1]}

    trained = train(
        embedder,
        registry().loss("contrastive"),
        pairs(),
        config(monitor="retrieval_r1", **settings),
        checkpoints=folder / "checkpoints",
        metrics=folder / "metrics.jsonl",
        measure=measure,
    )
    return embedder, trained, seen


def test_training_stops_when_the_measure_does_not_get_better_and_keeps_the_best(tmp_path: Path) -> None:
    values = [0.1, 0.5, 0.5, 0.4, 0.9]
    settings = {"epochs": 9, "eval_every": 2, "patience": 2, "keep_checkpoints": 1}
    embedder, trained, seen = run_measured(tmp_path / "last", values, **settings)
    assert (trained.steps, trained.kept, trained.best) == (8, 8, 0.5)
    assert torch.equal(embedder.table, seen[-1].table)
    kept = sorted(path.name for path in (tmp_path / "last" / "checkpoints").iterdir())
    assert kept == ["step-00000008"]
    again, trained, seen_again = run_measured(tmp_path / "last", values, **settings)
    assert (trained.steps, seen_again) == (8, []), "it has stopped for good"
    assert torch.equal(again.table, embedder.table)
    embedder, trained, seen = run_measured(tmp_path / "best", values, keep_best=True, **settings)
    assert (trained.steps, trained.kept, trained.best) == (8, 4, 0.5)
    assert torch.equal(embedder.table, seen[1].table)
    kept = sorted(path.name for path in (tmp_path / "best" / "checkpoints").iterdir())
    assert kept == ["step-00000004", "step-00000008"]


def test_a_checkpoint_whose_best_is_torn_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = [0.5, 0.1, 0.1, 0.1]
    settings = {"eval_every": 2, "keep_best": True, "keep_checkpoints": 9}
    whole, _, _ = run_measured(tmp_path, values, **settings)
    (tmp_path / "checkpoints" / "step-00000002" / "parameters.safetensors").write_bytes(b"torn")
    again, trained, seen = run_measured(tmp_path, values, **settings)
    assert "passed over checkpoint" in caplog.text
    assert trained.kept == 2
    assert len(seen) == 4, "trained again from the start"
    assert torch.equal(again.table, whole.table)


def test_a_measure_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no measure 'zero_shot_accuracy'"):
        run(tmp_path, None, lambda: {"retrieval_r1": 1.0}, patience=1, monitor="zero_shot_accuracy")


def test_biases_norms_and_embeddings_do_not_decay() -> None:
    tower = {
        name: torch.nn.Parameter(torch.ones(shape))
        for name, shape in {
            "block.mlp.weight": (2, 2),
            "block.mlp.bias": (2,),
            "ln.weight": (2,),
            "token_embedding.weight": (2, 2),
            "positional_embedding": (2, 2),
        }.items()
    }
    own = {"loss.scale": torch.nn.Parameter(torch.ones(()))}
    settings = config(weight_decay=0.5, learning_rate=0.1, loss_learning_rate=0.3, optimizer="adamw")
    optimizer = make_optimizer(tower, own, settings)
    for parameter in (*tower.values(), *own.values()):
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {name for name, parameter in {**tower, **own}.items() if not torch.all(parameter == 1)}
    assert moved == {"block.mlp.weight"}
    set_learning_rate(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.05, 0.15])


def test_the_gradient_is_clipped_to_the_norm(tmp_path: Path) -> None:
    parameters = {"a": torch.nn.Parameter(torch.zeros(2)), "b": torch.nn.Parameter(torch.zeros(1))}
    parameters["a"].grad, parameters["b"].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert gradient_norm(parameters, 1.0).item() == pytest.approx(5)
    assert gradient_norm(parameters, None).item() == pytest.approx(1, rel=1e-5)


def test_a_loss_that_needs_what_the_pairs_do_not_hold_is_named(tmp_path: Path) -> None:
    bare = replace(pairs(), captions=())
    with pytest.raises(PluginError, match="captions"):
        train(
            HashEmbedder(),
            make_loss("retain"),
            bare,
            config(),
            checkpoints=tmp_path / "c",
            metrics=tmp_path / "m.jsonl",
        )


def test_batches_bring_what_is_needed_and_nothing_else() -> None:
    embedder, found = HashEmbedder(), pairs()
    rows = torch.tensor([3, 0, 7, 2])
    plain = Batches(embedder, found, frozenset()).request(rows)
    assert len(plain.tokens) == 4
    batches = Batches(embedder, found, frozenset({"reversed_text", "captions", "original_captions", "caption_images"}))
    request = batches.request(rows)
    batch = batches.batch(request, embedder.encode_text(request.tokens))
    assert batch.reversible is not None
    assert batch.reversible.tolist() == [True, False, True, False]
    turned = embedder.embed_texts([found.reversed_texts[3] or "", found.reversed_texts[7] or ""])
    np.testing.assert_allclose(batch.reversed_text.detach(), turned, atol=1e-6)
    captions = list(dict.fromkeys(found.captions[int(i)] for i in sorted(found.first[rows].tolist())))
    np.testing.assert_allclose(batch.captions.detach(), embedder.embed_texts(captions), atol=1e-6)
    np.testing.assert_allclose(batch.original_captions, embedder.embed_texts(captions), atol=1e-6)
    for caption, picture in zip(captions, batch.caption_images, strict=True):
        holders = [k for k, other in enumerate(found.captions) if other == caption]
        assert any(torch.equal(picture, found.embeddings[k]) for k in holders)
    torch.testing.assert_close(batch.image_differences, found.differences(rows))


def test_a_held_out_picture_with_the_same_caption_is_not_trained_on() -> None:
    found = pairs()
    first = torch.where(found.first == 0, 10, found.first)  # picture 10 has the caption of picture 0
    found = replace(found, first=first)
    batches = Batches(HashEmbedder(), found, frozenset({"captions", "caption_images"}))
    request = batches.request(torch.arange(len(found)))
    images = batches.batch(request, torch.zeros(len(request.tokens), 32)).caption_images
    assert images is not None
    assert not any(torch.equal(image, found.embeddings[0]) for image in images)
    assert any(torch.equal(image, found.embeddings[10]) for image in images)
