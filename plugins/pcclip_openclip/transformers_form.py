"""The folder that ``transformers.CLIPModel`` and ``CLIPProcessor`` read.

transformers has one CLIP: a ViT that reads its class token, and a causal text tower with the byte-pair
tokenizer that reads its end marker. open_clip has many more; those are refused by what sets them apart.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from torch import Tensor

from pcclip.errors import MissingDependencyError, PcclipError, UsageError
from pcclip.files import write_json

USAGE = """\
import torch
from PIL import Image
from transformers import CLIPModel, CLIPProcessor

folder = "path/of/this/folder"
model = CLIPModel.from_pretrained(folder).eval()
processor = CLIPProcessor.from_pretrained(folder, backend="pil")  # resize as in training

pictures = [Image.open(path).convert("RGB") for path in ("a.jpg", "b.jpg")]
texts = ["The first image shows a larger animal."]
inputs = processor(text=texts, images=pictures, return_tensors="pt", padding=True, truncation=True)
with torch.no_grad():
    found = model(**inputs)
first, second = found.image_embeds
(text,) = found.text_embeds
cosine = torch.nn.functional.cosine_similarity(text, first - second, dim=0)
print("it does" if cosine > 0 else "it is the other way round", float(cosine))"""

TOLERANCE = 1e-4
_START, _END = "<|startoftext|>", "<|endoftext|>"
# What may differ from open_clip's defaults. Every other difference is one that CLIPModel cannot express.
_VISION = {"layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size", "patch_dropout"}
_VISION |= {"output_tokens", "final_ln_after_pool", "pos_embed_type"}
_TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "output_tokens", "pad_id", "eos_id"}
_MODEL = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text", "init_logit_scale"}
_MODEL |= {"nonscalar_logit_scale"}
_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def write(folder: Path, model: Any, about: Mapping[str, Any]) -> None:
    """Write weights, config, picture preprocessing and tokenizer.

    Raises:
        UsageError: ``CLIPModel`` cannot express this model; the message names what sets it apart.
        MissingDependencyError: transformers is not installed.
        PcclipError: the converted model does not give the same embeddings.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingDependencyError(
            f"the form 'transformers' needs a package that is not installed: {error}",
            'Install it: pip install "pcclip[transformers]"',
        ) from error
    apart = set_apart(about)
    if apart:
        raise UsageError(
            f"{about['architecture']} has no form as transformers' CLIPModel; apart it is set by: {', '.join(apart)}",
            "Export it as open_clip: --format open_clip",
        )
    with torch.random.fork_rng(devices=[]):
        twin = transformers.CLIPModel(transformers.CLIPConfig(**_config(about["model"])))
    state = _state(model)
    twin.load_state_dict(state)
    _compare(model, twin.eval(), about)
    twin.config.save_pretrained(folder)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "preprocessor_config.json", _preprocessing(about["preprocessing"]))
    _write_tokenizer(folder, about["model"]["text_cfg"].get("context_length", CLIPTextCfg.context_length))


def set_apart(about: Mapping[str, Any]) -> list[str]:
    """Name the settings of an open_clip model that ``CLIPModel`` has no counterpart for; none means it has a form."""
    config, preprocessing = about["model"], about["preprocessing"]
    found = [name for name in sorted(set(config) - _MODEL) if config[name] is not None]
    for part, kind, allowed in (("vision_cfg", CLIPVisionCfg, _VISION), ("text_cfg", CLIPTextCfg, _TEXT)):
        usual, given = dataclasses.asdict(kind()), dataclasses.asdict(kind(**config[part]))
        found += [f"{part}.{name}" for name in usual if name not in allowed and given[name] != usual[name]]
    vision = CLIPVisionCfg(**config["vision_cfg"])
    if not isinstance(vision.layers, int):
        found.append("a ResNet image tower")
    height, width = _twice(preprocessing["size"])
    if height != width or not isinstance(vision.patch_size, int):
        found.append("an image size or patch that is not square")
    if preprocessing["resize_mode"] not in ("shortest", "squash"):
        found.append(f"resize_mode {preprocessing['resize_mode']!r}")
    if CLIPTextCfg(**config["text_cfg"]).vocab_size != _byte_pairs().vocab_size:
        found.append("a vocabulary other than CLIP's")
    return found


@functools.cache
def _byte_pairs() -> SimpleTokenizer:
    return SimpleTokenizer()


