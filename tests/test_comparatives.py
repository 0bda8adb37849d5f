from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pcclip.answers import report
from pcclip.comparatives import ComparativeStore, rejection_counts
from pcclip.describe import ChosenPairs, describe, fill
from pcclip.errors import DataError, PluginError, RunError, UsageError
from pcclip.exchange import Imported, export_comparatives, import_comparatives
from pcclip.form import compose, reverse, take_apart
from pcclip.progress import NoProgress
from pcclip.testing import EchoCaptioner, HashEmbedder
from pcclip.types import CaptionPair, Comparative, Example, Rejection

PAIRS = [CaptionPair(f"thing {i}", f"other {i}") for i in range(20)]


def test_a_pair_is_asked_for_once(tmp_path: Path) -> None:
    captioner = EchoCaptioner()
    with ComparativeStore(tmp_path / "c.sqlite") as store:
        first = describe([*PAIRS, *PAIRS[:3]], captioner, store)
        again = describe(PAIRS, captioner, store)
    assert captioner.asked == PAIRS
    assert first[:20] == again
    assert first[20:] == first[:3]


def test_rejections_are_kept_and_not_asked_again(tmp_path: Path) -> None:
    pairs = [CaptionPair("reject me", "b"), PAIRS[0]]
    captioner = EchoCaptioner()
    with ComparativeStore(tmp_path / "c.sqlite") as store:
        answers = describe(pairs, captioner, store)
        describe(pairs, captioner, store)
    assert isinstance(answers[0], Rejection)
    assert rejection_counts(answers) == {"echo": 1}
    assert len(captioner.asked) == 2


def test_a_cut_off_loses_only_the_chunk_in_flight(tmp_path: Path) -> None:
    class Failing(EchoCaptioner):
        def describe(self, pairs):  # type: ignore[no-untyped-def]
            for answer in super().describe(pairs):
                if len(self.asked) == 13:
                    raise KeyboardInterrupt
                yield answer

    failing = Failing(chunk_size=5)
    with ComparativeStore(tmp_path / "c.sqlite") as store, pytest.raises(KeyboardInterrupt):
        describe(PAIRS, failing, store)
    going_on = EchoCaptioner(chunk_size=5)
    with ComparativeStore(tmp_path / "c.sqlite") as store:
        answers = describe(PAIRS, going_on, store)
    assert going_on.asked == PAIRS[10:]
    assert [answer.pair for answer in answers] == PAIRS


@pytest.mark.parametrize("fault", ["lost", "twice", "foreign"])
def test_a_captioner_that_breaks_the_contract_is_named_and_nothing_of_the_chunk_is_kept(
    tmp_path: Path, fault: str
) -> None:
    class Lying(EchoCaptioner):
        def describe(self, pairs):  # type: ignore[no-untyped-def]
            answers = list(super().describe(pairs))
            if fault == "lost":
                answers.pop()
            elif fault == "twice":
                answers.append(answers[0])
            else:
                answers[0] = Comparative(CaptionPair("x", "y"), "text")
            yield from answers

    with ComparativeStore(tmp_path / "c.sqlite") as store:
        with pytest.raises(PluginError, match="Lying"):
            describe(PAIRS, Lying(), store)
        assert list(store.all()) == []


def test_two_captioners_do_not_mix(tmp_path: Path) -> None:
    with ComparativeStore(tmp_path / "c.sqlite") as store:
        store.add("one", [Comparative(PAIRS[0], "text one")])
        store.add("two", [Comparative(PAIRS[0], "text two")])
        assert [answer.text for answer in store.answers("two", PAIRS[:1]) if answer] == ["text two"]
        assert list(store.answers("three", PAIRS[:1])) == [None]


