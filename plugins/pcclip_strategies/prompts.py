"""Class prompts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pcclip.interfaces import Embedder
from pcclip.types import FloatArray


def embed_class_prompts(embedder: Embedder, names: Sequence[str], template: str) -> FloatArray:
    """Return ``e_c = g(template with the class name)`` as (k, dim) unit rows.

    Underscores and plus signs between the words of a class name are read as spaces (``grizzly+bear``);
    braces in it are plain text.
    """
    return embedder.embed_texts(
        [template.replace("{label}", re.sub(r"(?<=\w)[_+](?=\w)", " ", name)) for name in names]
    )
