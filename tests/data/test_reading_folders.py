"""Folders of pictures, and the walk below them."""

from __future__ import annotations

import json
import os

import pytest

from pcclip.data import picture_files, read
from pcclip.data.walking import count_by_suffix, walk
from pcclip.errors import DataError


def aside(dataset):
    return {(row.id, row.reason) for row in dataset.quarantined}


def test_text_files_beside_the_pictures_hold_a_caption_a_line(tmp_path, picture):
    picture(tmp_path / "b.png", 1)
    picture(tmp_path / "cats" / "a.JPG", 2)
    (tmp_path / "b.txt").write_text("first\n\n  second \n", encoding="utf-8-sig")
    (tmp_path / "cats" / "a.txt").write_text("ein Kätzchen", encoding="utf-8")
    dataset = read(tmp_path)
    assert [(e.id, e.captions, e.label) for e in dataset] == [
        ("b.png", ("first", "second"), None),
        ("cats/a.JPG", ("ein Kätzchen",), None),
    ]
    assert dataset.quarantined == ()
    assert dataset.name == tmp_path.name


def test_every_bad_file_of_a_captioned_folder_has_its_reason(tmp_path, picture):
    for i, name in enumerate(["good", "nocaption", "blank", "latin"]):
        picture(tmp_path / f"{name}.png", i)
    (tmp_path / "zero.png").touch()
    (tmp_path / "good.txt").write_text("fine")
    (tmp_path / "blank.txt").write_text(" \n\t\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "zero.txt").write_text("nothing to see")
    (tmp_path / "orphan.txt").write_text("where is it?")
    dataset = read(tmp_path)
    assert [e.id for e in dataset] == ["good.png"]
    assert aside(dataset) == {
        ("nocaption.png", "missing-caption"),
        ("blank.png", "empty-caption"),
        ("latin.png", "not-utf8"),
        ("zero.png", "empty-file"),
        ("orphan.txt", "missing-picture"),
    }
    assert dataset.bad_fraction == pytest.approx(5 / 6)
    with pytest.raises(DataError, match=r"83.3% of it .* accepted 50.0%.*1 missing-caption") as caught:
        dataset.require(0.5)
    assert "'blank.png' (empty-caption" in str(caught.value)
    assert dataset.require(0.84) is dataset


def test_class_folders_give_labels_and_captions(tmp_path, picture):
    picture(tmp_path / "polar_bear" / "1.png", 1)
    picture(tmp_path / "ice+cream" / "deep" / "2.png", 2)
    picture(tmp_path / "top.png", 3)
    dataset = read(tmp_path)
    assert [(e.id, e.label, e.captions) for e in dataset] == [
        ("ice+cream/deep/2.png", "ice+cream", ("a photo of a ice cream",)),
        ("polar_bear/1.png", "polar_bear", ("a photo of a polar bear",)),
    ]
    assert aside(dataset) == {("top.png", "missing-label")}
    assert dataset.labels == ("ice+cream", "polar_bear")


def test_split_folders_are_not_classes(tmp_path, picture):
    for i, place in enumerate(["train/cat", "train/dog", "val/cat"]):
        picture(tmp_path / place / "1.png", i)
    dataset = read(tmp_path)
    assert [(e.id, e.label) for e in dataset] == [
        ("train/cat/1.png", "cat"),
        ("train/dog/1.png", "dog"),
        ("val/cat/1.png", "cat"),
    ]
    assert dataset.label_counts == {"cat": 2, "dog": 1}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_file_of_an_imagefolder(tmp_path, picture, kind):
    picture(tmp_path / "a.png", 1)
    picture(tmp_path / "sub" / "b.png", 2)
    picture(tmp_path / "c.png", 3)
    rows = [{"file_name": "a.png", "text": "one"}, {"file_name": "sub/b.png", "text": "two"}]
    if kind == "csv":
        text = "file_name,text\n" + "".join(f"{row['file_name']},{row['text']}\n" for row in rows)
    else:
        text = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / f"metadata.{kind}").write_text(text)
    dataset = read(tmp_path)
    assert [(e.id, e.caption) for e in dataset] == [("a.png", "one"), ("sub/b.png", "two")]
    assert aside(dataset) == {("c.png", "missing-caption")}


def test_metadata_files_in_split_folders(tmp_path, picture):
    for i, split in enumerate(["train", "test"]):
        picture(tmp_path / split / "a.png", i)
        (tmp_path / split / "metadata.csv").write_text(f"file_name,text\na.png,of {split}\nb.png,gone\n")
    dataset = read(tmp_path)
    assert [(e.id, e.caption) for e in dataset] == [("test/a.png", "of test"), ("train/a.png", "of train")]
    assert aside(dataset) == {("test/b.png", "missing-file"), ("train/b.png", "missing-file")}


