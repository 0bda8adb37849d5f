"""COCO captions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pcclip.data import read
from pcclip.errors import DataError


def write(path: Path, images: list[object], annotations: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"info": {}, "images": images, "annotations": annotations}), encoding="utf-8")
    return path


@pytest.mark.parametrize("folder", ["val2017", "images", "images/val2017", "annotations", "annotations/images"])
def test_pictures_are_found_beside_the_file(tmp_path, picture, folder):
    picture(tmp_path / folder / "1.jpg")
    file = write(
        tmp_path / "annotations" / "captions_val2017.json",
        [{"id": 9, "file_name": "1.jpg"}],
        [{"image_id": 9, "caption": "a cat\n"}, {"image_id": 9, "caption": "one cat"}],
    )
    dataset = read(file)
    assert [(e.id, e.image, e.captions) for e in dataset] == [
        ("1.jpg", tmp_path / folder / "1.jpg", ("a cat", "one cat"))
    ]
    assert dataset.quarantined == ()


def test_what_does_not_fit_together_is_set_aside(tmp_path, picture):
    picture(tmp_path / "pictures" / "1.jpg")
    picture(tmp_path / "pictures" / "2.jpg", 2)
    images = [
        {"id": 1, "file_name": "1.jpg"},
        {"id": 2, "file_name": "2.jpg"},
        {"id": 3, "file_name": "gone.jpg"},
        {"id": 4, "file_name": "1.jpg"},
        {"id": 5},
    ]
    annotations = [
        {"image_id": 1, "caption": "a cat"},
        {"image_id": 3, "caption": "a dog"},
        {"image_id": 4, "caption": "a cat again"},
        {"image_id": 77, "caption": "whose?"},
        {"image_id": 1},
    ]
    dataset = read(write(tmp_path / "c.json", images, annotations), images=tmp_path / "pictures")
    assert [(e.id, e.captions) for e in dataset] == [("1.jpg", ("a cat",))]
    assert {(row.id, row.reason) for row in dataset.quarantined} == {
        ("2.jpg", "missing-caption"),
        ("gone.jpg", "missing-file"),
        ("1.jpg", "duplicate"),
        ("c.json:image 4", "unreadable-row"),
        ("c.json:annotation 3", "unknown-image"),
        ("c.json:annotation 4", "unreadable-row"),
    }


def test_other_json_is_named(tmp_path):
    instances = write(tmp_path / "i.json", [{"id": 1, "file_name": "1.jpg"}], [{"image_id": 1, "bbox": [0, 0, 1, 1]}])
    with pytest.raises(DataError, match="1 annotations and no caption") as caught:
        read(instances)
    assert "captions_train2017.json" in str(caught.value)
    (tmp_path / "o.json").write_text('{"pictures": []}')
    with pytest.raises(DataError, match="found the keys 'pictures'"):
        read(tmp_path / "o.json")
    (tmp_path / "b.json").write_text('{"images": [\n  {]}')
    with pytest.raises(DataError, match=r"is not JSON: .* in line 2, column 4"):
        read(tmp_path / "b.json")
    (tmp_path / "s.json").write_text('"text"')
    with pytest.raises(DataError, match="neither a JSON object nor a list"):
        read(tmp_path / "s.json")
    (tmp_path / "l.json").write_bytes(b'{"images": "\xe9"}')
    with pytest.raises(DataError, match="not UTF-8"):
        read(tmp_path / "l.json")
    (tmp_path / "d.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match=r"nested too deeply|is not JSON"):
        read(tmp_path / "d.json")
