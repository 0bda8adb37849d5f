"""Plugins that are subtly wrong: the contract of their kind finds each, and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from pcclip.interfaces import Captioner, LinearClassifier, Loss, Strategy, Tokens
from pcclip.testing import (
    CaptionerContract,
    EchoCaptioner,
    EmbedderContract,
    HashEmbedder,
    LossContract,
    StrategyContract,
)
from pcclip.testing.checking import run
from pcclip.testing.contract import Contract, registry
from pcclip.types import Comparative


def findings(contract: type[Contract], target: Callable[[], Any]) -> dict[str, str]:
    """Return what the contract finds of the kind's own checks: the words of each and why it failed."""
    parts = {name: None for name in vars(Contract) if name.startswith("test_")}
    made = {"name": "wrong", "make": staticmethod(target), **parts}
    checks = [name for name in vars(contract) if name.startswith("test_")]
    assert checks
    return {one.check: one.detail for one in run(type("Checked", (contract,), _callable(made))) if one.status != "ok"}


def _callable(made: dict[str, Any]) -> dict[str, Any]:
    """Let the checks of every kind, which ask for an installed plugin, pass."""
    return {name: (lambda self: None) if value is None else value for name, value in made.items()}


def found_in(contract: type[Contract], target: Callable[[], Any], words: str) -> None:
    found = findings(contract, target)
    assert any(words in detail for detail in found.values()), found


# ---------------------------------------------------------------------------------------------- strategies


class Nearest(Strategy):
    def weights(self, embedder: Any, knowledge: Any) -> Any:
        return embedder.embed_texts(list(knowledge.names))

    def fit(self, embedder: Any, knowledge: Any) -> Any:
        return LinearClassifier(knowledge.names, self.weights(embedder, knowledge))


class Remembers(Nearest):
    kept: Any = None

    def weights(self, embedder: Any, knowledge: Any) -> Any:
        if self.kept is None or len(self.kept) != len(knowledge.names):
            self.kept = super().weights(embedder, knowledge)
        return self.kept


class ChangesDescriptions(Nearest):
    def fit(self, embedder: Any, knowledge: Any) -> Any:
        knowledge.descriptions.clear()
        return super().fit(embedder, knowledge)


class ChangesSupport(Nearest):
    def fit(self, embedder: Any, knowledge: Any) -> Any:
        if knowledge.support is not None:
            knowledge.support.embeddings[:] -= 1
        return super().fit(embedder, knowledge)


class NeedsEveryClass(Nearest):
    def fit(self, embedder: Any, knowledge: Any) -> Any:
        for name in knowledge.names if knowledge.descriptions else ():
            knowledge.descriptions[name]
        return super().fit(embedder, knowledge)


class AnotherBaseline(Nearest):
    def fit(self, embedder: Any, knowledge: Any) -> Any:
        weights = self.weights(embedder, knowledge)
        return LinearClassifier(
            knowledge.names, weights, baseline=LinearClassifier(knowledge.names[::-1], weights[::-1])
        )


class OneNote(Nearest):
    def fit(self, embedder: Any, knowledge: Any) -> Any:
        classifier = super().fit(embedder, knowledge)
        classifier.notes = "a note"
        return classifier


class HalfScores(LinearClassifier):
    def scores(self, embeddings: Any) -> Any:
        return super().scores(embeddings).astype(np.float16)


class Coarse(Nearest):
    def fit(self, embedder: Any, knowledge: Any) -> Any:
        return HalfScores(knowledge.names, self.weights(embedder, knowledge))


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (Remembers, "an instance that was fitted before"),
        (ChangesDescriptions, "changed the descriptions: copy them"),
        (ChangesSupport, "labelled pictures: work on a copy"),
        (NeedsEveryClass, "no UsageError that names the class 'ant'"),
        (AnotherBaseline, "the classes of the baseline are"),
        (OneNote, "notes are 'a note', not a tuple of texts"),
        (Coarse, "dtype float16, not float32"),
    ],
)
def test_strategies(strategy: type[Strategy], words: str) -> None:
    found_in(StrategyContract, strategy, words)


# -------------------------------------------------------------------------------------------------- losses


class Cosine(Loss):
    def forward(self, batch: Any) -> Any:
        return self.joined(1 - F.cosine_similarity(batch.text, batch.image_differences))

    def joined(self, values: Any) -> Any:
        return values.mean()


class ByPlace(Cosine):
    def joined(self, values: Any) -> Any:
        return (values * torch.arange(len(values))).mean()


class Rolls(Cosine):
    def forward(self, batch: Any) -> Any:
        return super().forward(batch) + (batch.text * batch.image_differences.roll(1, 0)).sum(-1).mean()


class ChangesBatch(Cosine):
    def forward(self, batch: Any) -> Any:
        batch.image_differences.div_(2)
        return super().forward(batch)


class EvenOnly(Cosine):
    def joined(self, values: Any) -> Any:
        return values.reshape(2, -1).mean()


class Half(Cosine):
    def joined(self, values: Any) -> Any:
        return values.mean().half()


class Untrained(Cosine):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def joined(self, values: Any) -> Any:
        return values.mean() * self.scale.detach()


class Counts(Cosine):
    calls = 0

    def joined(self, values: Any) -> Any:
        self.calls += 1
        return values.mean() / self.calls


