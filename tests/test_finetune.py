"""The whole flow on the real small backbone."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from cutting import SETTINGS, flags, kill_when
from PIL import Image

import pcclip
from pcclip.data import read, read_quarantine
from pcclip.errors import DataError, RunError, UsageError
from pcclip.runs import open_run
from pcclip_cli.main import main


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not interrupted."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    pcclip.finetune(pcclip.make_config(**SETTINGS), out)
    return out


def test_the_run_folder_is_as_documented(finished: Path) -> None:
    run = json.loads((finished / "run.json").read_text())
    assert {stage: entry["status"] for stage, entry in run["stages"].items()} == dict.fromkeys(
        ("read", "embed", "describe", "train", "evaluate"), "done"
    )
    assert set(run["fingerprints"]) == {"image tower", "text tower", "captioner"}
    assert run["config"]["pairs"] == 60
    assert "torch" in run["versions"]
    assert len((finished / "metrics.jsonl").read_text().splitlines()) == 6
    assert [p.name for p in sorted((finished / "checkpoints").iterdir())] == ["step-00000004", "step-00000006"]
    for name in ("model.safetensors", "embedder.json", "README.md"):
        assert (finished / "model" / name).stat().st_size > 0
    assert not [p for p in finished.rglob("*") if p.suffix in (".pt", ".pkl", ".pickle", ".bin")]


def test_a_store_of_comparatives_serves_several_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "deep" / "shared.sqlite"
    settings = {**SETTINGS, "comparatives": store, "pair_strategy": "similar", "max_steps": 1}
    pcclip.finetune(pcclip.make_config(**settings), tmp_path / "one")
    monkeypatch.setattr("pcclip_template.captioner.phrase", lambda _: pytest.fail("asked again"))
    pcclip.finetune(pcclip.make_config(**{**settings, "batch_size": 8}), tmp_path / "two")
    assert not (tmp_path / "two" / "comparatives.sqlite").exists()


def test_a_wrong_plugin_option_is_said_before_anything_is_written(tmp_path: Path) -> None:
    config = pcclip.make_config(**SETTINGS, captioner_options={"nix": 1})
    with pytest.raises(UsageError, match="takes no options"):
        pcclip.finetune(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("scope", ["foo", "last-7"])
def test_a_scope_that_the_backbone_lacks_is_said_before_anything_is_described(tmp_path: Path, scope: str) -> None:
    with pytest.raises(UsageError, match=f"nothing to train is called '{scope}'"):
        pcclip.finetune(pcclip.make_config(**{**SETTINGS, "train": scope}), tmp_path / "run")
    assert not (tmp_path / "run" / "comparatives.sqlite").exists()
    with open_run(tmp_path / "run", pcclip.make_config(**SETTINGS)):
        pass  # the same folder will do once it is corrected


def test_texts_longer_than_the_tower_are_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scenes = read("scenes:24")
    rows = [
        {"image": str(e.image), "caption": e.caption + (" and more" * 200 if i < 2 else "")}
        for i, e in enumerate(scenes)
    ]
    data = tmp_path / "long.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "run"
    pcclip.finetune(pcclip.make_config(**{**SETTINGS, "data": str(data), "max_steps": 1}), out)
    stages = json.loads((out / "run.json").read_text())["stages"]
    assert stages["describe"]["too_long"] > 0
    assert "longer than the 256 tokens" in caplog.text


def test_the_evaluation_holds_the_promised_measures_before_and_after(finished: Path) -> None:
    evaluation = json.loads((finished / "evaluation.json").read_text())
    assert evaluation["schema"] == 1
    for side in ("before", "after"):
        assert {"difference_accuracy", "difference_swap_accuracy", "retrieval_r1", "retrieval_r5",
                "zero_shot_accuracy"} <= set(evaluation[side])  # fmt: skip
        assert 0 <= evaluation[side]["difference_accuracy"] <= 1
    assert evaluation["before"] != evaluation["after"]


def test_measures_equal_a_computation_from_the_written_files(finished: Path) -> None:
    with (finished / "held_out_pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    evaluation = json.loads((finished / "evaluation.json").read_text())
    for side in ("before", "after"):
        share = np.mean([float(row[f"cosine_{side}"]) > 0 for row in rows])
        assert share == pytest.approx(evaluation[side]["difference_accuracy"], abs=1e-6)
    model = pcclip.load(finished)
    images = {example.id: example.image for example in read("scenes:60").examples}
    for row in rows[:5]:
        found = model.compare(images[row["first"]], images[row["second"]], row["text"])
        assert found.cosine == pytest.approx(float(row["cosine_after"]), abs=2e-5)


def test_no_picture_of_an_evaluated_pair_was_in_a_training_pair(finished: Path) -> None:
    with (finished / "held_out_pairs.csv").open(newline="") as file:
        held = {row[side] for row in csv.DictReader(file) for side in ("first", "second")}
    captions = {example.id: example.caption for example in read("scenes:60").examples}
    with closing(sqlite3.connect(finished / "comparatives.sqlite")) as store:
        asked = store.execute("SELECT first, second FROM comparatives").fetchall()
    held_captions = {captions[id_] for id_ in held}
    unshared = {c for c in captions.values() if list(captions.values()).count(c) == 1}
    mixed = [pair for pair in asked if len(set(pair) & held_captions & unshared) == 1 and set(pair) <= unshared]
    assert asked
    assert not mixed


def test_training_leaves_the_image_tower_bit_for_bit(finished: Path) -> None:
    before = pcclip.registry().embedder("mini")
    after = pcclip.load(finished).embedder
    assert after.image_fingerprint == before.image_fingerprint
    assert after.text_fingerprint != before.text_fingerprint
    picture = [Image.new("RGB", (50, 40), (200, 100, 0))]
    np.testing.assert_array_equal(after.embed_images(picture), before.embed_images(picture))


def test_a_finished_run_is_not_done_again(finished: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (finished / "model").iterdir()}
    again = pcclip.finetune(pcclip.make_config(**SETTINGS), finished)
    assert {p: p.stat().st_mtime_ns for p in (finished / "model").iterdir()} == before
    assert again.evaluation == json.loads((finished / "evaluation.json").read_text())


def test_other_settings_in_its_folder_are_refused(finished: Path) -> None:
    with pytest.raises(RunError, match="pairs: 60 before, 61 now"):
        pcclip.finetune(pcclip.make_config(**{**SETTINGS, "pairs": 61}), finished)


def test_killed_while_training_it_ends_in_the_same_weights(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut"
    command = [sys.executable, "-m", "pcclip_cli", "finetune", *flags(), "--out", str(out), "-q"]
    kill_when(command, (out / "checkpoints" / "step-00000002").exists)
    assert not (out / "model").exists()
    subprocess.run(command, check=True)
    assert (out / "model/model.safetensors").read_bytes() == (finished / "model/model.safetensors").read_bytes()
    strip = [{k: v for k, v in json.loads(line).items() if k != "pairs_per_s"}
             for line in (out / "metrics.jsonl").read_text().splitlines()]  # fmt: skip
    assert [record["step"] for record in strip] == [1, 2, 3, 4, 5, 6]
    assert json.loads((out / "evaluation.json").read_text()) == json.loads((finished / "evaluation.json").read_text())


def test_predict_compare_and_rank_with_the_finished_model(finished: Path, tmp_path: Path) -> None:
    examples = read("scenes:60").examples
    images = [str(example.image) for example in examples[:6]]
    bad = tmp_path / "bad é\n.png"
    bad.write_bytes(b"nothing")
    labels = ",".join(sorted({example.label for example in examples if example.label}))
    run = CliRunner().invoke(
        main,
        ["predict", *images, str(bad), "--model", str(finished), "--strategy", "comparative",
         "--captioner", "template", "--classes", labels, "--format", "json"],
    )  # fmt: skip
    assert run.exit_code == 1
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["image"] for row in rows] == [*images, str(bad)]
    assert rows[-1]["error"] == "not-a-picture"
    for row in rows[:-1]:
        assert set(row["scores"]) == set(labels.split(","))
        assert row["label"] == max(row["scores"], key=row["scores"].get)
        assert all(-1 <= score <= 1 for score in row["scores"].values())
    rank = ["rank", "a red shape", *images, "--model", str(finished)]
    table = CliRunner().invoke(main, rank, env={"COLUMNS": None})
    assert table.exit_code == 0, table.output
    assert all(Path(image).name in table.stdout for image in images)
    compared = CliRunner().invoke(
        main, ["compare", *images[:2], "a larger shape", "-m", str(finished), "--format", "json"]
    )
    assert set(json.loads(compared.stdout)) == {"first", "second", "text", "cosine", "holds"}


def test_bad_pictures_are_rows_in_the_quarantine_table_and_too_many_stop_the_run(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(12):
        Image.new("RGB", (32, 32), (20 * number, 100, 255 - 20 * number)).save(data / f"{number}.png")
        (data / f"{number}.txt").write_text(f"Square number {number}." if number else "Long word. " * 1000)
    Image.new("RGB", (32, 32)).save(data / "neu\nné.png")
    (data / "neu\nné.txt").write_text("A black square.")
    (data / "torn.png").write_bytes((data / "1.png").read_bytes()[:50])
    (data / "torn.txt").write_text("A torn square.")
    (data / "empty.txt").write_text("")
    Image.new("RGB", (32, 32)).save(data / "empty.png")
    settings = {**SETTINGS, "data": str(data), "pairs": 20, "eval_pairs": 6, "batch_size": 8, "max_steps": 1}
    with pytest.raises(DataError, match=r"1 .*empty-caption|empty-caption"):
        pcclip.finetune(pcclip.make_config(**settings, max_bad_fraction=0.05), tmp_path / "strict")
    finished = pcclip.finetune(pcclip.make_config(**settings, max_bad_fraction=0.2), tmp_path / "run")
    rows = {row.id: row.reason for row in read_quarantine(tmp_path / "run" / "quarantine.csv")}
    assert rows == {"torn.png": "truncated", "empty.png": "empty-caption"} or rows == {
        "torn.png": "undecodable",
        "empty.png": "empty-caption",
    }
    assert finished.evaluation["after"]["pairs"] > 0


def test_an_unwritable_output_folder_is_said() -> None:
    done = CliRunner().invoke(main, ["finetune", *flags(), "--out", "/proc/no/run"])
    assert done.exit_code == 1
    assert "cannot write to /proc/no/run" in done.stderr
    assert "Traceback" not in done.output


def test_vit_b_32_without_weights_ends_in_one_clear_error(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    command = [
        sys.executable,
        "-m",
        "pcclip_cli",
        "finetune",
        *flags(backbone="vit-b-32"),
        "--out",
        str(tmp_path / "r"),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--backbone mini" in done.stderr
    assert "--backbone-pretrained" in done.stderr
    assert "Traceback" not in done.stderr
