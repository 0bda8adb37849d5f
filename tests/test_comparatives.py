from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pcclip.comparatives import ComparativeStore, rejection_counts
from pcclip.describe import describe
from pcclip.errors import PluginError, RunError
from pcclip.form import compose, reverse, take_apart
from pcclip.testing import EchoCaptioner
from pcclip.types import CaptionPair, Comparative, Rejection

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
        assert store.answers("three", PAIRS[:1]) == [None]


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
