"""The text a model continues: worked examples, then two captions and the opening of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pcclip.prompts import (
    CLASS_QUERY,
    QUERY,
    SHORT_WORDS,
    SHOT_SETS,
    Shot,
    Template,
    class_turns,
    shot_set,
    template,
)
from pcclip.types import CaptionPair
from pcclip_llama.slots import MIDDLE, OPENING


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt in the parts that the engine feeds. Captions stand between them, as they are, braces and all.

    Attributes:
        prefix: what all pairs share; markers such as ``<bos>`` in it are read as such.
        lead: the space before the first caption, where there is one. Most tokenizers keep a word's
            leading space with the word, so the prefix ends before it.
        before_second: text between the captions.
        after_second: text after them.
        bridge: text between the query and the answer that holds markers to be read as such: for
            chat-tuned models the end of the user's turn and the start of their own.
        opening: the answer's first words, with the space before them.
    """

    prefix: str
    before_second: str
    after_second: str
    bridge: str = ""
    lead: str = " "
    opening: str = OPENING

    def query(self, first: str, second: str) -> str:
        """Return the part that is a pair's own, up to the bridge; where there is none, with the opening."""
        opening = "" if self.bridge else self.opening
        return f"{self.lead}{first}{self.before_second}{second}{self.after_second}{opening}"


class PromptSet:
    """The prompts of a run and the rule that picks one for a pair.

    Args:
        prompts: one prompt, or three: for short, mixed and long captions.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        if len(prompts) not in (1, 3):
            raise ValueError(f"1 or 3 prompts, not {len(prompts)}")
        self.prompts = tuple(prompts)

    def choose(self, pair: CaptionPair) -> int:
        """Return the index of the prompt for ``pair``, by its captions' numbers of words and nothing else."""
        return 0 if len(self.prompts) == 1 else shot_set(pair)

    @property
    def text(self) -> str:
        """All that answers depend on, for the fingerprint."""
        parts = [
            "\0".join((p.prefix, p.lead, p.before_second, p.after_second, p.bridge, p.opening)) for p in self.prompts
        ]
        return "\1".join([*parts, MIDDLE, str(SHORT_WORDS)])


def answer(shot: Shot) -> str:
    """Return the sentence that a worked example is answered with."""
    return f"{OPENING} {shot.said_first}{MIDDLE} {shot.said_second}."


def built_in() -> PromptSet:
    """Return the built-in prompts for a model that continues text."""
    return PromptSet([_few_shot(examples) for examples in SHOT_SETS])


def of_classes() -> Prompt:
    """Return the built-in prompt about the looks of a class, for a model that continues text."""
    blocks = [f"{question}{said}" for question, said in class_turns()]
    return replace(from_template(template("\n\n".join([*blocks, CLASS_QUERY]), "built-in")), opening="")


def from_template(parts: Template) -> Prompt:
    """Return a user's prompt; what stands before ``{first}`` is evaluated once for all pairs."""
    after_second = without_opening(parts.after_second)
    prefix = parts.before_first.rstrip(" ")
    return Prompt(
        prefix,
        parts.before_second,
        after_second,
        lead="" if prefix and prefix == parts.before_first else " ",
        opening=OPENING if not after_second or after_second[-1].isspace() else f" {OPENING}",
    )


def without_opening(text: str) -> str:
    """Return the end of a prompt without spaces and the answer's opening words, which the engine feeds itself."""
    return text.rstrip(" ").removesuffix(OPENING).rstrip(" ")


def _few_shot(examples: Sequence[Shot]) -> Prompt:
    blocks = [f"{QUERY.replace('{first}', s.first).replace('{second}', s.second)}{answer(s)}" for s in examples]
    return from_template(template("\n\n".join([*blocks, QUERY]), "built-in"))
