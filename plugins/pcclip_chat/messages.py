"""The conversation that a chat model is to go on with: what to do, worked examples, then two captions."""

from __future__ import annotations

import json

from pcclip.form import compose
from pcclip.prompts import (
    CLASS_INSTRUCTION,
    QUERY,
    SHORT_WORDS,
    SHOT_SETS,
    Template,
    class_question,
    class_turns,
    shot_set,
    template,
)
from pcclip.types import CaptionPair

INSTRUCTION = (
    "You get the captions of two images and say how the first image differs from the second. Answer with one "
    'sentence of exactly this form: "The first image shows ..., while the second image shows ...". '
    "Say of each image what its own caption says, in the caption's words, and add nothing that is not there. "
    "Where the captions make it certain, compare the two: larger, darker, fewer, only one. Write nothing else."
)

Message = dict[str, str]

_QUERY = template(QUERY, "built-in")


class Conversation:
    """Makes the messages for a pair. What pairs share comes first, so that servers can reuse their work on it.

    Args:
        template: a user's prompt, sent as one message in place of instruction and examples.
        system: give the instruction as a system message, else at the head of the first user message:
            the templates of some models know no system role.
    """

    def __init__(self, template: Template | None = None, *, system: bool = True) -> None:
        self._template = template
        self._system = system

    def messages(self, pair: CaptionPair) -> list[Message]:
        """Return the messages for ``pair``; its captions are put in as they are, each on one line."""
        return self._messages(CaptionPair(_line(pair.first), _line(pair.second)), shot_set(pair))

    @property
    def text(self) -> str:
        """All that answers depend on, for the fingerprint."""
        blank = CaptionPair("{first}", "{second}")
        return json.dumps([SHORT_WORDS, *(self._messages(blank, shots) for shots in range(len(SHOT_SETS)))])

    def _messages(self, pair: CaptionPair, shots: int) -> list[Message]:
        if self._template is not None:
            return [_message("user", self._template.fill(pair))]
        turns = []
        for shot in SHOT_SETS[shots]:
            turns.append(_message("user", _query(CaptionPair(shot.first, shot.second))))
            turns.append(_message("assistant", compose(shot.said_first, shot.said_second)))
        turns.append(_message("user", _query(pair)))
        return self._instructed(INSTRUCTION, turns)

    def class_messages(self, name: str) -> list[Message]:
        """Return the messages about the looks of a class."""
        turns = []
        for question, said in class_turns():
            turns += [_message("user", question.strip()), _message("assistant", said)]
        turns.append(_message("user", class_question(_line(name)).strip()))
        return self._instructed(CLASS_INSTRUCTION, turns)

    def _instructed(self, instruction: str, turns: list[Message]) -> list[Message]:
        if self._system:
            return [_message("system", instruction), *turns]
        turns[0]["content"] = f"{instruction}\n\n{turns[0]['content']}"
        return turns


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _query(pair: CaptionPair) -> str:
    return _QUERY.fill(pair).strip()


def _line(caption: str) -> str:
    """Return the caption in one line; lone surrogates, which no UTF-8 can hold, become question marks."""
    return " ".join(caption.split()).encode("utf-8", "replace").decode("utf-8")
