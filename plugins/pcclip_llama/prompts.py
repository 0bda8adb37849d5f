"""The text a model continues: worked examples, then two captions and the opening of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pcclip.prompts import LONG, MIXED, QUERY, SHORT, SHORT_WORDS, Shot, Template, shot_set, template
from pcclip.types import CaptionPair
from pcclip_llama.slots import MIDDLE, OPENING


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt in the parts that the engine feeds.

    Attributes:
        prefix: what all pairs share; markers such as ``<bos>`` in it are read as such.
        before_second: text between the captions.
        after_second: text after them, up to the answer's opening words.
        bridge: markers to read between the query and the answer, for chat-tuned models (the end of
            the user's turn, the start of the model's); empty for completion.
    """

    prefix: str
    before_second: str
    after_second: str
    bridge: str = ""

    def query(self, first: str, second: str) -> str:
        """Return the part that is a pair's own. The captions are put in as they are, braces and all."""
        # Most tokenizers keep a word's leading space with the word, so the prefix ends before it.
        return f" {first}{self.before_second}{second}{self.after_second}{'' if self.bridge else self.opening}"

    @property
    def opening(self) -> str:
        """The answer's first words, with the space that parts them from what stands before."""
        last = (self.bridge or self.after_second)[-1:]
        return OPENING if not last or last.isspace() or self.bridge else f" {OPENING}"


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
        parts = [f"{p.prefix}\0{p.before_second}\0{p.after_second}\0{p.bridge}\0{p.opening}" for p in self.prompts]
        return "\1".join([*parts, MIDDLE, str(SHORT_WORDS)])


def built_in(short_shots: int = len(SHORT)) -> PromptSet:
    """Return the built-in prompts.

    Args:
        short_shots: how many short examples; tiny instruct models do better with two than with five.
    """
    return PromptSet([_few_shot(SHORT[:short_shots]), _few_shot(MIXED), _few_shot(LONG)])


def from_template(parts: Template) -> Prompt:
    """Return a user's prompt; what stands before ``{first}`` is evaluated once for all pairs."""
    after_second = parts.after_second.rstrip(" ")
    if after_second.endswith(OPENING):  # the engine feeds these words itself
        after_second = after_second[: -len(OPENING)].rstrip(" ")
    return Prompt(parts.before_first.rstrip(" "), parts.before_second, after_second)


def _few_shot(shots: Sequence[Shot]) -> Prompt:
    blocks = [
        QUERY.replace("{first}", shot.first).replace("{second}", shot.second)
        + f"{OPENING} {shot.said_first}{MIDDLE} {shot.said_second}."
        for shot in shots
    ]
    return from_template(template("\n\n".join([*blocks, QUERY]), "built-in"))
