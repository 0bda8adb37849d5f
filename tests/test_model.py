from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcclip.comparatives import ComparativeStore
from pcclip.confusable import similar_classes
from pcclip.differences import describe_classes, read_differences
from pcclip.embeddings import EmbeddingStore, embed, write_embeddings
from pcclip.errors import DataError, PcclipError, PluginError, UsageError
from pcclip.model import Model
from pcclip.saved import load, model_folder
from pcclip.testing import EchoCaptioner, HashEmbedder
from pcclip.types import ClassComparative, FloatArray

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "grey": (120, 120, 120)}


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "pictures"
    folder.mkdir()
    found = {}
    for name, colour in COLOURS.items():
        found[name] = folder / f"{name}.png"
        Image.new("RGB", (16, 16), colour).save(found[name])
    return found


@pytest.fixture
def model(private_cache: Path) -> Model:
    return Model(HashEmbedder())


def rows_of(model: Model, pictures: dict[str, Path]) -> dict[str, FloatArray]:
    return dict(zip(pictures, model.embed(list(pictures.values())).embeddings, strict=True))


def test_compare_is_the_cosine_with_the_difference(model: Model, pictures: dict[str, Path]) -> None:
    f = rows_of(model, pictures)
    difference = f["red"] - f["blue"]
    expected = model.embedder.embed_texts(["redder"])[0] @ difference / np.linalg.norm(difference)
    found = model.compare(pictures["red"], pictures["blue"], "redder")
    assert found.cosine == pytest.approx(expected, abs=1e-6)
    assert found.holds == (expected > 0)
    assert model.compare(pictures["blue"], pictures["red"], "redder").cosine == pytest.approx(-expected, abs=1e-6)


def test_compare_refuses_equal_pictures_and_empty_text(model: Model, pictures: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="same content"):
        model.compare(pictures["red"], pictures["red"], "redder")
    with pytest.raises(UsageError, match="empty"):
        model.compare(pictures["red"], pictures["blue"], "  ")


def test_ranking_agrees_with_every_comparison(model: Model, pictures: dict[str, Path]) -> None:
    order = [ranked.image for ranked in model.rank("a warm colour", list(pictures.values()))]
    assert sorted(order) == sorted(map(str, pictures.values()))
    for high, low in itertools.pairwise(order):
        assert model.compare(high, low, "a warm colour").holds


def test_search_with_weight_zero_finds_the_query_first(model: Model, pictures: dict[str, Path]) -> None:
    found = model.search(pictures["green"], "but darker", list(pictures.values()), weight=0)
    assert found[0].image == str(pictures["green"])
    assert found[0].score == pytest.approx(1, abs=1e-6)
    f, g = rows_of(model, pictures), model.embedder.embed_texts(["but darker"])[0]
    target = f["green"] + 0.5 * g
    scores = {r.image: r.score for r in model.search(pictures["green"], "but darker", list(pictures.values()), 0.5)}
    assert scores[str(pictures["red"])] == pytest.approx(f["red"] @ target / np.linalg.norm(target), abs=1e-6)


def test_predict_gives_every_class_a_score(model: Model, pictures: dict[str, Path]) -> None:
    (prediction,) = model.predict([pictures["red"]], ["warm", "cold"])
    assert set(prediction.scores) == {"warm", "cold"}
    assert prediction.label == max(prediction.scores, key=lambda name: prediction.scores[name])
    described = [ClassComparative("warm", "cold", "the first is warmer")]
    (moved,) = model.predict([pictures["red"]], ["warm", "cold"], strategy="comparative", differences=described)
    assert moved.scores["warm"] == pytest.approx(prediction.scores["warm"], abs=1e-6)
    assert moved.scores["cold"] != pytest.approx(prediction.scores["cold"], abs=1e-6)


def test_a_bad_picture_is_an_error_for_a_path_and_a_row_for_embed(model: Model, pictures: dict[str, Path]) -> None:
    bad = pictures["red"].with_name("bad.png")
    bad.write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"bad\.png"):
        model.rank("warm", [pictures["red"], bad])
    embedded = model.embed([bad, pictures["red"], pictures["red"].with_name("gone.png")])
    assert [row.reason for row in embedded.quarantined] == ["missing-file", "not-a-picture"]
    assert embedded.paths == (pictures["red"],)
    assert [r.image for r in model.rank("warm", embedded)] == [str(pictures["red"])]


