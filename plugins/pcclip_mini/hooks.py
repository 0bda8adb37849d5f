"""Declares ``mini``, the backbone that works offline after pip install."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import EmbedderSpec


@hookimpl
def pcclip_embedders() -> Iterable[EmbedderSpec]:
    yield EmbedderSpec(
        name="mini",
        target="pcclip_mini.embedder:MiniEmbedder",
        options="pcclip_mini.options:MiniOptions",
        summary="EfficientNet-Lite2 and MiniLM, bridged without pictures; needs no network",
        install_hint='pip install "pcclip[mini]"',
    )
