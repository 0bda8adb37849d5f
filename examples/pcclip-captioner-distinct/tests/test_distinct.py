from __future__ import annotations

import pytest

from pcclip import registry
from pcclip.form import take_apart
from pcclip.testing import CaptionerContract
from pcclip.types import CaptionPair, Comparative, Rejection


class TestContract(CaptionerContract):
    """What every captioner promises; the checks are inherited."""

    name = "distinct"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("A dog on the grass.", "A cat on the grass.", ("a dog", "a cat")),
        ("A dog on the grass with a ball.", "The cat With a ball", ("a dog on the grass", "the cat")),
        ("A dog in a house", "A dog on a house", ("a dog in a house", "a dog on a house")),
    ],
)
def test_what_both_say_is_left_out(first: str, second: str, said: tuple[str, str]) -> None:
    (answer,) = registry().captioner("distinct").describe([CaptionPair(first, second)])
    assert isinstance(answer, Comparative)
    assert take_apart(answer.text) == said


def test_where_nothing_differs_it_says_so() -> None:
    (answer,) = registry().captioner("distinct").describe([CaptionPair("A dog.", "a dog")])
    assert isinstance(answer, Rejection)
    assert answer.reason == "nothing-differs"


def test_other_prepositions_are_other_answers() -> None:
    one, other = (registry().captioner("distinct", options) for options in ({}, {"prepositions": ["upon"]}))
    assert one.fingerprint != other.fingerprint
