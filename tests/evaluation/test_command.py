"""``pcclip evaluate``, as a user calls it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import pcclip
from pcclip.data import read
from pcclip.evaluation.document import Evaluation
from pcclip_cli.main import main


def evaluate(*args: str | Path) -> Result:
    command = ["evaluate", *map(str, args), "--resamples", "200", "--seeds", "2"]
    return CliRunner().invoke(main, command, env={"COLUMNS": "80"})


def test_a_run_beside_its_backbone_from_data_to_files(run: Path, tmp_path: Path) -> None:
    done = evaluate("-m", run, "--data", "scenes:60", "--out", tmp_path / "deep" / "out")
    assert done.exit_code == 0, done.output
    assert "15 test pictures, 8 classes, 45 labelled beside" in done.stdout
    header = next(line for line in done.stdout.splitlines() if line.startswith("measure"))
    assert header.split() == ["measure", "hash", "tuned"]
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "left out of the test" in done.stderr
    assert {path.name for path in (tmp_path / "deep" / "out").iterdir()} == {
        "evaluation.json",
        "results.csv",
        "report.html",
    }


def test_attributes_and_sentences_of_ones_own_are_ranked_by(tmp_path: Path) -> None:
    table = tmp_path / "attributes.csv"
    rows = [f"{example.id},{example.attributes['size']},7" for example in read("scenes:20").examples]
    table.write_text("picture,extent,same\n" + "\n".join([*rows, "nowhere.png,1,7"]) + "\n")
    own = ("--attributes", str(table), "--sentence")
    done = evaluate(
        "-m", "mini", "--data", "scenes:20", "--measures", "ranking", *own,
        "extent=The first image shows large shapes, while the second image shows small shapes.||large shapes",
        "--format", "json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert {result["part"] for result in document["results"]} == {"extent"}
    notes = " ".join(document["tasks"][0]["notes"])
    assert "'nowhere.png' (row 22)" in notes
    assert "'same' never varies" in notes
    wrong = evaluate("-m", "mini", "--data", "scenes:20", *own, "extent")
    assert wrong.exit_code == 2
    assert "not a sentence of an attribute: 'extent'" in wrong.stderr
    assert evaluate("-m", "mini", "--suite", "scenes", *own, "a=b|c").exit_code == 2


def test_json_and_csv_are_for_programs(run: Path) -> None:
    args = ("-m", run, "--baseline", "none", "--data", "scenes:60", "--measures", "retrieval")
    document = Evaluation.model_validate(json.loads(evaluate(*args, "--format", "json").stdout))
    assert [model.name for model in document.models] == ["tuned"]
    rows = list(csv.DictReader(io.StringIO(evaluate(*args, "--format", "csv").stdout)))
    assert [row["measure"] for row in rows] == [result.measure for result in document.results]


def test_options_of_one_strategy_and_of_several(run: Path) -> None:
    args = ("-m", "hash", "--data", "scenes:30", "--measures", "strategies", "--format", "json")
    one = json.loads(evaluate(*args, "--strategy", "comparative", "--strategy-alpha", "0.5").stdout)
    several = evaluate(
        *args, "--strategy", "comparative", "--strategy", "zero-shot", "--strategy-comparative-alpha", "0.5"
    )
    assert one["settings"]["strategy_options"] == {"comparative": {"alpha": "0.5"}}
    found = json.loads(several.stdout)
    assert found["settings"]["strategy"] == ["comparative", "zero-shot"]
    assert found["settings"]["strategy_options"] == {"comparative": {"alpha": "0.5"}}


def test_problems_and_what_is_left_out_are_named(tmp_path: Path) -> None:
    rows = [{"image": str(e.image), "caption": e.caption, "label": "shape"} for e in read("scenes:20")]
    data = tmp_path / "one-class.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = evaluate("-m", "hash", "--data", data)
    assert done.exit_code == 0, done.output
    assert "not measured on one-class.jsonl: zero-shot: there is a single class" in done.stderr
    gone = evaluate("-m", "hash", "--data", tmp_path / "gone")
    assert gone.exit_code == 1
    assert "task gone is left out: there is no data at" in gone.stderr
    assert "Traceback" not in gone.output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--data", "scenes:20"], "no model to measure"),
        (["-m", "hash"], "Name data or a suite"),
        (["-m", "hash", "--data", "scenes:20", "--measures", "rank"], "There are: difference"),
        (["-m", "nix", "--data", "scenes:20"], "neither a folder nor a backbone"),
        (["-m", "hash", "--data", "scenes:20", "--strategy", "comparitive"], "comparative"),
        (["-m", "hash", "--data", "scenes:20", "--strategy-aplha", "1"], "--strategy-alpha"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_right(args: list[str], words: str) -> None:
    done = evaluate(*args)
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.output


def test_python_has_the_same_word(run: Path) -> None:
    found = pcclip.evaluate([run], data="scenes:60", measures="probe", seeds=2, resamples=200)
    assert [result.measure for result in found.results] == ["probe_accuracy"] * 2
