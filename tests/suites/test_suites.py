"""Finding suites, the built-in ones, and suites as files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from miniatures import draw, write

import pcclip
from pcclip import suites
from pcclip.data.pictures import picture_digest
from pcclip.data.scenes import COLOURS, SHAPES
from pcclip.data.stamps import INSTALLED, LABELS
from pcclip.errors import DataError, UsageError
from pcclip.evaluation.groups import GROUPS
from pcclip.files import cache_folder
from pcclip.pairs import hold_out
from pcclip.plugins import Plugin, registry
from pcclip.specs import EmbedderSpec
from pcclip.suites import MEASURES, Task
from pcclip.suites import scenes as scenes_module
from pcclip.suites import stamps as stamps_module
from pcclip.suites.splitting import few_of_each, split_by_content, split_by_name
from pcclip.suites.task import ClassWords
from pcclip.types import Example

DIFFERENCES = """first,second,text
dog,cat,"The first image shows a dog, while the second image shows a cat."
"""
DOC = Path(__file__).parents[2] / "docs" / "suites.md"


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UsageError, match="no suite is called 'papr'") as caught:
        suites.find("papr")
    assert "Did you mean paper? There are: paper, stamps, scenes" in str(caught.value.hint)


def test_measures_are_those_that_can_be_taken() -> None:
    assert set(MEASURES) == set(GROUPS)


def test_finding_a_suite_imports_nothing_heavy() -> None:
    code = "import sys, pcclip.suites; sys.exit(str({'torch', 'numpy', 'PIL', 'scipy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "set()"


@pytest.fixture(scope="module")
def scenes() -> Task:
    return suites.find("scenes").sources[0].load(None)


def test_scenes_are_none_that_a_run_trains_on(scenes: Task) -> None:
    assert (len(scenes.examples), len(scenes.support)) == (400, 200)
    suite = {picture_digest(e.image) for e in (*scenes.examples, *scenes.support)}
    assert len(suite) == 600
    assert not suite & {picture_digest(e.image) for e in pcclip.read("scenes:100")}
    assert set(scenes.labels) == set(SHAPES) == {str(e.label) for e in scenes.support}
    for attribute in scenes.attributes:
        values = {e.attributes[attribute.name] for e in scenes.examples}
        assert len(values) > 2, attribute.name
    assert scenes.class_difference is not None
    assert "a ring, round with a hole" in str(scenes.class_difference("ring", "square"))
    assert scenes.class_difference("ring", "ring") is None
    assert set(scenes_module.SHAPE_WORDS) == set(SHAPES)


def test_luminance() -> None:
    assert scenes_module.luminance((0, 0, 0)) == 0
    assert scenes_module.luminance((255, 255, 255)) == 1
    assert scenes_module.luminance((188, 188, 188)) == pytest.approx(0.5, abs=0.01)
    light = {name: scenes_module.luminance(colour) for name, colour in COLOURS.items()}
    assert max(light, key=lambda name: light[name]) == "yellow"
    assert light["brown"] < light["red"] < light["pink"]


def test_stamps() -> None:
    if not (INSTALLED.is_dir() or (cache_folder() / "stamps").is_dir()):
        pytest.skip("the stamps are neither installed nor in the cache")
    task = suites.find("stamps").sources[0].load(None)
    dataset = pcclip.read("stamps")
    assert not any("stamps.csv" in note for note in task.notes), task.notes  # every row of the table is a stamp
    digests = [picture_digest(e.image).hex() for e in dataset]
    _, held_out = hold_out(digests, 0.25, 0)
    tested = {e.id for e in task.examples}
    assert {dataset.examples[row].id for row in held_out} < tested  # of a run with the default settings
    assert not tested & {e.id for e in task.support}
    assert {a.name for a in task.attributes} == {"metres", "animal_metres", "photograph"}
    values = {e.id: e.attributes for e in (*task.examples, *task.support)}
    assert values["animals/mammals/elephant.png"]["animal_metres"] == 6
    assert "animal_metres" not in values["vehicles/auto/beetle.png"]
    assert {v["photograph"] for v in values.values() if "photograph" in v} == {0, 1}
    assert sum("metres" in v for v in values.values()) > 300


def test_every_label_of_the_stamps_has_words() -> None:
    assert set(stamps_module.LABEL_WORDS) == {label for label in LABELS.values() if label}
    difference = ClassWords(stamps_module.LABEL_WORDS)
    assert str(difference("bird", "tree")).startswith("The first image shows a bird with feathers")
    assert difference("bird", "dragon") is None
    assert difference("bird", "bird") is None


def examples(tmp_path: Path, number: int) -> tuple[Example, ...]:
    return tuple(
        Example(f"{n}", draw(tmp_path / f"{n}.png", n // 2), label="ab"[n % 2] if n < number - 2 else None)
        for n in range(number)
    )


def test_copies_stay_on_one_side(tmp_path: Path) -> None:
    given = examples(tmp_path, 20)  # two files of each content
    test, support = split_by_content(given, 0.4)
    contents = [{picture_digest(e.image) for e in side} for side in (test, support)]
    assert not contents[0] & contents[1]
    assert len(test) == 12
    assert all(e.label for e in support)
    assert split_by_content(given, 0.4) == (test, support)


def test_few_of_each_and_at_most_half() -> None:
    given = tuple(Example(f"{n}", Path(f"{n}"), label="a" if n < 9 else "b") for n in range(11))
    assert [e.label for e in few_of_each(given, 3)] == ["a", "a", "a", "b", "b"]
    test, support = split_by_name(given, 3)
    assert [e.label for e in support] == ["a", "a", "a", "b"]
    assert len(test) == 7
    kept = [e.id for e in few_of_each(given, 3)]
    assert set(kept) <= {e.id for e in few_of_each(given[::-1], 3)}  # by id, not by place


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Cats and dogs in class folders, with a table of sizes."""
    for n in range(12):
        draw(tmp_path / "pictures" / ("cat" if n < 6 else "dog") / f"{n}.png", n)
    write(tmp_path / "attributes.csv", "class,size\ncat,4\ndog,30\n")
    write(
        tmp_path / "differences.csv",
        'first,second,text\ndog,cat,"The first image shows a dog, while the second image shows a cat."\n',
    )
    return tmp_path


