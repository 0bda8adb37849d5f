"""What a user can do about a server that does not answer."""

from __future__ import annotations

from pcclip_chat.options import ChatOptions
from pcclip_chat.replies import ServerError


def next_step(error: ServerError, options: ChatOptions) -> str:
    """Return the hint that fits the error."""
    status, reason = error.status or 0, error.reason
    if status in (401, 403):
        return f"The key comes from the environment variable {options.api_key_env} (--captioner-api-key-env NAME)."
    if status == 404:
        return (
            "Is the model's name right (--captioner-model), and the address (--captioner-base-url)? "
            "For most servers it ends in /v1."
        )
    if status == 429 or error.pause is not None:
        return "The same command goes on later; fewer requests at a time (--captioner-n-parallel) may help."
    if reason == "context-overflow":
        return "Give the model a larger context at the server, or ask with a shorter prompt (--captioner-prompt FILE)."
    if reason == "timed-out":
        return "If the server is overloaded, lower --captioner-n-parallel or raise --captioner-timeout."
    if reason == "no-connection":
        return "Start the server, or give its address: --captioner-base-url http://HOST:PORT/v1"
    if reason == "bad-response" or status < 400:
        return "Is it the address of the API (--captioner-base-url)? For most servers it ends in /v1."
    if status < 500:
        return (
            "A field that the server does not know can be left out (--captioner-extra-body '{\"seed\": null}'); "
            "a model without system role needs --no-captioner-system."
        )
    return "The server's own log says more."
