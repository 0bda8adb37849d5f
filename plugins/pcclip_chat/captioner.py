"""Comparatives by a chat model at a server, checked, and asked for twice at most.

Requests run as tasks of one event loop in a thread that lives as long as a call of ``describe`` does:
that works inside a program with an event loop of its own, such as a notebook, and leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

import anyio
from anyio.from_thread import start_blocking_portal

from pcclip import quality
from pcclip.errors import PcclipError, PluginError, UsageError
from pcclip.form import compose, take_apart
from pcclip.interfaces import Captioner
from pcclip.prompts import class_opening, template_from_file
from pcclip.types import CaptionPair, Comparative, Rejection
from pcclip_chat.hints import next_step
from pcclip_chat.keys import read_key
from pcclip_chat.messages import Conversation, Message
from pcclip_chat.options import ChatOptions
from pcclip_chat.replies import Completion, ServerError
from pcclip_chat.sentence import find_sentence, without_thoughts
from pcclip_chat.server import Server

VERSION = 1  # part of every fingerprint: raise it when the same answer of a server would become another text

# Asked where a pair fails, to tell a server in trouble from a text that it will not have.
_HARMLESS = CaptionPair("A red apple.", "A bicycle.")
_FINAL_REASONS = frozenset(("content-filter", "refused"))  # asking once more would change nothing

log = logging.getLogger("pcclip.chat")
T = TypeVar("T")
A = TypeVar("A")


class ChatCaptioner(Captioner):
    """Writes comparatives with a chat model behind an OpenAI-compatible server.

    Nothing is sent before the first ``describe``, or the first ``fingerprint`` where the options name no model.

    Raises:
        MissingDependencyError: httpx2 is missing.
        UsageError: the prompt file is unusable.
    """

    def __init__(self, options: ChatOptions) -> None:
        self.options = options
        self.chunk_size = options.chunk_size
        template = template_from_file(options.prompt) if options.prompt else None
        self._conversation = Conversation(template, system=options.system)
        self._model = options.model

    @property
    def fingerprint(self) -> str:
        """Hash of the model's name, the conversation, the sampling, and the versions of this code and the filter.

        Address, key, timeouts, retries and n_parallel are not in it: a model answers the same wherever it
        is served, whoever pays, and however many ask at a time, up to near ties between tokens; and a store
        must go on being used when the server moves. The name is all that a server tells of its model.

        Raises:
            UsageError, PluginError: the options name no model and the server names none or several.
        """
        options = self.options
        parts = {
            "model": self.model,
            "prompt": self._conversation.text,
            "sampling": [options.temperature, options.retry_temperature, options.max_tokens, options.seed],
            "extra": options.extra_body,
            "quality": quality.VERSION,
            "version": VERSION,
        }
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()

    @property
    def label(self) -> str:
        return f"chat {self.model}"

    @property
    def model(self) -> str:
        """The model's name at the server; asked for once where the options name none."""
        if self._model is None:
            with start_blocking_portal(name="pcclip chat") as portal:
                self._model = portal.call(self._discover)
        return self._model

    def describe(self, pairs: Sequence[CaptionPair]) -> Iterator[Comparative | Rejection]:
        """Yield exactly one answer for each pair, as each is there.

        Closing the iterator takes back the requests in flight.

        Raises:
            UsageError: there is no key, or no model.
            PluginError: the server is gone, or answers none.
        """
        yield from self._each(pairs, self._answer)

    def describe_classes(self, names: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield a sentence about the looks of each class, as each is there; none where the answer was no such sentence.

        A prompt of the user's is about pairs and is not used.

        Raises:
            UsageError, PluginError: as for ``describe``.
        """
        yield from self._each(names, self._looks)

    def _each(self, items: Sequence[T], ask: Callable[[Server, T], Awaitable[A]]) -> Iterator[A]:
        """Yield what ``ask`` returns for each of ``items``, as each is there."""
        if not items:
            return
        self._model = self.model  # found out here: an event loop cannot wait for another thread's
        answers: SimpleQueue[A | None] = SimpleQueue()
        with start_blocking_portal(name="pcclip chat") as portal:
            asking = portal.start_task_soon(self._ask_all, items, ask, answers.put)
            asking.add_done_callback(lambda _: answers.put(None))
            while (answer := answers.get()) is not None:
                yield answer
            asking.result()

    async def _discover(self) -> str:
        async with Server(self.options, read_key(self.options)) as server:
            try:
                names = await server.models()
            except ServerError as failure:
                raise PluginError(failure.message, next_step(failure, self.options)) from None
        if len(names) == 1:
            return names[0]
        listed = ", ".join(sorted(names)[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        raise UsageError(
            f"{self.options.base_url} offers {len(names)} models" + (f": {listed}" if names else ""),
            "Name one of them: --captioner-model NAME" if names else "Load a model there.",
        )

    async def _ask_all(
        self, items: Sequence[T], ask: Callable[[Server, T], Awaitable[A]], put: Callable[[A], None]
    ) -> None:
        """Answer each item with ``n_parallel`` requests in flight; the first error ends it all."""
        waiting = iter(items)
        cut_off = 0
        errors: list[PcclipError] = []
        async with Server(self.options, read_key(self.options)) as server, anyio.create_task_group() as group:

            async def work() -> None:
                nonlocal cut_off
                try:
                    for item in waiting:
                        answer = await ask(server, item)
                        cut_off += isinstance(answer, Rejection) and answer.reason == "cut-off"
                        put(answer)
                except PcclipError as error:
                    errors.append(error)
                    group.cancel_scope.cancel()

            for _ in range(min(self.options.n_parallel, len(items))):
                group.start_soon(work)
        if errors:
            raise errors[0]
        if cut_off * 2 > len(items):
            log.warning(
                "%d of %d answers were cut off at max_tokens=%d; raise it, or have the model not think aloud",
                cut_off,
                len(items),
                self.options.max_tokens,
            )

    async def _answer(self, server: Server, pair: CaptionPair) -> Comparative | Rejection:
        text, reason = "", ""
        for attempt in range(2 if self.options.retry_temperature > 0 else 1):
            try:
                completion = await server.complete(self._body(pair, attempt))
            except ServerError as failure:
                await self._make_sure_that_others_work(server, failure)
                return Rejection(pair, failure.reason, failure.message)
            text, broken = _judge(pair, completion)
            if broken is None:
                return Comparative(pair, text)
            reason = broken
            if reason in _FINAL_REASONS:
                break
        return Rejection(pair, reason, text)

    async def _looks(self, server: Server, name: str) -> tuple[str, Sequence[str]]:
        spelled = name.replace("_", " ")
        body = self._filled(self._conversation.class_messages(spelled), 0, CaptionPair(spelled, spelled))
        try:
            completion = await server.complete(body)
        except ServerError as failure:
            await self._make_sure_that_others_work(server, failure)
            return name, []
        text = " ".join(without_thoughts(completion.text).split()).strip("\"'*` ")
        # a model that does not go on with the sentence has not said what was asked
        sound = text.lower().startswith(class_opening(spelled).lower()) and text.endswith(".")
        usable = sound and completion.finish != "length" and not quality.has_no_language(text)
        return name, [text] if usable else []

    async def _make_sure_that_others_work(self, server: Server, failure: ServerError) -> None:
        """Ask about two harmless captions where it was perhaps the text that a request failed for.

        Raises:
            PluginError: it was the server.
        """
        if not failure.of_the_server:
            try:
                await server.complete(self._body(_HARMLESS, 0))
                return
            except ServerError as another:
                failure = another
        raise PluginError(failure.message, next_step(failure, self.options))

    def _body(self, pair: CaptionPair, attempt: int) -> dict[str, Any]:
        return self._filled(self._conversation.messages(pair), attempt, pair)

    def _filled(self, messages: Sequence[Message], attempt: int, pair: CaptionPair) -> dict[str, Any]:
        """Return the body of a request; ``pair`` gives it a seed of its own."""
        options = self.options
        body = {
            "model": self._model,
            "messages": list(messages),
            "max_tokens": options.max_tokens,
            "temperature": options.retry_temperature if attempt else options.temperature,
            "seed": _seed(options.seed, attempt, pair),
            **options.extra,
        }
        return {name: value for name, value in body.items() if value is not None}


def _judge(pair: CaptionPair, completion: Completion) -> tuple[str, str | None]:
    """Return the sentence and the reason to reject it, or None."""
    if completion.refusal or completion.finish == "content_filter":
        return completion.refusal or completion.text, "refused" if completion.refusal else "content-filter"
    cut_off = completion.finish == "length"
    text = find_sentence(completion.text, cut_off=cut_off)
    sides = take_apart(text)
    if sides is None:
        return text or completion.text.strip(), "cut-off" if cut_off else "not-in-form" if text else "empty"
    first, second = (side.rstrip(" .,;:!?") for side in sides)
    text = compose(first, second)
    return text, quality.check(pair, text) if first and second else "one-side-missing"


def _seed(seed: int, attempt: int, pair: CaptionPair) -> int:
    """Return a 31-bit seed that is the pair's own, whatever else is asked."""
    digest = hashlib.blake2b(f"{seed}/{attempt}/{pair.key}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1
