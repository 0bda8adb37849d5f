"""Any open_clip model as an embedder: the image tower frozen, the text tower open to training."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import open_clip
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pcclip.errors import RunError
from pcclip.files import new_file
from pcclip.interfaces import Embedder, Tokens
from pcclip.towers import pick_device, reading_model, tensor_hash
from pcclip_openclip import architecture, own_form, pictures, pretrained, tokens, transformers_form
from pcclip_openclip.options import OpenClipOptions
from pcclip_openclip.text import TextSide
from pcclip_openclip.tokens import TextTokenizer

if TYPE_CHECKING:
    from PIL.Image import Image

from pcclip.types import FloatArray

_FORMAT = 1
_WEIGHTS = "model.safetensors"


class OpenClipEmbedder(Embedder):
    """An open_clip model, in float32.

    Args:
        options: weights, device, batch size.
        variant: one of :data:`pcclip_openclip.names.NAMES`.

    Raises:
        UsageError: weights or device do not exist, or do not fit.
        PcclipError: something has to be downloaded and the hub does not answer.
    """

    export_formats = ("open_clip", "transformers")

    def __init__(self, options: OpenClipOptions | None = None, variant: str = "vit-b-32") -> None:
        options = options or OpenClipOptions()
        device = pick_device(options.device)
        name = pretrained.architecture_name(variant)
        weights = pretrained.find(name, options.pretrained, options.quick_gelu)
        config: dict[str, Any] = copy.deepcopy(open_clip.get_model_config(name))
        config["quick_gelu"] = weights.quick_gelu
        folder = weights.path.parent
        tokenizer = tokens.build(config["text_cfg"], folder)  # before the weights: it fails faster
        model = architecture.build(config, folder)
        architecture.fill(model, weights, name)
        about: dict[str, Any] = {
            "format": _FORMAT,
            "variant": variant,
            "architecture": name,
            "pretrained": weights.source,
            "quick_gelu": weights.quick_gelu,
            "model": config,
            "preprocessing": architecture.preprocessing(model, weights.preprocessing),
            "context_length": tokenizer.context_length,
            "image_batch_size": options.image_batch_size,
        }
        self._assemble(model, tokenizer, about, device)

    def _assemble(
        self, model: nn.Module, tokenizer: TextTokenizer, about: Mapping[str, Any], device: torch.device
    ) -> None:
        self._about = dict(about)
        self._device = device
        self._tokenizer = tokenizer
        self._model: Any = model.to(device).eval()
        self._visual: nn.Module = model.get_submodule("visual")
        self._visual.requires_grad_(False)
        self._text = TextSide(model, tokenizer.context_length, tokenizer.pad_id)
        for parameter in set(model.parameters()) - set(self._text.parameters().values()):
            parameter.requires_grad_(False)  # the logit scale, and CoCa's decoder
        self._resize, self._transform = pictures.transforms(about["preprocessing"])
        self._image_fingerprint: str | None = None

    @property
    def dim(self) -> int:
        return int(self._about["model"]["embed_dim"])

    @property
    def context_length(self) -> int:
        return self._tokenizer.context_length

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def image_fingerprint(self) -> str:
        if self._image_fingerprint is None:  # the tower is frozen, so once is enough
            extra = {
                "model": {key: self._about["model"].get(key) for key in ("embed_dim", "vision_cfg", "quick_gelu")},
                "preprocessing": self._about["preprocessing"],
                "background": "white",
            }
            self._image_fingerprint = tensor_hash(self._visual.state_dict(), extra)
        return self._image_fingerprint

    @property
    def text_fingerprint(self) -> str:
        extra = {
            "model": {key: self._about["model"].get(key) for key in ("embed_dim", "text_cfg", "quick_gelu")},
            "tokenizer": self._tokenizer.fingerprint(),
        }
        return tensor_hash(self._text.tensors(), extra)

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        out = np.empty((len(images), self.dim), np.float32)
        size = self.image_batch_size
        with torch.inference_mode(), torch.autocast(self._device.type, enabled=False):
            for start in range(0, len(images), size):
                pixels = torch.stack([self._transform(image) for image in images[start : start + size]])
                rows = nn.functional.normalize(self._model.encode_image(pixels.to(self._device)), dim=-1)
                out[start : start + len(rows)] = rows.cpu().numpy()
        return out

    @property
    def image_batch_size(self) -> int:
        return int(self._about["image_batch_size"])

    def prepare(self, image: Image) -> Image:
        return self._resize(image)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        return self._tokenizer(texts)

    def token_count(self, text: str) -> int:
        return len(self._tokenizer.rows([text], cut=False)[0])

    def encode_text(self, tokens: Tokens) -> Tensor:
        return self._text.encode(tokens.to(self._device)).float()

    @property
    def packs(self) -> bool:
        return self._text.packs

    def trainable(self, scope: str) -> Mapping[str, nn.Parameter]:
        return self._text.trainable(scope, self._about["variant"])

    def blocks(self) -> nn.Module:
        return self._text.blocks()

    def save(self, folder: Path) -> Mapping[str, object]:
        folder.mkdir(parents=True, exist_ok=True)
        with new_file(folder / _WEIGHTS) as file:
            save_file(self._state(), file.name)
        self._tokenizer.save(folder)
        if self._text.is_hub_tower:
            self._model.text.config.save_pretrained(str(folder / architecture.TEXT_CONFIG))
        about = self._about | {"open_clip": open_clip.__version__, "tokenizer": self._tokenizer.fingerprint()}
        saved: dict[str, object] = json.loads(json.dumps(about))
        return saved

    def export(self, format_: str, folder: Path) -> str:
        if format_ == "transformers":
            transformers_form.write(folder, self._model, self._about)
            return transformers_form.USAGE
        own_form.write(folder, self._state(), self._about, self._tokenizer)
        return own_form.USAGE

    def _state(self) -> dict[str, Tensor]:
        """Return the weights on the CPU; tensors that share memory, such as tied embeddings, become copies."""
        return _apart({name: tensor.detach().cpu().contiguous() for name, tensor in self._model.state_dict().items()})

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, object], device: str = "auto") -> OpenClipEmbedder:
        """Read what ``save`` wrote.

        Raises:
            RunError: a file is missing or damaged, or was written in another format.
            UsageError: there is no such device.
        """
        place = pick_device(device)
        about: dict[str, Any] = {key: value for key, value in config.items() if key not in ("open_clip", "tokenizer")}
        with reading_model("open_clip", folder, config, _FORMAT):
            tokenizer = tokens.build(about["model"]["text_cfg"], folder, hub=False)
            model = architecture.build(about["model"], folder)
            model.load_state_dict(load_file(folder / _WEIGHTS))
            embedder = cls.__new__(cls)
            embedder._assemble(model, tokenizer, about, place)
        if config.get("tokenizer") != tokenizer.fingerprint():
            raise RunError(
                f"{folder}: the tokenizer is not the one the model was saved with",
                f"Install the open_clip that saved it: pip install open_clip_torch=={config.get('open_clip')}",
            )
        return embedder


def _apart(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that share memory, such as tied embeddings, which safetensors refuses."""
    seen: set[int] = set()
    for name, tensor in state.items():
        if tensor.data_ptr() in seen and tensor.numel():
            state[name] = tensor.clone()
        seen.add(tensor.data_ptr())
    return state