@contextmanager
def another_process_writes(path: Path) -> Iterator[subprocess.Popen[str]]:
    code = (
        "import sys; from pathlib import Path; from pcclip.comparatives import ComparativeStore;"
        f"store = ComparativeStore(Path({str(path)!r})); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        yield other
        other.kill()


def test_one_process_writes_and_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with another_process_writes(path):
        with pytest.raises(RunError, match="another process writes"):
            ComparativeStore(path)
        with ComparativeStore(path, read_only=True) as store:
            assert store.captioners() == {}
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                store.add("one", [Comparative(PAIRS[0], "text")])
    with ComparativeStore(path) as store:  # a killed process leaves no lock
        assert store.add("one", [Comparative(PAIRS[0], "text")]) == 1
    assert {file.name for file in tmp_path.iterdir()} <= {"c.sqlite", "c.sqlite.lock"}


def test_another_process_is_waited_for_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with another_process_writes(path) as other:
        timer = threading.Timer(0.3, other.kill)
        timer.start()
        with ComparativeStore(path, wait=60):
            assert other.wait(10) != 0
        timer.join()


def test_reading_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no store"):
        ComparativeStore(tmp_path / "none.sqlite", read_only=True)
    (tmp_path / "empty.sqlite").touch()
    with pytest.raises(RunError, match="is no store"):
        ComparativeStore(tmp_path / "empty.sqlite", read_only=True)


def test_a_store_in_a_folder_that_cannot_be_written_is_read() -> None:
    drop = ["setpriv", "--reuid=65534", "--clear-groups"] if os.getuid() == 0 else []  # root may write everywhere
    python = [*drop, sys.executable, "-c"]
    if (drop and shutil.which("setpriv") is None) or subprocess.run(
        [*python, "import pcclip.comparatives"], check=False, capture_output=True
    ).returncode:
        pytest.skip("no other user can run this Python")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.sqlite"
        with ComparativeStore(path) as store:
            store.add("one", [Comparative(PAIRS[0], "text")])
        Path(folder).chmod(0o555)
        code = (
            "import sys; from pathlib import Path; from pcclip.comparatives import ComparativeStore;"
            "print(len(list(ComparativeStore(Path(sys.argv[1]), read_only=True).all())))"
        )
        done = subprocess.run([*python, code, str(path)], capture_output=True, text=True, check=False)
        Path(folder).chmod(0o755)
    assert done.stdout == "1\n", done.stderr


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        ComparativeStore(tmp_path)


def test_filling_needs_no_memory_for_pairs(tmp_path: Path) -> None:
    captions = [f"thing {i} {'x' * 100}" for i in range(200)]
    numbers = [(i, j) for i in range(200) for j in range(i)]
    things = [Example(str(i), Path("x.png"), (caption,)) for i, caption in enumerate(captions)]
    captioner = EchoCaptioner(chunk_size=256)
    captioner.asked = deque(maxlen=1)  # type: ignore[assignment]
    peaks = []
    with ComparativeStore(tmp_path / "c.sqlite") as store:
        for count in (2_000, 19_900):
            pairs = ChosenPairs(things, numbers[:count])
            tracemalloc.start()
            fill(pairs, captioner, store)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert sum(store.known("echo-1", pairs)) == 19_900
    assert (peaks[1] - peaks[0]) / 17_900 < 10, "bytes a pair; one caption pair alone takes 56"


def test_pairs_that_come_again_are_asked_once_and_counted(tmp_path: Path) -> None:
    shown = []

    class Counting(NoProgress):
        @contextmanager
        def task(self, title: str, total: int | None = None, unit: str = "it", done: int = 0) -> Iterator[object]:
            shown.append((total, done))

            class Task:
                def advance(self, steps: int = 1) -> None:
                    shown.append(steps)

            yield Task()

    captioner = EchoCaptioner(chunk_size=3)
    with ComparativeStore(tmp_path / "c.sqlite") as store:
        fill(PAIRS[:2], captioner, store)
        fill([*PAIRS[:8], *PAIRS[:8], PAIRS[8]], captioner, store, progress=Counting())
    assert captioner.asked == PAIRS[:9]
    assert shown[0] == (17, 4)
    assert sum(shown[1:]) == 13


def test_export_and_import_give_the_same_store(tmp_path: Path) -> None:
    odd = [
        Comparative(PAIRS[0], 'a "text"\nof two lines 犬'),
        Rejection(PAIRS[1], "echo", ""),
        Comparative(PAIRS[2], "x"),
    ]
    file = tmp_path / "deep" / "all.jsonl"
    with ComparativeStore(tmp_path / "a.sqlite") as one, ComparativeStore(tmp_path / "b.sqlite") as other:
        one.add("w", odd)
        one.add("v", odd[:1])
        one.name("w", "a writer")
        assert export_comparatives(one, file) == 4
        assert import_comparatives(other, file) == Imported(4, 0, 1)
        assert import_comparatives(other, file) == Imported(0, 4, 1)
        assert sorted(map(str, other.all())) == sorted(map(str, one.all()))
        assert other.captioners() == {"v": None, "w": "a writer"}
        with pytest.raises(UsageError, match="the store itself"):
            export_comparatives(one, one.path)
        assert export_comparatives(one, file, captioner="v") == 1


def test_imported_texts_that_nobody_checked_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    good, swapped = compose("a dog", "a cat"), compose("a cat", "a dog")
    file.write_text(
        "\n".join(
            json.dumps({"first": "A dog.", "second": second, "text": text})
            for second, text in (("A cat.", good), ("a cat", swapped))
        )
    )
    with ComparativeStore(tmp_path / "a.sqlite") as store:
        with pytest.raises(DataError, match=r"line 1: does not say which captioner"):
            import_comparatives(store, file)
        assert import_comparatives(store, file, "me", "by hand") == Imported(2, 0, 1)
        assert store.captioners() == {"me": "by hand"}
        (found,) = report(store)
    assert found.outcomes == {"accepted": 1, "order-swapped": 1}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "not JSON"),
        ("[1]", "no JSON object"),
        ('{"first": "a", "text": "t"}', "'second' is missing"),
        ('{"first": "a", "second": 3, "text": "t"}', "'second' is no text"),
        ('{"first": " ", "second": "b", "text": "t"}', "two captions"),
        ('{"first": "a", "second": "b", "text": "", "reason": null}', "needs a text"),
        ('{"first": "a", "second": "b"}', "'text' is missing"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_imported(tmp_path: Path, line: str, fault: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(json.dumps({"first": "a", "second": "b", "text": compose("a", "b")}) + f"\n\n{line}\n")
    with ComparativeStore(tmp_path / "a.sqlite") as store:
        with pytest.raises(DataError, match=rf"bad\.jsonl, line 3: .*{fault}"):
            import_comparatives(store, file, "me")
        assert list(store.all()) == []


def test_report_counts_outcomes_and_texts_that_are_too_long(tmp_path: Path) -> None:
    long = Comparative(PAIRS[3], compose("a thing " * 40, "b"))
    with ComparativeStore(tmp_path / "a.sqlite") as store:
        store.add("w", [Comparative(PAIRS[0], compose("a", "b")), Comparative(PAIRS[1], "free text"), long])
        store.add("w", [Rejection(PAIRS[4], "echo", "a"), Rejection(PAIRS[5], "echo"), Rejection(PAIRS[6], "link")])
        (found,) = report(store, examples=1, embedder=HashEmbedder())
    assert (found.asked, found.accepted, found.reversible, found.too_long) == (6, 3, 2, 1)
    assert list(found.outcomes.items()) == [("accepted", 3), ("echo", 2), ("link", 1)]
    assert len(found.examples["echo"]) == 1
    assert found.examples["link"] == [Rejection(PAIRS[6], "link")]


def test_foreign_and_newer_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.sqlite"
    foreign.write_bytes(b"no database at all" * 100)
    with pytest.raises(RunError, match=r"foreign\.sqlite"):
        ComparativeStore(foreign)
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(RunError, match="schema 99"):
        ComparativeStore(newer)


def test_the_key_depends_on_direction_and_cannot_be_forged_by_joining() -> None:
    assert CaptionPair("a", "b").key != CaptionPair("b", "a").key
    assert CaptionPair("ab", "c").key != CaptionPair("a", "bc").key


def test_the_form_is_taken_apart_and_turned_round() -> None:
    text = compose("a red bus, seen from behind", "a tram")
    assert text == "The first image shows a red bus, seen from behind, while the second image shows a tram."
    assert take_apart(text) == ("a red bus, seen from behind", "a tram")
    turned = reverse(Comparative(CaptionPair("A bus.", "A tram."), text))
    assert turned is not None
    assert turned.pair == CaptionPair("A tram.", "A bus.")
    assert turned.text == compose("a tram", "a red bus, seen from behind")
    assert reverse(Comparative(CaptionPair("a", "b"), "One is larger than the other.")) is None
