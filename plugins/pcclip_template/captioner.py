"""Comparatives by rule: each caption becomes half of the sentence, and nothing is made up.

The control in every comparison with a language model, and the fast path where captions are good.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pcclip.form import compose
from pcclip.interfaces import Captioner
from pcclip.quality import has_no_language
from pcclip.types import CaptionPair, Comparative, Rejection

_VERSION = 3  # raise it when a caption would be put another way

# A capital is the sentence's and not the word's where the word is one of these.
_LOWERED = frozenset(
    """a an the this that these those my your his her its our their some any no another each every all both many
    several few various one two three four five six seven eight nine ten eleven twelve dozens half close
    there here it they he she we you someone somebody people man men woman women boy boys girl girls child children
    person couple group bunch pair pile stack piece row set plate bowl cup glass side view top front back inside
    outside in on at by near next under over above below behind between with without from to of for as and or but if
    when while where big small large little tiny huge tall short long old young new open closed empty full
    black white red green blue yellow brown grey gray orange pink purple golden silver wooden
    colorful colourful""".split()
)
# "On a table there is a cup", "At the bottom are two stars": what is where comes first after "the image shows".
_PLACE_FIRST = re.compile(
    r"^(?P<place>(?:on|in|at|inside|outside|under|below|above|behind|beside|near|next to|in front of|between|around)\s"
    r"[^,;.]+?),?\s(?:there\s(?:is|are)|is|are|stands?|sits?|lies?|hangs?)\s"
    r"(?P<thing>(?:an?|the|some|one|two|three|four|five|six|seven|eight|nine|ten|many|several|\d+)\s[^,;]+)$",
    re.IGNORECASE,
)
# Openings of a caption that only say that it is one.
_PREAMBLE = re.compile(
    r"^(?:(?:this|here|it|there)\s+(?:is|are|was|were)|(?:the|this|an?)\s+(?:image|picture|photo|photograph)\s+"
    r"(?:shows|depicts|of)|(?:image|picture|photo|photograph)\s+of)\s+(?=\S)",
    re.IGNORECASE,
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|St|Mt|Jr|Sr|No|vs|etc|approx|e\.g|i\.e|[A-Z])\.$", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"""(?:(?<=[.!?…])|(?<=[.!?…]["”’')\]]))\s+(?=["“‘'(\[]?[^\W_a-z])""")
_FINAL = " \t\n.,;:!?…。！？、"
_JOINT = re.compile(r",(?=\s*(?:while|whereas|and|but) the second\b)", re.IGNORECASE)


class TemplateCaptioner(Captioner):
    """Writes ``The first image shows {caption}, while the second image shows {caption}.``"""

    chunk_size = 4096

    @property
    def fingerprint(self) -> str:
        return f"template-{_VERSION}"

    @property
    def label(self) -> str:
        return "template"

    def describe(self, pairs: Sequence[CaptionPair]) -> Iterator[Comparative | Rejection]:
        """Yield an answer for each pair, in order: a Rejection where a caption has no word or
        holds control characters, or both say the same."""
        for pair in pairs:
            first, second = phrase(pair.first), phrase(pair.second)
            text = compose(first, second)
            if not first or not second:
                yield Rejection(pair, "one-side-missing", text)
            elif has_no_language(text):
                yield Rejection(pair, "not-language", text)
            elif first == second:
                yield Rejection(pair, "echo", text)
            else:
                yield Comparative(pair, text)


def phrase(caption: str) -> str:
    """Return a caption as it reads after "the image shows", or an empty string if it has no word.

    The first sentence's capital is dropped unless the word keeps it anywhere; further sentences
    follow after semicolons; final punctuation goes; "There is" and "A photo of" go; "On the left is a
    tree" becomes "a tree on the left".
    """
    line = " ".join(caption.split())
    # A comma before "while the second" would end the half too early for whoever takes it apart.
    line = _JOINT.sub("", line)
    line = _PREAMBLE.sub("", line, count=1)
    sentences = [_lower_first(_thing_first(_trim(sentence))) for sentence in _sentences(line)]
    joined = "; ".join(sentence for sentence in sentences if any(map(str.isalnum, sentence)))
    return joined or _trim(line) if any(map(str.isalnum, line)) else ""


def _sentences(line: str) -> list[str]:
    """Cut at sentence ends that are followed by a capital or digit, but not after an abbreviation."""
    parts: list[str] = []
    for part in _SENTENCE_END.split(line):
        if parts and _ABBREVIATION.search(parts[-1]):
            parts[-1] = f"{parts[-1]} {part}"
        else:
            parts.append(part)
    return parts


def _trim(sentence: str) -> str:
    """Drop list marks and final punctuation, also where it stands inside a closing quote."""
    text = sentence.strip(" \t\n–—-•*").rstrip(_FINAL)
    if text.endswith(('"', "”", "’", "'", ")")):
        inner = text[:-1].rstrip(_FINAL)
        text = inner + text[-1]
    return text.strip()


def _thing_first(sentence: str) -> str:
    """Turn "On the left is a tree" into "a tree on the left"."""
    match = _PLACE_FIRST.match(sentence)
    return f"{match['thing']} {_lower_first(match['place'])}" if match else sentence


def _lower_first(sentence: str) -> str:
    """Put the first word in lower case if its capital comes from the sentence's beginning alone.

    Kept: acronyms and codes ("USB", "F-22", "iPhone"), single letters other than the article "A", and
    words that are followed by another capitalised word ("Teddy Roosevelt", "Eiffel Tower"), unless it
    is a word that is never a name ("A", "Two", "Green").
    """
    match = re.match(r"[\"“‘'(\[]*", sentence)
    start = match.end() if match else 0
    words = sentence[start:].split(" ")
    word = words[0]
    core = re.split(r"[^\w’'-]|['’]s$", word)[0]
    if not core[:1].isupper() or any(c.isupper() or c.isdigit() for c in core[1:]):
        return sentence
    if start and sentence[start - 1] in "\"“‘'":  # a quotation keeps its own spelling
        return sentence
    lowered = core.casefold() in _LOWERED
    if re.match(r"\w(?:-|$)", core) and not (core == "A" and len(words) > 1):
        return sentence
    follower = words[1].lstrip("\"“‘'([") if len(words) > 1 else ""
    if not lowered and (follower[:1].isupper() or core.casefold() in _NAMES):
        return sentence
    return sentence[:start] + sentence[start].lower() + sentence[start + 1 :]


_NAMES = frozenset(
    """mercury venus earth mars jupiter saturn uranus neptune pluto monday tuesday wednesday thursday friday saturday
    sunday january february april june july august september october november december christmas easter
    halloween hanukkah thanksgiving ramadan africa america asia europe australia antarctica african american asian
    european australian canadian mexican brazilian british english scottish irish welsh french german italian spanish
    portuguese dutch belgian swiss austrian polish russian ukrainian greek turkish arabic hebrew indian chinese
    japanese korean thai vietnamese egyptian roman latin hawaiian hungarian czech swedish norwegian danish finnish
    london paris berlin rome tokyo tux santa jesus buddha""".split()
)
