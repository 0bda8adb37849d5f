"""Averages of text towers, sweeps over them, and exports, on the small backbone of :mod:`pcclip.testing`."""

from __future__ import annotations

import csv
import json
import logging
import os
import resource
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

import pcclip
from pcclip.averaging import interpolate, mean, save_weights, text_weights
from pcclip.errors import PcclipError, RunError, UsageError
from pcclip.plugins import Plugin, registry
from pcclip.saved import read_record
from pcclip.specs import EmbedderSpec
from pcclip.sweep import RULE, AlphaRow, choose, read_sweep
from pcclip.testing import HashEmbedder
from pcclip_cli.main import main

SETTINGS = {
    "data": "scenes:40",
    "backbone": "hash",
    "captioner": "template",
    "pairs": 60,
    "eval_pairs": 20,
    "batch_size": 16,
    "max_steps": 12,
    "learning_rate": 0.05,
    "threads": 1,
}


class Exporting(HashEmbedder):
    """Has a form in a library called ``notes``, and one that fails half way."""

    export_formats = ("notes", "broken")

    def export(self, format_: str, folder: Path) -> str:
        save_file({"table": self.table.detach()}, folder / "table.safetensors")
        if format_ == "broken":
            raise UsageError("this table has no such form")
        return "print('path/of/this/folder')"


class Foreign(HashEmbedder):
    """The same architecture with other weights."""

    def __init__(self, dim: int = 32) -> None:
        super().__init__(dim, seed=7)


@pytest.fixture(scope="module", autouse=True)
def backbones() -> object:
    """Make the small backbones known under names, as a plugin would."""
    plugins = registry()._plugins["embedder"]
    for name, target in (("hash", "Exporting"), ("plain", "HashEmbedder"), ("foreign", "Foreign")):
        module = "pcclip.testing" if target == "HashEmbedder" else __name__
        plugins[name] = [Plugin(EmbedderSpec(name=name, target=f"{module}:{target}"), "tests", "1")]
    yield
    for name in ("hash", "plain", "foreign"):
        del plugins[name]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Finished runs that differ in alpha, seed, or backbone."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for name, changes in {
        "tuned": {},
        "half": {"alpha": 0.5},
        "swept": {"sweep_alpha": "0.5,0.1,1"},
        "auto": {"alpha": "auto", "sweep_alpha": "0.5,0.1,1"},
        "other": {"seed": 1},
        "plain": {"backbone": "plain", "max_steps": 2},
        "foreign": {"backbone": "foreign", "max_steps": 2},
    }.items():
        made[name] = folder / name
        pcclip.finetune(pcclip.make_config(**{**SETTINGS, **changes}), made[name])
    return made


def weights(path: Path) -> dict[str, torch.Tensor]:
    return text_weights(pcclip.load(path).embedder)


def fingerprint(path: Path) -> str:
    found: str = read_record(path if (path / "embedder.json").exists() else path / "model")["fingerprints"]["text"]
    return found


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_interpolation_is_bit_exact_at_its_ends_and_for_what_was_not_trained() -> None:
    original = {"a": torch.tensor([-0.0, 1.0, 3e-39]), "b": torch.randn(50)}
    tuned = {"a": original["a"].clone(), "b": torch.randn(50)}
    for alpha, wanted in ((0.0, original), (1.0, tuned)):
        found = interpolate(original, tuned, alpha)
        assert all(found[name].numpy().tobytes() == wanted[name].numpy().tobytes() for name in wanted)
    between = interpolate(original, tuned, 0.3)
    assert between["a"].numpy().tobytes() == original["a"].numpy().tobytes()
    torch.testing.assert_close(between["b"], 0.3 * tuned["b"] + 0.7 * original["b"])


def test_mean() -> None:
    sets = [{"a": torch.randn(20)} for _ in range(3)]
    sets[0]["a"][3] = -0.0
    for same in (sets[:1], sets[:1] * 3):
        assert mean(iter(same))["a"].numpy().tobytes() == sets[0]["a"].numpy().tobytes()
    torch.testing.assert_close(mean(iter(sets))["a"], torch.stack([one["a"] for one in sets]).mean(0))


def test_finetune_with_an_alpha_ends_between_and_keeps_the_tuned_weights(runs: Mapping[str, Path]) -> None:
    tuned, original = weights(runs["tuned"]), text_weights(Exporting())
    assert not torch.equal(tuned["table"], original["table"])
    torch.testing.assert_close(weights(runs["half"])["table"], (tuned["table"] + original["table"]) / 2)
    kept = load_file(runs["half"] / "tuned.safetensors")
    assert all(kept[name].equal(tuned[name]) for name in tuned)
    assert not (runs["tuned"] / "tuned.safetensors").exists()
    assert read_record(runs["half"] / "model")["trained"]["alpha"] == 0.5
    assert "0.5 times the tuned one plus 0.5 times the original" in (runs["half"] / "model" / "README.md").read_text()


