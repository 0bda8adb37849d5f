"""Tells a usable comparative from a bad one, by rules over words: ``check`` names the first rule broken.

A language model that is asked how two pictures differ fails in few ways: it swaps the pictures, tells
only one of them, makes things up, repeats itself, or goes on with something else. What it may say is
in the two captions, so their content words, held against each half of the sentence, find most of it.
The paper (arXiv:2409.09721) drops answers with code, links, repeated characters and prompt echoes;
those rules are here too. How long a text may be is for the text tower to say, not for this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pcclip.form import take_apart
from pcclip.types import CaptionPair

VERSION = 2  # part of captioners' fingerprints: raise it when a rule changes

_WORD = re.compile(
    # Scripts that put no space between words count by character.
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f]|[^\W_]+(?:['’][^\W_]+)*"
)
_STOP = frozenset(
    """a an and are as at be been being but by can could did do does for from had has have he her his how i if in into
    is it its itself just may me more most my no nor not of off on one ones onto or our out over own s she should so
    some such t than that the their them then there these they this those through to too under up us was we were what
    when where which while who whom whose why will with would you your image images picture pictures photo photos
    shows show showing shown depicts depicting contains containing features featuring there's it's""".split()
)
# What a writer may add of its own: words that compare or bind, not things that can be seen.
_COMPARING = frozenset(
    """instead rather whereas unlike like only also both another other different same similar less fewer least larger
    smaller bigger longer shorter taller higher lower wider narrower older younger newer darker lighter brighter louder
    heavier closer farther nearer greater single several multiple many few various colour color size shape kind type
    first second object objects thing something scene view version sign symbol letter number""".split()
)
# Where a caption's word was put in place of another, it is one of a kind: these leave no room for synonyms.
_NUMBERS = frozenset("two three four five six seven eight nine ten eleven twelve dozen hundred".split())
_OF_A_KIND = _NUMBERS | frozenset(
    "red orange yellow green blue purple pink brown black white grey gray golden silver left right top bottom".split()
)
_LINK = re.compile(r"https?:|www\.|\b[\w-]+\.(?:com|org|net|html|jpe?g|png)\b", re.IGNORECASE)
_CODE = re.compile(r"```|</?\w+>|<\||\|>|\{\w*\}|[{};]\s*$|\b(?:def|return|import)\s+\w+\s*\(|[=!]=|->|\\n")
_CHATTER = re.compile(
    r"\b(?:q|a|question|answer|note|output|input|instruction|difference|captions?)\s*:|\bi hope\b|\bas an ai\b|"
    r"\bsure[,!]|\bhere is\b",
    re.IGNORECASE,
)
# control characters, such as change the direction of all that follows, and what is left of broken ones
_NO_LANGUAGE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffd]")
_OPENING = re.compile(r"\bthe (?:first|second) (?:image|picture|photo)\b", re.IGNORECASE)
_SAME_CHARACTER = re.compile(r"([^\W\d_])\1{3,}|([^\w\s.])\2{3,}|\.{4,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """A comparative taken apart beside its captions; what every rule sees.

    Attributes:
        first, second: what the text says of each picture.
        captions: both captions, whitespace collapsed.
        first_words, second_words: content words of the captions.
        first_said, second_said: content words of the two halves.
    """

    text: str
    first: str
    second: str
    captions: tuple[str, str]
    first_words: frozenset[str]
    second_words: frozenset[str]
    first_said: frozenset[str]
    second_said: frozenset[str]


def check(pair: CaptionPair, text: str) -> str | None:
    """Return the name of the first rule that ``text`` breaks as the comparative of ``pair``, or None.

    Names: ``not-in-form`` and the keys of :data:`RULES`.
    """
    sides = take_apart(text)
    if sides is None:
        return "not-in-form"
    first, second = (" ".join(side.split()) for side in sides)
    captions = (" ".join(pair.first.split()), " ".join(pair.second.split()))
    reading = Reading(
        text,
        first,
        second,
        captions,
        content_words(captions[0]),
        content_words(captions[1]),
        content_words(first),
        content_words(second),
    )
    return next((name for name, broken in RULES.items() if broken(reading)), None)


def content_words(text: str) -> frozenset[str]:
    """Return the words of ``text`` that carry meaning, in lower case and without endings.

    Plural and other short endings are cut, so that "dogs" and "a dog" agree. A text of nothing but
    small words ("It is on.") gives those, for there is nothing else to compare.
    """
    words = [word.casefold().replace("’", "'") for word in _WORD.findall(text)]
    content = [word for word in words if word not in _STOP]
    return frozenset(_stem(word) for word in (content or words))


def is_invented(reading: Reading) -> bool:
    """Tell whether a half has a number, colour or place, or a quarter of its content words, that no caption has.

    Words that only compare ("larger", "instead") are not counted: writing them is the task.
    """
    known = reading.first_words | reading.second_words | _COMPARING_STEMS
    known |= content_words(f"{reading.captions[0]} {reading.captions[1]}")
    joined = "".join(reading.captions).casefold()
    of_a_kind = _OF_A_KIND - _same_otherwise(joined)
    for said in (reading.first_said, reading.second_said):
        new = [word for word in said - known if word not in _STOP and word not in joined]
        if len(new) * 4 > len(said) or not of_a_kind.isdisjoint(new):
            return True
    return False


def is_echo(reading: Reading) -> bool:
    """Tell whether both halves say the same, so that no difference is named."""
    return reading.first == reading.second


def is_prompt_echo(reading: Reading) -> bool:
    """Tell whether the sentence opens again inside itself: the model has begun another answer."""
    allowed = sum(len(_OPENING.findall(caption)) for caption in reading.captions)
    return len(_OPENING.findall(f"{reading.first} {reading.second}")) > allowed


def is_swapped(reading: Reading) -> bool:
    """Tell whether each half fits the other caption better than its own."""
    own_first, own_second = _only(reading.first_words, reading.second_words)
    return len(reading.first_said & own_second) > len(reading.first_said & own_first) and len(
        reading.second_said & own_first
    ) > len(reading.second_said & own_second)


def is_one_sided(reading: Reading) -> bool:
    """Tell whether a half names nothing of its own caption."""
    return not (reading.first_said & reading.first_words) or not (reading.second_said & reading.second_words)


def is_mixed(reading: Reading) -> bool:
    """Tell whether a half names something that only the other caption has, and not as a denial of it."""
    own_first, own_second = _only(reading.first_words, reading.second_words)
    return any(
        (said & foreign) and not _denies(side)
        for said, foreign, side in (
            (reading.first_said, own_second - _COMPARING_STEMS, reading.first),
            (reading.second_said, own_first - _COMPARING_STEMS, reading.second),
        )
    )


def is_incomplete(reading: Reading) -> bool:
    """Tell whether a half leaves out two thirds or more of what its own caption's first sentence says.

    Only what the other caption lacks counts, and a sentence with more than four such words may be
    shortened to its subject ("a mince pie" for "A mince pie is a traditional Christmas food").
    """
    return any(
        own and len(own) <= 4 and len(own - said) * 3 >= len(own) * 2
        for own, said in (
            (_first_sentence(reading.captions[0]) - reading.second_words, reading.first_said),
            (_first_sentence(reading.captions[1]) - reading.first_words, reading.second_said),
        )
    )


def is_repetitive(reading: Reading) -> bool:
    """Tell whether a character runs on, or words come three times in a row where the captions' do not."""
    joined = " ".join(reading.captions)
    run = _SAME_CHARACTER.search(reading.text)
    if run and run.group() not in joined:
        return True
    return any(
        _repeats(side) and not _repeats(caption)
        for side, caption in zip((reading.first, reading.second), reading.captions, strict=True)
    )


