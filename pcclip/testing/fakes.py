"""A CLIP-like model and a captioner that need no weights and answer at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pcclip.errors import RunError, UsageError
from pcclip.form import compose
from pcclip.interfaces import Captioner, Embedder, Tokens
from pcclip.types import CaptionPair, Comparative, FloatArray, Rejection

if TYPE_CHECKING:
    from PIL.Image import Image

_VOCABULARY = 4096


class HashEmbedder(Embedder):
    """Words are hashed into an embedding table that can be trained; a picture is its thumbnail, projected.

    Args:
        dim: length of an embedding.
        seed: seed of the random weights.
    """

    def __init__(self, dim: int = 32, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._pixels = torch.randn(192, dim, generator=generator)
        self.table = nn.Parameter(torch.randn(_VOCABULARY, dim, generator=generator))
        self.projection = nn.Parameter(torch.eye(dim))

    @property
    def dim(self) -> int:
        return self._pixels.shape[1]

    @property
    def context_length(self) -> int:
        return 64

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def image_fingerprint(self) -> str:
        return _hash(self._pixels)

    @property
    def text_fingerprint(self) -> str:
        return _hash(self.table, self.projection)

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        small = [np.asarray(image.convert("RGB").resize((8, 8)), np.float32).ravel() / 255 for image in images]
        pixels = torch.from_numpy(np.stack(small) if small else np.zeros((0, 192), np.float32))
        embeddings: FloatArray = F.normalize((pixels - 0.5) @ self._pixels, dim=-1).numpy()
        return embeddings

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        rows = [[_word(word) for word in text.split()][: self.context_length] or [0] for text in texts]
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        width = int(lengths.max()) if rows else 0
        padded = [row + [0] * (width - len(row)) for row in rows]
        return Tokens(torch.tensor(padded, dtype=torch.int64).reshape(len(rows), width), lengths)

    def token_count(self, text: str) -> int:
        return max(1, len(text.split()))

    def encode_text(self, tokens: Tokens) -> Tensor:
        width = tokens.ids.shape[1]
        mask = (torch.arange(width) < tokens.lengths[:, None]).float()
        # a word's place matters, so that "a, while b" differs from "b, while a"
        weights = mask * (1 + torch.arange(width) / 8)
        bag = (self.table[tokens.ids] * weights[..., None]).sum(dim=1)
        return F.normalize(bag @ self.projection, dim=-1)

    def trainable(self, scope: str) -> Mapping[str, nn.Parameter]:
        scopes = {
            "blocks": {"table": self.table},
            "projection": {"projection": self.projection},
            "text": {"table": self.table, "projection": self.projection},
        }
        if scope not in scopes:
            raise UsageError(f"unknown scope {scope!r}", f"There are: {', '.join(scopes)}")
        return scopes[scope]

    def save(self, folder: Path) -> Mapping[str, object]:
        tensors = {"pixels": self._pixels, "table": self.table, "projection": self.projection}
        save_file(
            {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors"
        )
        return {"dim": self.dim}

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, object], device: str = "auto") -> HashEmbedder:
        try:
            tensors = load_file(folder / "model.safetensors")
        except (OSError, SafetensorError) as error:
            raise RunError(f"{folder}: this is no readable model of hashed words: {error}") from error
        made = cls(int(str(config["dim"])))
        made._pixels = tensors["pixels"]
        with torch.no_grad():
            made.table.copy_(tensors["table"])
            made.projection.copy_(tensors["projection"])
        return made


class EchoCaptioner(Captioner):
    """Puts both captions into the form as they are; rejects pairs whose first caption starts with ``reject``.

    Args:
        chunk_size: pairs a chunk.
    """

    def __init__(self, chunk_size: int = 8) -> None:
        self.chunk_size = chunk_size
        self.asked: list[CaptionPair] = []

    @property
    def fingerprint(self) -> str:
        return "echo-1"

    def describe(self, pairs: Sequence[CaptionPair]) -> Iterator[Comparative | Rejection]:
        for pair in pairs:
            self.asked.append(pair)
            if pair.first.startswith("reject"):
                yield Rejection(pair, "echo", pair.first)
            else:
                yield Comparative(pair, compose(pair.first.rstrip("."), pair.second.rstrip(".")))


def _word(word: str) -> int:
    return 1 + int.from_bytes(hashlib.blake2b(word.lower().encode(), digest_size=4).digest(), "little") % (
        _VOCABULARY - 1
    )


def _hash(*tensors: Tensor) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