def test_merging_is_bit_exact_at_0_and_1_and_finetunes_own_average_between(
    runs: Mapping[str, Path], tmp_path: Path
) -> None:
    for source in ("tuned", "half"):  # the second is an average itself, and is taken apart again
        for alpha, wanted in ((0, Exporting().text_fingerprint), (1, fingerprint(runs["tuned"])),
                              (0.5, fingerprint(runs["half"]))):  # fmt: skip
            out = pcclip.merge([runs[source]], tmp_path / f"{source}-{alpha}", alpha=alpha)
            assert fingerprint(out) == wanted
            assert pcclip.load(out).embedder.image_fingerprint == Exporting().image_fingerprint
    card = (tmp_path / "tuned-0.5" / "README.md").read_text()
    assert "These weights were not measured." in card
    assert read_record(tmp_path / "tuned-0.5")["trained"]["merged"]["runs"] == [
        {"path": str(runs["tuned"]), "text": fingerprint(runs["tuned"])}
    ]


def test_a_soup_is_the_mean_of_its_runs(runs: Mapping[str, Path], tmp_path: Path) -> None:
    done = run("merge", runs["tuned"], runs["other"], "--out", tmp_path / "soup")
    assert done.exit_code == 0, done.output
    both = [weights(runs[name])["table"] for name in ("tuned", "other")]
    torch.testing.assert_close(weights(tmp_path / "soup")["table"], (both[0] + both[1]) / 2)
    assert "2 runs were averaged" in (tmp_path / "soup" / "README.md").read_text()
    pcclip.merge([tmp_path / "soup"], tmp_path / "half", alpha=0.5)
    original = text_weights(Exporting())["table"]
    torch.testing.assert_close(weights(tmp_path / "half")["table"], (both[0] + both[1]) / 4 + original / 2)


def test_another_original_is_refused(runs: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="tuned from different weights"):
        pcclip.merge([runs["tuned"], runs["foreign"]], tmp_path / "out", alpha=1)
    monkeypatch.setitem(registry()._plugins["embedder"], "hash", registry()._plugins["embedder"]["foreign"])
    with pytest.raises(RunError, match=r"image tower of backbone 'hash' is not the one that .*tuned was tuned from"):
        pcclip.merge([runs["tuned"]], tmp_path / "out", alpha=0.5)
    assert fingerprint(pcclip.merge([runs["tuned"]], tmp_path / "out", alpha=1)) == fingerprint(runs["tuned"])