LARGER = "The first image shows a larger pet, while the second image shows a smaller pet."
TOML = """
[[task]]
name = "pets"
data = "pictures"
support_fraction = 0.5
attributes_file = "attributes.csv"
differences = "differences.csv"
template = "A photo of a {label}, a pet"

[task.class_names]
cat = "house cat"
bird = "budgie"

[[task.attributes]]
name = "size"
more = "The first image shows a larger pet, while the second image shows a smaller pet."
phrase = "a large pet"

[task.protocol]
seeds = 2
pictures = 0
"""


def test_a_file_of_tasks(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    suite = suites.find(write(own / "my.toml", TOML + '[[task]]\nname = "drawn"\ndata = "scenes:20"\n'))
    assert suite.name == "my"
    assert [source.name for source in suite.sources] == ["pets", "drawn"]
    task = suite.sources[0].load(None)
    assert len(task.examples) == len(task.support) == 6
    assert task.measures == MEASURES
    assert {e.label: e.attributes["size"] for e in task.examples} == {"cat": 4, "dog": 30}
    assert task.attributes[0].less.startswith("The first image shows a smaller pet")
    assert task.class_names["cat"] == "house cat"
    assert "The class 'bird' of class_names has no picture." in task.notes
    assert task.template == "A photo of a {label}, a pet"
    assert task.class_difference is not None
    assert task.class_difference("dog", "cat") == "The first image shows a dog, while the second image shows a cat."
    assert task.class_difference("cat", "dog") == "The first image shows a cat, while the second image shows a dog."
    assert task.class_difference("cat", "bird") is None
    assert (task.protocol.seeds, task.protocol.pictures, task.protocol.pairs) == (2, None, 500)
    drawn = suite.sources[1].load(None)
    assert "ranking" not in drawn.measures
    assert len(drawn.examples) == 20


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("template =", "tempalte =", "task 'pets', tempalte is no key of a suite"),
        ("a {label}, a pet", "a pet", r"task 'pets', template: it has no \{label\}"),
        ("seeds = 2", "seeds = 0", "task 'pets', protocol, seeds: input should be greater than"),
        ("seeds = 2", "sedes = 2", "task 'pets', protocol, sedes is no key"),
        (
            'more = "The first image shows a larger pet, while the second image shows a smaller pet."',
            "",
            "attributes 'size', more: field required",
        ),
        (
            "The first image shows a larger pet, while the second image shows a smaller pet.",
            "Larger.",
            "attributes 'size'.*cannot be turned round",
        ),
        ("support_fraction = 0.5", 'support_fraction = 0.5\nsupport = "x"', "exclude each other"),
        ("support_fraction = 0.5", "support_fraction = 1.5", "support_fraction: input should be less than 1"),
        (
            "support_fraction = 0.5",
            'measures = ["rankin"]',
            "no group of measures is called 'rankin', there are difference",
        ),
        ("[[task]]", "[[taks]]", "taks is no key of a suite"),
        ("[[task]]", "[task", "is no TOML: .*line 2"),
        ('name = "pets"', "", "task 1, name: field required"),
        ('cat = "house cat"', 'cat = ""', "the words for 'cat' are empty"),
    ],
)
def test_a_file_that_is_wrong_names_the_key(old: str, new: str, message: str, own: Path) -> None:
    assert old in TOML
    file = write(own / "my.toml", TOML.replace(old, new, 1))
    with pytest.raises(UsageError, match=message) as caught:
        suites.find(str(file))
    assert "my.toml" in caught.value.message


