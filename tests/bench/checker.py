"""Judges a comparative by its two captions: an opinion of its own, beside the filter that pcclip uses.

It shares nothing with :mod:`pcclip.quality` and :mod:`pcclip.form`, is stricter, and knows one kind of caption: short
English phrases such as those of the stamps. A word that compares ("larger") counts as invented here, so a
model that compares rather than copies looks worse than it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pcclip.types import CaptionPair

Texts = dict[CaptionPair, str]
_FORM = re.compile(
    r"The first image shows (?P<first>\S[^\n]*?), while the second image shows (?P<second>\S[^\n]*)(?<![\s.,;:])\."
)
_WORD = re.compile(r"[^\W_]+(?:[-'’]+[^\W_]+)*")
_ARTICLES = frozenset("a an the some another our two three four five his her its their".split())
_PREPOSITIONS = frozenset(
    "of in on at with from for by to inside into under over near next between behind down up without as like".split()
)
_SMALL = (
    _PREPOSITIONS
    | frozenset("a an the some another our his her its their this that these those it they there".split())
    | frozenset("is are was were be being been has have and or but which who whose one".split())
)
_ENDS_PHRASE = _PREPOSITIONS | frozenset("is are was were be has have that which who whose".split())
# "A pair of scissors" is about scissors, "The house of the hunter" about a house.
_MEASURES = frozenset(
    "pair bunch head cluster string quarter couple glass slice piece plate bowl cup group plant row set".split()
)
_CUT = re.compile(r"[,;:—–(]| - ")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a comparative.

    Attributes:
        well_formed: it is the one sentence, with something said of each picture.
        no_head: a caption's main noun is not on its side.
        foreign: words that only the other caption has.
        invented: words that no caption has.
        missing: words of a caption that its side leaves out.
    """

    well_formed: bool
    no_head: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    invented: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()

    @property
    def faithful(self) -> bool:
        """Each side names its picture's main thing, nothing of the other picture, and nothing made up."""
        return self.well_formed and not (self.no_head or self.foreign or self.invented)

    @property
    def complete(self) -> bool:
        """It is faithful and holds every word of both captions that carries meaning."""
        return self.faithful and not self.missing

    def __str__(self) -> str:
        if not self.well_formed:
            return "not the form"
        found = {
            "lacks the head": self.no_head,
            "of the other": self.foreign,
            "invented": self.invented,
            "left out": self.missing,
        }
        return "; ".join(f"{name}: {', '.join(sorted(words))}" for name, words in found.items() if words) or "sound"


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares of the pairs asked for (``accepted``) and of the texts accepted (the others).

    Attributes:
        copies: those that equal what a rule makes of the captions.
    """

    accepted: float
    well_formed: float
    faithful: float
    complete: float
    copies: float

    @classmethod
    def of(cls, texts: Texts, asked: int, rule: Texts) -> Quality:
        """Judge the accepted ``texts`` of ``asked`` pairs; ``rule`` holds what the rule makes of them."""
        verdicts = [judge(pair, text) for pair, text in texts.items()]
        many = max(1, len(texts))
        return cls(
            len(texts) / max(1, asked),
            sum(verdict.well_formed for verdict in verdicts) / many,
            sum(verdict.faithful for verdict in verdicts) / many,
            sum(verdict.complete for verdict in verdicts) / many,
            sum(text == rule.get(pair) for pair, text in texts.items()) / many,
        )

    def row(self) -> dict[str, str]:
        return {
            "accepted": f"{self.accepted:.1%}",
            "well-formed": f"{self.well_formed:.1%}",
            "faithful": f"{self.faithful:.1%}",
            "every word": f"{self.complete:.1%}",
            "same as by rule": f"{self.copies:.0%}",
        }


def judge(pair: CaptionPair, text: str) -> Verdict:
    """Return the verdict on ``text`` as the comparative of ``pair``."""
    match = _FORM.fullmatch(text)
    if not match or "image shows" in f"{match['first']} {match['second']}".lower():
        return Verdict(False)
    own_first, own_second = _content(pair.first), _content(pair.second)
    said_first, said_second = _content(match["first"]), _content(match["second"])
    heads = ((head_noun(pair.first), said_first), (head_noun(pair.second), said_second))
    return Verdict(
        True,
        frozenset(head for head, said in heads if head not in said),
        (said_first & (own_second - own_first)) | (said_second & (own_first - own_second)),
        (said_first | said_second) - own_first - own_second,
        (own_first - said_first) | (own_second - said_second),
    )


def head_noun(caption: str) -> str:
    """Return the main noun of a caption, in lower case and singular: "lettuce" of "A head of red lettuce."

    A sentence ("Enter the cave.") gives some word of its own that carries meaning.
    """
    words = _WORD.findall(_CUT.split(caption.strip())[0].replace("’", "'"))
    while words and words[0].lower() in _ARTICLES:
        words = words[1:]
    end = next((i for i in range(len(words)) if _ends_phrase(words, i)), len(words))
    if 0 < end < len(words) - 1 and words[end] == "of" and words[end - 1].lower() in _MEASURES:
        return head_noun(" ".join(words[end + 1 :]))
    content = [word for word in words if word.lower() not in _SMALL]
    phrase = [word for word in words[:end] if word in content] or content[:1] or words[:1]
    return _base(phrase[-1]) if phrase else ""


def _ends_phrase(words: list[str], i: int) -> bool:
    """Tell whether the noun phrase that ``words`` begin with is over before word ``i``."""
    word, after = words[i].lower(), words[i + 1].lower() if i + 1 < len(words) else ""
    if word in _ENDS_PHRASE:
        return True
    if after in _ARTICLES:  # a verb: "A hoverfly resembles a bee"
        return True
    if i and word.endswith("ed") and after in _PREPOSITIONS:  # "A chick hatched from an egg", not "A red headed cep"
        return True
    # "A spider playing soccer", not "An old Chinese sailing ship"
    return bool(i and word.endswith("ing") and (i == 1 or after in _PREPOSITIONS) and after)


def _content(text: str) -> frozenset[str]:
    words = _WORD.findall(text.replace("’", "'"))
    return frozenset(_base(word) for word in words if word.lower() not in _SMALL) or frozenset(map(_base, words))


def _base(word: str) -> str:
    word = word.lower().replace("’", "'")
    if word.endswith("'s"):
        return word[:-2]
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
