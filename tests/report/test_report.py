"""The report as text: what it says, what it escapes, what it does with pictures it cannot show."""

from __future__ import annotations

import base64
import io
import math
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from evaluations import AFTER, BEFORE, MODELS, confusion, picture, whole
from hatchling.builders.wheel import WheelBuilder
from PIL import Image
from scipy.stats import spearmanr

from pcclip import card
from pcclip.data.scenes import read_scenes
from pcclip.evaluation import words
from pcclip.evaluation.document import (
    Compared,
    Confusion,
    Evaluation,
    ModelFacts,
    PairExample,
    Picture,
    RankingExample,
    Result,
    TaskFacts,
)
from pcclip.report import examples, write_report
from pcclip.report.confusions import confusions
from pcclip.report.findings import Findings
from pcclip.report.thumbnails import Album
from pcclip.report.writing import render

ROOT = Path(__file__).parents[2]
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "' autofocus onfocus=alert(3) x='",
    "javascript:alert(4)",
    "</style><script>alert(5)</script>",
    "{{ 7 * 7 }}{% for x in y %}",
    "</title></svg><iframe srcdoc='<b>6</b>'>",
)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return whole(tmp_path_factory.mktemp("scenes"))


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def small(models: tuple[ModelFacts, ...] = MODELS, **parts: object) -> Evaluation:
    """An evaluation with little in it."""
    return Evaluation.model_validate(
        {"created": "2026-11-24T13:20:05+00:00", "suite": "own", "models": models, "tasks": ()} | parts
    )


def measured(measure: str, low: float, high: float, *, higher: bool | None = True) -> dict[str, tuple[object, ...]]:
    """Parts of an evaluation in which the tuned model's difference has this interval."""
    middle = (low + high) / 2
    return {
        "results": tuple(
            Result(task="t", model=model, measure=measure, value=0.5 + add, n=10, higher_is_better=higher)
            for model, add in ((BEFORE, 0.0), (AFTER, middle))
        ),
        "comparisons": (
            Compared(
                task="t", measure=measure, model=AFTER, baseline=BEFORE, difference=middle, low=low, high=high, p=0.01
            ),
        ),
    }


def compared(*rows: tuple[str, float, float]) -> Evaluation:
    parts = [measured(*row) for row in rows]
    return small(
        tasks=(TaskFacts(name="t"),),
        results=sum((part["results"] for part in parts), ()),
        comparisons=sum((part["comparisons"] for part in parts), ()),
    )


def head(page: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.S)
    assert found
    return found[1]


