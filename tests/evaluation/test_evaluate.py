"""From models and data to one document, on the small backbone of :mod:`pcclip.testing`."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

import pcclip
from pcclip import metrics
from pcclip.data import read
from pcclip.errors import DataError, UsageError
from pcclip.evaluation.document import Evaluation, Result
from pcclip.evaluation.groups import GROUPS
from pcclip.evaluation.tables import legend, tables
from pcclip.evaluation.words import MEASURES
from pcclip.progress import Progress
from pcclip.suites import Attribute, Protocol, Suite, Task, TaskSource
from pcclip.testing import HashEmbedder
from pcclip.types import Example

SIZE = Attribute(
    "size",
    "The first image has larger shapes, while the second has smaller shapes.",
    "The first image has smaller shapes, while the second has larger shapes.",
    "large shapes",
)
GROUP_NAMES = tuple(GROUPS)


class Given(TaskSource):
    """A task that is there already."""

    def __init__(self, task: Task) -> None:
        self.task = task

    @property
    def name(self) -> str:
        return self.task.name

    def load(self, root: Path | None, progress: Progress | None = None) -> Task:
        return self.task


def scenes(number: int = 60, **changes: Any) -> Task:
    """A task of drawn scenes, whose labels are shapes, with the sentences about their size."""
    task = Task("scenes", GROUP_NAMES, read(f"scenes:{number}").examples, attributes=(SIZE,))
    return replace(task, **{"protocol": Protocol(seeds=3, pictures=20, pairs=30, shots=2), **changes})


def measured(task: Task, *models: str | Path, **settings: Any) -> Evaluation:
    return pcclip.evaluate(models or ("hash",), suite=Suite("test", [Given(task)]), resamples=200, **settings)


def result(evaluation: Evaluation, measure: str, part: str = "", model: str = "hash") -> Result:
    found = [r for r in evaluation.results if (r.measure, r.part, r.model) == (measure, part, model)]
    assert len(found) == 1, [(r.measure, r.part, r.model) for r in evaluation.results]
    return found[0]


@pytest.fixture(scope="module")
def whole(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    """All measures of a run and its baseline, and the folder they are in."""
    out = tmp_path_factory.mktemp("evaluations") / "whole"
    return measured(scenes(240), run, out=out), out


def test_every_measure_is_there_for_both_models(whole: tuple[Evaluation, Path]) -> None:
    evaluation, _ = whole
    assert not evaluation.problems
    assert [(m.name, m.baseline) for m in evaluation.models] == [("hash", True), ("tuned", False)]
    for model in ("hash", "tuned"):
        taken = {r.measure for r in evaluation.results if r.model == model}
        assert taken == set(MEASURES) - ({"forgetting"} if model == "hash" else set())
    for part in ("captions", "size"):
        assert result(evaluation, "difference_accuracy", part).n > 0
    assert all(math.isfinite(r.value) for r in evaluation.results)


def test_accuracies_have_intervals_and_draws_have_standard_errors(whole: tuple[Evaluation, Path]) -> None:
    evaluation, _ = whole
    for r in evaluation.results:
        if MEASURES[r.measure].unit == "share":
            assert r.low is not None, r
            assert r.high is not None
            assert r.low <= r.value + 1e-9 or r.measure == "zero_shot_worst_class"
            assert r.value <= r.high + 1e-9 or r.measure == "zero_shot_worst_class"
    drawn = result(evaluation, "difference_accuracy", "captions")
    assert len(drawn.seeds) == 3
    assert drawn.value == pytest.approx(np.mean(drawn.seeds))
    assert drawn.standard_error == pytest.approx(np.std(drawn.seeds, ddof=1) / 3**0.5)


def test_the_document_can_be_read_back(whole: tuple[Evaluation, Path]) -> None:
    evaluation, out = whole
    assert Evaluation.model_validate_json((out / "evaluation.json").read_text()) == evaluation
    assert {"pcclip", "scipy", "torch"} <= set(evaluation.versions)
    assert evaluation.settings["resamples"] == 200
    assert evaluation.tasks[0].prompts["circle"] == "This is a photo of a circle"
    assert evaluation.tasks[0].prompts["size: more"] == SIZE.more
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(evaluation.results)
    compared = next(r for r in rows if r["model"] == "tuned" and r["measure"] == "zero_shot_top1")
    assert float(compared["difference"]) == pytest.approx(
        float(compared["value"]) - result(evaluation, "zero_shot_top1").value
    )


def test_pictures_are_shown_with_what_each_model_makes_of_them(whole: tuple[Evaluation, Path]) -> None:
    evaluation, _ = whole
    assert all(set(pair.cosines) == {"hash", "tuned"} for pair in evaluation.pair_examples)
    strip = evaluation.rankings[0]
    assert len(strip.pictures) == 12
    assert all(set(order) == set(strip.pictures) for order in strip.orders.values())
    assert {(c.model, c.strategy) for c in evaluation.confusions} == {
        (model, strategy) for model in ("hash", "tuned") for strategy in ("zero-shot", "comparative")
    }
    assert sum(map(sum, evaluation.confusions[0].counts)) == evaluation.tasks[0].pictures
    assert evaluation.captioners[0].accepted > 0


def test_tables_are_readable_at_80_columns(
    whole: tuple[Evaluation, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pcclip_cli.evaluate import _print

    monkeypatch.setenv("COLUMNS", "80")
    evaluation, _ = whole
    _print(evaluation, "table")
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "ranking, Spearman, size" in text
    assert "forgetting, retrieval" in text
    assert "p < 0.05" in legend(evaluation)
    assert "paired bootstrap" in text


def test_measures_are_those_of_the_embeddings() -> None:
    task = scenes(40)
    evaluation = measured(task)
    model = HashEmbedder()
    images = model.embed_images([Image.open(e.image) for e in task.examples])
    labels = sorted({str(e.label) for e in task.examples})
    prompts = model.embed_texts([f"This is a photo of a {label}" for label in labels])
    expected = metrics.accuracy(images @ prompts.T, [str(e.label) for e in task.examples], labels)
    assert result(evaluation, "zero_shot_top1").value == pytest.approx(expected)
    scores = images @ model.embed_texts(["large shapes"])[0]
    values = [float(e.attributes["size"]) for e in task.examples]
    assert result(evaluation, "ranking_spearman", "size").value == pytest.approx(spearmanr(scores, values).statistic)
    captions = [e.caption for e in task.examples]
    found = metrics.retrieval(images, model.embed_texts(list(dict.fromkeys(captions))), captions)
    for name in ("image_to_text_r1", "text_to_image_r5"):
        assert result(evaluation, name).value == pytest.approx(found[name])


def test_difference_accuracy_of_attributes_is_of_pairs_drawn_by_the_protocol() -> None:
    task = scenes(12, protocol=Protocol(seeds=5, pictures=None, pairs=None))
    evaluation = measured(task, measures="difference")
    model = HashEmbedder()
    images = model.embed_images([Image.open(e.image) for e in task.examples])
    size = [float(e.attributes["size"]) for e in task.examples]
    more, less = model.embed_texts([SIZE.more, SIZE.less])
    right = []
    for i in range(12):
        for j in range(12):
            if size[i] > size[j]:
                right.append(metrics.difference_cosines(more[None], images[i : i + 1], images[j : j + 1])[0] > 0)
    found = result(evaluation, "difference_swap_accuracy", "size")
    both = [
        r and metrics.difference_cosines(less[None], images[j : j + 1], images[i : i + 1])[0] > 0
        for r, (i, j) in zip(right, [(i, j) for i in range(12) for j in range(12) if size[i] > size[j]], strict=True)
    ]
    assert found.value == pytest.approx(np.mean(both))
    assert found.n == len(right)
    assert len(found.seeds) == 1  # every draw would be the same: all pictures, all pairs


def test_the_same_call_gives_the_same_numbers() -> None:
    one, two = measured(scenes(30)), measured(scenes(30))
    assert one.results == two.results
    assert measured(scenes(30), seed=1).results != one.results


def test_a_model_against_itself_differs_in_nothing(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.symlink_to(run)
    evaluation = measured(scenes(120), copy, baseline=run)
    assert evaluation.comparisons
    assert all(c.difference == 0 and c.low == 0 and c.high == 0 and c.p == 1 for c in evaluation.comparisons)


def test_pictures_do_not_change_and_forgetting_is_a_change_against_the_baseline(
    whole: tuple[Evaluation, Path],
) -> None:
    evaluation, _ = whole
    by = {(c.measure, c.part): c for c in evaluation.comparisons}
    probe = by["probe_accuracy", "2-shot"]
    assert (probe.difference, probe.p) == (0, 1)
    changes = [by[name, ""].difference for name in ("image_to_text_r1", "text_to_image_r1")]
    assert result(evaluation, "forgetting", "retrieval", "tuned").value == pytest.approx(np.mean(changes))
    assert result(evaluation, "forgetting", "zero-shot", "tuned").value == by["zero_shot_top1", ""].difference


def test_pictures_that_trained_a_model_are_not_its_test(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluation = pcclip.evaluate([run], data="scenes:60", resamples=200, measures="zero-shot,probe", shots=1)
    task = evaluation.tasks[0]
    assert (task.pictures, task.support) == (15, 45)
    assert "45 of 60 pictures of scenes:60 trained tuned and are left out" in task.notes[0]
    assert task.notes[0] in caplog.text
    everything = pcclip.evaluate([run], data="scenes:60", resamples=200, test_on="all", measures="zero-shot")
    assert everything.tasks[0].pictures == 60
    assert "the numbers are of training pictures" in everything.tasks[0].notes[0]


def test_nothing_left_to_test_on_is_said(run: Path) -> None:
    from pcclip.splits import trained_on

    trained = trained_on(run)
    examples = [e for e in read("scenes:60") if _digest(e) in trained]
    evaluation = measured(scenes(examples=tuple(examples)), run)
    assert evaluation.tasks[0].skipped is not None
    assert "45 of 45 pictures of scenes trained tuned; none are left to test on" in evaluation.tasks[0].skipped
    assert "--test-on all" in evaluation.tasks[0].skipped


def test_a_run_that_noted_no_pictures_is_split_again(run: Path, tmp_path: Path) -> None:
    import shutil

    from pcclip.splits import trained_on

    known = trained_on(run)
    assert len(known) == 45
    old = tmp_path / "old"
    shutil.copytree(run, old)
    (old / "pictures.csv").unlink()
    assert trained_on(old) == known
    assert trained_on(old / "model") == known
    shutil.copytree(run / "model", tmp_path / "alone")
    assert trained_on(tmp_path / "alone") == known
    record = json.loads((old / "run.json").read_text())
    record["stages"]["embed"]["training"] = 44
    (old / "run.json").write_text(json.dumps(record))
    evaluation = measured(scenes(120), old)
    assert "cannot be told" in evaluation.tasks[0].notes[0]
    assert "45 training pictures now, 44 then" in evaluation.tasks[0].notes[0]


def _digest(example: Example) -> str:
    from pcclip.data.pictures import picture_digest

    return picture_digest(example.image).hex()


# Bad input: named, and the other measures are taken all the same


def problem(evaluation: Evaluation, measure: str, part: str = "") -> str:
    found = [p.message for p in evaluation.problems if (p.measure, p.part) == (measure, part)]
    assert len(found) == 1, evaluation.problems
    return found[0]


def examples_with(change: Callable[[int, Example], Example], number: int = 30) -> tuple[Example, ...]:
    return tuple(change(i, e) for i, e in enumerate(read(f"scenes:{number}").examples))


def test_a_class_without_pictures() -> None:
    evaluation = measured(scenes(30, class_names={"hexagon": "hexagon"}))
    assert "'hexagon' has no test picture" in problem(evaluation, "zero_shot_mean_per_class")
    assert result(evaluation, "zero_shot_mean_per_class").value > 0
    assert "hexagon" in evaluation.tasks[0].classes


def test_an_attribute_that_never_varies() -> None:
    flat = examples_with(lambda _, e: replace(e, attributes={"size": 0.5}))
    evaluation = measured(scenes(examples=flat))
    assert "'size' never varies: 30 test pictures have the value 0.5" in problem(evaluation, "ranking", "size")
    assert "no two test pictures differ in the attribute 'size'" in problem(evaluation, "difference", "size")
    assert result(evaluation, "difference_accuracy", "captions").n > 0


def test_nan_and_words_in_an_attribute() -> None:
    odd = examples_with(
        lambda i, e: replace(e, attributes={"size": [math.nan, "big", e.attributes["size"]][min(i, 2)]})
    )
    evaluation = measured(scenes(examples=odd))
    message = problem(evaluation, "ranking", "size")
    assert f"no number for 2 test pictures, first {odd[0].id!r}" in message
    assert result(evaluation, "ranking_spearman", "size").n == 28


def test_an_attribute_that_no_picture_has() -> None:
    evaluation = measured(scenes(30, attributes=(replace(SIZE, name="age"),)))
    assert "'age' never varies: no test picture has it" in problem(evaluation, "ranking", "age")


def test_a_single_class() -> None:
    evaluation = measured(scenes(examples=examples_with(lambda _, e: replace(e, label="circle"))))
    for group in ("zero-shot", "strategies", "probe"):
        assert "a single class: all 30 labelled test pictures are 'circle'" in problem(evaluation, group)
    assert result(evaluation, "image_to_text_r1").n == 30


def test_no_labels_and_no_captions() -> None:
    bare = examples_with(lambda _, e: replace(e, label=None, captions=()))
    evaluation = measured(scenes(examples=bare))
    assert problem(evaluation, "zero-shot") == "no test picture has a label"
    assert problem(evaluation, "retrieval") == "no test picture has a caption"
    assert result(evaluation, "ranking_spearman", "size").n == 30
    nothing = measured(scenes(examples=bare, attributes=()))
    assert "no pair of test pictures has a text" in problem(nothing, "difference")
    assert not nothing.results


def test_captions_that_are_all_the_same() -> None:
    evaluation = measured(scenes(examples=examples_with(lambda _, e: replace(e, captions=("A shape.",)))))
    assert "all captions are the same: 'A shape.'" in problem(evaluation, "retrieval")


def test_pictures_that_are_all_the_same_have_no_order(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "same.png")
    same = examples_with(lambda _, e: replace(e, image=tmp_path / "same.png"))
    evaluation = measured(scenes(examples=same))
    assert "gives it no value" in problem(evaluation, "ranking_spearman", "size")
    assert result(evaluation, "difference_accuracy", "captions").value == 0
    assert result(evaluation, "ranking_pairwise_accuracy", "size").value == 0.5


def test_an_empty_folder_and_one_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluation = pcclip.evaluate(["hash"], data=tmp_path)
    assert str(tmp_path.name) in str(evaluation.tasks[0].skipped)
    assert "is left out" in caplog.text
    assert "there is no data" in str(pcclip.evaluate(["hash"], data=tmp_path / "gone").tasks[0].skipped)


def test_a_task_that_cannot_be_read_leaves_the_others(tmp_path: Path) -> None:
    class Missing(Given):
        def load(self, root: Path | None, progress: Progress | None = None) -> Task:
            raise DataError("no archive here")

    suite = Suite("two", [Missing(replace(scenes(30), name="gone")), Given(scenes(30, measures=("retrieval",)))])
    evaluation = pcclip.evaluate(["hash"], suite=suite, resamples=200)
    assert [(t.name, t.skipped) for t in evaluation.tasks] == [("gone", "no archive here"), ("scenes", None)]
    assert result(evaluation, "image_to_text_r1").n == 30


def test_a_picture_that_is_no_picture_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    evaluation = measured(
        scenes(examples=examples_with(lambda i, e: e if i else replace(e, image=tmp_path / "bad.png")))
    )
    assert evaluation.tasks[0].pictures == 29
    assert evaluation.tasks[0].quarantined[0]["stage"] == "embed"


def test_a_strategy_that_lacks_something_leaves_the_others() -> None:
    task = scenes(30, class_difference=lambda a, b: None, measures=("zero-shot", "strategies"))
    evaluation = measured(task, strategy=("comparative", "zero-shot"))
    assert "needs described differences" in problem(evaluation, "strategy_top1", "comparative")
    assert result(evaluation, "strategy_top1", "zero-shot").value == result(evaluation, "zero_shot_top1").value


def test_two_classes_of_the_same_words() -> None:
    evaluation = measured(scenes(30, class_names={"circle": "thing", "square": "thing"}))
    assert "twice" in problem(evaluation, "strategies")
    assert result(evaluation, "zero_shot_top1").n == 30


def test_shots_that_take_every_picture() -> None:
    evaluation = measured(scenes(20, protocol=Protocol(seeds=2, pictures=10, pairs=5, shots=50)))
    assert "50 shots a class take all 20 labelled pictures" in problem(evaluation, "probe")


def test_an_unknown_group_of_measures() -> None:
    evaluation = measured(scenes(20, measures=("retrieval", "telepathy")))
    assert "no group of measures is called 'telepathy'" in problem(evaluation, "telepathy")
    assert result(evaluation, "image_to_text_r1").n == 20


def test_texts_longer_than_a_model_reads_are_named() -> None:
    long = examples_with(lambda i, e: replace(e, captions=(f"{e.caption} {'and more ' * 40}{i}",)))
    evaluation = measured(scenes(examples=long, measures=("difference",), attributes=()))
    assert "hash reads 64 tokens: 90 of 90 texts of pairs are longer and were cut" in problem(evaluation, "difference")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"models": (), "data": "scenes:20"}, "no model to measure"),
        ({"models": ["hash"]}, "nothing to measure on"),
        ({"models": ["hash", "hash"], "data": "scenes:20"}, "named twice: hash"),
        ({"models": ["hsah"], "data": "scenes:20"}, "'hsah' is neither a folder nor a backbone"),
        ({"models": ["hash"], "data": "scenes:20", "measures": "rank"}, "no group of measures is called 'rank'"),
        ({"models": ["hash"], "data": "scenes:20", "strategy": "comparitive"}, "no strategy is called"),
        ({"models": ["hash"], "data": "scenes:20", "captioner": "templat"}, "no captioner is called"),
        ({"models": ["hash"], "data": "scenes:20", "resamples": 3}, "resamples"),
        ({"models": ["hash"], "data": "scenes:20", "strategy_options": {"fudd": {"k": 1}}}, "which is not taken"),
    ],
)
def test_wrong_calls_say_what_is_right(call: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        pcclip.evaluate(**call)


def test_more_models_than_fit_are_split_into_tables_that_share_the_baseline(run: Path, tmp_path: Path) -> None:
    copies = []
    for name in ("a", "b", "c"):
        (tmp_path / name).symlink_to(run)
        copies.append(tmp_path / name)
    evaluation = measured(scenes(120, measures=("retrieval",)), *copies)
    found = tables(evaluation)
    assert [list(table.rows[0]) for table in found] == [["measure", "hash", "a", "b"], ["measure", "hash", "c"]]


def test_strategies_get_what_they_need_and_say_what_they_did(tmp_path: Path) -> None:
    shapes = sorted({str(e.label) for e in read("scenes:60").examples})
    descriptions = tmp_path / "descriptions.json"
    descriptions.write_text(json.dumps({shape: [f"sides of a {shape}"] for shape in shapes}))
    support = tuple(read("scenes:120").examples[60:])
    task = scenes(measures=("zero-shot", "strategies"), support=support)
    evaluation = measured(
        task,
        strategy="comparative,cupl,fudd,probe",
        strategy_options={"comparative": {"alpha": "auto"}},
        descriptions=descriptions,
        confusable="validation",
    )
    assert not evaluation.problems
    for name in ("comparative", "cupl", "fudd", "probe"):
        assert 0 <= result(evaluation, "strategy_top1", name).value <= 1
    assert {(e.strategy, e.model) for e in evaluation.explanations} == {("comparative", "hash"), ("fudd", "hash")}
    assert any("alpha" in note for note in evaluation.tasks[0].notes)
    moved = [e for e in evaluation.explanations if e.strategy == "comparative"]
    gains = [r for r in evaluation.results if r.measure == "comparative_gain" and r.part]
    assert {r.part for r in gains} == {"|".join(sorted((e.first, e.second))) for e in moved}
    overall = result(evaluation, "strategy_top1", "comparative").value - result(evaluation, "zero_shot_top1").value
    assert result(evaluation, "comparative_gain").value == pytest.approx(overall)


def test_descriptions_that_a_captioner_does_not_write_are_a_problem() -> None:
    evaluation = measured(scenes(30, measures=("strategies",)), strategy=("cupl", "zero-shot"))
    assert "description" in problem(evaluation, "strategy_top1", "cupl")
    assert result(evaluation, "strategy_top1", "zero-shot").n == 30


def test_confusable_pairs_by_pictures_that_are_not_there_are_a_problem() -> None:
    evaluation = measured(scenes(30, measures=("strategies",)), confusable="validation")
    assert "there are none" in problem(evaluation, "strategies")


def test_pairs_of_classes_are_measured_with_the_texts_of_the_task() -> None:
    def differ(a: str, b: str) -> str | None:
        return f"The first image shows a {a}, while the second shows a {b}." if {a, b} != {"heart", "star"} else None

    task = scenes(class_difference=differ, attributes=(), measures=("difference", "geometry", "composed"))
    evaluation = measured(task)
    assert result(evaluation, "difference_accuracy", "classes").n == 90
    assert result(evaluation, "geometry_class_cosine").n == 8 * 7 - 2
    model = HashEmbedder()
    shapes = sorted({str(e.label) for e in task.examples})
    prompts = dict(zip(shapes, model.embed_texts([f"This is a photo of a {s}" for s in shapes]), strict=True))
    cosines = []
    for a in shapes:
        for b in shapes:
            if a != b and (text := differ(a, b)) is not None:
                difference = prompts[a] - prompts[b]
                cosines.append(model.embed_texts([text])[0] @ difference / np.linalg.norm(difference))
    assert result(evaluation, "geometry_class_cosine").value == pytest.approx(np.mean(cosines), abs=1e-6)
    assert result(evaluation, "composed_r1", "classes").n > 0


def test_pairs_are_drawn_anew_each_seed_and_differ_in_what_is_asked() -> None:
    from pcclip.evaluation.pairing import attribute_pairs

    task = scenes(60)
    found = attribute_pairs(task, SIZE, seed=0)
    assert found is not None
    size = np.array([float(e.attributes["size"]) for e in task.examples])
    assert ((size[found.first] > size[found.second]) == [text == SIZE.more for text in found.texts]).all()
    draws = [set(found.first[found.seeds == s]) | set(found.second[found.seeds == s]) for s in range(3)]
    assert all(len(draw) <= 20 for draw in draws)
    assert draws[0] != draws[1]
    other = attribute_pairs(task, SIZE, seed=1)
    assert other is not None
    assert other.first.tolist() != found.first.tolist()


def test_random_features_are_taken_over_seven_seeds() -> None:
    from pcclip.plugins import registry
    from pcclip.types import ClassKnowledge

    task = scenes(40)
    found = result(measured(task, measures="strategies", strategy="waffle,zero-shot"), "strategy_top1", "waffle")
    model = HashEmbedder()
    images = model.embed_images([Image.open(e.image) for e in task.examples])
    labels = tuple(sorted({str(e.label) for e in task.examples}))
    by_seed = []
    for seed in range(7):
        classifier = registry().strategy("waffle", {"seed": seed}).fit(model, ClassKnowledge(labels))
        by_seed.append(metrics.accuracy(classifier.scores(images), [str(e.label) for e in task.examples], labels))
    assert found.seeds == pytest.approx(by_seed)
    assert found.value == pytest.approx(np.mean(by_seed))
    assert found.standard_error == pytest.approx(np.std(by_seed, ddof=1) / 7**0.5)
    other = measured(task, measures="strategies", strategy="waffle", strategy_options={"waffle": {"seed": 3}})
    assert result(other, "strategy_top1", "waffle").seeds[:4] == pytest.approx(by_seed[3:])
