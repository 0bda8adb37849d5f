"""How picture files reach an embedder: in batches of its size, prepared on the way, each once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcclip.embeddings import EmbeddingStore, embed
from pcclip.errors import PluginError
from pcclip.testing import HashEmbedder
from pcclip.types import FloatArray

SIZES = [(40 + k, 30) for k in range(7)]


class Watched(HashEmbedder):
    """Notes what it is asked; prepares pictures itself."""

    image_batch_size = 3

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[tuple[int, int]]] = []
        self.prepared: set[tuple[int, int]] = set()

    def prepare(self, image: Image.Image) -> Image.Image:
        self.prepared.add(image.size)
        return image.convert("RGB").resize((8, 8))

    def embed_images(self, images: Sequence[Image.Image]) -> FloatArray:
        self.batches.append([image.size for image in images])
        return super().embed_images(images)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = []
    for number, size in enumerate(SIZES):
        found.append(tmp_path / f"{number}.png")
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), np.uint8)).save(found[-1])
    return found


def test_pictures_come_prepared_in_batches_of_the_embedders_size(paths: list[Path], tmp_path: Path) -> None:
    embedder = Watched()
    with EmbeddingStore(tmp_path / "cache.sqlite") as store:
        found = embed(embedder, [*paths, paths[0]], store=store)
        assert embedder.prepared == set(SIZES)
        assert embedder.batches == [[(8, 8)] * 3, [(8, 8)] * 3, [(8, 8)]]
        assert embed(embedder, paths, store=store).embeddings.shape == (7, embedder.dim)
        assert len(embedder.batches) == 3, "the cache holds them"
    expected = HashEmbedder().embed_images([Image.open(path) for path in [*paths, paths[0]]])
    np.testing.assert_allclose(found.embeddings, expected, atol=1e-6)  # a product of another size differs in last bits


def test_a_batch_of_no_pictures_names_the_embedder(paths: list[Path], tmp_path: Path) -> None:
    class Empty(HashEmbedder):
        image_batch_size = 0

    with (
        EmbeddingStore(tmp_path / "cache.sqlite") as store,
        pytest.raises(PluginError, match=r"Empty.*image_batch_size 0, which is no number of pictures"),
    ):
        embed(Empty(), paths, store=store)


def test_what_fails_in_preparing_names_the_embedder(paths: list[Path], tmp_path: Path) -> None:
    class Failing(HashEmbedder):
        def prepare(self, image: Image.Image) -> Image.Image:
            return image.resize((0, -1))

    with (
        EmbeddingStore(tmp_path / "cache.sqlite") as store,
        pytest.raises(PluginError, match=r"Failing.*preparing a picture"),
    ):
        embed(Failing(), paths, store=store)