def test_everything_of_an_evaluation_is_in_one_file(evaluation: Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(evaluation, path)
    page = Page(path.read_text("utf-8"))
    for said in (
        "58.1%", "87.4%", "+29.3 points", "+24.8 to +33.8", "p\u00a0<\u00a00.001", "± 0.6", "1,128", "Forgetting",
        "−8.3 points", "awa2", "no folder Animals_with_Attributes2", "never varies", "became right",
        "Spearman 0.792 over 48 pictures",
        "Most confused pairs", "20 of them rightly", "+0.241", "968 of 1,200", "too-short", "77de77de",
        "This is a photo of a circle", "strategies.comparative.alpha", "2.14.1", "00017.png",
    ):  # fmt: skip
        assert said in page.text, said
    assert path.stat().st_size < 400_000


def test_the_same_evaluation_gives_the_same_bytes(evaluation: Evaluation) -> None:
    assert render(evaluation) == render(evaluation)


def test_folders_of_this_machine_are_not_told(evaluation: Evaluation) -> None:
    page = render(evaluation)
    assert "/home/ada" not in page
    assert "private" not in page
    assert str(Path(evaluation.pair_examples[0].first.path).parent) not in page


def test_nothing_can_be_asked_for_from_outside(evaluation: Evaluation) -> None:
    page = Page(render(evaluation))
    names = {name for _, attributes in page.elements for name in attributes}
    assert not names & {"src", "srcset", "action", "data", "poster", "background", "ping", "formaction"}
    links = [attributes["href"] or "" for _, attributes in page.elements if "href" in attributes]
    assert all(link.startswith(("#", "data:")) for link in links)
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert "url(" not in render(evaluation)
    assert "@import" not in render(evaluation)


def test_every_link_has_its_target_and_every_id_is_one(evaluation: Evaluation) -> None:
    page = Page(render(evaluation))
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    for _, attributes in page.elements:
        link = attributes.get("href") or ""
        if link.startswith("#"):
            assert link[1:] in ids
        for label in (attributes.get("aria-labelledby") or "").split():
            assert label in ids


def hostile(text: str) -> Evaluation:
    """Every text that a user or a language model can bring, at once."""
    one = Picture(id=text, path=text, caption=text, label=text)
    facts = {"first": text, "second": text, "text": text, "reason": text}
    models = (
        ModelFacts(name=BEFORE + text, backbone=text, baseline=True, image_fingerprint=text, text_fingerprint=text),
        ModelFacts(name=AFTER + text, backbone=text, path=text, image_fingerprint=text, text_fingerprint=text),
    )
    model = models[1].name
    where = {"task": text, "model": model}
    return Evaluation.model_validate(
        {
            "created": text,
            "versions": {text: text},
            "suite": text,
            "settings": {text: {text: [text]}},
            "models": models,
            "tasks": (
                {"name": text, "source": text, "classes": (text,), "prompts": {text: text}, "notes": (text,),
                 "quarantined": ({"id": text, "stage": text, "reason": text, "detail": text},)},
                {"name": text + "2", "skipped": text},
            ),
            "results": [
                {"task": text, "model": one.name, "measure": name, "part": text, "value": 0.5, "n": 1}
                for one in models for name in (text, "difference_accuracy")
            ],
            "comparisons": ({**where, "measure": "difference_accuracy", "part": text, "baseline": models[0].name,
                             "difference": 0.1, "low": 0.05, "high": 0.2, "p": 0.0},),
            "problems": ({"task": text, "measure": text, "part": text, "message": text},),
            "pair_examples": ({"task": text, "first": one, "second": one, "text": text, "cosines": {model: 0.1}},),
            "rankings": ({"task": text, "attribute": text, "text": text, "pictures": {text: one},
                          "values": {text: 1.0}, "orders": {model: (text,)}},),
            "confusions": ({**where, "strategy": text, "classes": (text, text + "2"), "counts": ((1, 2), (3, 4))},),
            "explanations": ({**where, "strategy": text, "first": text, "second": text, "text": text, "moved": 1},),
            "geometry": ({**where, "image_cosines": (0.1, 0.2)},),
            "captioners": ({"task": text, "captioner": text, "asked": 2, "accepted": 1, "rejected": {text: 1},
                            "examples": (facts, {**facts, "reason": ""})},),
        }
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_stay_texts(text: str) -> None:
    page, innocent = Page(render(hostile(text))), Page(render(hostile("a word")))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in innocent.elements]
    assert [set(a) for _, a in page.elements] == [set(a) for _, a in innocent.elements]
    assert page.text.count(text) > 30
    assert not {name for _, attributes in page.elements for name in attributes if name.startswith("on")}


def test_characters_that_html_has_no_place_for_are_replaced(tmp_path: Path) -> None:
    text = "a\x00b\x1bc\ud800d\ufffee"
    path = tmp_path / "report.html"
    write_report(hostile(text), path)
    page = path.read_bytes().decode("utf-8")
    assert "a\ufffdb\ufffdc\ufffdd\ufffde" in page
    assert not set(page) & set("\x00\x1b\ufffe")


def test_long_texts_are_cut_and_say_how_long_they_were() -> None:
    page = render(hostile("long caption " * 2000))
    assert "(cut: 26,000 characters)" in page
    assert len(page) < 200_000


def test_each_picture_is_embedded_once_and_upright_on_white(tmp_path: Path) -> None:
    turned = Image.new("RGB", (400, 200), (10, 200, 30))
    exif = turned.getexif()
    exif[0x0112] = 6  # a quarter turn to the right
    turned.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (600, 600), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("P", (50, 50), 3).save(tmp_path / "palette.gif")
    names = ("turned.jpg", "clear.png", "palette.gif")
    shown = [Picture(id=name, path=str(tmp_path / name)) for name in names]
    pairs = [
        PairExample(task="t", first=first, second=second, text="x", cosines={})
        for first in shown
        for second in (*shown, *shown)
    ]
    uris = re.findall(r"data:image/\w+;base64,([^\"]+)", render(small(pair_examples=pairs)))
    assert len(uris) == len(set(uris)) == 3
    first, second, _ = (Image.open(io.BytesIO(base64.b64decode(uri))).convert("RGB") for uri in uris)
    assert first.size == (144, 288)
    assert second.size == (288, 288)
    assert all(low > 250 for low, _ in second.getextrema())


def test_pictures_that_cannot_be_shown_say_why(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_text("no picture at all")
    (tmp_path / "empty.png").touch()
    paths = (str(tmp_path / "gone.png"), str(tmp_path / "torn.png"), str(tmp_path / "empty.png"), "a\0b", str(tmp_path))
    shown = [Picture(id=path, path=path) for path in paths]
    pairs = [PairExample(task="t", first=one, second=shown[0], text="x", cosines={BEFORE: 0.1}) for one in shown]
    page = Page(render(small(pair_examples=pairs)))
    for reason in ("missing file", "not a picture", "empty file", "not a file"):
        assert f"no picture:{reason}" in page.text
    assert "Pictures that are not shown: 2 missing file" in page.text
    assert not [tag for tag, _ in page.elements if tag == "image"]


def test_an_album_has_a_limit_and_names_what_it_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(rng.integers(0, 255, (300, 300, 3), np.uint8)).save(tmp_path / f"{i}.png")
    album = Album(most=3)
    shown = [album.add(Picture(id=str(i), path=str(tmp_path / f"{i}.png"))) for i in range(5)]
    assert [bool(one.anchor) for one in shown] == [True] * 3 + [False] * 2
    assert album.problems == {"left out to keep this file small": 2}
    size = Album()
    size.add(Picture(id="0", path=str(tmp_path / "0.png")))
    tight = Album(most_bytes=size.size + 10)
    assert [bool(tight.add(Picture(id=str(i), path=str(tmp_path / f"{i}.png"))).anchor) for i in range(3)] == [
        True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("difference_accuracy", 0.1, 0.2), ("zero_shot_top1", -0.01, 0.02)], "is better at differences than"),
        ([("difference_accuracy", 0.1, 0.2), ("zero_shot_top1", -0.01, 0.02)], "at no cost that stands out"),
        ([("difference_accuracy", 0.1, 0.2), ("zero_shot_top1", -0.05, -0.01)], "zero-shot accuracy (−3.0 points)"),
        ([("difference_accuracy", 0.1, 0.2)], "what it cost was not measured"),
        ([("difference_accuracy", -0.2, -0.1), ("zero_shot_top1", 0, 0)], "is worse at differences than"),
        ([("difference_accuracy", -0.1, 0.1), ("zero_shot_top1", 0, 0)], "shows no clear difference"),
        ([("difference_accuracy", 0.1, 0.2), ("ranking_spearman", -0.3, -0.1)], "at some differences and worse at"),
        ([("difference_accuracy", 0.1, 0.2), ("ranking_spearman", -0.1, 0.1)], "in 1 of 2 measures of differences"),
        ([("zero_shot_top1", 0, 0)], "no measure of differences was taken of both"),
    ],
)
def test_the_head_says_whether_it_is_better_and_what_it_cost(rows: list[tuple[str, float, float]], said: str) -> None:
    assert said in head(render(compared(*rows)))


