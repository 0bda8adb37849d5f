"""The ``mini`` backbone, with its real weights, on drawn pictures."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from pcclip.config import FinetuneConfig
from pcclip.encoding import TextPass
from pcclip.errors import PluginError, RunError, UsageError
from pcclip.plugins import registry
from pcclip.scopes import opened
from pcclip_mini import bridge, image_tower, weights
from pcclip_mini.embedder import MiniEmbedder
from pcclip_mini.options import MiniOptions
from pcclip_mini.pictures import to_tensor

TEXTS = (
    "a strawberry",
    "The first image shows a large brown dog on a sofa, while the second image shows a small bird.",
    "long " * 300,
    "Ünïcode [SEP] & 3 o'clock",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty cache for the whole module."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCCLIP_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def mini(cache: Path) -> MiniEmbedder:
    """An embedder that nobody changes."""
    embedder = registry().embedder("mini", {"device": "cpu"})
    assert isinstance(embedder, MiniEmbedder)
    return embedder


@pytest.fixture
def own(cache: Path, mini: MiniEmbedder) -> MiniEmbedder:
    """An embedder to change; its bridge comes from the cache that ``mini`` filled."""
    return MiniEmbedder(MiniOptions(device="cpu"))


def drawn() -> dict[str, Image.Image]:
    """Five things, in pictures of different sizes, that a few strokes make known to an ImageNet classifier."""
    light = Image.new("RGB", (200, 400), (150, 190, 230))
    draw = ImageDraw.Draw(light)
    draw.rectangle((60, 40, 140, 290), fill=(30, 30, 30))
    draw.rectangle((92, 290, 108, 400), fill=(70, 70, 70))
    for top, colour in ((50, (230, 40, 30)), (130, (90, 80, 10)), (210, (10, 80, 30))):
        draw.ellipse((66, top, 134, top + 68), fill=colour)
    clock = Image.new("RGB", (300, 300), "white")
    draw = ImageDraw.Draw(clock)
    draw.ellipse((20, 20, 280, 280), fill="white", outline="black", width=10)
    for hour in range(12):
        x, y = math.cos(hour * math.pi / 6), math.sin(hour * math.pi / 6)
        draw.line((150 + 100 * x, 150 + 100 * y, 150 + 118 * x, 150 + 118 * y), fill="black", width=6)
    draw.line((150, 150, 150, 60), fill="black", width=6)
    draw.line((150, 150, 215, 185), fill="black", width=9)
    crossword = Image.new("RGB", (300, 300), "white")
    draw = ImageDraw.Draw(crossword)
    for i, j in itertools.product(range(12), repeat=2):
        colour = "black" if (i * 7 + j * 5 + i * j) % 4 == 0 else "white"
        draw.rectangle((i * 25, j * 25, i * 25 + 25, j * 25 + 25), outline="black", fill=colour)
    orange = Image.new("RGB", (300, 300), "white")
    draw = ImageDraw.Draw(orange)
    draw.ellipse((40, 40, 260, 260), fill=(255, 140, 0))
    draw.ellipse((145, 55, 155, 65), fill=(60, 100, 20))
    envelope = Image.new("RGB", (360, 260), (120, 90, 60))
    draw = ImageDraw.Draw(envelope)
    draw.rectangle((30, 40, 330, 220), fill=(245, 240, 225), outline=(160, 150, 130), width=2)
    draw.line((30, 40, 180, 140, 330, 40), fill=(160, 150, 130), width=3)
    return {
        "a traffic light": light,
        "an analog clock": clock,
        "a crossword puzzle": crossword,
        "an orange": orange,
        "an envelope": envelope,
    }


def test_rows_are_unit_and_batches_change_nothing(mini: MiniEmbedder) -> None:
    pictures = list(drawn().values())
    rows, texts = mini.embed_images(pictures), mini.embed_texts(list(TEXTS))
    assert (rows.shape, rows.dtype) == ((5, 1280), np.float32)
    assert (texts.shape, texts.dtype) == ((4, mini.dim), np.float32)
    for both in (rows, texts):
        np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1, atol=1e-5)
    for row, picture in zip(rows, pictures, strict=True):
        np.testing.assert_allclose(mini.embed_images([picture])[0], row, atol=1e-5)
    for row, text in zip(texts, TEXTS, strict=True):
        np.testing.assert_allclose(mini.embed_texts([text])[0], row, atol=1e-5)
    assert mini.embed_images([]).shape == (0, 1280)
    assert mini.embed_texts([]).shape == (0, 1280)


def test_texts_find_their_pictures(mini: MiniEmbedder) -> None:
    pictures = drawn()
    scores = mini.embed_texts(list(pictures)) @ mini.embed_images(list(pictures.values())).T
    assert scores.argmax(1).tolist() == list(range(5))


def test_image_features_are_timms_and_the_centre_is_near_their_mean(mini: MiniEmbedder) -> None:
    found = torch.load(weights.image_weights(), weights_only=True)
    import timm

    model = timm.create_model(image_tower.ARCHITECTURE, pretrained=False).eval()
    model.load_state_dict(dict(zip(model.state_dict(), found.values(), strict=True)))
    pixels = torch.stack([to_tensor(picture) for picture in drawn().values()])
    with torch.no_grad():
        features = model.forward_head(model.forward_features(pixels), pre_logits=True)
        rows = torch.nn.functional.normalize(features - mini._images.centre, dim=-1)
        labels = model(pixels).argmax(1).tolist()
    np.testing.assert_allclose(mini.embed_images(list(drawn().values())), rows.numpy(), atol=1e-5)
    assert torch.nn.functional.cosine_similarity(features.mean(0), mini._images.centre, dim=0) > 0.5
    # Clock, crossword and envelope as ImageNet numbers them: every weight is in its place.
    assert [labels[i] for i in (1, 2, 4)] == [409, 918, 549]


def test_clipped_expectation_is_the_mean_of_clipped_samples() -> None:
    norm = torch.nn.BatchNorm2d(3)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([-1.0, 2.0, 7.0]))
        norm.weight.copy_(torch.tensor([0.5, -3.0, 2.0]))
    samples = torch.randn(400_000, 3, generator=torch.Generator().manual_seed(0))
    expected = (samples * norm.weight + norm.bias).clamp(0, 6).mean(0)
    torch.testing.assert_close(image_tower.clipped_expectation(norm), expected.detach(), atol=2e-2, rtol=0)


def test_sentences_are_minilms_own(mini: MiniEmbedder) -> None:
    """Against the pooling written out, one text at a time and without padding."""
    for text in TEXTS[:2]:
        tokens = mini.tokenize([text])
        with torch.no_grad():
            hidden = mini._texts.bert(input_ids=tokens.ids).last_hidden_state[0]
            expected = torch.nn.functional.normalize(hidden.mean(0), dim=0)
            torch.testing.assert_close(mini._texts.sentences(tokens)[0], expected, atol=1e-5, rtol=0)
    near, far = mini._texts.sentences(mini.tokenize(["a kitten", "a cat"])), mini.tokenize(["a tax return"])
    assert near[0] @ near[1] > 0.6 > near[0] @ mini._texts.sentences(far)[0]


def test_cut_texts_give_the_same_gradients(own: MiniEmbedder) -> None:
    tokens = own.tokenize(TEXTS)
    assert tokens.ids.shape == (4, 256)
    assert tokens.lengths[2] == own.context_length == 256
    grads = []
    for batch in (tokens.take(torch.tensor([0, 1])), type(tokens)(tokens.ids[:2], tokens.lengths[:2])):
        block = own.trainable("last-1")
        for parameter in block.values():
            parameter.grad = None
        out = own.encode_text(batch)
        (out * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum().backward()
        grads.append({name: parameter.grad.clone() for name, parameter in block.items() if parameter.grad is not None})
    assert len(grads[0]) == 16
    for name, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][name], atol=1e-5, rtol=1e-4)


def test_training_is_deterministic_and_leaves_images_alone(own: MiniEmbedder) -> None:
    pictures = list(drawn().values())
    before = own.embed_images(pictures), own.image_fingerprint
    texts = own.embed_texts(list(TEXTS))
    assert not any(parameter.requires_grad for parameter in own._images.parameters())
    own._images.train()
    own._texts.train()
    assert not own._images.network.training
    tokens = own.tokenize(TEXTS[:2])
    first, second = own.encode_text(tokens), own.encode_text(tokens)
    assert torch.equal(first, second)  # no dropout, even in train mode
    optimizer = torch.optim.AdamW(own.trainable("blocks").values(), lr=1e-4)
    (1 - first[0] @ second[1]).backward()
    optimizer.step()
    assert not np.allclose(own.embed_texts(list(TEXTS)), texts, atol=1e-4)
    own._image_fingerprint = None
    assert own.image_fingerprint == before[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(own.embed_images(pictures), before[0])


def test_a_saved_folder_stands_alone(own: MiniEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        own.trainable("projection")["bridge.bias"].add_(0.01)
    config = json.loads(json.dumps(own.save(tmp_path / "model")))
    shutil.move(tmp_path / "model", tmp_path / "moved")

    def absent(module: str) -> Path:
        raise ModuleNotFoundError(module)

    monkeypatch.setattr(weights, "package_folder", absent)
    again = MiniEmbedder.load(tmp_path / "moved", config, "cpu")
    pictures = list(drawn().values())
    assert np.array_equal(again.embed_images(pictures), own.embed_images(pictures))
    assert np.array_equal(again.embed_texts(list(TEXTS)), own.embed_texts(list(TEXTS)))
    assert again.image_fingerprint == own.image_fingerprint
    assert again.text_fingerprint == own.text_fingerprint
    assert sorted(path.name for path in (tmp_path / "moved").iterdir()) == ["model.safetensors", "tokenizer.json"]
    with pytest.raises(RunError, match="format 9"):
        MiniEmbedder.load(tmp_path / "moved", {**config, "format": 9}, "cpu")
    (tmp_path / "moved" / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(RunError, match="no readable mini model"):
        MiniEmbedder.load(tmp_path / "moved", config, "cpu")
    with pytest.raises(ModuleNotFoundError):
        MiniEmbedder()


def test_fingerprints_change_exactly_when_they_should(mini: MiniEmbedder, own: MiniEmbedder) -> None:
    assert own.image_fingerprint == mini.image_fingerprint
    assert own.text_fingerprint == mini.text_fingerprint
    with torch.no_grad():
        own.trainable("last-1")["bert.encoder.layer.5.output.dense.bias"][0] += 1e-3
    assert own.text_fingerprint != mini.text_fingerprint
    assert own.image_fingerprint == mini.image_fingerprint
    with torch.no_grad():
        own._images.centre[0] += 1e-3
    own._image_fingerprint = None
    assert own.image_fingerprint != mini.image_fingerprint


def test_the_bridge_is_solved_the_same_every_time(mini: MiniEmbedder, cache: Path) -> None:
    (path,) = (cache / "mini").glob("bridge-*.safetensors")
    kept = load_file(path)
    _, rows = image_tower.published(weights.image_weights())
    again = bridge.solve(mini._texts, mini._tokenizer, rows)
    for name, tensor in mini._texts.bridge.state_dict().items():
        assert torch.equal(kept[name], tensor)
        assert torch.equal(again[name], tensor)


def test_a_damaged_or_locked_cache_costs_time_only(
    mini: MiniEmbedder, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    solved = {name: tensor.clone() for name, tensor in mini._texts.bridge.state_dict().items()}
    calls: list[int] = []
    monkeypatch.setattr(bridge, "solve", lambda *_: calls.append(1) or solved)
    (path,) = (cache / "mini").glob("bridge-*.safetensors")
    good = path.read_bytes()
    path.write_bytes(good[:1000])
    assert MiniEmbedder().text_fingerprint == mini.text_fingerprint
    assert path.read_bytes() == good
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("PCCLIP_CACHE", str(blocked))
    assert MiniEmbedder().text_fingerprint == mini.text_fingerprint
    assert len(calls) == 2


def test_class_texts() -> None:
    texts, classes = bridge.class_texts()
    assert len(set(classes)) == 1000
    assert [text for text, index in zip(texts, classes, strict=True) if index == 1] == [
        "goldfish",
        "a photo of a goldfish",
        "Carassius auratus",
        "a photo of a Carassius auratus",
    ]


def test_scopes(mini: MiniEmbedder) -> None:
    blocks, text = mini.trainable("blocks"), mini.trainable("text")
    assert set(mini.trainable("last-2")) < set(blocks) == set(mini.trainable("last-6"))
    assert set(mini.trainable("projection")) == {"bridge.weight", "bridge.bias"}
    assert set(text) - set(blocks) - {"bridge.weight", "bridge.bias"} == {
        name for name in text if name.startswith("bert.embeddings.")
    }
    assert len(blocks) == 6 * 16
    for wrong in ("all", "last-0", "last-7", "last-"):
        with pytest.raises(UsageError, match="blocks, text, projection, last-1 to last-6"):
            mini.trainable(wrong)


def test_training_by_length_groups_gives_the_padded_batchs_gradients(own: MiniEmbedder) -> None:
    texts = [*TEXTS, "a dog", "a small bird and a large house"]
    weights = own.trainable("text")
    mix = torch.linspace(-1, 1, len(texts) * own.dim).reshape(len(texts), -1).sin()
    tokens = own.tokenize(texts)
    whole = own.encode_text(tokens.take(torch.arange(len(texts))))
    expected = torch.autograd.grad((whole * mix).sum(), list(weights.values()), allow_unused=True)
    for chunk_size in (None, 2):
        own._texts.zero_grad()
        TextPass(own, chunk_size=chunk_size).backward(tokens, lambda text: (text * mix).sum().backward())
        for parameter, gradient in zip(weights.values(), expected, strict=True):
            if gradient is not None:
                torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-3)


def test_adapters_change_the_blocks_only(own: MiniEmbedder) -> None:
    before = {key: tensor.clone() for key, tensor in own.trainable("text").items()}
    image = own.image_fingerprint
    with opened(own, FinetuneConfig(data="x", train="lora", lora_rank=2)) as parameters:
        optimizer = torch.optim.SGD(parameters.values(), lr=0.5)
        for _ in range(2):
            TextPass(own).backward(own.tokenize(TEXTS), lambda text: text[:, 0].sum().backward())
            optimizer.step()
        moved = own.embed_texts(list(TEXTS))
    np.testing.assert_allclose(own.embed_texts(list(TEXTS)), moved, atol=1e-5)
    after = own.trainable("text")
    changed = {key for key in before if not torch.equal(after[key], before[key])}
    assert changed
    assert changed <= set(own.trainable("blocks"))
    own._image_fingerprint = None
    assert own.image_fingerprint == image


def test_special_looking_text_is_plain_and_counts_are_whole(mini: MiniEmbedder) -> None:
    row = mini.tokenize(["cat [SEP] dog [PAD] [CLS]"]).ids[0].tolist()
    assert (row[0], row[-1]) == (101, 102)
    assert not {0, 101, 102} & set(row[1:-1])
    tokens = mini.tokenize(TEXTS)
    assert mini.token_count(TEXTS[2]) == 302
    assert tokens.ids[2, -1] == 102
    assert [mini.token_count(TEXTS[i]) for i in (0, 1, 3)] == tokens.lengths[[0, 1, 3]].tolist()
    assert mini.token_count("") == 2
    assert len(mini.tokenize([])) == 0


def test_modes_transparency_shape_and_orientation(mini: MiniEmbedder, tmp_path: Path) -> None:
    white = torch.full((3, 260, 260), 1.0)
    clear = Image.new("RGBA", (40, 20), (255, 0, 0, 0))
    palette = Image.new("P", (20, 40))
    palette.info["transparency"] = 0
    deep = Image.fromarray(np.full((40, 40), 65535, np.uint16))
    for picture in (clear, palette, deep, Image.new("L", (9, 9), 255), Image.new("F", (9, 9), 1.0)):
        torch.testing.assert_close(to_tensor(picture), white, atol=1e-5, rtol=0)
    for mode in ("1", "LA", "CMYK", "YCbCr", "I", "PA"):
        assert np.isfinite(mini.embed_images([Image.new(mode, (3, 50))])).all()
    wide = to_tensor(Image.new("RGB", (400, 200), "black"))
    assert wide[:, 130, :].max() < -0.99  # the picture, whole
    assert wide[:, 5, :].min() > 0.99  # the padding
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = drawn()["an envelope"]
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        torch.testing.assert_close(to_tensor(turned), to_tensor(upright))


def test_changed_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "package_folder", lambda module: tmp_path)
    with pytest.raises(PluginError, match="not the published file"):
        weights.image_weights()
    with pytest.raises(PluginError, match=r"model\.safetensors is missing"):
        weights.text_folder()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "efficientnet-lite2-9656183e.pth").write_bytes(b"other")
    with pytest.raises(PluginError, match="--force-reinstall"):
        MiniEmbedder()


def test_unknown_devices_are_answered() -> None:
    with pytest.raises(UsageError, match="device 'gpu'"):
        MiniEmbedder(MiniOptions(device="gpu"))


def test_starting_prints_nothing_and_leaves_the_random_state_alone(
    mini: MiniEmbedder, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    MiniEmbedder(MiniOptions(device="cpu"))
    assert torch.equal(torch.rand(1), expected)
    assert capfd.readouterr() == ("", "")
