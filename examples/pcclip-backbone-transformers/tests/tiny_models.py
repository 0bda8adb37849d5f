"""Tiny models of random weights, saved as transformers saves real ones."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
WORDS = "the first second image shows while white ground disc size red green blue".split()
VISION = {**TOWER, "image_size": 32, "patch_size": 16}


def save_tiny(kind: str, folder: Path) -> Path:
    """Save a tiny ``clip`` or ``siglip`` with tokenizer and image processor into ``folder``."""
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = ["<pad>", "<s>", "<unk>", "</s>", *letters, *WORDS, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    markers = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3}  # an id of 2 has a meaning of its own
    text = {**TOWER, **markers, "vocab_size": len(vocabulary), "max_position_embeddings": 64}
    torch.manual_seed(0)
    size = {"height": 32, "width": 32}
    if kind == "clip":
        width = {"projection_dim": 24}
        model = CLIPModel(CLIPConfig(text_config={**text, **width}, vision_config={**VISION, **width}, **width))
        pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size)
    else:
        model = SiglipModel(SiglipConfig(text_config={**text, "projection_size": 32}, vision_config=VISION))
        pictures = SiglipImageProcessor(size=size)
    for part in (model, fast, pictures):
        part.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    save_tiny(sys.argv[1], Path(sys.argv[2]))