def test_a_difference_is_marked_only_where_its_interval_leaves_out_zero() -> None:
    def marks(low: float, high: float, *, higher: bool | None = True) -> str:
        page = small(tasks=(TaskFacts(name="t"),), **measured("difference_accuracy", low, high, higher=higher))
        return re.search(r'<div class="(\w+)"><span class="mark"', render(page))[1]  # type: ignore[index]

    assert marks(0.01, 0.03) == "better"
    assert marks(-0.03, -0.01) == "worse"
    assert marks(-0.01, 0.03) == "same"
    assert marks(0.0, 0.03) == "same"
    assert marks(0.01, 0.03, higher=False) == "worse"
    assert marks(0.01, 0.03, higher=None) == "differs"
    assert marks(math.nan, 0.03) == "unknown"


def test_the_best_value_of_a_row_is_emphasised_unless_all_are_equal() -> None:
    better = small(tasks=(TaskFacts(name="t"),), **measured("difference_accuracy", 0.1, 0.2))
    assert re.findall(r"<strong>([\d.]+%)</strong><span class=\"unseen\"> \(best\)", render(better)) == ["65.0%"]
    lower = small(tasks=(TaskFacts(name="t"),), **measured("difference_accuracy", 0.1, 0.2, higher=False))
    assert re.findall(r"<strong>([\d.]+%)</strong><span class=\"unseen\"> \(best\)", render(lower)) == ["50.0%"]
    equal = small(tasks=(TaskFacts(name="t"),), **measured("difference_accuracy", 0.0, 0.0))
    assert "(best)" not in render(equal)


