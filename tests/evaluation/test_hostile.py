"""Bad input and odd data: each of these was taken wrongly or in silence once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import pcclip
from pcclip.errors import PcclipError, UsageError
from pcclip.evaluation.pairing import draw
from pcclip.metrics.classification import class_accuracies
from pcclip.suites import Attribute, Protocol, Suite
from pcclip.suites.own import OwnData
from pcclip_cli.main import main
from pcclip_template.captioner import TemplateCaptioner

LARGER = "The first image shows a larger animal, while the second image shows a smaller animal."


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of six pictures, one with a name beyond ASCII."""
    folder = tmp_path_factory.mktemp("animals")
    rng = np.random.default_rng(0)
    for name in ("cat", "dög ☃", "fox"):
        (folder / name).mkdir()
        for number in range(6):
            pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def evaluate(*args: str | Path) -> Result:
    done = CliRunner().invoke(main, ["evaluate", "-m", "hash", "--resamples", "100", *map(str, args)])
    assert "Traceback" not in done.output
    return done


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_wrong_in_a_table_of_attributes_is_said_in_the_terminal(animals: Path, tmp_path: Path) -> None:
    attributes = table(tmp_path, "class,size,age\ncat,1,1\nunicorn,3,3\nfox,nan,2\n")
    only = ("--data", animals, "--measures", "ranking", "--attributes", attributes)
    done = evaluate(*only, "--sentence", f"size={LARGER}")
    assert "no picture of the data has the class 'unicorn' (row 3)" in done.stderr
    assert "values of 'size' are no finite numbers: 'nan' (row 4)" in done.stderr
    assert "a.csv: the attribute 'age' is not measured: it has no sentences (--sentence 'age=" in done.stderr


def test_a_sentence_about_no_column_lists_the_columns(animals: Path, tmp_path: Path) -> None:
    attributes = table(tmp_path, "class,size\ncat,1\nfox,2\n")
    done = evaluate("--data", animals, "--attributes", attributes, "--sentence", f"sizes={LARGER}")
    assert "'sizes' never varies: no test picture has it; there are: size" in done.stderr


@pytest.mark.parametrize("name", ["captions", "classes"])
def test_an_attribute_does_not_take_the_name_of_another_part(animals: Path, name: str) -> None:
    done = evaluate("--data", animals, "--sentence", f"{name}={LARGER}")
    assert done.exit_code == 2
    assert f"an attribute cannot be called '{name}'" in done.stderr
    with pytest.raises(UsageError, match="cannot be called"):
        Attribute(name, "more", "less")


def test_sentences_twice_are_wrong_usage(animals: Path) -> None:
    done = evaluate("--data", animals, *("--sentence", f"size={LARGER}") * 2)
    assert done.exit_code == 2
    assert "the attribute 'size' has sentences twice" in done.stderr


def test_a_reason_and_its_hint_are_one_line(animals: Path) -> None:
    done = evaluate("--data", animals, "--measures", "probe")
    assert "none is left to test on. Bring more labelled pictures, or ask for fewer: --shots 1." in done.stderr
    assert "\\x0a" not in done.stderr


def test_draws_that_hold_all_pairs_are_one_draw() -> None:
    def pairs(limit: int | None, pictures: int | None = None) -> list[int]:
        drawn = draw(range(8), lambda i, j: True, Protocol(seeds=5, pictures=pictures, pairs=limit), 0)
        return [sum(one.seed == seed for one in drawn) for seed in range(5)]

    assert pairs(None) == pairs(28) == pairs(500) == pairs(500, pictures=8) == [28, 0, 0, 0, 0]
    assert pairs(27) == [27] * 5
    assert pairs(500, pictures=7) == [21] * 5


def test_a_small_data_set_has_no_made_up_standard_error() -> None:
    found = pcclip.evaluate(["hash"], data="scenes:20", measures="difference", resamples=100)
    accuracy = next(r for r in found.results if r.measure == "difference_accuracy")
    assert accuracy.n <= 20 * 19 // 2
    assert accuracy.standard_error is None


@pytest.mark.parametrize(
    ("text", "said", "unsaid"),
    [
        ("measure = ['ranking']", "measure is no key of a suite", "tuple"),
        ("limit = 1", "limit: input should be greater than or equal to 2", "at least 1 item"),
        ("measures = 'ranking'", "measures: input should be a list", "tuple"),
        (
            "class_names = {cat = 'pet', fox = 'pet'}",
            "class_names: 'cat' and 'fox' have the same words",
            "tuple",
        ),
    ],
)
def test_a_mistake_in_a_suite_is_said_once_and_in_its_own_words(
    tmp_path: Path, text: str, said: str, unsaid: str
) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text(f"[[task]]\nname = 'pets'\ndata = 'pictures'\n{text}\n")
    done = evaluate("--suite", suite)
    assert done.exit_code == 2
    assert f"task 'pets', {said}" in done.stderr
    assert unsaid not in done.stderr


