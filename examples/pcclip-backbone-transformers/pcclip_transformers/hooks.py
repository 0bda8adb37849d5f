"""Declares the backbone ``transformers``."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import EmbedderSpec


@hookimpl
def pcclip_embedders() -> Iterable[EmbedderSpec]:
    yield EmbedderSpec(
        name="transformers",
        target="pcclip_transformers.embedder:TransformersEmbedder",
        options="pcclip_transformers.options:TransformersOptions",
        summary="CLIP and SigLIP models of transformers, from a local folder",
        api=1,
        install_hint="pip install 'transformers>=5'",
    )
