"""``mini``: a small CLIP-like model made of published parts, ready after pip install."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pcclip.errors import UsageError
from pcclip.files import new_file, write_text
from pcclip.interfaces import Embedder, Tokens
from pcclip.towers import pick_device, reading_model, tensor_hash
from pcclip_mini import bridge, image_tower, text_tower, weights
from pcclip_mini.image_tower import ImageTower
from pcclip_mini.options import MiniOptions
from pcclip_mini.pictures import PREPROCESSING, square, to_tensor
from pcclip_mini.text_tower import TextTokenizer, TextTower

if TYPE_CHECKING:
    from PIL.Image import Image

    from pcclip.types import FloatArray

_FORMAT = 1


class MiniEmbedder(Embedder):
    """EfficientNet-Lite2 for pictures, all-MiniLM-L6-v2 for texts, and a ridge regression between them.

    Args:
        options: device and batch size.

    Raises:
        ImportError: a package with weights, timm or transformers is missing.
        PluginError: the weights are not the published ones.
        UsageError: there is no such device.
    """

    def __init__(self, options: MiniOptions | None = None) -> None:
        options = options or MiniOptions()
        device = pick_device(options.device)
        image_file = weights.image_weights()
        images, rows = image_tower.published(image_file)
        folder = weights.text_folder()
        shape = json.loads((folder / "config.json").read_text("utf-8"))
        texts = TextTower(shape, image_tower.DIM)
        text_tower.load_bert(texts, folder / "model.safetensors")
        tokenizer = TextTokenizer((folder / "tokenizer.json").read_text("utf-8"))
        sources = {
            "image": weights.file_sha256(image_file),
            "text": weights.file_sha256(folder / "model.safetensors"),
            "tokenizer": weights.file_sha256(folder / "tokenizer.json"),
        }
        bridge.build(texts, tokenizer, rows, sources)
        self._assemble(images, texts, tokenizer, device, options.image_batch_size)

    def _assemble(
        self, images: ImageTower, texts: TextTower, tokenizer: TextTokenizer, device: torch.device, batch_size: int
    ) -> None:
        self._device = device
        self._images = images.to(device)
        self._texts = texts.to(device)
        self._tokenizer = tokenizer
        self._image_batch_size = batch_size
        self._image_fingerprint: str | None = None

    @property
    def dim(self) -> int:
        return image_tower.DIM

    @property
    def context_length(self) -> int:
        return text_tower.CONTEXT_LENGTH

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def image_fingerprint(self) -> str:
        if self._image_fingerprint is None:  # the tower is frozen, so once is enough
            extra = {"architecture": image_tower.ARCHITECTURE, "preprocessing": PREPROCESSING}
            self._image_fingerprint = tensor_hash(self._images.state_dict(), extra)
        return self._image_fingerprint

    @property
    def text_fingerprint(self) -> str:
        extra = {
            "shape": self._texts.shape,
            "tokenizer": self._tokenizer.source,
            "context_length": self.context_length,
        }
        return tensor_hash(self._texts.state_dict(), extra)

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        out = np.empty((len(images), self.dim), np.float32)
        with torch.inference_mode(), torch.autocast(self._device.type, enabled=False):
            for start in range(0, len(images), self._image_batch_size):
                pixels = torch.stack([to_tensor(image) for image in images[start : start + self._image_batch_size]])
                rows = self._images(pixels.to(self._device)).cpu().numpy()
                out[start : start + len(rows)] = rows
        return out

    @property
    def image_batch_size(self) -> int:
        return self._image_batch_size

    def prepare(self, image: Image) -> Image:
        return square(image)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        return self._tokenizer(texts)

    def token_count(self, text: str) -> int:
        return self._tokenizer.count(text)

    def encode_text(self, tokens: Tokens) -> Tensor:
        rows: Tensor = self._texts(tokens.to(self._device))
        return rows.float()

    def trainable(self, scope: str) -> Mapping[str, nn.Parameter]:
        if scope == "blocks":
            return self._texts.block_parameters()
        if scope == "text":
            return dict(self._texts.named_parameters())
        if scope == "projection":
            return {f"bridge.{name}": parameter for name, parameter in self._texts.bridge.named_parameters()}
        depth = len(self._texts.blocks)
        count = scope.removeprefix("last-")
        if count != scope and count.isdecimal() and 1 <= int(count) <= depth:
            return self._texts.block_parameters(int(count))
        raise UsageError(
            f"embedder 'mini': nothing to train is called {scope!r}",
            f"There are: blocks, text, projection, last-1 to last-{depth}, lora",
        )

    def blocks(self) -> nn.Module:
        return self._texts.blocks

    def save(self, folder: Path) -> Mapping[str, object]:
        tensors = {f"image.{name}": tensor for name, tensor in self._images.state_dict().items()}
        tensors |= {f"text.{name}": tensor for name, tensor in self._texts.state_dict().items()}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        folder.mkdir(parents=True, exist_ok=True)
        with new_file(folder / "model.safetensors") as file:
            save_file(tensors, file.name)
        write_text(folder / "tokenizer.json", self._tokenizer.source)
        return {
            "format": _FORMAT,
            "dim": self.dim,
            "image": {"architecture": image_tower.ARCHITECTURE, "preprocessing": PREPROCESSING},
            "text": {"architecture": "bert", "pooling": "mean", "context_length": self.context_length}
            | {"shape": self._texts.shape},
            "image_batch_size": self._image_batch_size,
        }

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, object], device: str = "auto") -> MiniEmbedder:
        """Read what ``save`` wrote; the packages that bring the published weights are not needed.

        Raises:
            RunError: a file is missing or damaged, or was written in another format.
            UsageError: there is no such device.
        """
        place = pick_device(device)
        with reading_model("mini", folder, config, _FORMAT):
            text_config = config["text"]
            assert isinstance(text_config, Mapping)
            images, texts = ImageTower(), TextTower(text_config["shape"], image_tower.DIM)
            tensors = load_file(folder / "model.safetensors")
            for prefix, tower in (("image.", images), ("text.", texts)):
                tower.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
            tokenizer = TextTokenizer((folder / "tokenizer.json").read_text("utf-8"))
        embedder = cls.__new__(cls)
        batch_size = config.get("image_batch_size")
        embedder._assemble(images, texts, tokenizer, place, batch_size if isinstance(batch_size, int) else 16)
        return embedder