def test_embeddings_are_computed_once_by_content(pictures: dict[str, Path], tmp_path: Path) -> None:
    class Counting(HashEmbedder):
        seen = 0

        def embed_images(self, images):  # type: ignore[no-untyped-def]
            self.seen += len(images)
            return super().embed_images(images)

    embedder = Counting()
    copy = tmp_path / "copy.png"
    copy.write_bytes(pictures["red"].read_bytes())
    with EmbeddingStore(tmp_path / "e.sqlite") as store:
        first = embed(embedder, [*pictures.values(), copy], store=store)
        assert embedder.seen == 4
        np.testing.assert_array_equal(first.embeddings[0], first.embeddings[-1])
        again = embed(embedder, list(pictures.values()), store=store)
        assert embedder.seen == 4
        np.testing.assert_array_equal(again.embeddings, first.embeddings[:4])
        Image.new("RGB", (17, 16), (1, 2, 3)).save(pictures["red"])
        changed = embed(embedder, [pictures["red"]], store=store)
        assert embedder.seen == 5
        assert not np.array_equal(changed.embeddings[0], first.embeddings[0])
        embed(HashEmbedder(seed=1), [pictures["red"]], store=store)
        assert embed(Counting(seed=1), [pictures["red"]], store=store).embeddings.shape == (1, 32)


@pytest.mark.parametrize("fault", ["count", "norm", "nan"])
def test_an_embedder_that_lies_is_named(pictures: dict[str, Path], private_cache: Path, fault: str) -> None:
    class Lying(HashEmbedder):
        def embed_images(self, images):  # type: ignore[no-untyped-def]
            rows = super().embed_images(images)
            return {"count": rows[1:], "norm": rows * 2, "nan": rows * np.nan}[fault]

    with pytest.raises(PluginError, match="Lying"):
        embed(Lying(), list(pictures.values()))


def test_written_embeddings_read_back(model: Model, pictures: dict[str, Path], tmp_path: Path) -> None:
    embedded = model.embed(list(pictures.values()))
    names = write_embeddings(tmp_path / "out.npy", embedded)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy", allow_pickle=False), embedded.embeddings)
    assert names.read_text().splitlines()[1].startswith(f"0,{pictures['red']},")


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(PcclipError, match="does not exist"):
        load(tmp_path / "gone")
    with pytest.raises(PcclipError, match="no run and no model"):
        load(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"schema": 1, "stages": {"describe": {"status": "running"}}}))
    with pytest.raises(PcclipError, match="describe running"):
        model_folder(tmp_path)


CLASSES = ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv", "first,second,text\ncat,dog,cats are smaller\n"),
        ("d.tsv", "first\tsecond\ttext\ncat\tdog\tcats are smaller\n"),
        ("d.csv", '\ufefftext,second,first\n"cats are smaller",dog,cat\n'),
        ("d.jsonl", '{"first": "cat", "second": "dog", "text": "cats are smaller"}\n\n'),
        ("d.json", '{"cat|dog": "cats are smaller"}'),
    ],
)
def test_differences_are_read_in_every_form(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_differences(tmp_path / name, CLASSES) == (ClassComparative("cat", "dog", "cats are smaller"),)


def test_a_text_with_a_line_break_in_csv(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('first,second,text\ncat,dog,"cats\nare smaller"\n')
    assert read_differences(tmp_path / "d.csv", CLASSES)[0].text == "cats\nare smaller"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", "a,b\n1,2\n", "first, second, text; it has: a, b"),
        ("d.csv", "first,second,text\ncat,cow,x\n", "line 2: unknown class 'cow'"),
        ("d.csv", "first,second,text\ncat,cat,x\n", "line 2.*twice"),
        ("d.csv", "first,second,text\ncat,dog,\n", "line 2.*empty"),
        ("d.csv", "first,second,text\n", "no described differences"),
        ("d.json", "[1]", "first|second"),
        ("d.json", "{", r"d\.json"),
        ("d.jsonl", '{"first": "cat"}', "second"),
        ("d.jsonl", "3", r"d\.jsonl"),
    ],
)
def test_bad_differences_name_the_row(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_differences(tmp_path / name, CLASSES)


def test_a_missing_differences_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv"):
        read_differences(tmp_path / "gone.csv", CLASSES)


def test_similar_classes_are_the_nearest_prompts() -> None:
    rows = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0.9, 0.3]], np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert similar_classes(rows, 2) == [(0, 1), (2, 3)]
    assert len(similar_classes(rows, 99)) == 6


def test_classes_are_described_in_both_directions(tmp_path: Path) -> None:
    with ComparativeStore(tmp_path / "c.sqlite") as store:
        found, failed = describe_classes(["cat", "old_owl"], [(0, 1)], EchoCaptioner(), store)
    assert not failed
    assert {(c.first, c.second) for c in found} == {("cat", "old_owl"), ("old_owl", "cat")}
    assert found[0].text == "The first image shows A cat, while the second image shows An old owl."
