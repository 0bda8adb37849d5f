"""The bridge from text to image features, solved in closed form and without a single picture.

Each row of an ImageNet classifier is the prototype, in image-feature space, of a class that has
names. Ridge regression from the embeddings of those names to the rows maps any text there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm.data.imagenet_info import ImageNetInfo
from torch import Tensor, nn

from pcclip.errors import PcclipError
from pcclip.files import cache_folder, new_file
from pcclip_mini.text_tower import TextTokenizer, TextTower

RIDGE = 10.0
TEMPLATES = ("{}", "a photo of a {}")
_VERSION = 1
_BATCH = 128


def class_texts() -> tuple[list[str], list[int]]:
    """Return what the 1,000 ImageNet classes are called, and the class index of each text."""
    texts: list[str] = []
    classes: list[int] = []
    for index, names in enumerate(ImageNetInfo().label_descriptions()):
        for name in dict.fromkeys(part.strip() for part in names.split(",")):
            for template in TEMPLATES:
                texts.append(template.format(name))
                classes.append(index)
    return texts, classes


def build(tower: TextTower, tokenizer: TextTokenizer, rows: Tensor, sources: Mapping[str, str]) -> None:
    """Set the tower's bridge: from the cache when it holds this very bridge, else solved and put there.

    Args:
        rows: (1000, dim) classifier rows, as published.
        sources: hashes of the weights the bridge depends on.
    """
    path = cache_folder() / "mini" / f"bridge-{_key(sources)}.safetensors"
    found = _read(path, tower.bridge)
    if found is None:
        found = solve(tower, tokenizer, rows)
        # A cache that cannot be written costs seconds at the next start, nothing else.
        with contextlib.suppress(OSError, PcclipError, SafetensorError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with new_file(path) as file:
                save_file(found, file.name)
    tower.bridge.load_state_dict(found)


def solve(tower: TextTower, tokenizer: TextTokenizer, rows: Tensor) -> dict[str, Tensor]:
    """Return ``weight`` (dim, 384) and ``bias`` (dim,) of the bridge.

    Ridge regression with penalty 10 and an intercept, in double precision, from the sentence
    embeddings of all class texts to the classifier rows, centred and scaled to unit length.
    """
    from sklearn.linear_model import Ridge  # a second to import, and needed only when nothing is cached

    texts, classes = class_texts()
    inputs = _sentences(tower, tokenizer, texts)
    prototypes = rows.double()
    prototypes = nn.functional.normalize(prototypes - prototypes.mean(0), dim=-1)
    model = Ridge(alpha=RIDGE, solver="cholesky").fit(inputs, prototypes.numpy()[classes])
    return {
        "weight": torch.from_numpy(np.ascontiguousarray(model.coef_, np.float32)),
        "bias": torch.from_numpy(np.ascontiguousarray(model.intercept_, np.float32)),
    }


def _sentences(tower: TextTower, tokenizer: TextTokenizer, texts: list[str]) -> NDArray[np.float64]:
    tokens = tokenizer(texts)
    out = np.empty((len(texts), tower.bert.config.hidden_size), np.float64)
    with torch.inference_mode():
        for indices in torch.split(torch.argsort(tokens.lengths, stable=True), _BATCH):
            out[indices.numpy()] = tower.sentences(tokens.take(indices)).numpy()
    return out


def _key(sources: Mapping[str, str]) -> str:
    texts, classes = class_texts()
    parts = [_VERSION, RIDGE, texts, classes, dict(sources)]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _read(path: Path, bridge: nn.Linear) -> dict[str, Tensor] | None:
    """Return a cached bridge, or None where there is none or a damaged one."""
    try:
        found = load_file(path)
    except (OSError, SafetensorError):
        return None
    shapes = {name: tensor.shape for name, tensor in bridge.state_dict().items()}
    return found if {name: tensor.shape for name, tensor in found.items()} == shapes else None
