"""Exported open_clip models, read back by open_clip and by transformers: small ones of random weights."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageFilter
from safetensors.torch import save_file
from transformers import AutoTokenizer, CLIPModel, CLIPProcessor

import pcclip
from pcclip import make_config, saved
from pcclip.errors import MissingDependencyError, PcclipError, UsageError
from pcclip_cli.main import main
from pcclip_openclip import architecture, transformers_form
from pcclip_openclip.embedder import OpenClipEmbedder
from pcclip_openclip.names import NAMES
from pcclip_openclip.options import OpenClipOptions

TEXTS = [
    "a cat",
    "The first image shows a large brown dog on a sofa, while the second image shows a small bird.",
    "long " * 200,
    "Café & <b>3 o'clock</b>, it's 1234 ÀÉ 日本 🎉",
    "It’s a “big” one",
    "a <end_of_text> b",
    "",
]
VISION = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16, "mlp_ratio": 3.0}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3}
SQUASH = {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.6, 0.7], "resize_mode": "squash", "interpolation": "bilinear"}
CONFIGS: dict[str, dict[str, Any]] = {
    "out-clip": {},
    "out-quick": {"quick_gelu": True},
    "out-custom": {"custom_text": True, "quick_gelu": True},
    "out-short": {"text_cfg": {**TEXT, "context_length": 20}},
    "out-both-ways": {"text_cfg": {**TEXT, "no_causal_mask": True}, "custom_text": True},
    "out-bias": {"init_logit_bias": -10},
    "out-pool": {"vision_cfg": {**VISION, "pool_type": "avg", "no_ln_pre": True}},
    "out-timm": {"vision_cfg": {"timm_model_name": "resnet10t", "timm_model_pretrained": False, "image_size": 32}},
    "out-coca": {
        "text_cfg": {**TEXT, "context_length": 76, "embed_cls": True, "output_tokens": True},
        "vision_cfg": {**VISION, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "multimodal_cfg": {**TEXT, "context_length": 76, "attn_pooler_heads": 2, "dim_head": 32, "mlp_ratio": 4},
        "custom_text": True,
    },
}  # fmt: skip
AS_TRANSFORMERS = ("out-clip", "out-quick", "out-custom", "out-short")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Weights of tiny models, one folder each, with the models made known to open_clip."""
    folder = tmp_path_factory.mktemp("shelf")
    known, paths = dict(open_clip.factory._MODEL_CONFIGS), list(open_clip.factory._MODEL_CONFIG_PATHS)
    (folder / "configs").mkdir()
    for name, extra in CONFIGS.items():
        config = {"embed_dim": 48, "vision_cfg": VISION, "text_cfg": TEXT, **extra}
        (folder / "configs" / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "configs")
    for name in CONFIGS:
        torch.manual_seed(len(name))
        model = architecture.build(open_clip.get_model_config(name))
        if "multimodal_cfg" in CONFIGS[name]:
            torch.nn.init.normal_(model.text_decoder.text_projection)  # open_clip leaves it as the memory was
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.ndim < 2 and "logit" not in key else 0))
        (folder / name).mkdir()
        save_file(model.state_dict(), folder / name / "model.safetensors")
        if name == "out-custom":
            beside = {"model_cfg": {"quick_gelu": True}, "preprocess_cfg": SQUASH}
            (folder / name / "open_clip_config.json").write_text(json.dumps(beside))
    yield folder
    open_clip.factory._MODEL_CONFIGS = known
    open_clip.factory._MODEL_CONFIG_PATHS[:] = paths


def make(shelf: Path, name: str, **options: Any) -> OpenClipEmbedder:
    options = {"pretrained": str(shelf / name / "model.safetensors"), "device": "cpu", **options}
    return OpenClipEmbedder(OpenClipOptions(**options), name)


def finished(embedder: OpenClipEmbedder, folder: Path) -> Path:
    """Save an embedder as the model of a finished run would be."""
    measures = {"pairs": 20, "pictures": 15, "difference_accuracy": 0.6}
    config = make_config(data="/home/somebody/photos/captions.csv", captioner="template", pairs=123)
    trained = {"config": config.identity(), "alpha": 1.0, "original": {}, "before": measures,
               "after": {**measures, "difference_accuracy": 0.9}}  # fmt: skip
    saved.save(embedder, folder, plugin="vit-b-32", trained=trained)
    return folder


def pictures() -> list[Image.Image]:
    """Return smooth pictures; what is cropped away of each is an even number of pixels."""
    rng = np.random.default_rng(1)
    sizes = [(40, 40), (64, 48), (48, 64), (32, 36), (20, 20)]
    noise = [Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)) for width, height in sizes]
    return [picture.filter(ImageFilter.GaussianBlur(2)) for picture in noise]


@pytest.mark.parametrize("name", CONFIGS)
def test_open_clip_reads_its_own_form_with_equal_embeddings(shelf: Path, tmp_path: Path, name: str) -> None:
    embedder = make(shelf, name)
    with torch.no_grad():
        for parameter in embedder.trainable("last-1").values():
            parameter.add_(0.01)
    out = pcclip.export(finished(embedder, tmp_path / "model"), "open_clip", tmp_path / "out")
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{out}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{out}")
    model.eval()
    plain = [text for text in TEXTS if "end_of_text" not in text]  # pcclip reads that as words, open_clip as its marker
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(picture) for picture in pictures()]), normalize=True)
        texts = model.encode_text(tokenizer(plain), normalize=True)
    np.testing.assert_allclose(images.numpy(), embedder.embed_images(pictures()), atol=1e-6)
    np.testing.assert_allclose(texts.numpy(), embedder.embed_texts(plain), atol=2e-6)
    assert model.logit_scale.item() == embedder._model.logit_scale.item()
    assert {path.suffix for path in out.iterdir()} <= {".safetensors", ".json", ".md"}


