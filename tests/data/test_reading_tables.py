"""CSV, TSV, JSON lines and JSON lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pcclip.data import read
from pcclip.errors import DataError
from pcclip.types import Example


def aside(dataset):
    return {(row.id, row.reason) for row in dataset.quarantined}


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.csv", ";"), ("t.tsv", "\t"), ("t.csv", "|")])
def test_separator_is_found_in_the_header_and_other_columns_become_attributes(tmp_path, picture, name, separator):
    picture(tmp_path / "a.png", 1)
    picture(tmp_path / "b.png", 2)
    rows = [
        ["FilePath", "Title", "class", "size", "colour"],
        ["a.png", "a cat", "cat", "0.5", "red"],
        ["b.png", "a dog", "dog", "-2", "7"],
    ]
    table = write(tmp_path / name, "\n".join(separator.join(row) for row in rows))
    dataset = read(table)
    assert dataset.examples == (
        Example("a.png", tmp_path / "a.png", ("a cat",), "cat", {"size": 0.5, "colour": "red"}),
        Example("b.png", tmp_path / "b.png", ("a dog",), "dog", {"size": -2.0, "colour": "7"}),
    )
    assert dataset.quarantined == ()


def test_commas_in_captions_of_a_tsv_do_not_mislead(tmp_path, picture):
    picture(tmp_path / "a.png")
    table = write(tmp_path / "t.tsv", "image\tcaption\na.png\ta cat, a dog, and a bird, all asleep, in a row\n")
    assert read(table).examples[0].caption == "a cat, a dog, and a bird, all asleep, in a row"


def test_byte_order_mark_quotes_and_line_breaks_in_cells(tmp_path, picture):
    picture(tmp_path / "a.png")
    table = write(tmp_path / "t.csv", 'image,caption\r\na.png,"a ""big"" cat,\nasleep"\r\n', "utf-8-sig")
    assert read(table).examples[0].captions == ('a "big" cat,\nasleep',)


def test_repeated_rows_of_a_picture_are_merged_and_the_same_row_is_set_aside(tmp_path, picture):
    picture(tmp_path / "a.png")
    text = "image,caption,label,annotator\na.png,one,cat,1\n./a.png,two,cat,2\na.png,one,cat,1\na.png,three,dog,1\n"
    dataset = read(write(tmp_path / "t.csv", text))
    assert [(e.id, e.captions, e.label) for e in dataset] == [("a.png", ("one", "two"), "cat")]
    assert aside(dataset) == {("a.png", "duplicate"), ("a.png", "conflicting-label")}
    assert "row 4" in dataset.quarantined[0].detail
    assert any("'annotator'" in note for note in dataset.notes)


def test_nan_and_infinity_are_kept_out_of_the_attributes(tmp_path, picture):
    for i, name in enumerate("abcd"):
        picture(tmp_path / f"{name}.png", i)
    text = "image,caption,size\na.png,x,nan\nb.png,y,1e3\nc.png,z,-inf\nd.png,w,\n"
    dataset = read(write(tmp_path / "t.csv", text))
    assert [dict(e.attributes) for e in dataset] == [{}, {"size": 1000.0}, {}, {}]
    assert aside(dataset) == {("a.png", "bad-attribute"), ("c.png", "bad-attribute")}
    assert dataset.bad_fraction == 0.0  # the examples are there


def test_wrong_column_lists_the_found_ones(tmp_path):
    table = write(tmp_path / "t.csv", "pic,words,size\na.png,a cat,1\n")
    with pytest.raises(DataError, match=r"'pic', 'words', 'size'") as caught:
        read(table)
    assert "--image-column" in str(caught.value)
    with pytest.raises(DataError, match=r"no column 'wrods': found 'pic', 'words', 'size'"):
        read(table, image_column="pic", caption_column="wrods")


def test_named_columns_win_over_usual_names(tmp_path, picture):
    picture(tmp_path / "a.png")
    table = write(tmp_path / "t.csv", "image,caption,where,what,kind\nx.png,no,a.png,yes,k\n")
    example = read(table, image_column="where", caption_column="what", label_column="kind").examples[0]
    assert (example.id, example.caption, example.label) == ("a.png", "yes", "k")
    assert example.attributes == {"image": "x.png", "caption": "no"}


def test_bad_rows_are_set_aside_each_with_its_reason(tmp_path, picture):
    picture(tmp_path / "good.png")
    (tmp_path / "zero.png").touch()
    (tmp_path / "folder.png").mkdir()
    lines = [
        b"image,caption",
        b"good.png,fine",
        b"missing.png,a cat",
        b"zero.png,a cat",
        b"folder.png,a cat",
        b"good.png,   ",
        b"short.png",
        b"good.png,caf\xe9",
        b",nameless",
        b"https://example.org/a.jpg,a cat",
    ]
    table = tmp_path / "t.csv"
    table.write_bytes(b"\n".join(lines))
    dataset = read(table)
    assert [e.id for e in dataset] == ["good.png"]
    assert aside(dataset) == {
        ("missing.png", "missing-file"),
        ("zero.png", "empty-file"),
        ("folder.png", "not-a-file"),
        ("good.png", "empty-caption"),
        ("t.csv:row 7", "unreadable-row"),
        ("t.csv:row 8", "not-utf8"),
        ("t.csv:row 9", "unreadable-row"),
        ("https://example.org/a.jpg", "remote-file"),
    }
    assert {row.stage for row in dataset.quarantined} == {"read"}


def test_a_quote_that_is_never_closed_is_an_error_not_a_short_data_set(tmp_path, picture):
    picture(tmp_path / "a.png")
    table = write(tmp_path / "t.csv", 'image,caption\na.png,fine\na.png,"open\na.png,lost\n')
    with pytest.raises(DataError, match="row 3 or before it is never closed"):
        read(table)


def test_utf16_empty_and_doubled_headers_are_named(tmp_path):
    with pytest.raises(DataError, match="UTF-16"):
        read(write(tmp_path / "a.csv", "image,caption\n", "utf-16"))
    with pytest.raises(DataError, match="is empty"):
        read(write(tmp_path / "b.csv", "\n\n"))
    with pytest.raises(DataError, match="names a column twice"):
        read(write(tmp_path / "c.csv", "image,caption,caption\na,b,c\n"))
    with pytest.raises(DataError, match="no usable example"):
        read(write(tmp_path / "d.csv", "image,caption\n"))


def test_label_column_without_captions_makes_captions(tmp_path, picture):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", 2)
    dataset = read(write(tmp_path / "t.csv", "image,label\na.png,polar_bear\nb.png,3\n"))
    assert [(e.caption, e.label) for e in dataset] == [
        ("a photo of a polar bear", "polar_bear"),
        ("a photo of a 3", "3"),
    ]


def test_pictures_are_found_in_a_folder_beside_the_table_or_in_the_given_one(tmp_path, picture):
    picture(tmp_path / "one" / "images" / "sub" / "a.png")
    table = write(tmp_path / "one" / "t.csv", "image,caption\nsub\\a.png,a cat\n")
    example = read(table).examples[0]
    assert (example.id, example.image) == ("sub/a.png", tmp_path / "one" / "images" / "sub" / "a.png")
    picture(tmp_path / "two" / "sub" / "a.png")
    assert read(table, images=tmp_path / "two").examples[0].image == tmp_path / "two" / "sub" / "a.png"
    with pytest.raises(DataError, match="image folder"):
        read(table, images=tmp_path / "three")


def test_a_caption_of_ten_thousand_characters_is_kept(tmp_path, picture):
    picture(tmp_path / "a.png")
    dataset = read(write(tmp_path / "t.csv", "image,caption\na.png," + "long " * 2000 + "\n"))
    assert len(dataset.examples[0].caption) == 9999
    assert dataset.quarantined == ()


def test_json_lines_with_lists_of_captions_and_every_kind_of_value(tmp_path, picture):
    odd = "line\nbreak ü.png"
    picture(tmp_path / odd)
    picture(tmp_path / "b.png", 2)
    objects = [
        {"image": odd, "caption": ["one", " ", "two"], "label": 3, "size": 2, "wild": True, "box": [1, 2], "note": ""},
        {"image": "b.png", "caption": "three", "size": float("nan"), "colour": "red"},
        {"image": "b.png", "caption": None},
        {"image": 5, "caption": "x"},
        ["not", "an", "object"],
    ]
    lines = [json.dumps(one).encode() for one in objects]
    table = tmp_path / "t.jsonl"
    table.write_bytes(b"\n".join([*lines, b"{broken", b'{"image": "\xff"}', b""]))
    dataset = read(table)
    assert [(e.id, e.captions, e.label, dict(e.attributes)) for e in dataset] == [
        (odd, ("one", "two"), "3", {"size": 2.0, "wild": 1.0}),
        ("b.png", ("three",), None, {"colour": "red"}),
    ]
    assert aside(dataset) == {
        ("b.png", "bad-attribute"),
        ("b.png", "empty-caption"),
        ("t.jsonl:line 4", "unreadable-row"),
        ("t.jsonl:5", "unreadable-row"),
        ("t.jsonl:6", "unreadable-row"),
        ("t.jsonl:7", "not-utf8"),
    }
    assert any("box" in note for note in dataset.notes)


def test_a_json_list_is_read_like_json_lines(tmp_path, picture):
    picture(tmp_path / "a.png")
    table = write(tmp_path / "t.json", json.dumps([{"file_name": "a.png", "text": "a cat"}, 7]))
    dataset = read(table)
    assert [(e.id, e.caption) for e in dataset] == [("a.png", "a cat")]
    assert aside(dataset) == {("t.json:2", "unreadable-row")}


def test_json_lines_without_any_object(tmp_path):
    with pytest.raises(DataError, match=r"holds no JSON object.*1 unreadable-row"):
        read(write(tmp_path / "t.jsonl", "image,caption\n"))


def test_a_null_byte_or_a_lone_surrogate_in_a_name_is_set_aside_and_can_be_written(tmp_path, picture):
    picture(tmp_path / "a.png")
    text = '{"image": "a.png", "caption": "x"}\n{"image": "b\\u0000.png", "caption": "x"}\n'
    text += '{"image": "\\ud83d.png", "caption": "x"}\n'
    dataset = read(write(tmp_path / "t.jsonl", text))
    assert aside(dataset) == {("b\\x00.png", "missing-file"), ("\\xed\\xa0\\xbd.png", "missing-file")}
    for row in dataset.quarantined:
        row.id.encode("utf-8")
        row.detail.encode("utf-8")
