"""Texts about classes: read from a file, or written by a captioner and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pcclip.descriptions import read_descriptions, write_descriptions
from pcclip.errors import DataError, PluginError, UsageError
from pcclip.plugins import Registry
from pcclip.testing import EchoCaptioner

CLASSES = ("cat", "dog")
EXPECTED = {"cat": ("whiskers", "A cat purrs."), "dog": ("a snout",)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv", "class,text\ncat,whiskers\ndog,a snout\ncat,A cat purrs.\n"),
        ("d.tsv", "text\tclass\nwhiskers\tcat\na snout\tdog\nA cat purrs.\tcat\n"),
        ("d.csv", '\ufeffclass,text\ncat,"whiskers"\ncat," A cat purrs. "\ncat,whiskers\ndog,a snout\n'),
        ("d.jsonl", '{"class": "cat", "text": "whiskers"}\n\n{"class": "cat", "text": "A cat purrs."}\n'
                    '{"class": "dog", "text": "a snout"}\n'),
        ("d.json", '{"cat": ["whiskers", "A cat purrs."], "dog": "a snout"}'),
        ("d.json", '{"cat": "whiskers", "dog": ["a snout"], "cat": "A cat purrs."}'),
    ],
)  # fmt: skip
def test_descriptions_are_read_in_every_form(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_descriptions(tmp_path / name, CLASSES) == EXPECTED


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", "class,text\ncat,whiskers\n", "1 of 2 classes and lacks 'dog'"),
        ("d.csv", "class,text\ncat,whiskers\ncow,horns\n", "line 3: unknown class 'cow'"),
        ("d.csv", "class,text\ncat,\n", "line 2: the description of 'cat' is empty"),
        ("d.csv", "name,text\ncat,x\n", "lacks the columns class; it has: name, text"),
        ("d.json", '{"cat": [], "dog": "x"}', "lacks 'cat'"),
        ("d.json", '{"cat": {"a": "b"}, "dog": "x"}', "'cat' is followed by no text"),
        ("d.json", '{"cat": [3], "dog": "x"}', "'cat' is followed by no text"),
        ("d.json", '["cat"]', "no JSON object"),
        ("d.json", "{", r"d\.json"),
        ("d.jsonl", '{"class": "cat"}', "text"),
        ("d.jsonl", "3", r"d\.jsonl"),
    ],
)
def test_bad_descriptions_are_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_descriptions(tmp_path / name, CLASSES)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv"):
        read_descriptions(tmp_path / "gone.csv", CLASSES)


class Writer(EchoCaptioner):
    """Says of each class what it is called; nothing of ``dull``, and forgets ``lost``."""

    chunks: list[list[str]]

    def __init__(self) -> None:
        super().__init__(chunk_size=2)
        self.chunks = []

    def describe_classes(self, names: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
        self.chunks.append(list(names))
        for name in reversed(names):
            if name != "lost":
                yield name, [] if name == "dull" else [f"A {name} is a {name}."]


@pytest.fixture
def writer(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    made = Writer()
    monkeypatch.setattr(Registry, "captioner", lambda *_: made)
    return made


def test_a_class_is_asked_for_once_in_chunks(writer: Writer) -> None:
    found = write_descriptions(("cat", "dog", "cow"), "echo")
    assert found == {name: (f"A {name} is a {name}.",) for name in ("cat", "dog", "cow")}
    assert writer.chunks == [["cat", "dog"], ["cow"]]
    assert write_descriptions(("cow", "fox"), "echo")["cow"] == ("A cow is a cow.",)
    assert writer.chunks[2:] == [["fox"]]


def test_what_was_written_before_a_failure_is_kept(writer: Writer) -> None:
    with pytest.raises(PluginError, match="Writer left out the class 'lost'"):
        write_descriptions(("cat", "dog", "lost"), "echo")
    write_descriptions(("cat", "dog"), "echo")
    assert writer.chunks == [["cat", "dog"], ["lost"]]


def test_a_class_without_a_usable_answer_is_named(writer: Writer) -> None:
    with pytest.raises(DataError, match=r"'dull'(.|\n)*--descriptions FILE"):
        write_descriptions(("cat", "dull"), "echo")


def test_a_damaged_store_is_written_anew(writer: Writer, private_cache: Path) -> None:
    write_descriptions(("cat",), "echo")
    (store,) = (private_cache / "descriptions").glob("*.json")
    store.write_text("{")
    assert write_descriptions(("cat",), "echo") == {"cat": ("A cat is a cat.",)}


def test_most_captioners_write_no_descriptions(private_cache: Path) -> None:
    with pytest.raises(UsageError, match=r"TemplateCaptioner writes no descriptions(.|\n)*--descriptions FILE"):
        write_descriptions(("cat", "dog"), "template")
