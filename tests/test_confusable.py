"""Which classes are described, and what describing them did; labels of the pictures to be classified stay out of it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pcclip.confusable import confusable_pairs, confusions, predicted_overlap, similar_classes
from pcclip.data import read
from pcclip.errors import DataError, UsageError
from pcclip.explaining import explain
from pcclip.interfaces import LinearClassifier, Strategy
from pcclip.knowledge import to_write, written
from pcclip.model import Model
from pcclip.plugins import registry
from pcclip.testing import HashEmbedder
from pcclip.types import ClassComparative, ClassKnowledge, FloatArray, LabelledEmbeddings
from pcclip_cli.main import main

NAMES = ("a", "b", "c")
PROMPTS = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)


def unit(rows: object) -> FloatArray:
    array = np.asarray(rows, np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def test_similar_is_the_cosine_of_prompts() -> None:
    assert similar_classes(PROMPTS, 9) == [(0, 1), (0, 2), (1, 2)]
    assert confusable_pairs("similar", 1, NAMES, PROMPTS) == [(0, 1)]


def test_predictions_are_the_overlap_of_softmaxed_scores() -> None:
    pictures = unit([[1, 0.1, 0.9], [1, 0, 1.1], [0.1, 0.1, 1], [0, 1, 0.2]])
    by_hand = np.zeros((3, 3))
    for f in pictures.astype(np.float64):
        p = np.exp(PROMPTS @ f / 0.01)
        p /= p.sum()
        by_hand += np.outer(p, p) / len(pictures)
    np.testing.assert_allclose(predicted_overlap(PROMPTS, pictures), by_hand, atol=1e-5)
    # the pictures lie between a and c, whatever the prompts say
    assert confusable_pairs("predictions", 1, NAMES, PROMPTS, unlabelled=pictures) == [(0, 2)]


def test_validation_is_the_confusion_on_labelled_pictures() -> None:
    shown = LabelledEmbeddings(unit([[0, 1, 0], [0, 0, 1], [0, 0.1, 1], [1, 0, 0]]), ("c", "b", "b", "a"))
    # the first, a c, is taken for b; the next two are b and are taken for c
    np.testing.assert_array_equal(confusions(NAMES, PROMPTS, shown), [[2, 0, 0], [0, 0, 3], [0, 3, 0]])
    assert confusable_pairs("validation", 1, NAMES, PROMPTS, support=shown) == [(1, 2)]


def test_fewer_confusions_than_wanted_are_said(caplog: pytest.LogCaptureFixture) -> None:
    shown = LabelledEmbeddings(unit([[0, 1, 0]]), ("c",))
    assert confusable_pairs("validation", 3, NAMES, PROMPTS, support=shown) == [(1, 2)]
    assert "only 1 pairs" in caplog.text
    right = LabelledEmbeddings(unit([[1, 0, 0]]), ("a",))
    with pytest.raises(DataError, match="none of 1 labelled pictures"):
        confusable_pairs("validation", 3, NAMES, PROMPTS, support=right)


def test_what_a_choice_reads_must_be_there() -> None:
    with pytest.raises(UsageError, match=r"labelled pictures(.|\n)*--support DATA"):
        confusable_pairs("validation", 1, NAMES, PROMPTS)
    with pytest.raises(UsageError, match="predictions"):
        confusable_pairs("predictions", 1, NAMES, PROMPTS, unlabelled=np.zeros((0, 3), np.float32))
    with pytest.raises(UsageError, match="similar, predictions or validation"):
        confusable_pairs("test", 1, NAMES, PROMPTS)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown class 'd'"):
        confusable_pairs("validation", 1, NAMES, PROMPTS, support=LabelledEmbeddings(unit([[1, 0, 0]]), ("d",)))


def test_no_way_leads_from_a_test_label_to_the_choice() -> None:
    """All that a choice and a strategy can read is listed here; only ``support`` has labels."""
    assert set(inspect.signature(confusable_pairs).parameters) == {
        "how", "count", "classes", "prompts", "unlabelled", "support",
    }  # fmt: skip
    assert set(inspect.signature(written).parameters) == {
        "strategy", "knowledge", "embedder", "captioner", "options", "progress", "pairs", "confusable", "unlabelled",
    }  # fmt: skip
    assert [field.name for field in dataclasses.fields(ClassKnowledge)] == [
        "names", "comparatives", "descriptions", "support",
    ]  # fmt: skip
    assert list(inspect.signature(Strategy.fit).parameters) == ["self", "embedder", "knowledge"]


def colours(folder: Path, count: int, seed: int) -> Path:
    """Draw ``count`` pictures of each colour into class folders."""
    rng = random.Random(seed)
    for name, base in {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}.items():
        (folder / name).mkdir(parents=True)
        for k in range(count):
            colour = tuple(min(255, max(0, value + rng.randint(-40, 40))) for value in base)
            Image.new("RGB", (8, 8), colour).save(folder / name / f"{k}.png")
    return folder


def pcclip(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


@pytest.fixture
def hash_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcclip_cli.predict.open_model", lambda *_: Model(HashEmbedder()))


@pytest.mark.parametrize("confusable", ["similar", "predictions", "validation"])
@pytest.mark.parametrize("alpha", ["0.5", "auto"])
def test_other_test_labels_change_nothing_but_the_count_of_right_ones(
    tmp_path: Path, private_cache: Path, hash_backbone: None, confusable: str, alpha: str
) -> None:
    """The same pictures lie in the folders of their classes, and then in those of others."""
    support = colours(tmp_path / "support", 4, seed=1)
    true = colours(tmp_path / "true", 4, seed=2)
    false = tmp_path / "false"
    for name, other in {"red": "green", "green": "blue", "blue": "red"}.items():
        shutil.copytree(true / name, false / other)
    answers = []
    for folder in (true, false):
        files = sorted(folder.rglob("*.png"), key=lambda path: path.read_bytes())
        done = pcclip(
            "predict", *files, "--backbone", "mini", "--classes", "red,green,blue", "--strategy", "comparative",
            "--strategy-alpha", alpha, "--captioner", "template", "--confusable", confusable, "--confusable-pairs", "1",
            "--support", support, "--explain", "--format", "json",
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        *rows, last = map(json.loads, done.stdout.splitlines())
        answers.append(([(row["label"], row["scores"]) for row in rows], last["explain"], done.stderr))
    (predicted, explained, said), (predicted_again, explained_again, said_again) = answers
    assert predicted == predicted_again
    assert said == said_again
    assert explained["labelled"] == explained_again["labelled"] == 12
    for known in (explained, explained_again):
        assert len(known["pairs"]) == 1
        for part in (known, *known["pairs"]):
            del part["rightly"], part["wrongly"]
    assert explained == explained_again
    assert ("alpha" in said) == (alpha == "auto")


def test_explaining_by_hand() -> None:
    before = LinearClassifier(NAMES, np.eye(3, dtype=np.float32))
    # b's weight turns to a's place, so that a and b change places; c is cut off
    after = LinearClassifier(
        NAMES,
        np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], np.float32),
        bias=np.array([0, 0, 0.1], np.float32),
        baseline=before,
    )
    pictures = unit([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 0.5, 1], [0, 0, 1]])
    labels = ["a", "b", "c", None, "nowhere"]
    described = (ClassComparative("b", "a", "one"), ClassComparative("a", "b", "two"), ClassComparative("b", "c", "3"))
    found = explain(after, described, pictures, labels)
    ba, bc = found.pairs
    assert (ba.first, ba.second, ba.texts) == ("b", "a", ("one", "two"))
    assert (ba.to_first, ba.to_second, ba.rightly, ba.wrongly) == (2, 1, 1, 1)
    assert (bc.to_first, bc.to_second, bc.rightly, bc.wrongly) == (0, 0, 0, 0)
    assert (found.pictures, found.labelled, found.moved, found.rightly, found.wrongly) == (5, 3, 4, 1, 1)
    without = explain(after, described, pictures)
    assert without.rightly is without.pairs[0].wrongly is None
    assert without.moved == 4
    assert "No labels" in without.summary


def test_explaining_what_has_no_baseline_or_other_labels() -> None:
    plain = LinearClassifier(NAMES, np.eye(3, dtype=np.float32))
    with pytest.raises(UsageError, match="nothing to explain"):
        explain(plain, (), PROMPTS)
    moved = LinearClassifier(NAMES, np.eye(3, dtype=np.float32), baseline=plain)
    with pytest.raises(UsageError, match="2 labels do not fit 3 pictures"):
        explain(moved, (), PROMPTS, ["a", "b"])


def test_pictures_that_were_shown_are_no_test(tmp_path: Path, private_cache: Path, hash_backbone: None) -> None:
    folder = colours(tmp_path / "all", 3, seed=1)
    done = pcclip(
        "predict", folder, "--backbone", "mini", "--classes", "red,green,blue", "--strategy", "comparative",
        "--captioner", "template", "--support", folder, "--explain", "--format", "json",
    )  # fmt: skip
    last = json.loads(done.stdout.splitlines()[-1])["explain"]
    assert last["labelled"] == 0
    assert last["rightly"] is None


def test_a_captioner_writes_what_a_strategy_needs() -> None:
    assert to_write("comparative") == {"comparatives"}
    assert to_write("fudd", ["comparatives"]) == frozenset()
    assert to_write("cupl", ["comparatives"]) == {"descriptions"}
    assert to_write("zero-shot") == {"comparatives"}


def test_labelled_pictures_of_a_data_set(tmp_path: Path, private_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = colours(tmp_path / "all", 2, seed=1)
    model = Model(HashEmbedder())
    found = model.labelled(str(folder), ["red", "blue", "pink"])
    assert sorted(found.labels) == ["blue", "blue", "red", "red"]
    assert "other classes: green" in caplog.text
    assert "no picture of 'pink'" in caplog.text
    expected = model.embed([example.image for example in read(folder) if example.label in ("red", "blue")])
    np.testing.assert_array_equal(found.embeddings, expected.embeddings)
    with pytest.raises(DataError, match=r"no picture of pink(.|\n)*blue, green, red"):
        model.labelled(folder, ["pink"])


def test_the_probe_learns_from_labelled_pictures(tmp_path: Path, private_cache: Path, hash_backbone: None) -> None:
    support, test = colours(tmp_path / "support", 5, seed=1), colours(tmp_path / "test", 5, seed=2)
    args = ["predict", test, "--backbone", "mini", "--classes", "red,green,blue", "--strategy", "probe"]
    done = pcclip(*args, "--strategy-c", "100", "--support", support, "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(Path(row["image"]).parent.name == row["label"] for row in rows)
    assert "probe of 15 labelled pictures" in done.stderr
    missing = pcclip(*args)
    assert missing.exit_code == 2
    assert "--support DATA" in missing.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--confusable", "predictions"], "give --captioner"),
        (["--confusable-pairs", "2"], "give --captioner"),
        (["--captioner", "template", "--confusable", "validation"], "give --support DATA"),
        (["--strategy", "cupl", "--captioner", "template", "--descriptions", "d.csv"], "--descriptions or --captioner"),
        (["--strategy", "cupl", "--captioner", "template"], "writes no descriptions"),
        (["--explain"], "nothing to explain"),
    ],
)
def test_wrong_usage(tmp_path: Path, private_cache: Path, hash_backbone: None, args: list[str], words: str) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    done = pcclip("predict", tmp_path / "p.png", "--backbone", "mini", "--classes", "red,green", *args)
    assert done.exit_code == 2
    assert words in done.stderr


def test_the_strategies_are_installed() -> None:
    assert {"zero-shot", "comparative", "extended", "descriptions", "cupl", "waffle", "fudd", "probe"} <= set(
        registry().names("strategy")
    )
