"""The text a model continues: worked examples, then two captions and the opening of the answer.

Examples should look like the data: long ones tempt a small model to embroider short captions. So
there are three sets, and each pair gets the one that fits the length of its captions. More examples
than these made no better texts and a slower run: every token attends to all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcclip.errors import DataError, UsageError
from pcclip.types import CaptionPair
from pcclip_llama.slots import MIDDLE, OPENING

Shot = tuple[str, str, str, str]

# Half of these have the odd caption first: where all had it second, models put the plain thing first.
SHORT: Sequence[Shot] = (
    ("The letter K.", "A red apple.", "the letter K", "a red apple"),
    ("A bicycle.", "Two dogs.", "a bicycle", "two dogs"),
    ("Question mark.", "A brown bear.", "a question mark", "a brown bear"),
    ("An oak tree in winter.", "The Greek letter pi.", "an oak tree in winter", "the Greek letter pi"),
    ("The sign for a hospital.", "A teapot.", "the sign for a hospital", "a teapot"),
)
LONG: Sequence[Shot] = (
    (
        "A man in a blue jacket riding a horse along a sandy beach.",
        "Three children playing football on a muddy field.",
        "a man in a blue jacket riding a horse along a sandy beach",
        "three children playing football on a muddy field",
    ),
    (
        "A plate with a sandwich, fries and a pickle on a wooden table.",
        "A small white dog sleeping on a couch next to a laptop.",
        "a plate with a sandwich, fries and a pickle on a wooden table",
        "a small white dog sleeping on a couch next to a laptop",
    ),
    (
        "Several people waiting at a bus stop in the rain.",
        "A yellow train crossing a bridge over a wide river.",
        "several people waiting at a bus stop in the rain",
        "a yellow train crossing a bridge over a wide river",
    ),
)
MIXED: Sequence[Shot] = (
    (
        "The robin is a small bird with a red breast. It sings in winter!",
        "The letter K.",
        "a robin, a small bird with a red breast that sings in winter",
        "the letter K",
    ),
    (
        "A bicycle.",
        "A ladder (or step ladder) for picking apples, pears and plums.",
        "a bicycle",
        "a ladder for picking apples, pears and plums",
    ),
    (
        "If the bell rings, everyone must leave the house at once.",
        "A red apple.",
        "a bell that tells everyone to leave the house at once",
        "a red apple",
    ),
)

_QUERY = "First image: {first}\nSecond image: {second}\n"


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

    SHORT_WORDS = 8

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        if len(prompts) not in (1, 3):
            raise ValueError(f"1 or 3 prompts, not {len(prompts)}")
        self.prompts = tuple(prompts)

    def choose(self, pair: CaptionPair) -> int:
        """Return the index of the prompt for ``pair``, by its captions' numbers of words and nothing else."""
        if len(self.prompts) == 1:
            return 0
        return sum(len(caption.split()) > self.SHORT_WORDS for caption in (pair.first, pair.second))

    @property
    def text(self) -> str:
        """All that answers depend on, for the fingerprint."""
        parts = [f"{p.prefix}\0{p.before_second}\0{p.after_second}\0{p.bridge}\0{p.opening}" for p in self.prompts]
        return "\1".join([*parts, MIDDLE, str(self.SHORT_WORDS)])


def built_in(short_shots: int = len(SHORT)) -> PromptSet:
    """Return the built-in prompts.

    Args:
        short_shots: how many short examples; tiny instruct models do better with two than with five.
    """
    return PromptSet([_few_shot(SHORT[:short_shots]), _few_shot(MIXED), _few_shot(LONG)])


def from_file(path: Path) -> PromptSet:
    """Read a user's prompt: text that holds ``{first}`` and then ``{second}``, each once.

    Every other brace is plain text. What stands before ``{first}`` is evaluated once for all pairs.

    Raises:
        UsageError: the file is missing, or a placeholder is missing, doubled or out of order.
        DataError: the file is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"prompt {path}: {error.strerror or error}", "Give a text file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"prompt {path} is not UTF-8: {error.reason} at byte {error.start}") from None
    return PromptSet([parse(text, str(path))])


def parse(text: str, name: str) -> Prompt:
    """Take a prompt text apart at its placeholders; ``name`` is for messages.

    Raises:
        UsageError: a placeholder is missing, doubled or out of order.
    """
    for placeholder in ("{first}", "{second}"):
        if text.count(placeholder) != 1:
            raise UsageError(
                f"prompt {name} holds {placeholder} {text.count(placeholder)} times",
                "It must hold {first} and {second} once each, where the captions go.",
            )
    prefix, rest = text.split("{first}")
    if "{second}" not in rest:
        raise UsageError(f"prompt {name} has {{second}} before {{first}}", "The first caption goes first.")
    before_second, after_second = rest.split("{second}")
    after_second = after_second.rstrip(" ")
    if after_second.endswith(OPENING):  # the engine feeds these words itself
        after_second = after_second[: -len(OPENING)].rstrip(" ")
    return Prompt(prefix.rstrip(" "), before_second, after_second)


def _few_shot(shots: Sequence[Shot]) -> Prompt:
    blocks = [
        _QUERY.replace("{first}", first).replace("{second}", second) + f"{OPENING} {one}{MIDDLE} {other}."
        for first, second, one, other in shots
    ]
    return parse("\n\n".join([*blocks, _QUERY]), "built-in")