def test_weights_that_were_averaged_already_are_not_averaged_again(runs: Mapping[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="averaged already"):
        pcclip.merge([runs["half"] / "model"], tmp_path / "out", alpha=0.5)
    copy = tmp_path / "copy"
    shutil.copytree(runs["half"], copy)
    kept = load_file(copy / "tuned.safetensors")
    save_file({name: tensor + 1 for name, tensor in kept.items()}, copy / "tuned.safetensors")
    with pytest.raises(RunError, match=r"tuned\.safetensors is not what the run wrote"):
        pcclip.merge([copy], tmp_path / "out", alpha=0.5)
    (copy / "tuned.safetensors").write_bytes(b"torn")
    with pytest.raises(RunError, match=r"tuned\.safetensors cannot be read"):
        pcclip.merge([copy], tmp_path / "out", alpha=0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_only_a_merge_replaces_a_merge(runs: Mapping[str, Path], tmp_path: Path) -> None:
    pcclip.merge([runs["tuned"]], tmp_path / "out", alpha=0)
    pcclip.merge([runs["tuned"]], tmp_path / "out", alpha=1)
    assert fingerprint(tmp_path / "out") == fingerprint(runs["tuned"])
    before = fingerprint(runs["other"])
    for taken in (runs["other"], runs["other"] / "model"):
        with pytest.raises(PcclipError, match="is not empty"):
            pcclip.merge([runs["tuned"]], taken, alpha=0)
    assert fingerprint(runs["other"]) == before
    (tmp_path / "file").touch()
    with pytest.raises(PcclipError, match="is a file"):
        pcclip.merge([runs["tuned"]], tmp_path / "file", alpha=0)
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="alpha"):
            pcclip.merge([runs["tuned"]], tmp_path / "new", alpha=alpha)


def test_a_sweep_measures_each_alpha_and_keeps_table_and_plot(runs: Mapping[str, Path]) -> None:
    found = read_sweep(runs["swept"])
    assert found is not None
    assert [row.alpha for row in found.rows] == [0, 0.1, 0.5, 1]
    assert found.pictures == "held-out"
    assert found.chosen == 1
    own = json.loads((runs["tuned"] / "evaluation.json").read_text())
    half = json.loads((runs["half"] / "evaluation.json").read_text())
    assert found.rows[0].measures == own["before"]
    assert found.rows[-1].measures == own["after"]
    assert found.rows[2].measures == half["after"]
    swept = json.loads((runs["swept"] / "evaluation.json").read_text())
    assert swept["after"] == found.row(found.chosen).measures  # type: ignore[union-attr]
    assert found.tuned == fingerprint(runs["tuned"])
    with (runs["swept"] / "alpha_sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["difference_accuracy"]) for row in rows] == [
        row.measures["difference_accuracy"] for row in found.rows
    ]
    drawn = ElementTree.parse(runs["swept"] / "alpha_sweep.svg").getroot()
    texts = {element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"0", "0.1", "0.5", "1", "difference accuracy, %", "zero-shot accuracy, %"} <= texts


def test_pictures_that_choose_alpha_neither_train_nor_judge(runs: Mapping[str, Path]) -> None:
    found, record = read_sweep(runs["auto"]), json.loads((runs["auto"] / "run.json").read_text())
    assert found is not None
    assert (found.pictures, found.rule, found.chosen) == ("validation", RULE, choose(found.rows))
    counts = record["stages"]["embed"]
    assert found.rows[0].measures["pictures"] == counts["validation"] > 0
    assert counts["training"] + counts["validation"] + counts["held_out"] == counts["pictures"]
    after = json.loads((runs["auto"] / "evaluation.json").read_text())["after"]
    assert after["pictures"] == counts["held_out"]
    model = read_record(runs["auto"] / "model")["trained"]
    assert model["alpha"] == found.chosen


def test_a_finished_run_is_swept_to_the_same_table(runs: Mapping[str, Path], tmp_path: Path) -> None:
    shutil.copytree(runs["tuned"], tmp_path / "run")
    model = {path: path.read_bytes() for path in (tmp_path / "run" / "model").iterdir()}
    done = run("merge", tmp_path / "run", "--sweep-alpha", "0.1,0.5", "--alpha", "1", "-q")
    assert done.exit_code == 0, done.output
    own, late = read_sweep(runs["swept"]), read_sweep(tmp_path / "run")
    assert own is not None
    assert late is not None
    assert late.rows == own.rows
    assert late.chosen == 1
    assert f"--alpha auto would take {choose(own.rows):g}" in done.stdout
    assert {path: path.read_bytes() for path in (tmp_path / "run" / "model").iterdir()} == model
    pcclip.merge([tmp_path / "run"], tmp_path / "known", alpha=0.1)  # measured by now
    assert read_record(tmp_path / "known")["trained"]["after"] == late.rows[1].measures
    auto = run("merge", runs["half"], "--sweep-alpha", "0.1,0.5,1", "--alpha", "auto", "--out", tmp_path / "auto", "-q")
    assert auto.exit_code == 0, auto.output
    pcclip.merge([runs["tuned"]], tmp_path / "same", alpha=choose(own.rows))
    assert fingerprint(tmp_path / "auto") == fingerprint(tmp_path / "same")
    for folder, said in ((tmp_path / "auto", True), (runs["auto"] / "model", False), (tmp_path / "known", False)):
        assert ("was chosen on the same held-out pictures" in (folder / "README.md").read_text()) == said
    with pytest.raises(RunError, match="a model without its run"):
        pcclip.sweep_run(tmp_path / "known")


def test_the_rule_of_auto() -> None:
    def row(alpha: float, difference: float, retrieval: float, zero_shot: float) -> AlphaRow:
        return AlphaRow(alpha, {"pairs": 9, "difference_accuracy": difference, "retrieval_r1": retrieval,
                                "zero_shot_accuracy": zero_shot})  # fmt: skip

    original = row(0, 0.5, 0.3, 0.6)
    assert choose([original, row(0.5, 0.7, 0.3, 0.6), row(1, 0.9, 0.29, 0.7)]) == 0.5
    assert choose([original, row(0.5, 0.7, 0.4, 0.6), row(1, 0.9, 0.3, 0.7)]) == 1
    assert choose([original, row(0.5, 0.9, 0.4, 0.6), row(1, 0.9, 0.5, 0.7)]) == 0.5
    assert choose([original, row(0.5, 0.9, 0.1, 0.6), row(1, 0.4, 0.3, 0.6)]) == 0


def test_an_auto_that_finds_nothing_better_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = {**SETTINGS, "alpha": "auto", "max_steps": 1, "learning_rate": 1e-12, "loss": "mse"}
    with caplog.at_level(logging.WARNING, "pcclip"):
        pcclip.finetune(pcclip.make_config(**settings), tmp_path / "run")
    assert "the result is the original model" in caplog.text
    assert fingerprint(tmp_path / "run") == Exporting().text_fingerprint
    assert (tmp_path / "run" / "tuned.safetensors").exists()


def test_without_matplotlib_the_table_is_kept_and_the_command_that_brings_it_is_named(
    runs: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = read_sweep(runs["swept"])
    assert found is not None
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with caplog.at_level(logging.WARNING, "pcclip"):
        found.write(tmp_path)
    assert 'pip install "pcclip[plot]"' in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alpha_sweep.csv", "alpha_sweep.json"]


def test_wrong_usage_of_merge(runs: Mapping[str, Path], tmp_path: Path) -> None:
    for args, words in (
        ([runs["tuned"]], "Missing option '--out'"),
        ([runs["tuned"], "--alpha", "much", "--out", "x"], "neither a number nor auto"),
        ([runs["tuned"], "--alpha", "2", "--out", tmp_path / "x"], "from 0 to 1, not 2"),
        ([runs["tuned"], runs["other"], "--alpha", "auto", "--out", "x"], "a sweep measures one run"),
        ([runs["tuned"], "--sweep-alpha", "0,one"], "'0,one' is no list of numbers"),
        ([runs["tuned"], "--sweep-alpha", "0,3"], "sweep_alpha"),
    ):
        done = run("merge", *args)
        assert done.exit_code == 2, done.output
        assert words in done.stderr
        assert "Traceback" not in done.output


def test_an_export_is_whole_or_not_there_and_carries_a_card(runs: Mapping[str, Path], tmp_path: Path) -> None:
    out = pcclip.export(runs["half"], "notes", tmp_path / "deep" / "out")
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "pcclip_export.json", "table.safetensors"]
    assert load_file(out / "table.safetensors")["table"].equal(weights(runs["half"])["table"])
    assert len({path.stat().st_mode for path in out.iterdir()}) == 1  # who may read the card may read the weights
    card = (out / "README.md").read_text()
    for said in ("library_name: notes", "print('path/of/this/folder')", "| data | scenes:40 |", "0.5 times the tuned"):
        assert said in card
    assert json.loads((out / "pcclip_export.json").read_text())["fingerprints"]["text"] == fingerprint(runs["half"])
    again = pcclip.export(runs["tuned"], "notes", out)  # an earlier export is replaced
    assert load_file(again / "table.safetensors")["table"].equal(weights(runs["tuned"])["table"])
    with pytest.raises(UsageError, match="no such form"):
        pcclip.export(runs["half"], "broken", out)
    assert load_file(out / "table.safetensors")["table"].equal(weights(runs["tuned"])["table"])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.tex").write_text("mine")
    for taken in (tmp_path / "thesis", runs["half"]):
        done = run("export", runs["tuned"], "--format", "notes", "--out", taken)
        assert done.exit_code == 1
        assert "is not empty" in done.stderr
    assert (tmp_path / "thesis" / "a.tex").read_text() == "mine"


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(runs: Mapping[str, Path], tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        for args in (["merge", runs["tuned"], "--alpha", "0"], ["export", runs["tuned"], "--format", "notes"]):
            done = run(*args, "--out", tmp_path / "out")
            assert done.exit_code == 1
            assert done.stderr.startswith(f"Error: cannot write {tmp_path / 'out'}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_the_weights_that_were_written_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    save_weights(tmp_path / "tuned.safetensors", {"table": torch.zeros(3)})
    assert (tmp_path / "tuned.safetensors").stat().st_ino in synced


def test_formats_that_a_backbone_does_not_have(runs: Mapping[str, Path], tmp_path: Path) -> None:
    done = run("export", runs["half"], "--format", "onnx", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "backbone 'hash' cannot be exported as 'onnx'" in done.stderr
    assert "It can be exported as: notes, broken" in done.stderr
    none = run("export", runs["plain"], "--format", "transformers", "--out", tmp_path / "out")
    assert none.exit_code == 2
    assert "no form in another library" in none.stderr
    assert registry().target("embedder", "mini").export_formats == ()
    assert not (tmp_path / "out").exists()


def test_the_code_of_our_own_card_runs(
    runs: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    for name, colour in (("a.jpg", "red"), ("b.jpg", "blue")):
        Image.new("RGB", (20, 20), colour).save(tmp_path / name)
    card = (runs["tuned"] / "model" / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0].replace("path/of/this/folder", str(runs["tuned"] / "model"))
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert capsys.readouterr().out.startswith(("it does", "it is the other way round"))