def test_an_evaluation_with_nothing_in_it_is_a_page() -> None:
    page = render(small(tasks=(TaskFacts(name="awa2", skipped="it is not there"),)))
    assert head(page) == "Nothing could be measured"
    assert "it is not there" in page
    assert "At a glance" not in page


def test_one_model_is_measured_alone() -> None:
    alone = small(
        (MODELS[0],), tasks=(TaskFacts(name="t"),), results=measured("difference_accuracy", 0, 0)["results"][:1]
    )
    page = render(alone)
    assert head(page) == "mini, measured alone"
    assert "nothing to compare with" in page
    assert "(best)" not in page


def test_several_models_each_have_a_verdict() -> None:
    third = ModelFacts(name="third", backbone="mini", image_fingerprint="a", text_fingerprint="b")
    parts = measured("difference_accuracy", 0.1, 0.2)
    more = [row.model_copy(update={"model": "third"}) for row in (parts["results"][1], parts["comparisons"][0])]
    page = render(
        small(
            (*MODELS, third),
            tasks=(TaskFacts(name="t"),),
            results=(*parts["results"], more[0]),
            comparisons=(*parts["comparisons"], more[1]),
        )
    )
    assert head(page) == "2 models against mini"
    assert "third is better at differences than mini" in page


def test_a_value_that_is_no_number_is_a_dash() -> None:
    results = [
        Result(task="t", model=BEFORE, measure="difference_accuracy", value=math.nan, low=math.nan, high=1.0, n=0)
    ]
    page = Page(render(small(tasks=(TaskFacts(name="t"),), results=results)))
    assert "nan" not in page.text.lower()


def test_a_small_matrix_is_shown_whole_with_zero_shot_first() -> None:
    counts = ((5, 3, 0), (1, 7, 0), (0, 2, 2))
    rows = [
        Confusion(task="t", model=AFTER, strategy=strategy, classes=("a", "b", "c"), counts=counts)
        for strategy in ("comparative", "zero-shot")
    ]
    (found,) = confusions(Findings(small(confusions=rows)))
    assert [matrix.strategy for matrix in found.matrices] == ["zero-shot", "comparative"]
    assert found.matrices[0].accuracy == "70.0%"
    assert found.matrices[0].rows[0][1].count == 3
    assert found.matrices[0].rows[0][1].share == 37.5
    assert [(m.truth, m.taken_for, m.counts) for m in found.mistakes] == [
        ("a", "b", (3, 3)), ("c", "b", (2, 2)), ("b", "a", (1, 1)),
    ]  # fmt: skip


def test_two_hundred_classes_become_their_most_confused_pairs() -> None:
    classes = ("x" * 300, *(f"class {i:03}" for i in range(199)))
    rows = [confusion(classes, AFTER, strategy) for strategy in ("zero-shot", "comparative")]
    page = render(small(confusions=rows))
    assert "200 classes are too many" in page
    assert page.count("<tr>") < 60
    assert "(cut: 300 characters)" in page
    assert re.search(r"\(cut: 300 characters\)</bdi></th>\s*<td class=\"text\"><bdi>class 000", page)


