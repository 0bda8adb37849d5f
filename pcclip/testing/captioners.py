"""What a captioner promises."""

from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from typing import ClassVar

from pcclip.errors import UsageError
from pcclip.interfaces import Captioner
from pcclip.testing.contract import Contract, fail, require
from pcclip.types import CaptionPair, Comparative, Rejection

_CAPTIONS = ("A dog.", "A red tree", "Two wild boars.", "A violin on a table.")
_REASON = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ODD = (
    CaptionPair("A {cat} at 100% & <b>bold</b>", 'A sign that says "no\nparking".'),
    CaptionPair("Ein Hund, größer als 猫 🐈.", "x"),
    CaptionPair("A dog.", "A dog."),
    CaptionPair("reject this", "…"),
    CaptionPair("A horse " + "that stands on grass " * 40, "A key."),
)


class CaptionerContract(Contract):
    """What every captioner promises; see :class:`pcclip.interfaces.Captioner`."""

    kind: ClassVar[str] = "captioner"

    @classmethod
    def pairs(cls) -> list[CaptionPair]:
        """Return a dozen pairs of different captions, in both directions."""
        return [CaptionPair(first, second) for first in _CAPTIONS for second in _CAPTIONS if first != second]

    def answers(
        self, pairs: Sequence[CaptionPair], captioner: Captioner | None = None
    ) -> list[Comparative | Rejection]:
        """Return the answers in the order of ``pairs``, and make sure that each pair got exactly one."""
        found: dict[CaptionPair, Comparative | Rejection] = {}
        for answer in (captioner or self.shared()).describe(pairs):
            if not isinstance(answer, Comparative | Rejection):
                fail(f"it yielded a {type(answer).__name__}, neither a Comparative nor a Rejection")
            require(answer.pair in pairs, f"it answered a pair that was not asked: {answer.pair}")
            require(answer.pair not in found, f"it answered a pair twice: {answer.pair}")
            found[answer.pair] = answer
        missing = [pair for pair in pairs if pair not in found]
        require(not missing, f"it left {len(missing)} of {len(pairs)} pairs unanswered: {missing[:1]}")
        return [found[pair] for pair in pairs]

    def test_it_tells_who_it_is(self) -> None:
        """The fingerprint is a text that stays the same, also of a second instance, and the label is one line."""
        captioner: Captioner = self.shared()
        fingerprint = captioner.fingerprint
        require(isinstance(fingerprint, str) and fingerprint, f"the fingerprint is {fingerprint!r}, not a text")
        self.answers(self.pairs()[:2])
        require(captioner.fingerprint == fingerprint, "the fingerprint changed while it described")
        with self.make() as other:
            require(other.fingerprint == fingerprint, "a second instance has another fingerprint")
        require(
            captioner.label.strip() and "\n" not in captioner.label, f"the label is {captioner.label!r}, not a line"
        )
        size = captioner.chunk_size
        require(isinstance(size, int) and size >= 1, f"chunk_size is {size!r}, not a number of pairs")

    def test_each_pair_gets_one_answer(self) -> None:
        """Each pair gets exactly one answer, of that pair, and no pair gets none."""
        self.answers(self.pairs())
        require(not list(self.shared().describe([])), "it answered when nothing was asked")

    def everything(self) -> list[Comparative | Rejection]:
        """Return the answers to plain and odd captions, asked for once a class."""
        if "_everything" not in type(self).__dict__:
            type(self)._everything = self.answers([*self.pairs(), *_ODD])
        return self._everything

    _everything: ClassVar[list[Comparative | Rejection]]

    def test_odd_captions_get_an_answer_too(self) -> None:
        """Captions with quotes, braces, lines, other scripts, of one letter or very long get one answer each."""
        self.everything()

    def test_rejections_have_a_reason_that_can_be_counted(self) -> None:
        """The reason of a rejection is a short word such as ``order-swapped``."""
        for answer in self.everything():
            if isinstance(answer, Rejection):
                known = isinstance(answer.reason, str) and _REASON.fullmatch(answer.reason) and len(answer.reason) <= 40
                require(known, f"the reason {answer.reason!r} is no short word in lower case")

    def test_a_chunk_depends_on_nothing_outside_it(self) -> None:
        """A chunk has the same answers whatever was described before, also by a new instance."""
        pairs = self.pairs()
        chunk, other = pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]
        with self.make() as captioner:
            alone = self.answers(chunk, captioner)
        self.answers(other)
        for was, now in zip(alone, self.answers(chunk), strict=True):
            require(was == now, f"the answer changed with what was described before: {was} and then {now}")

    def test_a_text_has_a_direction(self) -> None:
        """How a differs from b is another text than how b differs from a, and different pairs have different texts."""
        texts = {a.pair.key: a.text for a in self.everything() if isinstance(a, Comparative)}
        both = [
            (texts[pair.key], texts[turned.key])
            for pair in self.pairs()
            if (turned := CaptionPair(pair.second, pair.first)).key in texts and pair.key in texts
        ]
        require(
            not both or any(one != other for one, other in both),
            "each pair has the same text in both directions: a comparative says how the first differs from the second",
        )
        different = set(texts.values())
        require(len(texts) < 2 or len(different) > 1, f"it says the same of every pair: {sorted(different)}")

    def test_classes_get_sentences_or_a_usage_error(self) -> None:
        """Each class gets its sentences exactly once, or a UsageError says that it writes none."""
        names = ["old owl", "grizzly_bear", "key"]
        try:
            found = list(self.shared().describe_classes(names))
        except UsageError as error:
            require(error.hint, f"the error has no hint that says how to bring descriptions: {error.message}")
            return
        require(sorted(name for name, _ in found) == sorted(names), f"it described {[name for name, _ in found]}")
        for name, texts in found:
            require(not isinstance(texts, str), f"it gave a text and no list of texts of {name!r}")
            require(all(isinstance(text, str) and text.strip() for text in texts), f"a text about {name!r} is empty")

    def test_answers_go_to_a_worker(self) -> None:
        """Answers can be pickled."""
        answers = self.answers(self.pairs()[:2])
        require(pickle.loads(pickle.dumps(answers)) == answers, "answers are others after they were pickled")

    def test_closing_twice_is_harmless(self) -> None:
        """Closing twice is harmless."""
        captioner: Captioner = self.make()
        captioner.close()
        captioner.close()
