"""A prompt through the chat template in a GGUF's metadata.

The template is rendered once, as if the whole conversation had taken place, with stand-ins for the
two captions and for the answer, and is taken apart at them. So the markers around the answer are
those that the model saw in training, whatever its family calls them, and a model that can think
begins behind the place for its thoughts.

A template is a program by whoever made the file. It runs in Jinja's sandbox, without a clock, and
what it writes has an upper bound and is held against what it was given.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pcclip.errors import PluginError
from pcclip.prompts import CLASS_INSTRUCTION, CLASS_QUERY, QUERY, Shot, Template, class_turns, template
from pcclip_llama.library import ChatFormat
from pcclip_llama.prompts import Prompt, answer, without_opening
from pcclip_llama.slots import OPENING

INSTRUCTION = (
    "You are given the captions of two images. Say in one sentence what the first image shows and what the second "
    "image shows. Use the words of the captions and keep their order."
)
_FIRST, _SECOND, _ANSWER = "CaptionOfTheFirstQX", "CaptionOfTheSecondQX", "AnswerQX"
_MOST_CHARACTERS = 1 << 20
# Some templates write the date. A prompt that changed overnight would be another prompt.
_TODAY = datetime.date(2025, 1, 1)

Message = dict[str, str]


def built_in_chat(format_: ChatFormat, shots: Sequence[Sequence[Shot]], file: str) -> list[Prompt]:
    """Return a prompt for each list of worked examples, which become earlier turns of the conversation.

    Raises:
        PluginError: the template cannot be used; the message names ``file``, which holds it.
    """
    parts = template(QUERY.strip(), "built-in")
    return [
        _prompt(format_, INSTRUCTION, [(_question(shot), answer(shot)) for shot in examples], parts, file)
        for examples in shots
    ]


def of_classes_chat(format_: ChatFormat, file: str) -> Prompt:
    """Return the prompt about the looks of a class.

    Raises:
        PluginError: as above.
    """
    examples = [(question.strip(), said) for question, said in class_turns()]
    return _prompt(format_, CLASS_INSTRUCTION, examples, template(CLASS_QUERY.strip(), "built-in"), file, opening="")


def chat_from_template(format_: ChatFormat, parts: Template, file: str) -> Prompt:
    """Return a prompt of one message of the user's, a prompt file's text.

    Raises:
        PluginError: as above.
    """
    return _prompt(format_, "", (), parts, file)


def render(format_: ChatFormat, messages: Sequence[Message]) -> str:
    """Return the conversation as its template writes it.

    Raises:
        Exception: the template is no Jinja, raises, or writes too much.
    """
    program = _Sandbox().from_string(format_.template)
    written: list[str] = []
    room = _MOST_CHARACTERS
    for piece in program.generate(
        messages=list(messages),
        add_generation_prompt=False,  # the answer is one of the messages
        enable_thinking=False,
        thinking=False,
        bos_token=format_.bos,
        eos_token=format_.eos,
        tools=None,
    ):
        room -= len(piece)
        if room < 0:
            raise SecurityError(f"it writes more than {_MOST_CHARACTERS} characters")
        written.append(piece)
    return "".join(written)


def _question(shot: Shot) -> str:
    return QUERY.strip().replace("{first}", shot.first).replace("{second}", shot.second)


def _prompt(
    format_: ChatFormat,
    instruction: str,
    examples: Sequence[tuple[str, str]],
    parts: Template,
    file: str,
    *,
    opening: str = OPENING,
) -> Prompt:
    after_second = without_opening(parts.after_second)
    asked = f"{parts.before_first}{_FIRST}{parts.before_second}{_SECOND}{after_second}".strip()
    turns: list[Message] = []
    for question, said in examples:
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": said}]
    turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": _ANSWER}]
    reason = ""
    for messages in _with_instruction(instruction, turns):
        try:
            text = render(format_, messages)
        except Exception as error:  # a stranger's program
            reason = f"fails: {' '.join(str(error).split())[:200] or type(error).__name__}"
            continue
        if not _holds_all(text, messages):
            reason = "leaves out, changes or reorders what it is given"
            continue
        start, end = text.index(_FIRST), text.index(asked) + len(asked)
        prefix, bridge = text[:start], text[end : text.index(_ANSWER)]
        return Prompt(
            prefix.rstrip(" "),
            parts.before_second,
            asked[asked.index(_SECOND) + len(_SECOND) :],
            bridge=bridge.rstrip(" "),
            lead=" " if prefix.endswith(" ") else "",
            opening=f" {opening}" if bridge.endswith(" ") else opening,
        )
    raise PluginError(
        f"the chat template in {file} {reason}", "Use the model without it: --captioner-template completion"
    )


def _with_instruction(instruction: str, turns: list[Message]) -> list[list[Message]]:
    """Return the turns with the instruction as a system message, and, for templates without, in the first turn."""
    if not instruction:
        return [turns]
    first, *rest = turns
    return [
        [{"role": "system", "content": instruction}, *turns],
        [{**first, "content": f"{instruction}\n\n{first['content']}"}, *rest],
    ]


def _holds_all(text: str, messages: Sequence[Message]) -> bool:
    """Tell whether all that was said stands in ``text``, letter by letter and in order, each stand-in once."""
    at = 0
    for message in messages:
        at = text.find(message["content"], at)
        if at < 0:
            return False
        at += len(message["content"])
    return all(text.count(stand_in) == 1 for stand_in in (_FIRST, _SECOND, _ANSWER))


class _Sandbox(ImmutableSandboxedEnvironment):
    """What chat templates are written for: the names, filters and tags that they may use.

    https://huggingface.co/docs/transformers/chat_templating. llama-cpp-python renders them too, but with
    a clock and without a bound.
    """

    intercepted_binops = frozenset(("*", "**"))

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        for name in ("cycler", "joiner", "lipsum"):  # Jinja's own extras; the last one writes as much as it is asked
            self.globals.pop(name, None)
        self.filters["tojson"] = _to_json
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _TODAY.strftime

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse what would fill the memory before a character is written."""
        size = len(left) if hasattr(left, "__len__") else abs(left)
        times = len(right) if hasattr(right, "__len__") else abs(right)
        if operator == "**":
            size = int(size).bit_length()
        if size * times > _MOST_CHARACTERS:
            raise SecurityError(f"it computes {operator} of too large values")
        return super().call_binop(context, operator, left, right)


class _Generation(Extension):
    """The tag around an assistant's words, ``{% generation %}``, which marks them for training and writes nothing."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, indent: int | None = None, separators: Any = None, sort_keys: bool = False, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)