def test_accuracies_of_very_many_classes_need_no_table_of_all() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 999, 20000)
    correct = (rng.random(20000) < 0.5).astype(float)
    weights = rng.integers(0, 3, (10, 20000)).astype(float)
    tracemalloc.start()
    found = class_accuracies(correct, labels, 1000, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # a dense table alone is 160 MB
    of = labels == 17
    assert found[3, 17] == pytest.approx(np.average(correct[of], weights=weights[3, of]))
    assert np.isnan(found[:, 999]).all()


@pytest.mark.parametrize("few", [2, 3])
def test_an_attribute_of_very_few_pictures_is_ranked_by(animals: Path, tmp_path: Path, few: int) -> None:
    rows = "".join(f"fox/{number}.png,{number}\n" for number in range(few))
    attributes = table(tmp_path, f"picture,size\n{rows}")
    done = evaluate("--data", animals, "--attributes", attributes, "--sentence", f"size={LARGER}")
    assert done.exit_code == 0
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "ranking, average precision, size" in done.stdout


def test_a_table_in_another_encoding_says_so(animals: Path, tmp_path: Path) -> None:
    attributes = tmp_path / "a.csv"
    attributes.write_bytes("class,size\ndög ☃,1\ncat,2\n".replace("☃", "").encode("latin-1"))
    done = evaluate(
        "--data", animals, "--measures", "ranking", "--attributes", attributes, "--sentence", f"size={LARGER}"
    )
    assert "a.csv: row 2: not-utf8: " in done.stderr


def test_labelled_pictures_beside_ones_own_data(animals: Path, tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    shutil.copytree(animals, beside)
    (beside / "fox").rename(beside / "unicorn")
    for number, picture in enumerate(sorted(beside.rglob("*.png"))):  # other pictures than those to be tested on
        Image.new("RGB", (6, 6), (number * 10, 90, 7)).save(picture)
    only = ("--data", animals, "--measures", "probe,strategies", "--shots", "2")
    done = evaluate(*only, "--support", beside, "--strategy", "comparative", "--strategy-alpha", "auto")
    assert done.exit_code == 0
    assert "18 test pictures, 3 classes, 18 labelled beside" in done.stdout
    assert "accuracy, comparative" in done.stdout
    assert "6 labelled pictures beside the test are of no class of the test: 'unicorn'" in done.stderr
    copies = evaluate(*only, "--support", animals)
    assert "18 labelled pictures beside are test pictures too and left out" in copies.stderr
    gone = evaluate(*only, "--support", tmp_path / "gone")
    assert gone.exit_code == 1
    assert "there is no data at" in gone.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--support", "x"], "labelled pictures beside are of one's own data"),
        (["--caption-column", "x"], "columns and a folder of pictures are of one's own data"),
    ],
)
def test_a_suite_brings_its_own(args: list[str], said: str) -> None:
    done = evaluate("--suite", "scenes", *args)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--weight", "nan"], "'nan' is not a valid number"),
        (["--download"], "only the data sets of a suite can be fetched"),
    ],
)
def test_what_would_be_taken_in_silence_is_wrong_usage(animals: Path, args: list[str], said: str) -> None:
    done = evaluate("--data", animals, *args)
    assert done.exit_code == 2
    assert said in done.stderr


def test_no_strategy_at_all_is_said(animals: Path) -> None:
    done = evaluate("--data", animals, "--measures", "strategies", "--strategy", "")
    assert "not measured on animals0: strategies: no strategy was asked for" in done.stderr


def test_a_captioner_that_fails_costs_its_own_measures_only(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PcclipError("the server is gone", "Start it")

    monkeypatch.setattr(TemplateCaptioner, "describe", fail)
    monkeypatch.setenv("PCCLIP_CACHE", str(animals.parent / "fresh"))
    done = evaluate("--data", animals, "--measures", "difference,geometry,zero-shot,strategies")
    assert done.exit_code == 0
    assert "zero-shot accuracy" in done.stdout
    for measure in ("difference (captions)", "geometry (classes)", "strategies"):
        assert f"{measure}: the server is gone. Start it" in done.stderr


def test_two_tasks_of_one_name_would_mix_their_results() -> None:
    source = OwnData("scenes:20")
    with pytest.raises(UsageError, match="two tasks of the suite are called 'scenes:20'"):
        pcclip.evaluate(["hash"], suite=Suite("mine", [source, source]))


def test_a_single_picture_is_too_few(animals: Path, tmp_path: Path) -> None:
    data = tmp_path / "one.csv"
    data.write_text(f"image,caption,label\n{animals / 'cat' / '0.png'},a cat,cat\n", encoding="utf-8")
    done = evaluate("--data", data, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "1 test picture is left; measures need at least two" in done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_an_evaluation_is_not_replaced_unasked(animals: Path, tmp_path: Path) -> None:
    call = ("--data", animals, "--measures", "zero-shot", "--out", tmp_path / "out")
    assert evaluate(*call).exit_code == 0
    before = (tmp_path / "out" / "evaluation.json").read_bytes()
    again = evaluate(*call)
    assert again.exit_code == 2
    assert "holds an evaluation" in again.stderr
    assert (tmp_path / "out" / "evaluation.json").read_bytes() == before
    assert evaluate(*call, "--seed", "1", "--overwrite").exit_code == 0
    assert (tmp_path / "out" / "evaluation.json").read_bytes() != before
