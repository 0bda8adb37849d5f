"""Declares ``llama``, captions by a GGUF model in this process."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import CaptionerSpec


@hookimpl
def pcclip_captioners() -> Iterable[CaptionerSpec]:
    yield CaptionerSpec(
        name="llama",
        target="pcclip_llama.captioner:LlamaCaptioner",
        options="pcclip_llama.options:LlamaOptions",
        summary="a local language model by llama.cpp, many pairs at once",
        install_hint='pip install "pcclip[llama]"',
    )
