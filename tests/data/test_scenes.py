"""The drawn data set."""

from __future__ import annotations

import re

import pytest
from PIL import Image, ImageChops

from pcclip.data import read
from pcclip.data.scenes import BACKGROUNDS, COLOURS, NUMBERS, SIZES, draw_scenes, read_scenes
from pcclip.errors import DataError, UsageError


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return read_scenes(150, folder=tmp_path_factory.mktemp("scenes") / "s")


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_same_seed_gives_the_same_bytes_and_a_prefix(tmp_path):
    draw_scenes(tmp_path / "a", 12, seed=5)
    draw_scenes(tmp_path / "b", 12, seed=5)
    draw_scenes(tmp_path / "c", 7, seed=5)
    draw_scenes(tmp_path / "d", 12, seed=6)
    a, c = content(tmp_path / "a"), content(tmp_path / "c")
    assert a == content(tmp_path / "b")
    assert {name: a[name] for name in c if name.endswith(".png")} == {k: v for k, v in c.items() if k.endswith(".png")}
    assert a["metadata.jsonl"].startswith(c["metadata.jsonl"])
    assert a["00003.png"] != content(tmp_path / "d")["00003.png"]


def test_pictures_show_what_the_attributes_say(scenes):
    for example in scenes:
        about = example.attributes
        with Image.open(example.image) as file:
            image = file.convert("RGB")
        background = Image.new("RGB", image.size, BACKGROUNDS[about["background"]])
        ink = ImageChops.difference(image, background).convert("L").point(lambda value: 255 if value > 8 else 0)
        left, top, right, bottom = ink.getbbox()
        side = image.width
        assert min(left, top) >= 1, example.id
        assert max(right, bottom) <= side - 1, example.id
        columns = [ink.crop((x, 0, x + 1, side)).getbbox() is not None for x in range(side)]
        groups = sum(now and not before for before, now in zip([False, *columns], columns, strict=False))
        assert groups == about["count"], example.id
        colours = [colour for _, colour in image.getcolors(side * side)]
        assert COLOURS[about["colour"]] in colours, example.id
        assert len(set(COLOURS.values()).intersection(colours)) == 1, example.id
        if example.label in ("ring", "circle") and about["count"] == 1:
            middle = image.getpixel((round(about["x"] * side), round(about["y"] * side)))
            expected = COLOURS[about["colour"]] if example.label == "circle" else BACKGROUNDS[about["background"]]
            assert middle == expected, example.id
            assert len(colours) > 2, example.id  # edges are smooth
        wide = {"diamond": 0.75, "star": 0.951}.get(example.label, 1.0)
        width = about["size"] * wide + (about["count"] - 1) * about["size"] * 1.2
        assert (right - left) / side == pytest.approx(width, abs=0.015), example.id
        assert (left + right) / 2 / side == pytest.approx(about["x"], abs=0.01), example.id
        middle = about["y"] - {"star": 0.0477}.get(example.label, 0) * about["size"]
        assert (top + bottom) / 2 / side == pytest.approx(middle, abs=0.012), example.id


def test_captions_are_true(scenes):
    sizes = {name: (low, high) for name, low, high in SIZES}
    for example in scenes:
        about = example.attributes
        full, less = example.captions
        number = NUMBERS[int(about["count"]) - 1]
        plural = "" if about["count"] == 1 else "e?s"
        thing = rf"\b{number} {about['size_name']} {about['colour']} {example.label}{plural}\b"
        assert re.search(thing, full, re.IGNORECASE), full
        assert about["place"] in full.lower()
        assert about["background"] in full
        for caption in (full, less):
            text = caption.lower()
            words = set(re.findall("[a-z]+", text))
            assert words & set(COLOURS) == {about["colour"]}, caption
            assert words & set(sizes) <= {about["size_name"]}, caption
            assert not re.search(r"\ba [aeiou]", text), caption
            assert caption[0].isupper()
            assert caption.endswith(".")
        low, high = sizes[about["size_name"]]
        assert low - 1e-3 <= about["size"] <= high + 1e-3
        for word, key, inside in [("left", "x", (0, 0.36)), ("right", "x", (0.64, 1))]:
            assert (inside[0] <= about[key] <= inside[1]) == (word in about["place"]), full
        for word, key, inside in [("top", "y", (0, 0.36)), ("bottom", "y", (0.64, 1))]:
            assert (inside[0] <= about[key] <= inside[1]) == (word in about["place"]), full


def test_scenes_are_varied(scenes):
    assert len(scenes.labels) == 8
    assert len({e.caption for e in scenes}) > 140
    for key, least in [("colour", 8), ("count", 5), ("size_name", 4), ("background", 3), ("place", 9), ("size", 90)]:
        assert len({e.attributes[key] for e in scenes}) >= least, key


def test_read_draws_into_the_cache_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PCCLIP_CACHE", str(tmp_path / "cache"))
    dataset = read("scenes:9")
    assert dataset.name == "scenes"
    assert [e.id for e in dataset] == [f"{i:05d}.png" for i in range(9)]
    assert dataset.quarantined == ()
    stamp = dataset.examples[0].image.stat().st_mtime_ns
    assert read("scenes:9").examples == dataset.examples
    assert dataset.examples[0].image.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("source", ["scenes:", "scenes:0", "scenes:-1", "scenes:many", "scenes:1e3", "scenes:٣"])
def test_a_wrong_number_is_named(source):
    with pytest.raises(UsageError, match="there is no data"):
        read(source)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PCCLIP_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot write") as caught:
        read("scenes:3")
    assert "PCCLIP_CACHE" in str(caught.value)
