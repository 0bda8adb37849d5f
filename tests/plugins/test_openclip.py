"""open_clip backbones against open_clip itself: real models of random weights, from local files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.tokenizer import HFTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file

from pcclip.config import FinetuneConfig
from pcclip.encoding import TextPass
from pcclip.errors import MissingDependencyError, PcclipError, RunError, UsageError
from pcclip.interfaces import Tokens
from pcclip.plugins import registry
from pcclip.scopes import opened, result_scope
from pcclip.specs import EmbedderSpec
from pcclip.testing import EmbedderContract
from pcclip_openclip import architecture, packed, pretrained
from pcclip_openclip.embedder import OpenClipEmbedder
from pcclip_openclip.names import NAMES
from pcclip_openclip.options import OpenClipOptions
from pcclip_openclip.pictures import transforms

TEXTS = (
    "a cat",
    "The first image shows a large brown dog on a sofa, while the second image shows a small bird.",
    "long " * 200,
    "café & <b> 3 o'clock",
)
VISION = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3}
HUB = {"hf_model_name": "nobody/tiny-bert", "hf_tokenizer_name": "nobody/tiny-bert"}
BERT = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "pad_token_id": 0,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "tiny-clip": {"text_cfg": TEXT},
    "tiny-custom": {"text_cfg": TEXT, "custom_text": True},
    "tiny-both-ways": {"text_cfg": {**TEXT, "no_causal_mask": True}, "custom_text": True},
    "tiny-siglip": {
        "text_cfg": {**TEXT, "context_length": 64, "no_causal_mask": True, "pool_type": "last", "proj_bias": True}
        | {"hf_tokenizer_name": "nobody/tiny-bert", "tokenizer_kwargs": {"clean": "canonicalize"}},
        "custom_text": True,
        "init_logit_bias": -10,
    },
    "tiny-clipa": {
        "text_cfg": {**TEXT, "context_length": 32, "no_causal_mask": True, "pool_type": "last"}
        | {"hf_tokenizer_name": "nobody/tiny-bert", "tokenizer_kwargs": {"strip_sep_token": True}},
    },
    "tiny-coca": {
        "text_cfg": {**TEXT, "context_length": 76, "embed_cls": True, "output_tokens": True},
        "vision_cfg": {**VISION, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "multimodal_cfg": {**TEXT, "context_length": 76, "attn_pooler_heads": 2, "dim_head": 32, "mlp_ratio": 4},
        "custom_text": True,
    },
    "tiny-hub": {"text_cfg": {**HUB, "hf_proj_type": "mlp", "hf_pooler_type": "mean_pooler"}},
    "tiny-hub-cls": {"text_cfg": {**HUB, "hf_proj_type": "linear", "hf_pooler_type": "cls_pooler"}},
}
CUT = {"tiny-clip", "tiny-custom", "tiny-hub", "tiny-hub-cls"}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of weights for tiny models, one folder each, with the models made known to open_clip."""
    folder = tmp_path_factory.mktemp("shelf")
    known, paths = dict(open_clip.factory._MODEL_CONFIGS), list(open_clip.factory._MODEL_CONFIG_PATHS)
    configs = folder / "configs"
    configs.mkdir()
    for name, extra in CONFIGS.items():
        config = {"embed_dim": 48, "vision_cfg": VISION, **extra}
        (configs / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(configs)
    for name in CONFIGS:
        place = folder / name
        place.mkdir()
        _hub_files(place)
        save_file(_reference(name, place).state_dict(), place / "model.safetensors")
    yield folder
    open_clip.factory._MODEL_CONFIGS = known
    open_clip.factory._MODEL_CONFIG_PATHS[:] = paths


def _hub_files(place: Path) -> None:
    """Lay a WordPiece tokenizer and a BERT config beside the weights, as a download of the hub's folder would."""
    from tokenizers import BertWordPieceTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["the", "first", "second", "image", "shows", "while", "large", "small", "cat", "dog", "bird", "long"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"[]<>,.&'0123456789", *words, *letters]
    vocabulary += [f"##{letter}" for letter in letters]
    (place / "vocab.txt").write_text("\n".join(vocabulary))
    BertWordPieceTokenizer({w: i for i, w in enumerate((place / "vocab.txt").read_text().splitlines())}).save(
        str(place / "tokenizer.json")
    )
    (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    (place / "text_config").mkdir()
    (place / "text_config" / "config.json").write_text(json.dumps(BERT))


def _reference(name: str, place: Path | None = None) -> torch.nn.Module:
    """Return open_clip's own model, its norms and biases moved away from their starting values."""
    torch.manual_seed(len(name))
    config = open_clip.get_model_config(name)
    model = architecture.build(config, place)
    if "multimodal_cfg" in config:
        torch.nn.init.normal_(model.text_decoder.text_projection)  # open_clip leaves it as the memory was
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.ndim < 2 and "logit" not in key:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def _own_tokenizer(shelf: Path, name: str) -> Any:
    text = open_clip.get_model_config(name)["text_cfg"]
    length = text.get("context_length", 77)
    if "hf_tokenizer_name" not in text:
        return open_clip.SimpleTokenizer(context_length=length)
    return HFTokenizer(str(shelf / name), context_length=length, **text.get("tokenizer_kwargs", {}))


def _make(shelf: Path, name: str = "tiny-clip", **options: Any) -> OpenClipEmbedder:
    options = {"pretrained": str(shelf / name / "model.safetensors"), "device": "cpu", **options}
    return OpenClipEmbedder(OpenClipOptions(**options), name)


def pictures(count: int = 5) -> list[Image.Image]:
    rng = np.random.default_rng(1)
    return [Image.fromarray(rng.integers(0, 255, (20 + 9 * i, 40, 3), dtype=np.uint8)) for i in range(count)]


def every(tokens: Tokens) -> Tokens:
    return tokens.take(torch.arange(len(tokens)))


def test_names_are_all_of_open_clips_and_fit_the_rule() -> None:
    assert EmbedderSpec(name="openclip", target="a:B", variants=NAMES).names == NAMES
    assert len(set(NAMES)) == len(NAMES)
    if open_clip.__version__ == "3.3.0":
        own = {path.stem for path in (Path(open_clip.__file__).parent / "model_configs").glob("*.json")}
        assert set(NAMES) == {name.lower() for name in own}
    assert pretrained.architecture_name("vit-so400m-14-siglip") == "ViT-SO400M-14-SigLIP"
    with pytest.raises(MissingDependencyError, match="no model 'vit-z-1'"):
        pretrained.architecture_name("vit-z-1")


def test_hooks_names_and_options_import_neither_torch_nor_open_clip() -> None:
    heavy = ("torch", "open_clip", "numpy", "PIL", "timm", "transformers")
    code = (
        "import sys, pcclip_openclip.hooks, pcclip_openclip.options, pcclip_mini.hooks, pcclip_mini.options;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", CONFIGS)
def test_embeddings_are_open_clips_own(shelf: Path, name: str) -> None:
    embedder, reference = _make(shelf, name), _reference(name, shelf / name)
    step = image_transform_v2(PreprocessCfg(size=32), is_train=False)
    with torch.no_grad():
        images = reference.encode_image(torch.stack([step(picture) for picture in pictures()]))  # type: ignore[operator]
        images = torch.nn.functional.normalize(images, dim=-1)
        ids = _own_tokenizer(shelf, name)(list(TEXTS))
        texts = torch.nn.functional.normalize(reference.encode_text(ids), dim=-1)  # type: ignore[operator]
    found = embedder.embed_images(pictures())
    np.testing.assert_allclose(found, images.numpy(), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(embedder.embed_texts(list(TEXTS)), texts.numpy(), atol=1e-5)
    assert found.shape == (5, embedder.dim)
    assert found.dtype == np.float32
    tokens = embedder.tokenize(TEXTS)
    assert torch.equal(tokens.ids, ids[:, : tokens.ids.shape[1]])
    assert embedder._text.cuts_exactly == (name in CUT)


@pytest.mark.parametrize("name", CONFIGS)
def test_cut_texts_give_the_full_lengths_embeddings_and_gradients(shelf: Path, name: str) -> None:
    embedder = _make(shelf, name)
    tokens = embedder.tokenize(TEXTS)
    short = tokens.take(torch.tensor([0, 3]))
    assert short.ids.shape[1] < tokens.ids.shape[1]
    weights = embedder.trainable("text")
    mix = torch.linspace(-1, 1, 2 * embedder.dim).reshape(2, -1)
    reference = _reference(name, shelf / name)
    ids = _own_tokenizer(shelf, name)(list(TEXTS))[[0, 3]]
    whole = torch.nn.functional.normalize(reference.encode_text(ids), dim=-1)  # type: ignore[operator]
    cut = embedder.encode_text(short)
    torch.testing.assert_close(cut, whole, atol=1e-5, rtol=0)
    (cut * mix).sum().backward()
    (whole * mix).sum().backward()
    expected = dict(reference.named_parameters())
    touched = 0
    for key, parameter in weights.items():
        if parameter.grad is None:
            assert expected[key].grad is None
            continue
        torch.testing.assert_close(parameter.grad, expected[key].grad, atol=1e-5, rtol=1e-4)
        touched += 1
    assert touched > 20


def test_vit_b_32_itself(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        reference = _reference("ViT-B-32")
    step = image_transform_v2(PreprocessCfg(), is_train=False)
    with torch.no_grad():
        images = reference.encode_image(torch.stack([step(picture) for picture in pictures(2)]))  # type: ignore[operator]
        texts = reference.encode_text(open_clip.get_tokenizer("ViT-B-32")(list(TEXTS)))  # type: ignore[operator]
        images, texts = (torch.nn.functional.normalize(rows, dim=-1).numpy() for rows in (images, texts))
    # As open_clip's own training leaves it, so the names have to be found under two wrappings.
    torch.save({"state_dict": {f"module.{k}": v for k, v in reference.state_dict().items()}}, tmp_path / "epoch.pt")
    del reference
    embedder = registry().embedder("vit-b-32", {"pretrained": str(tmp_path / "epoch.pt"), "device": "cpu"})
    np.testing.assert_allclose(embedder.embed_images(pictures(2)), images, atol=1e-5)
    np.testing.assert_allclose(embedder.embed_texts(list(TEXTS)), texts, atol=1e-5)
    assert (embedder.dim, embedder.context_length) == (512, 77)


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-siglip", "tiny-coca", "tiny-hub"])
def test_a_saved_folder_stands_alone(shelf: Path, tmp_path: Path, name: str) -> None:
    embedder = _make(shelf, name)
    with torch.no_grad():
        for parameter in embedder.trainable("last-1").values():
            parameter.add_(0.01)
    config = json.loads(json.dumps(embedder.save(tmp_path / "model")))
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "model", moved)
    again = OpenClipEmbedder.load(moved, config, "cpu")
    assert np.array_equal(again.embed_images(pictures()), embedder.embed_images(pictures()))
    assert np.array_equal(again.embed_texts(list(TEXTS)), embedder.embed_texts(list(TEXTS)))
    assert again.image_fingerprint == embedder.image_fingerprint
    assert again.text_fingerprint == embedder.text_fingerprint
    assert not list(moved.rglob("*.pt")) + list(moved.rglob("*.bin")) + list(moved.rglob("*.pkl"))
    twice = again.save(moved)  # over the files that it was read from
    assert twice == config
    assert OpenClipEmbedder.load(moved, config, "cpu").text_fingerprint == embedder.text_fingerprint


def test_damaged_and_foreign_folders_are_named(shelf: Path, tmp_path: Path) -> None:
    config = _make(shelf).save(tmp_path)
    with pytest.raises(RunError, match="format 7"):
        OpenClipEmbedder.load(tmp_path, {**config, "format": 7}, "cpu")
    with pytest.raises(RunError, match="the tokenizer is not the one"):
        OpenClipEmbedder.load(tmp_path, {**config, "tokenizer": "other"}, "cpu")
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(RunError, match="no readable open_clip model"):
        OpenClipEmbedder.load(tmp_path, config, "cpu")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(RunError, match="no readable open_clip model"):
        OpenClipEmbedder.load(tmp_path, config, "cpu")


def test_fingerprints_change_exactly_when_they_should(shelf: Path) -> None:
    embedder, same = _make(shelf), _make(shelf)
    image, text = embedder.image_fingerprint, embedder.text_fingerprint
    assert (same.image_fingerprint, same.text_fingerprint) == (image, text)
    with torch.no_grad():
        embedder.trainable("projection")["text_projection"][0, 0] += 1e-3
    assert embedder.image_fingerprint == image
    assert embedder.text_fingerprint != text
    gelu = _make(shelf, quick_gelu=True)  # same weights, another function
    assert gelu.image_fingerprint != image
    assert gelu.text_fingerprint != text
    assert not np.allclose(gelu.embed_images(pictures()), same.embed_images(pictures()), atol=1e-5)
    with torch.no_grad():
        same._model.visual.proj[0, 0] += 1e-3
    same._image_fingerprint = None
    assert same.image_fingerprint != image
    assert same.text_fingerprint == text


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_a_prepared_picture_becomes_the_same_numbers(mode: str) -> None:
    small, whole = transforms({"size": 32, "resize_mode": mode, "fill_color": 255})
    for picture in pictures():
        prepared = small(picture)
        assert prepared.size == (32, 32)
        torch.testing.assert_close(whole(prepared), whole(picture), rtol=0, atol=0)


def test_a_config_beside_the_weights_is_obeyed(shelf: Path, tmp_path: Path) -> None:
    shutil.copy(shelf / "tiny-clip" / "model.safetensors", tmp_path / "w.safetensors")
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash", "interpolation": "bilinear"}
    beside = {"model_cfg": {"quick_gelu": True}, "preprocess_cfg": preprocess}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(beside))
    embedder = _make(shelf, pretrained=str(tmp_path / "w.safetensors"))
    config = embedder.save(tmp_path / "saved")
    assert config["quick_gelu"] is True
    assert config["preprocessing"] == {"size": [32, 32], "mode": "RGB", "fill_color": 0, **preprocess}
    step = image_transform_v2(PreprocessCfg(size=32, **preprocess), is_train=False)
    torch.testing.assert_close(embedder._transform(pictures()[3]), step(pictures()[3]))
    (tmp_path / "open_clip_config.json").write_text("{")
    with pytest.raises(PcclipError, match=r"open_clip_config\.json cannot be read"):
        _make(shelf, pretrained=str(tmp_path / "w.safetensors"))


def test_the_image_tower_is_frozen(shelf: Path) -> None:
    embedder = _make(shelf, "tiny-coca")
    before = embedder.embed_images(pictures())
    visual = embedder._visual
    assert not visual.training
    assert not any(parameter.requires_grad for parameter in visual.parameters())
    trainable = embedder.trainable("text")
    assert all(parameter.requires_grad for parameter in trainable.values())
    optimizer = torch.optim.SGD(trainable.values(), lr=0.1)
    embedder.encode_text(every(embedder.tokenize(TEXTS))).sum().backward()
    optimizer.step()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(embedder.embed_images(pictures()), before)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_training_by_length_groups_gives_the_full_lengths_gradients(
    shelf: Path, name: str, chunk_size: int | None
) -> None:
    texts = [*TEXTS, "a dog", "a small bird and a large house", "Why?"]
    embedder, reference = _make(shelf, name), _reference(name, shelf / name)
    mix = torch.linspace(-1, 1, len(texts) * embedder.dim).reshape(len(texts), -1).sin()
    passes = TextPass(embedder, chunk_size=chunk_size)
    passes.backward(embedder.tokenize(texts), lambda text: (text * mix).sum().backward())
    ids = _own_tokenizer(shelf, name)(texts)
    whole = torch.nn.functional.normalize(reference.encode_text(ids), dim=-1)  # type: ignore[operator]
    (whole * mix).sum().backward()
    expected = dict(reference.named_parameters())
    for key, parameter in embedder.trainable("text").items():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, expected[key].grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-custom"])
@pytest.mark.parametrize("by_length", [True, False])
def test_packed_texts_give_open_clips_own_embeddings_and_gradients(
    shelf: Path, name: str, by_length: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = packed.Layout.of
    monkeypatch.setattr(packed.Layout, "of", lambda lengths, **_: layout(lengths, by_length=by_length))
    texts = ["a dog", *TEXTS, "a dog", "a small bird and a large house"]
    embedder, reference = _make(shelf, name), _reference(name, shelf / name)
    assert embedder.packs
    mix = torch.linspace(-1, 1, len(texts) * embedder.dim).reshape(len(texts), -1).sin()
    found = embedder.encode_text(every(embedder.tokenize(texts)))
    ids = _own_tokenizer(shelf, name)(texts)
    whole = torch.nn.functional.normalize(reference.encode_text(ids), dim=-1)  # type: ignore[operator]
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)
    (found * mix).sum().backward()
    (whole * mix).sum().backward()
    expected = dict(reference.named_parameters())
    for key, parameter in embedder.trainable("text").items():
        torch.testing.assert_close(parameter.grad, expected[key].grad, atol=1e-5, rtol=1e-4)


def test_towers_that_do_not_fit_are_not_packed(shelf: Path) -> None:
    assert {name for name in CONFIGS if _make(shelf, name).packs} == {"tiny-clip", "tiny-custom"}
    embedder = _make(shelf)
    with opened(embedder, FinetuneConfig(data="x", train="lora")):
        assert not embedder.packs
    assert embedder.packs


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-siglip", "tiny-coca", "tiny-hub"])
def test_adapters_train_beside_the_weights_and_are_merged_into_the_blocks(shelf: Path, name: str) -> None:
    embedder = _make(shelf, name)
    before = {key: tensor.clone() for key, tensor in embedder._model.state_dict().items()}
    settings = FinetuneConfig(data="x", train="lora", lora_rank=2)
    texts = list(TEXTS)
    start = embedder.embed_texts(texts)
    with opened(embedder, settings) as parameters:
        assert parameters
        assert all("lora_" in key for key in parameters)
        np.testing.assert_allclose(embedder.embed_texts(texts), start, atol=1e-6)
        trained = [key for key, p in embedder._model.named_parameters() if p.requires_grad]
        assert len(trained) == len(parameters)
        optimizer = torch.optim.SGD(parameters.values(), lr=0.5)
        for _ in range(2):
            TextPass(embedder).backward(embedder.tokenize(texts), lambda text: text.sum().backward())
            optimizer.step()
        moved = embedder.embed_texts(texts)
        base = {
            key.replace(".base_layer", ""): t for key, t in embedder._model.state_dict().items() if "lora_" not in key
        }
        assert all(torch.equal(base[key], tensor) for key, tensor in before.items())
    assert np.abs(moved - start).max() > 1e-3
    np.testing.assert_allclose(embedder.embed_texts(texts), moved, atol=1e-5)
    after = embedder._model.state_dict()
    assert set(after) == set(before)
    changed = {key for key in before if not torch.equal(after[key], before[key])}
    assert changed
    assert changed < set(embedder.trainable(result_scope("lora")))
    assert all(key.endswith("weight") for key in changed)
    assert name == "tiny-hub" or any("in_proj" in key for key in changed)


def test_adapters_of_a_failed_training_leave_no_trace(shelf: Path) -> None:
    embedder = _make(shelf)
    before = embedder.text_fingerprint
    with pytest.raises(KeyboardInterrupt), opened(embedder, FinetuneConfig(data="x", train="lora")):
        raise KeyboardInterrupt
    assert embedder.text_fingerprint == before


@pytest.mark.parametrize("name", CONFIGS)
def test_scopes(shelf: Path, name: str) -> None:
    embedder = _make(shelf, name)
    blocks, text = embedder.trainable("blocks"), embedder.trainable("text")
    last, two = embedder.trainable("last-1"), embedder.trainable("last-2")
    projection = embedder.trainable("projection")
    assert set(last) < set(two) < set(blocks) == set(embedder.trainable("last-3")) < set(text)
    assert set(blocks) == set(embedder.trainable("last-3"))
    assert len(blocks) == 3 * len(last)
    assert projection
    assert not set(projection) & set(blocks)
    assert set(projection) < set(text)
    assert not [key for key in text if "visual" in key or "logit" in key or "decoder" in key]
    assert not [key for key in blocks if "embedding" in key]
    for wrong in ("all", "last-0", "last-4", "last-", "last-x", ""):
        with pytest.raises(UsageError, match="blocks, text, projection, last-1 to last-3"):
            embedder.trainable(wrong)


def test_batches_and_order_change_nothing(shelf: Path) -> None:
    embedder = _make(shelf, image_batch_size=2)
    together = embedder.embed_images(pictures())
    for row, picture in zip(together, pictures(), strict=True):
        np.testing.assert_allclose(embedder.embed_images([picture])[0], row, atol=1e-5)
    texts = embedder.embed_texts(list(TEXTS))
    for row, text in zip(texts, TEXTS, strict=True):
        np.testing.assert_allclose(embedder.embed_texts([text])[0], row, atol=1e-5)
    assert embedder.embed_images([]).shape == (0, embedder.dim)
    assert embedder.embed_texts([]).shape == (0, embedder.dim)
    assert len(embedder.tokenize([])) == 0


@pytest.mark.parametrize("text", ["<end_of_text>", "a <END_OF_TEXT> b", "<start_of_text> x", "&lt;end_of_text&gt; y"])
def test_special_looking_text_is_plain_text(shelf: Path, text: str) -> None:
    tokens = _make(shelf).tokenize([text])
    row = tokens.ids[0].tolist()
    assert (row[0], row[-1]) == (49406, 49407)
    assert not {49406, 49407} & set(row[1:-1])
    assert len(row) > 4


def test_special_looking_text_is_plain_for_hub_tokenizers(shelf: Path) -> None:
    row = _make(shelf, "tiny-hub").tokenize(["cat [SEP] dog [PAD]"]).ids[0].tolist()
    assert row[0] == 2
    assert row[-1] == 3
    assert not {0, 2, 3} & set(row[1:-1])


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-hub", "tiny-siglip"])
def test_lengths_and_counts(shelf: Path, name: str) -> None:
    embedder = _make(shelf, name)
    tokens = embedder.tokenize([*TEXTS, ""])
    assert tokens.lengths.max() == embedder.context_length
    assert embedder.token_count(TEXTS[2]) > 200
    assert [embedder.token_count(TEXTS[i]) for i in (0, 1, 3)] == tokens.lengths[[0, 1, 3]].tolist()
    assert tokens.lengths.min() >= 1
    assert tokens.ids.device.type == "cpu"
    assert tokens.ids[2, -1] == tokens.ids[0, tokens.lengths[0] - 1]  # the end marker survives cutting


def test_modes_and_transparency(shelf: Path) -> None:
    embedder = _make(shelf)
    white = embedder.embed_images([Image.new("RGB", (40, 40), "white")])[0]
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    palette = Image.new("P", (40, 40))
    palette.info["transparency"] = 0
    deep = Image.fromarray(np.full((40, 40), 65535, np.uint16))
    for picture in (clear, palette, deep, Image.new("L", (40, 40), 255), Image.new("1", (40, 40), 1)):
        np.testing.assert_allclose(embedder.embed_images([picture])[0], white, atol=1e-5)
    for mode in ("LA", "CMYK", "YCbCr", "HSV", "I", "F"):
        assert np.isfinite(embedder.embed_images([Image.new(mode, (3, 50))])).all()


def test_exif_orientation(shelf: Path, tmp_path: Path) -> None:
    embedder = _make(shelf)
    upright = pictures()[4]
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        np.testing.assert_allclose(embedder.embed_images([turned]), embedder.embed_images([upright]), atol=1e-6)


class _RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("code of a weights file was run",))


def test_files_that_are_no_weights_are_named(shelf: Path, tmp_path: Path) -> None:
    def refused(name: str, match: str) -> None:
        with pytest.raises(UsageError, match=match):
            _make(shelf, pretrained=str(tmp_path / name))

    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello, no weights here")
    (tmp_path / "weights.txt").write_text("hello")
    (tmp_path / "nothing.bin").touch()
    torch.save({"x": _RunsCode()}, tmp_path / "evil.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"x": torch.zeros(3)}, tmp_path / "other.pt")
    refused("text.pt", "cannot be read as weights|is not read as weights")
    refused("text.safetensors", "cannot be read as weights")
    refused("weights.txt", "does not look like a weights file")
    refused("nothing.bin", "cannot be read as weights")
    refused("evil.pt", "only code could restore")
    refused("list.pt", "holds no named tensors")
    refused("other.pt", "do not fit tiny-clip")
    refused("missing.pt", "there is no weights file")
    refused("", "is a folder")


def test_unknown_tags_and_devices_are_answered(shelf: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)neither a file nor a tag.*Did you mean datacomp_xl_s13b_b90k\?.*openai"):
        OpenClipEmbedder(OpenClipOptions(pretrained="datacomp-xl-s13b-b9"), "vit-b-32")
    with pytest.raises(UsageError, match="no pretrained weights for 'tiny-clip'"):
        OpenClipEmbedder(OpenClipOptions(), "tiny-clip")
    with pytest.raises(UsageError, match="device 'gpu'"):
        _make(shelf, device="gpu")
    with pytest.raises(UsageError, match="trained with QuickGELU"):
        OpenClipEmbedder(OpenClipOptions(pretrained="openai", quick_gelu=False), "vit-b-32")
    with pytest.raises(UsageError, match="unknown option 'pretraned'"):
        registry().embedder("vit-b-32", {"pretraned": "openai"})


def test_default_tags() -> None:
    assert pretrained.default_tag("ViT-B-32") == "datacomp_xl_s13b_b90k"
    assert pretrained.default_tag("ViT-L-14") == "datacomp_xl_s13b_b90k"
    assert pretrained.default_tag("ViT-S-32") is None
    for name in open_clip.list_models():
        tags = open_clip.list_pretrained_tags_by_model(name)
        assert pretrained.default_tag(name) in (tags or [None])


@pytest.mark.parametrize("offline", ["1", "0"])
def test_without_network_there_is_one_quick_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shelf: Path, offline: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(PcclipError) as caught:
        OpenClipEmbedder(OpenClipOptions(), "vit-b-32")
    assert time.monotonic() - start < 10
    assert "ViT-B-32 (datacomp_xl_s13b_b90k)" in str(caught.value)
    assert "--backbone-pretrained PATH" in str(caught.value)
    assert "--backbone mini" in str(caught.value)
    lone = tmp_path / "lone.safetensors"
    shutil.copy(shelf / "tiny-hub" / "model.safetensors", lone)
    with pytest.raises(PcclipError, match=r"tokenizer nobody/tiny-bert is not on this machine"):
        _make(shelf, "tiny-hub", pretrained=str(lone))
    shutil.copytree(shelf / "tiny-hub", tmp_path / "half")
    shutil.rmtree(tmp_path / "half" / "text_config")
    with pytest.raises(PcclipError, match=r"text tower's config \(nobody/tiny-bert\)"):
        _make(shelf, "tiny-hub", pretrained=str(tmp_path / "half" / "model.safetensors"))


def test_a_tag_in_the_cache_is_used_with_its_activation(monkeypatch: pytest.MonkeyPatch, shelf: Path) -> None:
    """A tag's file is taken from the hub's cache; here the cache is asked by a stand-in, which holds one file."""
    asked: list[tuple[str, str, bool]] = []

    def cached(repo: str, file: str, local_files_only: bool = False) -> str:
        asked.append((repo, file, local_files_only))
        return str(shelf / "tiny-clip" / "model.safetensors")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", cached)
    config = {"hf_hub": "timm/tiny/weights.bin", "quick_gelu": True, "mean": (0.5, 0.5, 0.5)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-clip", {"openai": config})
    embedder = OpenClipEmbedder(OpenClipOptions(device="cpu"), "tiny-clip")
    assert asked == [("timm/tiny", "weights.safetensors", True)]
    saved = embedder._about
    assert saved["pretrained"] == "openai"
    assert saved["quick_gelu"] is True
    assert saved["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
    assert any(isinstance(module, open_clip.transformer.QuickGELU) for module in embedder._model.modules())


def test_building_leaves_the_random_state_alone(shelf: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    _make(shelf)
    assert torch.equal(torch.rand(1), expected)


@pytest.fixture(scope="class")
def weights(request: pytest.FixtureRequest, shelf: Path) -> None:
    """Give a contract the weights of the tiny model that it names."""
    request.cls.options = {"pretrained": str(shelf / request.cls.variant / "model.safetensors"), "device": "cpu"}


@pytest.mark.usefixtures("weights")
class TestContract(EmbedderContract):
    name = "vit-b-32"  # the declaration; what is made is tiny, and no variant of it
    variant = "tiny-clip"

    @classmethod
    def make(cls) -> OpenClipEmbedder:
        return OpenClipEmbedder(OpenClipOptions.model_validate(cls.options), cls.variant)


class TestContractOfSiglip(TestContract):
    variant = "tiny-siglip"
