"""Reads what a server replied: a completion, or a failure with whose fault it is and whether it may pass."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

PATIENCE = 120.0  # seconds; a server that asks for a longer pause than this has failed

_PASSING = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
# Statuses that tell of the server, its address or the key, and never of the text in a request.
_OF_THE_SERVER = frozenset((401, 402, 404, 405, 407, 408, 425, 429, 502, 503, 504, 520, 522, 524, 529))
_TOO_LONG = re.compile(r"context[ _-]?(?:size|length|window)|exceeds? (?:the )?context", re.IGNORECASE)
_FILTERED = re.compile(r"content[ _-]?(?:filter|policy|management)|moderation", re.IGNORECASE)


class ServerError(Exception):
    """A request without an answer.

    Attributes:
        message: what happened, for a person.
        reason: a short fixed word for counting, as in :class:`pcclip.types.Rejection`.
        status: the HTTP status, or None where no response came.
        of_the_server: whether any other request would fail as well, whatever is in it.
        passing: whether the same request may succeed a little later.
        pause: seconds that the server asked to wait, or None.
    """

    def __init__(
        self,
        message: str,
        reason: str,
        *,
        status: int | None = None,
        of_the_server: bool = False,
        passing: bool = False,
        pause: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.status = status
        self.of_the_server = of_the_server
        self.passing = passing
        self.pause = pause


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote.

    Attributes:
        text: as it came, empty where the server sent none.
        finish: why it ended: ``stop``, ``length``, ``content_filter``, or what else the server says.
        refusal: the words in which the model declined to answer, where the server tells them apart.
    """

    text: str
    finish: str | None = None
    refusal: str | None = None


def read_models(response: httpx2.Response) -> list[str]:
    """Return the names of the models that the server offers.

    Raises:
        ServerError: the response is something else.
    """
    try:
        return [str(model["id"]) for model in _json(response)["data"]]
    except (ValueError, LookupError, TypeError):
        raise ServerError(
            f"a list of models was expected, not: {_line(response.text)}", "bad-response", of_the_server=True
        ) from None


def read_completion(response: httpx2.Response) -> Completion:
    """Return the first choice.

    Raises:
        ServerError: there is none. One that says why (some servers send errors as successes) is not worth
            trying again, one that is torn is.
    """
    answer: Any = None
    try:
        answer = _json(response)
        choice = answer["choices"][0]
        text, refusal = choice["message"].get("content"), choice["message"].get("refusal")
        if not isinstance(text, str | None) or not isinstance(refusal, str | None):
            raise TypeError("no text")
        return Completion(text or "", choice.get("finish_reason"), refusal)
    except (ValueError, LookupError, TypeError, AttributeError):
        says_why = isinstance(answer, Mapping) and "error" in answer
        said = _line(_error_text(response))
        raise ServerError(
            f"a completion was expected, not: {said}",
            _reason(said, "bad-response") if says_why else "bad-response",
            status=response.status_code,
            passing=not says_why,
        ) from None


def read_error(response: httpx2.Response) -> ServerError:
    """Return what a response without success means."""
    status = response.status_code
    said = _line(_error_text(response))
    if response.is_redirect:
        said = f"it redirects to {response.headers.get('location', 'nowhere')}"
    pause = _pause(response.headers.get("retry-after"))
    too_long = pause is not None and pause > PATIENCE
    if too_long:
        said = f"it asks to wait {pause:.0f} s: {said}"
    reason = _reason(said, "refused" if status < 500 else "server-error")
    return ServerError(
        f"{status} {response.reason_phrase}: {said}".rstrip(": "),
        reason,
        status=status,
        of_the_server=too_long or status in _OF_THE_SERVER or status < 400,
        # A server may say with 500 that a text is too long, and would say so again.
        passing=status in _PASSING and not too_long and reason in ("refused", "server-error"),
        pause=pause,
    )


def _json(response: httpx2.Response) -> Any:
    return json.loads(response.content)


def _error_text(response: httpx2.Response) -> str:
    """Return the server's own words out of the shapes that errors have: {"error": {"message"}}, {"detail"}, text."""
    try:
        answer = _json(response)
    except ValueError:
        return response.text
    for key in ("error", "detail", "message"):
        found = answer.get(key) if isinstance(answer, Mapping) else None
        if isinstance(found, Mapping) and isinstance(found.get("message"), str):
            kind = next((found[name] for name in ("code", "type") if isinstance(found.get(name), str)), "")
            return f"{found['message']} ({kind})" if kind else found["message"]
        if found:
            return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    return response.text


def _line(text: str) -> str:
    return " ".join(text.split())


def _reason(said: str, otherwise: str) -> str:
    if _TOO_LONG.search(said):
        return "context-overflow"
    return "content-filter" if _FILTERED.search(said) else otherwise


def _pause(value: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, which holds a number or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
