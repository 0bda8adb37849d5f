from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor, AutoTokenizer

from pcclip import registry
from pcclip.errors import UsageError
from pcclip.testing import EmbedderContract

sys.path.insert(0, str(Path(__file__).parent))
from tiny_models import save_tiny

KINDS = ("clip", "siglip")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: save_tiny(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.fixture(scope="class")
def saved(request: pytest.FixtureRequest, models: dict[str, Path]) -> None:
    """Give a contract the folder of the model that it names."""
    request.cls.options = {"folder": models[request.cls.model], "device": "cpu"}


@pytest.mark.usefixtures("saved")
class TestClipContract(EmbedderContract):
    """What every embedder promises; the checks are inherited."""

    name = "transformers"
    model = "clip"


class TestSiglipContract(TestClipContract):
    model = "siglip"


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_those_of_transformers_itself(kind: str, models: dict[str, Path]) -> None:
    embedder = registry().embedder("transformers", {"folder": models[kind], "device": "cpu"})
    model, tokenizer = AutoModel.from_pretrained(models[kind]), AutoTokenizer.from_pretrained(models[kind])
    picture = Image.effect_mandelbrot((50, 40), (-2, -1, 1, 1), 50).convert("RGB")
    pixels = AutoProcessor.from_pretrained(models[kind]).image_processor(picture, return_tensors="pt")["pixel_values"]
    texts = ["a cat", "the second image shows a dog"]
    padding = {"padding": "max_length", "max_length": 64} if kind == "siglip" else {"padding": True}
    inputs = tokenizer(texts, return_tensors="pt", **padding)
    if kind == "siglip":
        inputs.pop("attention_mask")
    inputs.pop("token_type_ids", None)
    with torch.inference_mode():
        output = model(pixel_values=pixels, **inputs)
    np.testing.assert_allclose(embedder.embed_images([picture]), output.image_embeds.numpy(), atol=1e-5)
    np.testing.assert_allclose(embedder.embed_texts(texts), output.text_embeds.numpy(), atol=1e-5)


def test_other_folders_are_named(models: dict[str, Path], tmp_path: Path) -> None:
    for trouble, words in (("empty", "no config.json"), ("bert", "a model of type 'bert'")):
        folder = tmp_path / trouble
        folder.mkdir()
        if trouble == "bert":
            from transformers import BertConfig, BertModel

            BertModel(
                BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
            ).save_pretrained(folder)
        with pytest.raises(UsageError, match=words):
            registry().embedder("transformers", {"folder": folder})


def test_marks_in_a_text_are_plain_text(models: dict[str, Path]) -> None:
    embedder = registry().embedder("transformers", {"folder": models["clip"], "device": "cpu"})
    assert embedder.token_count("</s>") > embedder.token_count("s")
    assert json.loads(json.dumps(embedder.save(models["clip"].parent / "saved"))) == {"image_batch_size": 32}