def _twice(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _config(config: Mapping[str, Any]) -> dict[str, Any]:
    vision, text = CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"])
    tokenizer = _byte_pairs()
    shared = {
        "hidden_act": "quick_gelu" if config.get("quick_gelu") else "gelu",
        "projection_dim": config["embed_dim"],
        "layer_norm_eps": 1e-5,  # torch's own, which open_clip leaves as it is
    }
    return {
        "architectures": ["CLIPModel"],
        "projection_dim": config["embed_dim"],
        "vision_config": shared
        | {
            "hidden_size": vision.width,
            "intermediate_size": int(vision.width * vision.mlp_ratio),
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.width // vision.head_width,
            "image_size": _twice(vision.image_size)[0],
            "patch_size": vision.patch_size,
        },
        "text_config": shared
        | {
            "hidden_size": text.width,
            "intermediate_size": int(text.width * text.mlp_ratio),
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "vocab_size": text.vocab_size,
            "max_position_embeddings": text.context_length,
            "bos_token_id": tokenizer.sot_token_id,
            "eos_token_id": tokenizer.eot_token_id,
            "pad_token_id": tokenizer.eot_token_id,
        },
    }


def _state(model: Any) -> dict[str, Tensor]:
    """Return the weights under transformers' names; the projections, linear layers there, are transposed."""
    text = getattr(model, "text", model)
    visual = model.visual
    state = {
        "logit_scale": model.logit_scale.reshape(()),
        "visual_projection.weight": visual.proj.T,
        "text_projection.weight": text.text_projection.T,
        "vision_model.embeddings.class_embedding": visual.class_embedding,
        "vision_model.embeddings.patch_embedding.weight": visual.conv1.weight,
        "vision_model.embeddings.position_embedding.weight": visual.positional_embedding,
        "text_model.embeddings.token_embedding.weight": text.token_embedding.weight,
        "text_model.embeddings.position_embedding.weight": text.positional_embedding,
    }
    for name, norm in (
        ("vision_model.pre_layrnorm", visual.ln_pre),
        ("vision_model.post_layernorm", visual.ln_post),
        ("text_model.final_layer_norm", text.ln_final),
    ):
        state |= {f"{name}.weight": norm.weight, f"{name}.bias": norm.bias}
    for tower, blocks in (("vision_model", visual.transformer.resblocks), ("text_model", text.transformer.resblocks)):
        for number, block in enumerate(blocks):
            state |= {f"{tower}.encoder.layers.{number}.{key}": value for key, value in _block(block)}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _block(block: Any) -> Iterator[tuple[str, Tensor]]:
    own = dict(block.named_parameters())
    for kind in ("weight", "bias"):
        for part, tensor in zip("qkv", own[f"attn.in_proj_{kind}"].chunk(3), strict=True):
            yield f"self_attn.{part}_proj.{kind}", tensor
        for before, after in _BLOCK.items():
            yield f"{after}.{kind}", own[f"{before}.{kind}"]


def _compare(model: Any, twin: Any, about: Mapping[str, Any]) -> None:
    """Encode noise and a few tokens with both, so that no difference between the libraries goes unseen."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, *_twice(about["preprocessing"]["size"]), generator=generator)
    length = twin.config.text_config.max_position_embeddings
    ids = torch.zeros(2, length, dtype=torch.int64)
    for row, words in enumerate((5, length - 2)):
        content = torch.randint(1000, 40000, (words,), generator=generator).tolist()
        end = twin.config.text_config.eos_token_id
        ids[row, : words + 2] = torch.tensor([twin.config.text_config.bos_token_id, *content, end])
    with torch.no_grad():
        device = model.logit_scale.device
        images = model.encode_image(pixels.to(device), normalize=True).cpu()
        texts = model.encode_text(ids.to(device), normalize=True).cpu()
        found = twin(input_ids=ids, pixel_values=pixels)
    worst = max(float((images - found.image_embeds).abs().max()), float((texts - found.text_embeds).abs().max()))
    if not worst <= TOLERANCE:
        raise PcclipError(
            f"the converted model's embeddings differ by {worst:.2g}, more than {TOLERANCE:g}; nothing was written",
            "This is a bug of pcclip, or of the installed transformers: please report it. --format open_clip works.",
        )


def _preprocessing(own: Mapping[str, Any]) -> dict[str, Any]:
    height, width = _twice(own["size"])
    square = {"height": height, "width": width}
    squash = own["resize_mode"] == "squash"
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": square if squash else {"shortest_edge": height},
        "resample": 2 if own["interpolation"] == "bilinear" else 3,  # Pillow's numbers; open_clip knows these two
        "do_center_crop": not squash,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": own["mean"] if isinstance(own["mean"], list) else [own["mean"]] * 3,
        "image_std": own["std"] if isinstance(own["std"], list) else [own["std"]] * 3,
    }


def _write_tokenizer(folder: Path, context_length: int) -> None:
    """Write open_clip's byte-pair tokenizer as a ``tokenizer.json``; the vocabulary comes with open_clip.

    open_clip repairs text with ftfy first. Of that only the straightening of quotation marks has a counterpart here.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    own = _byte_pairs()
    named = {own.sot_token_id: _START, own.eot_token_id: _END}
    vocabulary = {named.get(number, token): number for token, number in own.encoder.items()}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, list(own.bpe_ranks), unk_token=_END, end_of_word_suffix="</w>", fuse_unk=False)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(Regex("[\u02bc\u2018-\u201b]"), "'"),
            normalizers.Replace(Regex("[\u201c-\u201f]"), '"'),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Lowercase(),
        ]
    )
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("</w>", " ")])
    tokenizer.post_processor = processors.RobertaProcessing(
        (_END, own.eot_token_id), (_START, own.sot_token_id), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.add_special_tokens([_START, _END])
    tokenizer.save(str(folder / "tokenizer.json"))
    # As CLIPTokenizer, transformers 5 would rebuild the normalizer above as its own, which leaves quotation marks.
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": context_length}
    special = {"bos_token": _START, "eos_token": _END, "unk_token": _END, "pad_token": _END}
    write_json(folder / "tokenizer_config.json", settings | special)
