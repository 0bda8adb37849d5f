"""The tokenizers of open_clip models, made to treat special-looking text as plain text."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer

from pcclip.errors import PcclipError, UsageError
from pcclip.interfaces import Tokens
from pcclip_openclip.pretrained import unreachable

_MARKER = re.compile("<(?=(?:start|end)_of_text>)", re.IGNORECASE)

FOLDER = "tokenizer"
"""Folder beside the weights that a Hugging Face tokenizer is saved to."""


class TextTokenizer(ABC):
    """Texts to token ids, the same ids that open_clip gives for ordinary text.

    Attributes:
        context_length: the most tokens of a text.
        pad_id: what open_clip fills up with.
    """

    context_length: int
    pad_id: int

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Tokenize, cut to ``context_length`` with the end marker kept, pad to the longest."""
        rows = self.rows(texts)
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        ids = torch.full((len(rows), int(lengths.max()) if rows else 0), self.pad_id, dtype=torch.int64)
        for place, row in zip(ids, rows, strict=True):
            place[: len(row)] = torch.tensor(row)
        return Tokens(ids, lengths)

    @abstractmethod
    def rows(self, texts: Sequence[str], cut: bool = True) -> list[list[int]]:
        """Return the ids of each text with its markers, cut to ``context_length`` or not."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of what turns text into ids."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what cannot be rebuilt from the installed packages into ``folder``."""

    @abstractmethod
    def save_beside(self, folder: Path) -> None:
        """Write it where open_clip looks for it: beside the weights."""


class ClipTokenizer(TextTokenizer):
    """open_clip's byte-pair tokenizer, whose vocabulary comes with the package."""

    pad_id = 0

    def __init__(self, context_length: int, options: Mapping[str, Any]) -> None:
        self.context_length = context_length
        self._options = dict(options)
        self._tokenizer = _byte_pairs(json.dumps(self._options, sort_keys=True))

    def rows(self, texts: Sequence[str], cut: bool = True) -> list[list[int]]:
        own = self._tokenizer
        found = [[own.sot_token_id, *own.encode(text), own.eot_token_id] for text in texts]
        if not cut:
            return found
        last = self.context_length - 1
        return [row if len(row) <= last + 1 else [*row[:last], own.eot_token_id] for row in found]

    def fingerprint(self) -> str:
        parts = [
            list(self._tokenizer.encoder),
            self._tokenizer.pat.pattern,
            _MARKER.pattern,
            self.context_length,
            self._options,
        ]
        return _digest(parts)

    def save(self, folder: Path) -> None:
        """Write nothing: open_clip's vocabulary has been the same since 2021, and the fingerprint tells."""

    def save_beside(self, folder: Path) -> None:
        """Write nothing: open_clip brings it."""


@functools.cache
def _byte_pairs(options: str) -> SimpleTokenizer:
    """Return open_clip's tokenizer for ``options`` (JSON), with its markers out of reach of the text."""
    tokenizer = SimpleTokenizer(**json.loads(options))
    if tokenizer.reduction_fn is not None:
        raise UsageError("open_clip's random shortening of texts (reduction_mask) is not supported")
    # In a caption, "<end_of_text>" would become the end marker. Cleaning comes first, because it
    # resolves HTML entities; then a space after the bracket makes it what the other brackets are.
    clean = tokenizer.clean_fn
    tokenizer.clean_fn = lambda text: _MARKER.sub("< ", clean(text))
    return tokenizer


class HubTokenizer(TextTokenizer):
    """A Hugging Face tokenizer with open_clip's cleaning before it."""

    def __init__(
        self, source: str, context_length: int, options: Mapping[str, Any], *, from_cache: bool = False
    ) -> None:
        self.context_length = context_length
        self._options = dict(options)
        local = {"local_files_only": True} if from_cache else {}
        self._own = HFTokenizer(source, context_length=context_length, **options, **local)
        self._tokenizer: Any = self._own.tokenizer
        self.pad_id = int(self._tokenizer.pad_token_id)

    def rows(self, texts: Sequence[str], cut: bool = True) -> list[list[int]]:
        if not texts:
            return []
        limit = {"truncation": True, "max_length": self.context_length} if cut else {"truncation": False}
        cleaned = [self._own.clean_fn(text) for text in texts]
        # verbose=False: a text that is longer than the model takes is counted here on purpose.
        encoded = self._tokenizer(cleaned, padding=False, split_special_tokens=True, verbose=False, **limit)
        rows: list[list[int]] = [list(row) for row in encoded["input_ids"]]
        if self._own.strip_sep_token:
            separator = self._tokenizer.sep_token_id
            rows = [[0 if token == separator else token for token in row] for row in rows]
        return [row or [self.pad_id] for row in rows]

    def fingerprint(self) -> str:
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None:
            return _digest([sorted(self._tokenizer.get_vocab().items()), self.context_length, self._options])
        content = json.loads(backend.to_str())
        content.pop("truncation", None)  # these two change with every call
        content.pop("padding", None)
        return _digest([content, self.context_length, self._options])

    def save(self, folder: Path) -> None:
        self.save_beside(folder / FOLDER)

    def save_beside(self, folder: Path) -> None:
        self._tokenizer.save_pretrained(str(folder))


def build(text_config: Mapping[str, Any], folder: Path | None = None, *, hub: bool = True) -> TextTokenizer:
    """Return the tokenizer that a model's text config names.

    Args:
        folder: where a Hugging Face tokenizer may lie: in :data:`FOLDER`, or beside the weights.
        hub: whether it may come from the hub or its cache where it is not in ``folder``.

    Raises:
        PcclipError: the tokenizer is on the hub, and the hub cannot be reached.
        FileNotFoundError: it is not in ``folder``, and may come from nowhere else.
        UsageError: the model tokenizes in a way that is not supported.
    """
    context_length = int(text_config.get("context_length", DEFAULT_CONTEXT_LENGTH))
    options = dict(text_config.get("tokenizer_kwargs") or {})
    name = text_config.get("hf_tokenizer_name")
    if not name:
        return ClipTokenizer(context_length, options)
    if text_config.get("tokenizer_mode"):
        raise UsageError(f"tokenizer mode {text_config['tokenizer_mode']!r} of open_clip is not supported")
    for place in [folder / FOLDER, folder] if folder else []:
        if any((place / file).is_file() for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt")):
            return HubTokenizer(str(place), context_length, options)
    if not hub:
        raise FileNotFoundError(f"the tokenizer {name} is missing")
    try:
        return HubTokenizer(name, context_length, options, from_cache=True)
    except Exception as error:  # whatever the reason, it is not in the cache
        cause = unreachable()
        if cause is not None:
            raise PcclipError(
                f"the tokenizer {name} is not on this machine and cannot be downloaded: {cause}",
                "Ways out: go online once; put its tokenizer.json and tokenizer_config.json beside the weights file; "
                "or take a backbone whose tokenizer comes with open_clip (vit-b-32) or needs no download (mini).",
            ) from error
    return HubTokenizer(name, context_length, options)


def _digest(parts: object) -> str:
    raw = json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()
    return hashlib.blake2b(raw, digest_size=16).hexdigest()