@pytest.mark.parametrize("name", AS_TRANSFORMERS)
def test_transformers_gives_equal_embeddings(shelf: Path, tmp_path: Path, name: str) -> None:
    embedder = make(shelf, name)
    out = pcclip.export(finished(embedder, tmp_path / "model"), "transformers", tmp_path / "out")
    model, processor = CLIPModel.from_pretrained(out).eval(), CLIPProcessor.from_pretrained(out, backend="pil")
    inputs = processor(text=TEXTS, images=pictures(), return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        found = model(**inputs)
    np.testing.assert_allclose(found.image_embeds.numpy(), embedder.embed_images(pictures()), atol=1e-4)
    np.testing.assert_allclose(found.text_embeds.numpy(), embedder.embed_texts(TEXTS), atol=1e-4)
    assert model.logit_scale.item() == embedder._model.logit_scale.item()
    assert {path.suffix for path in out.iterdir()} <= {".safetensors", ".json", ".md"}


def test_its_tokenizer_is_open_clips_own(shelf: Path, tmp_path: Path) -> None:
    embedder = make(shelf, "out-clip")
    embedder.export("transformers", tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    own = embedder.tokenize(TEXTS)
    for text, ids, length in zip(TEXTS, own.ids, own.lengths, strict=True):
        assert tokenizer(text, truncation=True)["input_ids"] == ids[:length].tolist(), text
    assert tokenizer.model_max_length == 77
    assert tokenizer.vocab_size == 49408
    assert tokenizer.decode(tokenizer("a large dog")["input_ids"], skip_special_tokens=True).split() == [
        "a",
        "large",
        "dog",
    ]


def test_a_picture_cropped_by_an_odd_number_is_one_pixel_aside(shelf: Path, tmp_path: Path) -> None:
    """The difference that docs/export.md tells of: transformers rounds the crop down, open_clip to even."""
    embedder = make(shelf, "out-clip")
    embedder.export("transformers", tmp_path)
    processor = CLIPProcessor.from_pretrained(tmp_path, backend="pil")
    picture = pictures()[0].resize((32, 35))
    found = processor(images=picture, return_tensors="pt")["pixel_values"][0]
    own = embedder._transform(picture)
    assert not torch.allclose(found, own, atol=0.02)
    torch.testing.assert_close(found[:, 1:], own[:, :-1], atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("out-both-ways", "text_cfg.no_causal_mask"),
        ("out-bias", "init_logit_bias"),
        ("out-pool", "vision_cfg.no_ln_pre, vision_cfg.pool_type"),
        ("out-timm", "vision_cfg.timm_model_name"),
        ("out-coca", "multimodal_cfg"),
    ],
)
def test_what_transformers_has_no_form_for_is_refused_by_what_sets_it_apart(
    shelf: Path, tmp_path: Path, name: str, words: str
) -> None:
    model = finished(make(shelf, name), tmp_path / "model")
    with pytest.raises(UsageError, match=words) as caught:
        pcclip.export(model, "transformers", tmp_path / "out")
    assert "--format open_clip" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_which_backbones_have_a_form_in_transformers() -> None:
    usual = {"size": [224, 224], "resize_mode": "shortest"}
    able = set()
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        if not name.startswith("out-") and not transformers_form.set_apart({"model": config, "preprocessing": usual}):
            able.add(name.lower())
    assert (
        {"vit-b-32", "vit-b-16", "vit-l-14", "vit-l-14-336-quickgelu", "vit-h-14", "vit-bigg-14"} <= able <= set(NAMES)
    )
    assert not [name for name in able if not name.startswith("vit-") or "siglip" in name]
    assert transformers_form.set_apart(
        {"model": open_clip.get_model_config("ViT-B-32"), "preprocessing": {**usual, "resize_mode": "longest"}}
    ) == ["resize_mode 'longest'"]


def test_a_converted_model_that_differs_is_not_written(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = transformers_form._config
    monkeypatch.setattr(transformers_form, "_config", lambda config: own({**config, "quick_gelu": True}))
    with pytest.raises(PcclipError, match="embeddings differ by"):
        pcclip.export(finished(make(shelf, "out-clip"), tmp_path / "model"), "transformers", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_without_transformers_the_command_that_brings_it_is_named(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"pcclip\[transformers\]"):
        make(shelf, "out-clip").export("transformers", tmp_path)


@pytest.mark.parametrize("format_", ["open_clip", "transformers"])
def test_the_cards_code_runs_and_says_what_the_model_says(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    embedder = make(shelf, "out-clip")
    model = finished(embedder, tmp_path / "model")
    done = CliRunner().invoke(main, ["export", str(model), "--format", format_, "--out", str(tmp_path / "o u" / "é")])
    assert done.exit_code == 0, done.output
    card = (tmp_path / "o u" / "é" / "README.md").read_text("utf-8")
    for said in ("captions.csv", "| pairs | 123 |", "0.600 | 0.900", f"library_name: {format_}", "put on white"):
        assert said in card
    assert "somebody" not in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    for name, picture in zip(("a.jpg", "b.jpg"), pictures(), strict=False):
        picture.save(tmp_path / name, quality=95)
    monkeypatch.chdir(tmp_path)
    exec(code.replace("path/of/this/folder", "o u/é"), {})
    verdict, cosine = capsys.readouterr().out.strip().rsplit(" ", 1)
    own = pcclip.load(model).compare("a.jpg", "b.jpg", "The first image shows a larger animal.")
    assert float(cosine) == pytest.approx(own.cosine, abs=1e-3)
    assert verdict == ("it does" if own.holds else "it is the other way round")
