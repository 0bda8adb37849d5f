"""CLIP and SigLIP models of transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
from transformers.utils import logging

from pcclip.errors import RunError, UsageError
from pcclip.interfaces import Embedder, Tokens
from pcclip.towers import on_white, pick_device, tensor_hash
from pcclip.types import FloatArray
from pcclip_transformers.options import TransformersOptions

if TYPE_CHECKING:
    from PIL.Image import Image

_KINDS = ("clip", "siglip")


class TransformersEmbedder(Embedder):
    """A ``CLIPModel`` or ``SiglipModel`` in float32, with its own tokenizer and preprocessing.

    Raises:
        UsageError: the folder holds no such model, or there is no such device.
    """

    def __init__(self, options: TransformersOptions) -> None:
        try:
            self._read(options.folder, options.device, options.image_batch_size)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"backbone transformers: {options.folder} holds no model that can be used: {error}",
                "Name a folder that save_pretrained of a CLIPModel or SiglipModel, its tokenizer and its image "
                "processor wrote: --backbone-folder.",
            ) from error

    def _read(self, folder: Path, device: str, batch_size: int) -> None:
        """Read everything from ``folder``; OSError and ValueError say what is wrong with it."""
        self._device, self._batch_size = pick_device(device), batch_size
        if not (folder / "config.json").is_file():  # what is no folder would be looked for on the hub
            raise OSError("there is no config.json")
        quiet: Any = logging.disable_progress_bar
        quiet()  # the core shows progress
        where: dict[str, Any] = {"local_files_only": True}
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, **where)
        if model.config.model_type not in _KINDS:
            raise ValueError(f"a model of type {model.config.model_type!r}, not {' or '.join(_KINDS)}")
        self._model: Any = model.to(self._device).eval()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, **where)
        processors: Any = AutoImageProcessor  # its methods have no types
        self._pictures: Any = processors.from_pretrained(folder, **where)
        if self._tokenizer.pad_token_id is None:
            raise ValueError("the tokenizer has no token to pad with")
        text: set[str] = {name for name, _ in self._model.named_parameters() if name.startswith("text_")}
        for name, parameter in self._model.named_parameters():
            parameter.requires_grad_(name in text)
        self._image_fingerprint: str | None = None

    @property
    def dim(self) -> int:
        config = self._model.config
        is_clip = config.model_type == "clip"
        return int(config.projection_dim if is_clip else config.vision_config.hidden_size)

    @property
    def context_length(self) -> int:
        return int(self._model.config.text_config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def image_fingerprint(self) -> str:
        if self._image_fingerprint is None:  # the tower is frozen, so once is enough
            extra = {
                "config": self._model.config.vision_config.to_dict(),
                "preprocessing": self._pictures.to_dict(),
                "background": "white",
            }
            self._image_fingerprint = tensor_hash(self._part("vision_", "visual_"), _plain(extra))
        return self._image_fingerprint

    @property
    def text_fingerprint(self) -> str:
        extra = {
            "config": self._model.config.text_config.to_dict(),
            "tokenizer": self._tokenizer.backend_tokenizer.to_str(),
        }
        return tensor_hash(self._part("text_"), _plain(extra))

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        out = np.empty((len(images), self.dim), np.float32)
        with torch.inference_mode(), torch.autocast(self._device.type, enabled=False):
            for start in range(0, len(images), self._batch_size):
                pictures = [on_white(image) for image in images[start : start + self._batch_size]]
                pixels = torch.cat([self._pixels(picture) for picture in pictures]).to(self._device)
                rows = _features(self._model.get_image_features(pixel_values=pixels))
                out[start : start + len(rows)] = rows.cpu().numpy()
        return out

    @property
    def image_batch_size(self) -> int:
        return self._batch_size

    def _pixels(self, picture: Image) -> Tensor:
        pixels: Tensor = self._pictures(picture, return_tensors="pt")["pixel_values"]
        return pixels

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        rows = [torch.tensor(row) for row in self._rows(texts, cut=True)]
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        if not rows:
            return Tokens(torch.zeros((0, 0), dtype=torch.int64), lengths)
        pad = self._tokenizer.pad_token_id
        return Tokens(nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad), lengths)

    def token_count(self, text: str) -> int:
        return len(self._rows([text], cut=False)[0])

    def _rows(self, texts: Sequence[str], cut: bool) -> list[list[int]]:
        if not texts:
            return []
        found = self._tokenizer(
            list(texts), truncation=cut, max_length=self.context_length if cut else None,
            split_special_tokens=True, verbose=False,
        )  # fmt: skip
        # a model without begin and end markers would give an empty text no token at all
        return [row or [self._tokenizer.pad_token_id] for row in found["input_ids"]]

    def encode_text(self, tokens: Tokens) -> Tensor:
        ids = tokens.ids.to(self._device)
        if self._model.config.model_type == "siglip":
            # SigLIP was trained on texts padded to the full context, and reads its answer off the last place
            padding = self.context_length - ids.shape[1]
            ids = nn.functional.pad(ids, (0, padding), value=self._tokenizer.pad_token_id)
            return _features(self._model.get_text_features(input_ids=ids))
        place = torch.arange(ids.shape[1], device=self._device)
        mask = (place < tokens.lengths.to(self._device)[:, None]).long()
        return _features(self._model.get_text_features(input_ids=ids, attention_mask=mask))

    def trainable(self, scope: str) -> Mapping[str, nn.Parameter]:
        depth = len(self._model.text_model.encoder.layers)
        parts: dict[str, tuple[str, ...]] = {
            "text": ("text_",),
            "blocks": ("text_model.encoder.layers.",),
            "projection": ("text_projection.", "text_model.head."),
        }
        count = scope.removeprefix("last-")
        if count != scope and count.isdecimal() and 1 <= int(count) <= depth:
            parts[scope] = tuple(f"text_model.encoder.layers.{depth - 1 - i}." for i in range(int(count)))
        if scope not in parts:
            raise UsageError(
                f"backbone transformers: nothing to train is called {scope!r}",
                f"There are: text, blocks, projection, last-1 to last-{depth}, lora",
            )
        return {name: p for name, p in self._model.named_parameters() if name.startswith(parts[scope])}

    def blocks(self) -> nn.Module:
        blocks: nn.Module = self._model.text_model.encoder.layers
        return blocks

    def save(self, folder: Path) -> Mapping[str, object]:
        for part in (self._model, self._tokenizer, self._pictures):
            part.save_pretrained(folder)
        return {"image_batch_size": self._batch_size}

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, object], device: str = "auto") -> TransformersEmbedder:
        embedder = cls.__new__(cls)
        try:
            embedder._read(folder, device, int(str(config.get("image_batch_size", 32))))
        except (OSError, ValueError) as error:
            raise RunError(f"{folder}: this is no readable model of transformers: {error}") from error
        return embedder

    def _part(self, *prefixes: str) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self._model.state_dict().items() if name.startswith(prefixes)}


def _features(output: Any) -> Tensor:
    """Return unit rows of what ``get_image_features`` or ``get_text_features`` gave."""
    rows: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return nn.functional.normalize(rows.float(), dim=-1)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON values, without what depends on where and by what version the model was saved."""
    unsaid = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures"}

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): plain(inner) for key, inner in value.items() if key not in unsaid}
        return value

    found: dict[str, Any] = json.loads(json.dumps(plain(values), default=str))
    return found