def test_a_folder_with_one_table_is_read_by_it(tmp_path, picture):
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "list.tsv").write_text("image\tcaption\na.png\ta cat\n")
    assert [(e.id, e.caption) for e in read(tmp_path)] == [("a.png", "a cat")]


def test_ambiguity_is_an_error_that_says_what_was_found(tmp_path, picture):
    two = tmp_path / "two"
    picture(two / "a.png")
    (two / "metadata.csv").write_text("file_name,text\na.png,x\n")
    (two / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "x"}\n')
    with pytest.raises(DataError, match=r"ambiguous: it holds metadata.csv and metadata.jsonl"):
        read(two)
    both = tmp_path / "both"
    for i, name in enumerate(["cat/1", "cat/2", "dog/3"]):
        picture(both / f"{name}.png", i)
    (both / "cat" / "1.txt").write_text("a cat")
    with pytest.raises(DataError, match=r"ambiguous: 1 of 3 pictures have a .txt .* 2 class folders"):
        read(both)
    tables = tmp_path / "tables"
    picture(tables / "a.png")
    (tables / "x.csv").write_text("image,caption\n")
    (tables / "y.csv").write_text("image,caption\n")
    with pytest.raises(DataError, match=r"x.csv, y.csv"):
        read(tables)


@pytest.mark.parametrize("places", [["a.png", "b.png"], ["only/a.png"], ["00000/a.png", "00001/b.png"]])
def test_nothing_that_gives_captions_is_an_error_that_counts_the_files(tmp_path, picture, places):
    for place in places:
        picture(tmp_path / place)
    (tmp_path / "notes.md").write_text("x")
    (tmp_path / "more.md").write_text("x")
    with pytest.raises(DataError, match=rf"found 2 \.md, {len(places)} \.png, and no way to get captions") as caught:
        read(tmp_path)
    assert "Looked for metadata.csv or metadata.jsonl" in str(caught.value)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="found no files"):
        read(empty)


def test_odd_file_names_hidden_files_and_loops(tmp_path, picture):
    odd = ["new\nline.png", "日本 ü.png", "quote'\".png", " space .png"]
    for i, name in enumerate(odd):
        file = picture(tmp_path / "data" / name, i)
        file.with_suffix(".txt").write_text(f"number {i}")
    picture(tmp_path / "data" / ".hidden.png")
    picture(tmp_path / "data" / ".thumbs" / "t.png")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "data" / "self").symlink_to(tmp_path / "data" / "self")
    outside = picture(tmp_path / "outside" / "o.png", 9)
    outside.with_suffix(".txt").write_text("from outside")
    (tmp_path / "outside" / "back").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "data" / "a_link").symlink_to(tmp_path / "outside", target_is_directory=True)
    dataset = read(tmp_path / "data")
    assert {e.id: e.caption for e in dataset} == {
        **{name: f"number {i}" for i, name in enumerate(odd)},
        "a_link/o.png": "from outside",
    }
    assert dataset.quarantined == ()


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_a_file_name_that_is_not_utf8_gets_an_id_that_is(tmp_path, picture):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        picture(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (tmp_path / name).with_suffix(".txt").write_text("coffee")
    (example,) = read(tmp_path).examples
    assert example.id == "caf\\xe9.png"
    assert example.image.is_file()


def test_links_between_many_folders_are_walked_once(tmp_path):
    folders = [tmp_path / f"f{i}" for i in range(12)]
    for folder in folders:
        folder.mkdir()
        (folder / "x.txt").touch()
    for here in folders:
        for there in folders:
            (here / f"to-{there.name}").symlink_to(there, target_is_directory=True)
    assert [file.relative_to(tmp_path).as_posix() for file in walk(tmp_path).files] == sorted(
        f"f{i}/x.txt" for i in range(12)
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_listed_is_set_aside(tmp_path, picture):
    picture(tmp_path / "a.png").with_suffix(".txt").write_text("x")
    (tmp_path / "locked").mkdir(mode=0)
    assert aside(read(tmp_path)) == {("locked", "unreadable-folder")}


def test_picture_files_opens_folders_and_keeps_what_it_cannot_find(tmp_path, picture):
    first = picture(tmp_path / "d" / "b.png")
    second = picture(tmp_path / "d" / "e" / "a.png")
    (tmp_path / "d" / "readme.md").touch()
    assert picture_files([tmp_path / "gone.png", tmp_path / "d", first]) == [tmp_path / "gone.png", first, second]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x.md").touch()
    with pytest.raises(DataError, match=r"no picture in the folder .*found 1 \.md"):
        picture_files([tmp_path / "empty"])


def test_count_by_suffix_is_short(tmp_path):
    files = [tmp_path / f"{i}.s{i}" for i in range(10)] + [tmp_path / "x.s3", tmp_path / "none"]
    text = count_by_suffix(files)
    assert text.startswith("2 .s3, ")
    assert text.endswith("and 3 other kinds")
