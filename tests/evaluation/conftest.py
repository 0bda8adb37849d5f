from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pcclip
from pcclip.plugins import Plugin, registry
from pcclip.specs import EmbedderSpec


@pytest.fixture(scope="session", autouse=True)
def hash_backbone() -> Iterator[None]:
    """Make the small backbone of :mod:`pcclip.testing` known under a name, as a plugin would."""
    plugins = registry()._plugins["embedder"]
    plugins["hash"] = [Plugin(EmbedderSpec(name="hash", target="pcclip.testing:HashEmbedder"), "tests", "1")]
    yield
    plugins.pop("hash", None)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the small backbone on 60 scenes, 15 of them held out."""
    out = tmp_path_factory.mktemp("runs") / "tuned"
    settings = {"pairs": 120, "eval_pairs": 20, "batch_size": 16, "max_steps": 40, "learning_rate": 0.05}
    pcclip.finetune(
        pcclip.make_config(data="scenes:60", backbone="hash", captioner="template", threads=1, **settings), out
    )
    return out
