"""What an embedder promises."""

from __future__ import annotations

import json
import pickle
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import nn

from pcclip.errors import PcclipError, UsageError
from pcclip.interfaces import Embedder, Tokens
from pcclip.testing.contract import Contract, fail, require, require_array, require_equal
from pcclip.types import FloatArray

_TEXTS = (
    "a cat",
    "The first image shows a large brown dog on a sofa, while the second image shows a small bird.",
    "x",
    "café & <b> 3 o'clock",
)
_SCOPES = ("blocks", "text", "projection", "last-1")
_PICKLES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}


class EmbedderContract(Contract):
    """What every embedder promises; see :class:`pcclip.interfaces.Embedder`.

    Attributes:
        tolerance: how far entries of a row may be apart that was computed in another batch.
    """

    kind: ClassVar[str] = "embedder"
    tolerance: ClassVar[float] = 1e-4

    def images(self) -> list[Image.Image]:
        """Return pictures of several modes and sizes."""
        noise = np.random.default_rng(0).integers(0, 256, (40, 60, 4), np.uint8)
        picture = Image.fromarray(noise, "RGBA" if noise.shape[-1] == 4 else None)
        return [
            picture.convert("RGB"),
            picture.resize((300, 40)),
            Image.new("L", (33, 90), 40),
            picture.convert("RGB").convert("P"),
            Image.new("LA", (16, 16), (200, 128)),
            Image.new("RGB", (1, 1), (250, 20, 20)),
            Image.new("RGB", (20, 20)),
            Image.new("RGB", (20, 20), "white"),
        ]

    def test_it_tells_its_size_and_place(self) -> None:
        """Width, context length and device are what they should be; fingerprints are texts that stay the same."""
        embedder: Embedder = self.shared()
        for what in ("dim", "context_length"):
            value = getattr(embedder, what)
            require(isinstance(value, int) and value > 0, f"{what} is {value!r}, not a positive number")
        require(isinstance(embedder.device, torch.device), f"device is a {type(embedder.device).__name__}")
        for what in ("image_fingerprint", "text_fingerprint"):
            value = getattr(embedder, what)
            require(isinstance(value, str) and value, f"{what} is {value!r}, not a text")
            require(getattr(embedder, what) == value, f"{what} is another one when it is asked again")

    def test_pictures_become_unit_rows(self) -> None:
        """Pictures of any mode and size become (n, dim) unit rows, float32; no picture becomes no row."""
        embedder: Embedder = self.shared()
        for images in (self.images(), []):
            self.require_unit(embedder.embed_images(images), len(images), f"embeddings of {len(images)} pictures")

    def test_pictures_are_left_as_they_were(self) -> None:
        """Pictures, and the list that holds them, are left as they were."""
        images = self.images()
        same, before = list(images), list(map(_content, images))
        self.shared().embed_images(images)
        require(len(images) == len(same), "it changed the list of pictures that it was given")
        for image, was in zip(same, before, strict=True):
            require(_content(image) == was, f"it changed a picture of {was[0]} and size {was[1]}: work on a copy")

    def test_a_picture_has_the_same_row_in_any_batch(self) -> None:
        """A picture has the same row alone, in a batch and in another order; the same call gives the same bits."""
        embedder, images = self.shared(), self.images()
        rows = embedder.embed_images(images)
        require_equal(embedder.embed_images(images), rows, "embeddings of the same pictures again")
        single = np.concatenate([embedder.embed_images([image]) for image in images])
        require_equal(single, rows, "embeddings one by one against a batch", self.tolerance)
        require_equal(embedder.embed_images(images[::-1])[::-1], rows, "embeddings in another order", self.tolerance)
        require(np.abs(rows[0] - rows[-1]).max() > self.tolerance, "two different pictures have the same embedding")

    def test_a_prepared_picture_has_the_same_row(self) -> None:
        """Pictures prepared on several threads at once have the rows of the originals, which stay as they were."""
        embedder, images = self.shared(), self.images()
        size = embedder.image_batch_size
        require(isinstance(size, int) and size > 0, f"image_batch_size is {size!r}, not a positive number")
        before = list(map(_content, images))
        with ThreadPoolExecutor(4) as pool:
            prepared = list(pool.map(embedder.prepare, images * 4))
        require(list(map(_content, images)) == before, "prepare changes the picture it is given")
        rows = np.tile(embedder.embed_images(images), (4, 1))
        require_equal(embedder.embed_images(prepared), rows, "embeddings of prepared pictures", self.tolerance)

    def test_texts_become_unit_rows(self) -> None:
        """Texts become (n, dim) unit rows, float32, also an empty one; no text becomes no row."""
        embedder: Embedder = self.shared()
        for texts in ([*_TEXTS, "", "long " * 2000], []):
            self.require_unit(embedder.embed_texts(texts), len(texts), f"embeddings of {len(texts)} texts")

    def test_a_text_has_the_same_row_in_any_batch(self) -> None:
        """A text has the same row alone, in a batch and in another order; the same call gives the same bits."""
        embedder: Embedder = self.shared()
        rows = embedder.embed_texts(_TEXTS)
        require_equal(embedder.embed_texts(_TEXTS), rows, "embeddings of the same texts again")
        single = np.concatenate([embedder.embed_texts([text]) for text in _TEXTS])
        require_equal(single, rows, "embeddings one by one against a batch", self.tolerance)
        require_equal(embedder.embed_texts(_TEXTS[::-1])[::-1], rows, "embeddings in another order", self.tolerance)
        small = embedder.embed_texts(_TEXTS, batch_size=3)
        require_equal(small, rows, "embeddings three at a time against a batch", self.tolerance)
        require(np.abs(rows[0] - rows[1]).max() > self.tolerance, "two different texts have the same embedding")

    def test_tokens_are_counted_and_cut(self) -> None:
        """Tokens are padded on the right and cut to the context length, and counted before they are cut."""
        embedder: Embedder = self.shared()
        texts = [*_TEXTS, "", "[SEP] </s> <|endoftext|>", "long " * 2000]
        tokens = embedder.tokenize(texts)
        require(isinstance(tokens, Tokens), f"tokenize returned a {type(tokens).__name__}, no Tokens")
        require(tokens.ids.dtype == tokens.lengths.dtype == torch.int64, "ids and lengths are not int64")
        lengths = tokens.lengths.tolist()
        require(
            tokens.ids.ndim == 2 and len(tokens.ids) == len(texts) == len(lengths),
            f"ids have shape {tuple(tokens.ids.shape)}, lengths {tuple(tokens.lengths.shape)}, for {len(texts)} texts",
        )
        require(min(lengths) >= 1, "a text has no token")
        require(
            max(lengths) <= min(embedder.context_length, tokens.ids.shape[1]),
            f"a text of {max(lengths)} tokens is longer than the context of {embedder.context_length}",
        )
        for text, length in zip(texts, lengths, strict=True):
            count = embedder.token_count(text)
            require(
                min(count, embedder.context_length) == length,
                f"token_count says {count} of {text[:40]!r}, tokenize says {length}",
            )
        for text, ids, length in zip(texts, tokens.ids, lengths, strict=True):
            alone = embedder.tokenize([text]).ids[0, :length]
            require(
                torch.equal(ids[:length], alone),
                f"{text[:40]!r} has other tokens in front in a batch than alone: padding goes to the right",
            )
        require(embedder.token_count(texts[-1]) > embedder.context_length, "token_count counts after cutting")

    def test_training_reaches_the_text_tower_and_never_the_image_tower(self) -> None:
        """Each scope has parameters that get a gradient; changing them changes texts, and pictures not at all."""
        embedder: Embedder = self.make()
        images, texts = embedder.embed_images(self.images()[:2]), embedder.embed_texts(_TEXTS)
        image_tower, text_tower = embedder.image_fingerprint, embedder.text_fingerprint
        scopes = self.scopes(embedder)
        require("text" in scopes, "it has no scope 'text', the whole text tower")
        everything = {id(parameter) for parameter in scopes["text"].values()}
        for parameter in scopes["text"].values():
            parameter.requires_grad_()
        encoded = embedder.encode_text(embedder.tokenize(_TEXTS).to(embedder.device))
        require(encoded.dtype == torch.float32, f"encode_text returned {encoded.dtype}, not float32")
        require(encoded.requires_grad, "encode_text carries no gradient")
        again = embedder.encode_text(embedder.tokenize(_TEXTS).to(embedder.device))
        require(
            float((again - encoded).detach().abs().max()) <= self.tolerance,
            "encode_text gives other rows each time in training, by dropout perhaps: put the towers into eval mode",
        )
        way = torch.randn(encoded.shape, generator=torch.Generator().manual_seed(0)).to(encoded.device)
        (encoded * way).sum().backward()  # type: ignore[no-untyped-call]
        for scope, parameters in scopes.items():
            require(parameters, f"scope {scope!r} is empty; a scope that is not there is a UsageError")
            require({id(p) for p in parameters.values()} <= everything, f"scope {scope!r} is not inside 'text'")
            gradients = [parameter.grad for parameter in parameters.values() if parameter.grad is not None]
            require(any(bool(gradient.any()) for gradient in gradients), f"no gradient reaches scope {scope!r}")
            require(
                all(bool(torch.isfinite(gradient).all()) for gradient in gradients),
                f"a gradient in scope {scope!r} is not finite",
            )
        _disturb(scopes["text"])
        require(embedder.text_fingerprint != text_tower, "the text fingerprint stays the same when the tower changes")
        require(embedder.image_fingerprint == image_tower, "the image fingerprint changes with the text tower")
        require(np.abs(embedder.embed_texts(_TEXTS) - texts).max() > 0, "changing the text tower changes no text")
        require_equal(
            embedder.embed_images(self.images()[:2]), images, "pictures before and after the text tower was changed"
        )

    def test_an_unknown_scope_lists_those_there_are(self) -> None:
        """An unknown scope is a UsageError whose hint lists the scopes."""
        try:
            self.shared().trainable("no-such-scope")
        except UsageError as error:
            require("text" in (error.hint or ""), f"the hint does not list the scopes: {error.hint!r}")
        else:
            fail("an unknown scope is accepted")

    def test_adapters_fit_into_the_text_tower(self) -> None:
        """The place for adapters lies in the text tower, or a UsageError says that there is none."""
        embedder: Embedder = self.shared()
        try:
            blocks = embedder.blocks()
        except UsageError:
            return
        require(isinstance(blocks, nn.Module), f"blocks returned a {type(blocks).__name__}, no torch module")
        tower = {id(parameter) for parameter in embedder.trainable("text").values()}
        outside = [name for name, parameter in blocks.named_parameters() if id(parameter) not in tower]
        require(not outside, f"blocks holds {len(outside)} parameters that are not in scope 'text': {outside[:1]}")

    def test_a_second_instance_is_equal(self) -> None:
        """A second instance has the same fingerprints and gives the same bits."""
        first, second = self.shared(), self.make()
        require(first.image_fingerprint == second.image_fingerprint, "it has another image fingerprint")
        require(first.text_fingerprint == second.text_fingerprint, "it has another text fingerprint")
        require_equal(second.embed_texts(_TEXTS), first.embed_texts(_TEXTS), "embeddings of two instances")

    def test_saving_and_loading_gives_the_same_model(self) -> None:
        """A tuned model that was saved and loaded has the same fingerprints and embeddings, and is no pickle."""
        embedder: Embedder = self.make()
        _disturb(embedder.trainable("text"))
        images, texts = embedder.embed_images(self.images()), embedder.embed_texts(_TEXTS)
        with _saved(embedder) as (folder, config):
            pickles = [file.name for file in folder.rglob("*") if file.is_file() and _may_be_a_pickle(file)]
            require(not pickles, f"these may be pickles, which run code when they are read: {', '.join(pickles)}")
            loaded = type(embedder).load(folder, config, "cpu" if embedder.device.type == "cpu" else "auto")
        # the folder is gone: what was loaded may not read it again
        for tower in ("image", "text"):
            was, now = (getattr(one, f"{tower}_fingerprint") for one in (embedder, loaded))
            require(was == now, f"the {tower} fingerprint is another one after loading")
        require_equal(loaded.embed_images(self.images()), images, "pictures after loading", 1e-6)
        require_equal(loaded.embed_texts(_TEXTS), texts, "texts after loading", 1e-6)

    def test_a_damaged_folder_is_named(self) -> None:
        """Loading a folder that lacks its files is a PcclipError that names the folder."""
        embedder: Embedder = self.shared()
        with _saved(embedder) as (folder, config):
            for file in folder.rglob("*"):
                if file.is_file():
                    file.unlink()
            try:
                type(embedder).load(folder, config, "cpu")
            except PcclipError as error:
                require(str(folder) in str(error), f"the message does not name the folder: {error}")
            except Exception as error:
                fail(f"it raised {type(error).__name__}, no PcclipError: {error}")
            else:
                fail("a folder without files was loaded")

    def test_results_go_to_a_worker(self) -> None:
        """Tokens and embeddings can be pickled."""
        tokens = self.shared().tokenize(_TEXTS)
        copy = pickle.loads(pickle.dumps(tokens))
        require(torch.equal(copy.ids, tokens.ids) and torch.equal(copy.lengths, tokens.lengths), "tokens changed")

    def scopes(self, embedder: Embedder) -> dict[str, Mapping[str, nn.Parameter]]:
        """Return the parameters of each scope that the embedder has."""
        found = {}
        for scope in _SCOPES:
            try:
                found[scope] = embedder.trainable(scope)
            except UsageError:
                continue
        return found

    def require_unit(self, rows: FloatArray, count: int, what: str) -> None:
        """Fail unless ``rows`` are ``count`` unit rows of float32."""
        require_array(rows, (count, self.shared().dim), what)
        require(rows.dtype == np.float32, f"{what}: dtype {rows.dtype}, not float32")
        norms = np.linalg.norm(rows, axis=1)
        require(
            np.abs(norms - 1).max(initial=0) <= 1e-3,
            f"{what}: lengths {norms.min(initial=1)} to {norms.max(initial=1)}",
        )


def _content(image: Image.Image) -> tuple[str, tuple[int, int], bytes]:
    return image.mode, image.size, image.tobytes()


def _may_be_a_pickle(file: Path) -> bool:
    """Return whether a file is called like a pickle, begins like one, or holds one as torch's files do."""
    if file.suffix in _PICKLES:
        return True
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    with file.open("rb") as stream:
        begin = stream.read(2)
    return len(begin) == 2 and begin[0] == 0x80 and begin[1] <= pickle.HIGHEST_PROTOCOL


def _disturb(parameters: Mapping[str, nn.Parameter]) -> None:
    """Change parameters a little, as training does."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in parameters.values():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
            parameter.add_(0.01 * noise.to(parameter))


@contextmanager
def _saved(embedder: Embedder) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield a folder that the embedder was saved into, with what is kept in ``embedder.json``."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        folder.mkdir()
        config = embedder.save(folder)
        try:
            kept = json.loads(json.dumps(config, allow_nan=False))
        except (TypeError, ValueError) as error:
            fail(f"save returned what is not JSON: {error}")
        yield folder, kept
