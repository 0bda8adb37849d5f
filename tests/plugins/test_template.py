"""The template captioner: what becomes of capitals, full stops and commas, and that its text comes apart again."""

from __future__ import annotations

import pytest

from pcclip.form import take_apart
from pcclip.quality import check
from pcclip.types import CaptionPair, Comparative, Rejection
from pcclip_template.captioner import TemplateCaptioner, phrase


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A marmot.", "a marmot"),
        ("An F-22 Raptor", "an F-22 Raptor"),
        ("The Eiffel tower in Paris", "the Eiffel tower in Paris"),
        ("Teddy bear.", "teddy bear"),
        ("Santa Claus.", "Santa Claus"),
        ("Jupiter—the largest planet!", "Jupiter—the largest planet"),
        ("USB stick", "USB stick"),
        ("X-ray of a hand.", "X-ray of a hand"),
        ("iPhone", "iPhone"),
        ("A", "A"),
        ("A spiny lobster, from the Hawaiian islands.", "a spiny lobster, from the Hawaiian islands"),
        ("A dumper. It carries its load.", "a dumper; it carries its load"),
        ("Dr. Smith and St. Nicholas. He waves!", "Dr. Smith and St. Nicholas; he waves"),
        ("A coin ($.01) called a penny.", "a coin ($.01) called a penny"),
        ("A coin of 50 cents (0.50 €).", "a coin of 50 cents (0.50 €)"),
        ("“School Crossing”.", "“School Crossing”"),
        ("He said “Go.” Then he left.", "he said “Go”; then he left"),
        ("There is a cat on a mat.", "a cat on a mat"),
        ("A photo of two dogs", "two dogs"),
        ("  A   red\n kite . ", "a red kite"),
        (
            "On a grey background there is a small red star in the bottom left.",
            "a small red star in the bottom left on a grey background",
        ),
        (
            "At the bottom of the white picture are two large diamonds.",
            "two large diamonds at the bottom of the white picture",
        ),
        ("In Paris, there is a tower.", "a tower in Paris"),
        ("On the left is where we sat.", "on the left is where we sat"),
        ("On a hill, in the rain, is a house.", "on a hill, in the rain, is a house"),
        ("犬。", "犬"),
        ("Ein Hund im Garten.", "Ein Hund im Garten"),
        ("…", ""),
    ],
)
def test_phrase(caption: str, expected: str) -> None:
    assert phrase(caption) == expected


def test_text_comes_apart_again() -> None:
    captions = ["A marmot.", "A knife, a fork.", "A dog, while the second image shows a cat.", "Fire! Fire!", "x" * 999]
    pairs = [CaptionPair(a, b) for a in captions for b in captions if a != b]
    given = list(TemplateCaptioner().describe(pairs))
    assert [answer.pair for answer in given] == pairs
    for answer in given:
        assert isinstance(answer, Comparative)
        assert take_apart(answer.text) == (phrase(answer.pair.first), phrase(answer.pair.second))


def test_text_passes_the_quality_filter() -> None:
    (answer,) = TemplateCaptioner().describe([CaptionPair("A marmot.", "A knife.")])
    assert answer.text == "The first image shows a marmot, while the second image shows a knife."
    assert check(answer.pair, answer.text) is None


def test_wordless_and_equal_captions_are_rejected() -> None:
    pairs = [CaptionPair("?!", "A dog."), CaptionPair("A dog.", "a dog")]
    given = list(TemplateCaptioner().describe(pairs))
    assert all(isinstance(answer, Rejection) for answer in given)
    assert [answer.reason for answer in given] == ["one-side-missing", "echo"]
