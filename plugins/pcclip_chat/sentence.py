"""Takes the one sentence out of all that chat models write round it.

Thoughts, quotation marks, code fences, headings, a friendly word before and after: models differ in
these, and none of it says anything about the sentence.
"""

from __future__ import annotations

import re

from pcclip.form import take_apart

_THOUGHT = re.compile(r"<(think|thinking|thought|reasoning|analysis)>.*?(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)
# Some templates open the thought in the prompt, so that an answer holds its end alone.
_END_OF_THOUGHT = re.compile(r"\A.*</(?:think|thinking|thought|reasoning|analysis)>", re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r"^\s*(?:```|~~~)[\w-]*\s*$", re.MULTILINE)
_MARKER = re.compile(r"^(?:[-*•>]\s+|\d+[.)]\s+|(?:\*\*)?[A-Za-z][A-Za-z ]{0,30}:(?:\*\*)?\s+)")
_WRAPPINGS = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "`": "`", "*": "*", "_": "_"}


def find_sentence(answer: str, *, cut_off: bool = False) -> str:
    """Return the sentence in the form that :mod:`pcclip.form` reads, or else the bare answer in one line.

    It is taken out where exactly one line or, failing that, one paragraph of the answer has that
    form; of an answer that holds two different ones, neither is.

    Args:
        cut_off: the answer ran into its limit, so its last line is only half of one and does not count.
    """
    text = without_thoughts(answer)
    if cut_off:
        text = text.rpartition("\n")[0]
    text = _FENCE.sub("", text)
    paragraphs = re.split(r"\n\s*\n", text)
    for parts in (text.splitlines(), paragraphs):
        found = {line for part in parts if take_apart(line := _unwrap(" ".join(part.split())))}
        if len(found) == 1:
            return found.pop()
        if found:
            break
    return " ".join(text.split())


def without_thoughts(answer: str) -> str:
    """Return the answer without what the model thought aloud; a thought without end is all thought."""
    return _END_OF_THOUGHT.sub("", _THOUGHT.sub("", answer)).strip()


def _unwrap(line: str) -> str:
    """Take list marks, a short label and paired quotation marks off a line, however they are nested."""
    while True:
        bare = _MARKER.sub("", line.strip())
        if len(bare) > 1 and _WRAPPINGS.get(bare[0]) == bare[-1]:
            bare = bare[1:-1]
        if bare == line:
            return line
        line = bare