def is_no_language(reading: Reading) -> bool:
    """Tell whether the text holds control or replacement characters."""
    return has_no_language(reading.text)


def has_no_language(text: str) -> bool:
    """Tell whether ``text`` holds control or replacement characters."""
    return _NO_LANGUAGE.search(text) is not None


def has_link(reading: Reading) -> bool:
    """Tell whether the text holds an address that no caption has."""
    return _has_new(_LINK, reading)


def has_code(reading: Reading) -> bool:
    """Tell whether the text holds program text or markers that no caption has."""
    return _has_new(_CODE, reading)


def has_chatter(reading: Reading) -> bool:
    """Tell whether the model talks to its user ("Note:", "I hope", a new "Q:") where no caption does."""
    return _has_new(_CHATTER, reading)


RULES: dict[str, Callable[[Reading], bool]] = {
    "not-language": is_no_language,
    "link": has_link,
    "code": has_code,
    "chatter": has_chatter,
    "echo": is_echo,
    "prompt-echo": is_prompt_echo,
    "repetition": is_repetitive,
    "order-swapped": is_swapped,
    "one-side-missing": is_one_sided,
    "mixed-sides": is_mixed,
    "invented": is_invented,
    "incomplete": is_incomplete,
}


def _only(first: frozenset[str], second: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    return first - second, second - first


def _same_otherwise(captions: str) -> frozenset[str]:
    """Return the words that say what ``captions`` say in another spelling."""
    numbers = _NUMBERS if re.search(r"\d|\b(?:pair|couple|both)\b", captions) else frozenset()
    greys = {"grey", "gray"} if "grey" in captions or "gray" in captions else set()
    return numbers | greys


def _first_sentence(caption: str) -> frozenset[str]:
    return content_words(re.split(r"(?<=[.!?])\s+", caption, maxsplit=1)[0])


def _has_new(pattern: re.Pattern[str], reading: Reading) -> bool:
    joined = " ".join(reading.captions).casefold()
    said = f"{reading.first} {reading.second}"
    return any(match.group().casefold() not in joined for match in pattern.finditer(said))


def _denies(side: str) -> bool:
    return re.search(r"\b(?:no|not|without|than|instead|rather)\b", side, re.IGNORECASE) is not None


def _repeats(text: str) -> bool:
    words = [word.casefold() for word in _WORD.findall(text)]
    return any(
        words[i : i + n] == words[i + n : i + 2 * n] == words[i + 2 * n : i + 3 * n]
        for n in range(1, len(words) // 3 + 1)
        for i in range(len(words) - 3 * n + 1)
    )


def _stem(word: str) -> str:
    word = re.sub(r"['’]\w*$", "", word) or word
    if word.isascii() and len(word) > 3 and not any(map(str.isdigit, word)):
        if word.endswith("ies") and len(word) > 4:
            return f"{word[:-3]}y"
        if word.endswith(("sses", "shes", "ches", "xes")):
            return word[:-2]
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            return word[:-1]
    return word


_COMPARING_STEMS = frozenset(map(_stem, _COMPARING))