class Dropout(Cosine):
    def forward(self, batch: Any) -> Any:
        return 1 - (F.dropout(batch.text, 0.1) * batch.image_differences).sum(-1).mean()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (ByPlace, "with the pairs in another order"),
        (Rolls, "with the pairs in another order"),
        (ChangesBatch, "changed image_differences of the batch: work on a copy"),
        (EvenOnly, "shape '[2, -1]' is invalid"),
        (Half, "float16, too coarse for a gradient: return float32"),
        (Untrained, "no gradient reaches its parameter scale"),
        (Counts, "a second call with the same batch gave another value"),
    ],
)
def test_losses(loss: type[Loss], words: str) -> None:
    found_in(LossContract, loss, words)


def test_a_loss_may_draw_numbers_that_a_seed_decides() -> None:
    assert findings(LossContract, Cosine) == findings(LossContract, Dropout) == {}


# ---------------------------------------------------------------------------------------------- captioners


class NoDirection(EchoCaptioner):
    def describe(self, pairs: Any) -> Any:
        for answer in super().describe(pairs):
            yield Comparative(answer.pair, " and ".join(sorted((answer.pair.first, answer.pair.second))))


class CannotClose(EchoCaptioner):
    def close(self) -> None:
        raise RuntimeError("no closing today")


@pytest.mark.parametrize(
    ("captioner", "words"),
    [(NoDirection, "the same text in both directions"), (CannotClose, "no closing today")],
)
def test_captioners(captioner: type[Captioner], words: str) -> None:
    found_in(CaptionerContract, captioner, words)


# ----------------------------------------------------------------------------------------------- embedders


class Shrinks(HashEmbedder):
    def embed_images(self, images: Any) -> Any:
        for image in images:
            image.thumbnail((8, 8))
        return super().embed_images(images)


class EatsTheList(HashEmbedder):
    def embed_images(self, images: Any) -> Any:
        taken = [images.pop() for _ in range(len(images))]
        return super().embed_images(taken[::-1])


class NoBlack(HashEmbedder):
    def embed_images(self, images: Any) -> Any:
        rows = super().embed_images(images)
        for row, image in zip(rows, images, strict=True):
            if not np.asarray(image.convert("RGB")).any():
                row[:] = np.nan
        return rows


class PadsLeft(HashEmbedder):
    def _turned(self, tokens: Tokens, way: int) -> Tokens:
        ids = [row.roll(way * (len(row) - int(n))) for row, n in zip(tokens.ids, tokens.lengths, strict=True)]
        return Tokens(torch.stack(ids) if ids else tokens.ids, tokens.lengths)

    def tokenize(self, texts: Any) -> Tokens:
        return self._turned(super().tokenize(texts), 1)

    def encode_text(self, tokens: Tokens) -> Any:
        return super().encode_text(self._turned(tokens, -1))


class DropsOut(HashEmbedder):
    def encode_text(self, tokens: Tokens) -> Any:
        return F.normalize(F.dropout(super().encode_text(tokens), 0.1, torch.is_grad_enabled()), dim=-1)


class Pickles(HashEmbedder):
    def save(self, folder: Any) -> Any:
        torch.save(self.table, folder / "table.weights")
        return super().save(folder)


class ForeignBlocks(HashEmbedder):
    def blocks(self) -> nn.Module:
        return nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("embedder", "words"),
    [
        (Shrinks, "changed a picture of RGB and size (60, 40): work on a copy"),
        (EatsTheList, "changed the list of pictures"),
        (NoBlack, "are not finite"),
        (PadsLeft, "padding goes to the right"),
        (DropsOut, "put the towers into eval mode"),
        (Pickles, "may be pickles, which run code when they are read: table.weights"),
        (ForeignBlocks, "not in scope 'text'"),
    ],
)
def test_embedders(embedder: type[HashEmbedder], words: str) -> None:
    found_in(EmbedderContract, embedder, words)


def test_right_ones_pass() -> None:
    for contract, target in ((EmbedderContract, HashEmbedder), (CaptionerContract, EchoCaptioner)):
        assert findings(contract, target) == {}
    assert findings(StrategyContract, Nearest) == {}


# ------------------------------------------------------------------------------------------------- options


class OutOfBounds(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(5, le=1, description="a share")


def test_a_default_out_of_its_own_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry(), "find", lambda *_: SimpleNamespace(spec=SimpleNamespace(options="x")))
    monkeypatch.setattr(registry(), "options_model", lambda *_: OutOfBounds)
    contract = type("Checked", (StrategyContract,), {"name": "wrong"})()
    with pytest.raises(AssertionError, match=r"a default is not allowed by its own field: share: .* got 5"):
        contract.test_options_are_valid_and_described()


def test_what_does_not_keep_it_from_being_made_does_not_keep_it_from_being_checked() -> None:
    """An option without a description is one finding; the other checks run all the same."""

    def undescribed(self: Any) -> None:
        raise AssertionError("options without a description")

    made = {"name": "wrong", "make": staticmethod(Coarse), "test_options_are_valid_and_described": undescribed}
    others = {name: (lambda self: None) for name in vars(Contract) if name.startswith("test_") and name not in made}
    found = list(run(type("Checked", (StrategyContract,), {**others, **made})))
    assert {one.status for one in found} == {"ok", "failed"}
    assert any("float16" in one.detail for one in found)
