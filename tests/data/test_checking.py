"""The report of ``check``, and quarantine tables."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

from pcclip.data import Dataset, check, read, read_quarantine, write_quarantine
from pcclip.errors import DataError, PcclipError, UsageError
from pcclip.types import Example, Quarantined


@pytest.fixture
def folder(tmp_path, picture):
    """Nine files: six pictures that open, one of them a copy, and three that do not."""
    data = tmp_path / "data"
    for i in range(5):
        picture(data / f"{i}.png", i, size=(10 + i, 20 - i))
    (data / "copy.png").write_bytes((data / "0.png").read_bytes())
    (data / "cut.png").write_bytes((data / "0.png").read_bytes()[:45])
    (data / "text.jpg").write_text("no picture")
    (data / "gone.txt").write_text("no picture either")
    for name in ("0", "1", "2", "3", "4", "copy", "cut", "text"):
        (data / f"{name}.txt").write_text({"2": "word " * 2000, "copy": "the other"}.get(name, "the same"))
    return data


class Counting:
    """Counts what stages report."""

    def __init__(self):
        self.stages = {}

    @contextmanager
    def task(self, title, total=None, unit="it", done=0):
        counter = self.stages.setdefault(title, [total, done])

        class Task:
            def advance(self, steps=1):
                counter[1] += steps

            def note(self, text): ...

        yield Task()


def test_report_of_a_folder(folder):
    progress = Counting()
    report = check(folder, progress=progress)
    assert (report.examples, report.set_aside, report.captions) == (6, 3, 6)
    assert report.bad_fraction == pytest.approx(3 / 9)
    assert report.reasons.keys() == {"missing-picture", "not-a-picture", "truncated"}
    assert {row.id for row in report.quarantined} == {"gone.txt", "text.jpg", "cut.png"}
    assert report.long_captions == ("2.png",)
    assert report.caption_characters.largest == 9999
    assert report.caption_words.median == 2
    assert report.duplicate_captions == (("the same", 4),)
    assert (report.widths.smallest, report.widths.median, report.widths.largest) == (10, 11.5, 14)
    assert report.heights.largest == 20
    assert report.modes == {"RGB": 6}
    assert report.identical_pictures == (("0.png", "copy.png"),)
    assert progress.stages["decoding pictures"] == [8, 8]
    shown = {what.strip(): value for what, value in report.rows}
    assert shown["set aside"] == "3 (33.3% of all)"
    assert shown["longer than 300"].startswith("1 example")
    assert shown["shared"] == "1 captions by 4 pictures"
    loaded = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert loaded["widths"] == {"smallest": 10, "median": 11.5, "largest": 14}
    assert loaded["quarantined"][0].keys() == {"id", "stage", "reason", "detail"}


@pytest.mark.parametrize("workers", [1, 3, 40])
def test_the_report_does_not_depend_on_the_threads(folder, workers):
    assert check(folder, workers=workers) == check(folder, workers=2)


def test_without_decoding_only_the_reading_counts(folder):
    report = check(folder, decode=False)
    assert (report.examples, report.decoded, report.widths, report.modes) == (8, False, None, {})
    assert report.reasons == {"missing-picture": 1}


def test_a_data_set_without_one_usable_example_is_reported_not_raised(tmp_path):
    (tmp_path / "t.csv").write_text("image,caption\na.png,x\nb.png,y\n")
    report = check(tmp_path / "t.csv")
    assert (report.examples, report.set_aside, report.bad_fraction) == (0, 2, 1.0)
    assert report.caption_characters is None
    json.dumps(report.to_dict(), allow_nan=False)
    with pytest.raises(DataError, match=r"no usable example.*2 missing-file.*'a\.png'"):
        read(tmp_path / "t.csv")


def test_labels_and_attributes_are_counted(tmp_path, picture):
    for i in range(3):
        picture(tmp_path / f"{i}.png", i)
    (tmp_path / "t.csv").write_text("image,caption,label,size\n0.png,a,cat,1\n1.png,b,cat,\n2.png,c,dog,3\n")
    report = check(tmp_path / "t.csv", limit=3)
    assert report.labels == {"cat": 2, "dog": 1}
    assert report.attributes == {"size": 2}
    assert ("labels", "cat 2, dog 1") in report.rows


def test_bounds_are_checked(folder):
    with pytest.raises(UsageError, match="workers"):
        check(folder, workers=0)
    with pytest.raises(UsageError, match="limit"):
        read(folder, limit=0)
    with pytest.raises(UsageError, match="max_bad_fraction"):
        read(folder).require(1.5)


def test_limit_spreads_evenly(folder):
    everything = read(folder)
    assert everything.n == 8
    some = read(folder, limit=4)
    assert [e.id for e in some] == [everything.examples[i].id for i in (0, 2, 4, 6)]
    assert some.quarantined == everything.quarantined
    assert read(folder, limit=100) == everything


def test_sources_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no data at .*gone") as caught:
        read(tmp_path / "gone")
    assert "stamps or scenes" in str(caught.value)
    (tmp_path / "a.xyz").touch()
    with pytest.raises(DataError, match=r"cannot tell what .* the ending '\.xyz'"):
        read(tmp_path / "a.xyz")
    with pytest.raises(DataError, match="no data at"):
        read("~nobody-of-this-name/data")
    with pytest.raises(DataError, match="no data at"):
        read("null\0byte")
    with pytest.raises(UsageError, match="stamps:many"):
        read("stamps:many")


def test_a_folder_called_like_a_built_in_is_reached_by_its_path(tmp_path, picture, monkeypatch):
    picture(tmp_path / "scenes" / "a.png").with_suffix(".txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert read("./scenes").examples[0].caption == "mine"


def test_quarantine_tables_keep_every_character(tmp_path):
    rows = (
        Quarantined("new\nline, \"quoted\" 'ü'.png", "read", "missing-file", "carriage\r\nreturn"),
        Quarantined("", "embed", "truncated"),
        Quarantined("\t=1+1;", "describe", "echo", "日本"),
    )
    path = tmp_path / "quarantine.csv"
    write_quarantine(path, rows)
    assert read_quarantine(path) == rows
    assert path.read_bytes().startswith(b'"id","stage","reason","detail"\n')
    write_quarantine(path, ())
    assert read_quarantine(path) == ()
    assert list(tmp_path.iterdir()) == [path]


def test_quarantine_problems_are_named(tmp_path):
    with pytest.raises(PcclipError, match="cannot write"):
        write_quarantine(tmp_path / "gone" / "q.csv", ())
    with pytest.raises(DataError, match="cannot read"):
        read_quarantine(tmp_path / "q.csv")
    (tmp_path / "o.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="found a, b"):
        read_quarantine(tmp_path / "o.csv")


def test_bad_fraction_of_nothing_and_of_everything():
    example = Example("a", "a.png", ("x",))
    assert Dataset("d", ()).bad_fraction == 0.0
    assert Dataset("d", (), (Quarantined("a", "read", "missing-file"),)).bad_fraction == 1.0
    lost_value = Quarantined("a", "read", "bad-attribute")
    assert Dataset("d", (example,), (lost_value,)).require(0.0).n == 1
    with pytest.raises(DataError, match="Nothing was set aside"):
        Dataset("d", ()).require(1.0)


def test_importing_the_readers_loads_nothing_heavy():
    code = "import sys, pcclip.data; print(sorted({'torch', 'numpy', 'PIL', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
