"""The folder that ``open_clip.create_model_and_transforms("local-dir:FOLDER")`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from pcclip.files import write_json
from pcclip_openclip.tokens import TextTokenizer

USAGE = """\
import open_clip
import torch
from PIL import Image

folder = "local-dir:path/of/this/folder"
model, _, preprocess = open_clip.create_model_and_transforms(folder)
tokenizer = open_clip.get_tokenizer(folder)
model.eval()

pictures = [Image.open(path).convert("RGB") for path in ("a.jpg", "b.jpg")]
with torch.no_grad():
    first, second = model.encode_image(torch.stack([preprocess(picture) for picture in pictures]), normalize=True)
    (text,) = model.encode_text(tokenizer(["The first image shows a larger animal."]), normalize=True)
cosine = torch.nn.functional.cosine_similarity(text, first - second, dim=0)
print("it does" if cosine > 0 else "it is the other way round", float(cosine))"""


def write(folder: Path, state: Mapping[str, Tensor], about: Mapping[str, Any], tokenizer: TextTokenizer) -> None:
    """Write weights, config and tokenizer under the names that open_clip (3.0 and later) looks for.

    Args:
        state: the weights by their names in the model, on the CPU.
        about: what the embedder knows of itself: ``model`` and ``preprocessing``.
    """
    save_file(dict(state), folder / "open_clip_model.safetensors")
    write_json(
        folder / "open_clip_config.json", {"model_cfg": about["model"], "preprocess_cfg": about["preprocessing"]}
    )
    tokenizer.save_beside(folder)