def test_pairs_that_changed_come_first_both_ways_in_turn(evaluation: Evaluation) -> None:
    (task,) = examples.pairs(Findings(evaluation), Album())
    kinds = [pair.change for pair in task.pairs]
    assert kinds[:2] == ["became right", "became wrong"]
    assert kinds == sorted(kinds, key=lambda kind: not kind.startswith("became"))
    assert sum(count for _, count in task.counts) == len(evaluation.pair_examples) == len(task.pairs) + task.left_out


def test_a_strip_without_a_measure_gives_the_correlation_of_what_it_shows() -> None:
    values = {"a": 3.0, "b": 3.0, "c": 1.0, "d": 7.0, "e": 2.0}
    order = ("d", "c", "a", "e", "b")
    example = RankingExample(
        task="t",
        attribute="size",
        text="large",
        pictures={key: Picture(id=key, path="") for key in values},
        values=values,
        orders={BEFORE: order},
    )
    (ranking,) = examples.rankings(Findings(small(rankings=(example,))), Album())
    expected = spearmanr([values[key] for key in order], [-place for place in range(5)]).statistic
    assert ranking.strips[0].spearman == f"Spearman {expected:.3f} of these 5 pictures"
    assert [place.value for place in ranking.strips[0].places] == ["7", "1", "3", "2", "3"]


def test_pictures_of_a_strip_are_few_and_the_same_for_every_model(tmp_path: Path) -> None:
    scenes = read_scenes(40, folder=tmp_path / "scenes")
    values = {one.id: float(one.attributes["size"]) for one in scenes.examples}
    example = RankingExample(
        task="t",
        attribute="size",
        text="large",
        pictures={one.id: picture(one) for one in scenes.examples},
        values=values,
        orders={BEFORE: tuple(values), AFTER: tuple(sorted(values, key=lambda key: -values[key]))},
    )
    (ranking,) = examples.rankings(Findings(small(rankings=(example,))), Album())
    shown = [[place.shown.picture.id for place in strip.places] for strip in ranking.strips]
    assert len(shown[0]) == examples.MOST_RANKED
    assert sorted(shown[0]) == sorted(shown[1])
    assert {max(values.values()), min(values.values())} <= {values[key] for key in shown[0]}


def test_measures_have_words() -> None:
    assert {measure.family for measure in words.MEASURES.values()} <= set(words.FAMILIES)
    for name in ("difference_accuracy", "difference_swap_accuracy"):
        assert words.measure(name).words == card.MEASURES[name]
    assert card.MEASURES["zero_shot_accuracy"] == words.measure("zero_shot_top1").words
    assert words.measure("some_new_accuracy").words == "some new accuracy"


def test_values_are_written_with_a_minus_and_zero_without_a_sign() -> None:
    assert words.figure(0.8871, "share") == "88.7%"
    assert words.figure(-0.12, "coefficient") == "−0.120"
    assert words.change(-0.00001, "share") == "0.0 points"
    assert words.change(0.268, "share") == "+26.8 points"
    assert words.interval(-0.01, 0.02, "share", signed=True) == "−1.0 to +2.0"
    assert words.figure(math.inf, "share") == "–"


def test_a_report_needs_no_torch_and_no_extra(evaluation: Evaluation, tmp_path: Path) -> None:
    document = tmp_path / "evaluation.json"
    document.write_text(evaluation.model_dump_json())
    code = (
        "import sys; from pathlib import Path\n"
        "from pcclip.evaluation.document import Evaluation; from pcclip.report import write_report\n"
        f"evaluation = Evaluation.model_validate_json(Path({str(document)!r}).read_text())\n"
        f"write_report(evaluation, Path({str(tmp_path / 'report.html')!r}))\n"
        "print(sorted({'torch', 'open_clip', 'matplotlib', 'sklearn', 'scipy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
    assert (tmp_path / "report.html").stat().st_size > 50_000


def test_the_wheel_has_the_templates() -> None:
    included = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pcclip/report/templates").iterdir()}
    assert templates
    assert templates <= included
