"""Texts about classes, and their embeddings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pcclip.errors import DataError, UsageError
from pcclip.interfaces import Embedder
from pcclip.types import ClassKnowledge, FloatArray
from pcclip_strategies.options import ZeroShotOptions

Template = Callable[[str], str]


def spelled(name: str) -> str:
    """Return a class name as it reads in a text: ``grizzly+bear`` and ``grizzly_bear`` are two words."""
    return re.sub(r"(?<=\w)[_+](?=\w)", " ", name)


def filled(template: str, name: str, description: str = "") -> str:
    """Return ``template`` with a class name and a description; braces in these are plain text."""
    parts = re.split(r"(\{label\}|\{description\})", template)
    values = {"{label}": spelled(name), "{description}": description}
    return "".join(values.get(part, part) for part in parts)


def embed_class_prompts(embedder: Embedder, names: Sequence[str], options: ZeroShotOptions) -> FloatArray:
    """Return the class prompts as (k, dim) unit rows.

    One template: ``e_c = g(t(c))``. Several: ``e_c = N(mean over templates of g(t(c)))``.
    """
    if options.templates is None:
        return embedder.embed_texts([filled(options.template, name) for name in names])
    return unit(mean_of_templates(embedder, names, read_templates(options.templates)))


def mean_of_templates(embedder: Embedder, names: Sequence[str], templates: Sequence[Template]) -> FloatArray:
    """Return ``mean over templates of g(t(c))`` as (k, dim) rows, which are no unit vectors."""
    total = np.zeros((len(names), embedder.dim), np.float32)
    for template in templates:
        total += embedder.embed_texts([template(spelled(name)) for name in names])
    total /= np.float32(len(templates))
    return total


def read_templates(source: str) -> Sequence[Template]:
    """Return the templates of a named set, or of a text file with one a line.

    ``imagenet`` and ``simple`` are CLIP's own for ImageNet, as open_clip has them.

    Raises:
        UsageError: there is no such set and no such file, or a line lacks ``{label}``.
        DataError: the file cannot be read.
    """
    if source in ("imagenet", "simple"):
        import open_clip

        named: dict[str, Sequence[Template]] = {
            "imagenet": open_clip.OPENAI_IMAGENET_TEMPLATES,
            "simple": open_clip.SIMPLE_IMAGENET_TEMPLATES,
        }
        return named[source]
    path = Path(source)
    if not path.is_file():
        raise UsageError(f"there are no templates {source!r}", "Give imagenet, simple, or a text file with one a line.")
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the templates {path}: {error}") from None
    for line in lines:
        if "{label}" not in line:
            raise UsageError(f"{path}: the template {line!r} lacks {{label}}, where the class name goes")
    if not lines:
        raise DataError(f"{path} holds no template", "Write one a line, such as: a photo of a {label}.")
    return [_template(line) for line in lines]


def _template(line: str) -> Template:
    return lambda name: line.replace("{label}", name)


def descriptions_of(knowledge: ClassKnowledge, strategy: str) -> list[tuple[str, ...]]:
    """Return the texts about each class.

    Raises:
        UsageError: a class has none.
    """
    found = [knowledge.descriptions.get(name, ()) for name in knowledge.names]
    missing = [name for name, texts in zip(knowledge.names, found, strict=True) if not texts]
    if missing:
        raise UsageError(
            f"strategy {strategy!r} needs a description of every class, and {_listed(missing)} have none"
            if len(missing) > 1
            else f"strategy {strategy!r} needs a description of every class, and {missing[0]!r} has none",
            "Bring them in a file (--descriptions FILE) or have them written (--captioner llama).",
        )
    return found


def embed_groups(embedder: Embedder, groups: Sequence[Sequence[str]]) -> list[FloatArray]:
    """Return g(t) of each text, by group; a text that comes again is embedded once."""
    texts = {text: row for row, text in enumerate(dict.fromkeys(text for group in groups for text in group))}
    rows = embedder.embed_texts(list(texts))
    return [rows[[texts[text] for text in group]] for group in groups]


def unit(rows: FloatArray) -> FloatArray:
    """Return ``N(v)`` of each row; a row of zeros stays one."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    found: FloatArray = rows / np.where(norms > 0, norms, np.float32(1))
    return found


def is_sentence(text: str) -> bool:
    """Tell whether a description is a whole sentence, and not a feature such as ``a long tail``."""
    return text.rstrip().endswith((".", "!", "?"))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
