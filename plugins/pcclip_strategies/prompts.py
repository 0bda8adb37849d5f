"""Class prompts."""

from __future__ import annotations

from collections.abc import Sequence

from pcclip.interfaces import Embedder
from pcclip.types import FloatArray


def embed_class_prompts(embedder: Embedder, names: Sequence[str], template: str) -> FloatArray:
    """Return ``e_c = g(template with the class name)`` as (k, dim) unit rows.

    Underscores in a class name are read as spaces; braces in it are plain text.
    """
    return embedder.embed_texts([template.replace("{label}", name.replace("_", " ")) for name in names])
