"""Declares ``chat``, captions by an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import CaptionerSpec


@hookimpl
def pcclip_captioners() -> Iterable[CaptionerSpec]:
    yield CaptionerSpec(
        name="chat",
        target="pcclip_chat.captioner:ChatCaptioner",
        options="pcclip_chat.options:ChatOptions",
        summary="a chat model behind an OpenAI-compatible server: llama-server, vLLM, Ollama, OpenAI",
        install_hint='pip install "pcclip[chat]"',
    )
