"""Declares every open_clip model under its own name in lower case."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import EmbedderSpec
from pcclip_openclip.names import NAMES


@hookimpl
def pcclip_embedders() -> Iterable[EmbedderSpec]:
    yield EmbedderSpec(
        name="openclip",
        target="pcclip_openclip.embedder:OpenClipEmbedder",
        options="pcclip_openclip.options:OpenClipOptions",
        summary="any open_clip model",
        install_hint="pip install open_clip_torch",
        variants=NAMES,
    )
