"""Speaks HTTP with an OpenAI-compatible server, and tries again what can pass.

The waits between tries double, and differ by chance, so that many callers do not come back together;
or they are what the server asks for in ``Retry-After``, and then they hold for every caller.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import anyio
import httpx2

import pcclip
from pcclip_chat import replies
from pcclip_chat.options import ChatOptions
from pcclip_chat.replies import Completion, ServerError

log = logging.getLogger("pcclip.chat")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between tries; the first doubles up to the longest
_CONNECT = 10.0  # seconds until an address without answer has failed
_LONGEST_MESSAGE = 400  # characters; servers can answer with whole pages
_NOTICED = 5.0  # seconds; a person hears of a wait that is longer

T = TypeVar("T")


class Server:
    """A pool of connections to one server; an async context manager that any number of tasks share.

    Args:
        options: address, times and numbers of tries.
        key: sent as bearer token, and cut out of everything that a :class:`ServerError` quotes.
    """

    def __init__(self, options: ChatOptions, key: str | None) -> None:
        self._options = options
        self._key = key
        self._not_before = 0.0  # on the monotonic clock
        headers = {"User-Agent": f"pcclip/{pcclip.__version__}"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=min(_CONNECT, options.timeout)),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=options.n_parallel),
            trust_env=not options.is_local,  # a proxy cannot reach this machine's own servers
        )

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def models(self) -> list[str]:
        """Return the names of the models that the server offers.

        Raises:
            ServerError: it does not say.
        """
        return await self._ask("GET", "models", None, replies.read_models)

    async def complete(self, body: Mapping[str, Any]) -> Completion:
        """Have the model go on with the conversation in ``body``.

        Raises:
            ServerError: no completion came.
        """
        return await self._ask("POST", "chat/completions", body, replies.read_completion)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, read: Callable[[httpx2.Response], T]
    ) -> T:
        url, retries, tries = f"{self._options.base_url}/{path}", self._options.max_retries, 0
        while True:
            await self._sleep_out_pause()
            try:
                response = await self._send(method, url, body)
                if not response.is_success:
                    raise replies.read_error(response)
                return read(response)
            except ServerError as failure:
                failure.message = self._shown(f"{url}: {failure.message}")
                if not failure.passing or tries >= retries:
                    raise
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**tries) * random.uniform(0.5, 1.0)
                if failure.pause is not None:
                    self._not_before = max(self._not_before, time.monotonic() + failure.pause)
                    wait = max(wait, failure.pause)
                tries += 1
                noticed = wait >= _NOTICED or failure.reason == "timed-out"
                level = logging.WARNING if noticed else logging.INFO
                log.log(level, "%s. Try %d of %d in %.1f s", failure.message, tries + 1, retries + 1, wait)
            await anyio.sleep(wait)

    async def _send(self, method: str, url: str, body: Mapping[str, Any] | None) -> httpx2.Response:
        timeout = self._options.timeout
        try:
            with anyio.fail_after(timeout):
                return await self._client.request(method, url, json=body)
        except (TimeoutError, httpx2.TimeoutException) as error:
            seconds = min(_CONNECT, timeout) if isinstance(error, httpx2.ConnectTimeout) else timeout
            message = f"no answer within {seconds:g} s"
            raise ServerError(message, "timed-out", of_the_server=True, passing=True) from None
        except httpx2.RequestError as error:
            message = f"no connection: {str(error) or type(error).__name__}"
            raise ServerError(message, "no-connection", of_the_server=True, passing=True) from None

    async def _sleep_out_pause(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            await anyio.sleep(left * random.uniform(1.0, 1.1))

    def _shown(self, message: str) -> str:
        """Return a message without the key, then cut: half a key would be found no more."""
        masked = message.replace(self._key, "***") if self._key else message
        return masked if len(masked) <= _LONGEST_MESSAGE else f"{masked[:_LONGEST_MESSAGE]}…"
