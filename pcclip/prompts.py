"""What a language model is shown before it writes: worked examples, and a user's own prompt file.

Every captioner that asks a language model uses these, whatever way it asks. Examples should look
like the data: long ones tempt a small model to embroider short captions. So there are three sets,
and each pair gets the one that fits the length of its captions. More examples than these made no
better texts and a slower run: every token attends to all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pcclip.errors import DataError, UsageError
from pcclip.types import CaptionPair

SHORT_WORDS = 8  # a caption of more words is a long one
QUERY = "First image: {first}\nSecond image: {second}\n"


class Shot(NamedTuple):
    """A worked example: two captions, and what the answer says of each picture."""

    first: str
    second: str
    said_first: str
    said_second: str


class Template(NamedTuple):
    """A prompt text taken apart where the captions go: before the first, between them, after the second."""

    before_first: str
    before_second: str
    after_second: str

    def fill(self, pair: CaptionPair) -> str:
        """Return the prompt for ``pair``. The captions are put in as they are, braces and all."""
        return f"{self.before_first}{pair.first}{self.before_second}{pair.second}{self.after_second}"


def shot_set(pair: CaptionPair) -> int:
    """Return which of :data:`SHOT_SETS` suits ``pair``: the number of its captions that are long."""
    return sum(len(caption.split()) > SHORT_WORDS for caption in (pair.first, pair.second))


def template_from_file(path: Path) -> Template:
    """Read a user's prompt: text that holds ``{first}`` and then ``{second}``, each once.

    Every other brace is plain text.

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
    return template(text, str(path))


def template(text: str, name: str) -> Template:
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
    before_first, rest = text.split("{first}")
    if "{second}" not in rest:
        raise UsageError(f"prompt {name} has {{second}} before {{first}}", "The first caption goes first.")
    return Template(before_first, *rest.split("{second}"))


# Half of these have the odd caption first: where all had it second, models put the plain thing first.
SHORT: Sequence[Shot] = tuple(
    Shot(*texts)
    for texts in (
        ("The letter K.", "A red apple.", "the letter K", "a red apple"),
        ("A bicycle.", "Two dogs.", "a bicycle", "two dogs"),
        ("Question mark.", "A brown bear.", "a question mark", "a brown bear"),
        ("An oak tree in winter.", "The Greek letter pi.", "an oak tree in winter", "the Greek letter pi"),
        ("The sign for a hospital.", "A teapot.", "the sign for a hospital", "a teapot"),
    )
)
LONG: Sequence[Shot] = tuple(
    Shot(*texts)
    for texts in (
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
)
MIXED: Sequence[Shot] = tuple(
    Shot(*texts)
    for texts in (
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
)
SHOT_SETS: Sequence[Sequence[Shot]] = (SHORT, MIXED, LONG)  # for no, one and two long captions


class ClassShot(NamedTuple):
    """A worked example: what something is called, and the end of the sentence about its looks."""

    name: str
    looks: str


CLASS_INSTRUCTION = (
    "You get the name of a kind of thing and the beginning of a sentence. Answer with that sentence, which says what "
    "can be seen of such a thing in a photo and tells it from others of its like: parts, shape, colours, surface. "
    "Say nothing that a photo does not show. Write nothing else."
)
CLASS_QUERY = "Thing: {first}\nBegin with: {second}\n"
CLASS_SHOTS: Sequence[ClassShot] = (
    ClassShot("zebra", "black and white stripes, a short mane and a tail with a tuft"),
    ClassShot("teapot", "a round body, a curved handle, a spout and a lid"),
    ClassShot("ambulance", "white paint with coloured stripes, blue lights on its roof and large doors at the back"),
    ClassShot("daisy", "white petals around a yellow centre and a thin green stem"),
    ClassShot("obelisk", "four narrow sides of stone that taper to a small pyramid at the top"),
)


def class_opening(name: str) -> str:
    """Return how a sentence about the looks of a class begins."""
    return f"{'An' if name[:1].lower() in 'aeiou' else 'A'} {name} has"


def class_question(name: str) -> str:
    """Return what a model is asked about a class."""
    return CLASS_QUERY.replace("{second}", class_opening(name)).replace("{first}", name)


def class_turns() -> list[tuple[str, str]]:
    """Return the worked examples as questions and answers."""
    return [(class_question(shot.name), f"{class_opening(shot.name)} {shot.looks}.") for shot in CLASS_SHOTS]