def test_two_tasks_of_one_name(own: Path) -> None:
    with pytest.raises(UsageError, match="two tasks are called 'pets'"):
        suites.find(write(own / "my.toml", TOML + TOML))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('data = "pictures"', 'data = "gone"', "my.toml, task 'pets', data: there is no data at"),
        ('"attributes.csv"', '"gone.csv"', "my.toml, task 'pets', attributes_file: cannot read"),
        ('"differences.csv"', '"gone.csv"', "my.toml, task 'pets', differences: cannot read"),
        ("support_fraction = 0.5", 'support = "gone"', "my.toml, task 'pets', support: there is no data"),
    ],
)
def test_data_that_is_missing_names_file_task_and_key(old: str, new: str, message: str, own: Path) -> None:
    suite = suites.find(write(own / "my.toml", TOML.replace(old, new, 1)))
    with pytest.raises(DataError, match=re.escape(message)):
        suite.sources[0].load(None)


def test_problems_of_attributes_are_notes_and_the_task_stands(own: Path) -> None:
    write(own / "attributes.csv", "class,size\ncat,4\nhorse,500\n")
    task = suites.find(write(own / "my.toml", TOML)).sources[0].load(None)
    assert any("'horse' (row 3)" in note for note in task.notes)
    assert any("'size' is 4 for all 6 pictures" in note for note in task.notes)


def test_the_example_of_the_docs_runs(own: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)
    assert examples
    for n in range(6):
        draw(own / "train" / ("cat" if n < 3 else "dog") / f"{n}.png", 100 + n)
    suite = suites.find(write(own / "example.toml", examples[0]))
    tasks = [source.load(None) for source in suite.sources]
    assert all(task.examples and task.support for task in tasks)
    odd = [note for task in tasks for note in task.notes if not note.startswith("Captions were made")]
    assert odd == []


def test_the_docs_name_every_key_of_a_file() -> None:
    from pcclip.suites.schema import AttributeTable, ProtocolTable, SuiteFile, TaskTable

    text = DOC.read_text("utf-8")
    for model in (SuiteFile, TaskTable, AttributeTable, ProtocolTable):
        for name in model.model_fields:
            assert f"`{name}`" in text or f"[{name}]" in text or f".{name}]" in text, name
    for name in MEASURES:
        assert f"`{name}`" in text, name


def test_an_evaluation_of_the_paper_measures_what_is_there_and_names_the_rest(
    eurosat: Path, cifar100: Path, awa2: Path, monkeypatch: pytest.MonkeyPatch, private_cache: Path
) -> None:
    backbone = Plugin(EmbedderSpec(name="hash", target="pcclip.testing:HashEmbedder"), "tests", "1")
    monkeypatch.setitem(registry()._plugins["embedder"], "hash", [backbone])
    found = pcclip.evaluate(["hash"], suite="paper", data=cifar100.parent, resamples=100)
    skipped = {task.name: task.skipped for task in found.tasks}
    assert [name for name, why in skipped.items() if why is None] == [
        *("awa2", "cifar-100-size", "cifar-100", "eurosat"),
    ]
    assert "CUB_200_2011" in str(skipped["cub"])
    assert "https://" in str(skipped["cub"])
    taken = {(result.task, result.measure, result.part) for result in found.results}
    for wanted in (
        ("awa2", "difference_accuracy", "classes"),
        ("awa2", "zero_shot_top1", ""),
        ("cifar-100-size", "difference_accuracy", "large"),
        ("cifar-100-size", "ranking_spearman", "large"),
        ("cifar-100", "zero_shot_top1", ""),
        ("eurosat", "probe_accuracy", "16-shot"),
    ):
        assert wanted in taken, wanted
    size = next(r for r in found.results if r.task == "cifar-100-size" and r.measure == "difference_accuracy")
    assert size.n == 8 * 8  # 8 large and 8 small pictures, all pairs of one of each


def test_an_evaluation_takes_a_file_by_name(own: Path, monkeypatch: pytest.MonkeyPatch, private_cache: Path) -> None:
    backbone = Plugin(EmbedderSpec(name="hash", target="pcclip.testing:HashEmbedder"), "tests", "1")
    monkeypatch.setitem(registry()._plugins["embedder"], "hash", [backbone])
    found = pcclip.evaluate(["hash"], suite=str(write(own / "my.toml", TOML)), resamples=100)
    assert {(r.measure, r.part) for r in found.results} >= {
        ("difference_accuracy", "size"),
        ("difference_accuracy", "classes"),
        ("ranking_spearman", "size"),
        ("zero_shot_top1", ""),
    }
