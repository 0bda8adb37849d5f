"""The quality filter: each rule finds its fault, and sound texts pass."""

from __future__ import annotations

import pytest

from pcclip import quality
from pcclip.form import compose
from pcclip.quality import check, content_words
from pcclip.types import CaptionPair

DOG, CAT = "A brown dog on a beach.", "Two cats in a box."


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("a brown dog on a beach", "two cats in a box", None),
        ("a dog on the beach", "a cat in boxes", None),
        ("a larger animal, a brown dog", "smaller cats in a box instead", None),
        ("a brown dog and no cats", "two cats in a box", None),
        ("two cats in a box", "a brown dog on a beach", "order-swapped"),
        ("a brown dog", "a brown dog", "echo"),
        ("a brown dog", "a beach", "one-side-missing"),
        ("it", "two cats", "one-side-missing"),
        ("a brown dog and cats", "two cats in a box", "mixed-sides"),
        ("a brown dog chasing frisbees", "two cats in a box", "invented"),
        ("the beach", "two cats in a box", "incomplete"),
        ("a dog dog dog on a beach", "two cats", "repetition"),
        ("a brown dooooooog", "two cats", "repetition"),
        ("a brown dog of the first image", "two cats", "prompt-echo"),
        ("a brown dog (see www.dogs.com)", "two cats", "link"),
        ("a brown dog", "two cats in a box </s>", "code"),
        ("a brown dog", "two cats in a box. Note: a box", "chatter"),
        ("a brown dog \x07", "two cats", "not-language"),
        ("a brown dog \ufffd", "two cats", "not-language"),
    ],
)
def test_each_fault_has_its_name(first: str, second: str, reason: str | None) -> None:
    assert check(CaptionPair(DOG, CAT), compose(first, second)) == reason


def test_every_rule_is_tried_above() -> None:
    (cases,) = (m.args[1] for m in test_each_fault_has_its_name.pytestmark if m.name == "parametrize")
    assert {reason for _, _, reason in cases} == {None, *quality.RULES}


@pytest.mark.parametrize("text", ["", "A dog and a cat.", "The first image shows a dog.", "def f(): pass"])
def test_another_form_is_named(text: str) -> None:
    assert check(CaptionPair(DOG, CAT), text) == "not-in-form"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Ein brauner Hund am Strand.", "Zwei Katzen."),
        ("海辺の犬", "箱の中の猫"),
        ("Собака на пляже", "Две кошки"),
        ("The letter A.", "The number 7."),
        ("Fire! Fire! Fire!", "See www.example.com {x}"),
        ("It is on.", "It is off."),
        ("A dog\nNote: brown.", "Boom!!!!!"),
    ],
)
def test_copying_both_captions_passes(first: str, second: str) -> None:
    assert check(CaptionPair(first, second), compose(first, second.rstrip("."))) is None


@pytest.mark.parametrize(
    ("caption", "said", "reason"),
    [
        ("A small red star in the bottom left.", "a small red star in the bottom right", "invented"),
        ("A small red star in the bottom left.", "a small blue star in the bottom left", "invented"),
        ("Three cars parked along a street.", "two cars parked along a street", "invented"),
        ("A pair of cars parked along a street.", "two cars parked along a street", None),
        ("2 cars parked along a street.", "two cars parked along a street", None),
        ("A gray car parked along a street.", "a grey car parked along a street", None),
        ("A dog on a beach near the sea.", "a larger dog on a beach near the sea", None),
    ],
)
def test_numbers_colours_and_places_have_no_synonyms(caption: str, said: str, reason: str | None) -> None:
    assert check(CaptionPair(caption, "A tree."), compose(said, "a tree")) == reason


@pytest.mark.parametrize(
    "caption", ["The first image shows a dog, while the second image shows a cat.", "?", "🐕", "\ud800", "x " * 5000]
)
def test_odd_captions_do_not_crash(caption: str) -> None:
    for pair in (CaptionPair(caption, DOG), CaptionPair(DOG, caption)):
        assert isinstance(check(pair, compose(pair.first, pair.second)), (str, type(None)))


def test_content_words_agree_across_plurals_and_small_words() -> None:
    assert content_words("The dogs and the boxes, with berries") == content_words("a dog, a box: a berry")
    assert content_words("It is on.") == {"it", "is", "on"}
