"""Texts at their own lengths, gradient caching, precision: the same gradient in less time or memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pcclip.encoding import TextPass, length_groups, resolve_precision
from pcclip.errors import PluginError, UsageError
from pcclip.interfaces import LossBatch, Tokens
from pcclip.objective import make_loss
from pcclip.testing import HashEmbedder

TEXTS = [" ".join(f"w{(7 * i + j) % 50}" for j in range(1 + (i * i) % 23)) for i in range(40)]


def gradients(embedder: HashEmbedder, **how: object) -> tuple[Tensor, Tensor, float]:
    """Return the gradients of table and projection, and the loss."""
    loss, value = make_loss("contrastive"), []
    for parameter in embedder.trainable("text").values():
        parameter.grad = None
    differences = torch.randn(len(TEXTS), embedder.dim, generator=torch.Generator().manual_seed(1))

    def backward(text: Tensor) -> None:
        value.append(loss(LossBatch(differences, text)))
        value[0].backward()

    TextPass(embedder, **how).backward(embedder.tokenize(TEXTS), backward)  # type: ignore[arg-type]
    assert embedder.table.grad is not None
    assert embedder.projection.grad is not None
    return embedder.table.grad.clone(), embedder.projection.grad.clone(), value[0].item()


def plainly(embedder: HashEmbedder) -> tuple[Tensor, Tensor, float]:
    differences = torch.randn(len(TEXTS), embedder.dim, generator=torch.Generator().manual_seed(1))
    value = make_loss("contrastive")(LossBatch(differences, embedder.encode_text(embedder.tokenize(TEXTS))))
    table, projection = torch.autograd.grad(value, [embedder.table, embedder.projection])
    return table, projection, value.item()


@pytest.mark.parametrize("chunk_size", [None, 1, 7, 39, 40, 1000])
def test_grouping_and_gradient_caching_give_the_plain_gradient(chunk_size: int | None) -> None:
    expected = plainly(HashEmbedder())
    found = gradients(HashEmbedder(), chunk_size=chunk_size)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_gradient_caching_never_holds_more_texts_than_a_chunk_and_repeats_its_dropout() -> None:
    class Dropping(HashEmbedder):
        def encode_text(self, tokens: Tokens) -> Tensor:
            rows = F.dropout(super().encode_text(tokens), 0.5)
            seen.append((len(tokens), torch.is_grad_enabled(), rows.detach()))
            return rows

    seen: list[tuple[int, bool, Tensor]] = []
    torch.manual_seed(0)
    gradients(Dropping(), chunk_size=9)
    after = torch.rand(1)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert max(count for count, _, _ in seen) <= 9
    assert {grad for _, grad, _ in first} == {False}
    assert {grad for _, grad, _ in second} == {True}
    for (_, _, one), (_, _, other) in zip(first, second, strict=True):
        assert torch.equal(one, other)
    torch.manual_seed(0)
    for _, _, rows in first:
        F.dropout(torch.ones_like(rows), 0.5)
    assert torch.equal(after, torch.rand(1)), "the random state is that of one pass"


def test_bf16_keeps_weights_and_gradients_in_fp32_and_points_the_same_way() -> None:
    exact, rounded = gradients(HashEmbedder()), gradients(HashEmbedder(), precision="bf16")
    for one, other in zip(rounded[:2], exact[:2], strict=True):
        assert one.dtype == torch.float32
        assert F.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.999
    assert rounded[2] == pytest.approx(exact[2], rel=0.02)
    assert not torch.equal(rounded[1], exact[1])


def test_precision_is_resolved_by_device() -> None:
    assert resolve_precision("auto", torch.device("cpu")) == "fp32"
    assert resolve_precision("bf16", torch.device("cpu")) == "bf16"
    assert resolve_precision("auto", torch.device("mps")) == "fp32"
    with pytest.raises(UsageError, match="bf16"):
        resolve_precision("bf16", torch.device("mps"))


@pytest.mark.parametrize("pass_cost", [0, 5, 40, 10_000])
def test_groups_are_the_cheapest_there_are(pass_cost: int) -> None:
    lengths = torch.tensor([3, 9, 3, 4, 21, 9, 5, 20, 3])
    groups = length_groups(lengths, pass_cost=pass_cost)
    assert sorted(torch.cat(groups).tolist()) == list(range(9))
    ordered = sorted(lengths.tolist())

    def cost(sizes: list[list[int]]) -> int:
        return sum(len(group) * max(group) + pass_cost for group in sizes)

    every = []
    for cuts in itertools.product([False, True], repeat=8):
        ends = [i + 1 for i, cut in enumerate(cuts) if cut]
        every.append(cost([ordered[a:b] for a, b in zip([0, *ends], [*ends, 9], strict=True)]))
    assert cost([lengths[group].tolist() for group in groups]) == min(every)
    if pass_cost == 10_000:
        assert len(groups) == 1
    assert max(map(len, length_groups(lengths, most=2, pass_cost=pass_cost))) == 2


def test_a_loss_that_ignores_the_texts_and_a_tower_without_gradients_are_named() -> None:
    embedder = HashEmbedder()
    tokens = embedder.tokenize(TEXTS)
    with pytest.raises(PluginError, match="does not depend on the texts"):
        TextPass(embedder).backward(tokens, lambda text: None)

    class Deaf(HashEmbedder):
        def encode_text(self, tokens: Tokens) -> Tensor:
            return super().encode_text(tokens).detach()

    for chunk_size in (None, 4):
        with pytest.raises(PluginError, match="Deaf carries no gradient"):
            TextPass(Deaf(), chunk_size=chunk_size).backward(tokens, lambda text: text.sum().backward())


def test_the_loss_sees_the_texts_in_their_order() -> None:
    embedder = HashEmbedder()
    seen = []

    def backward(text: Tensor) -> None:
        seen.append(text.detach().numpy())
        text.sum().backward()

    TextPass(embedder, chunk_size=3).backward(embedder.tokenize(TEXTS), backward)
    np.testing.assert_allclose(seen[0], embedder.embed_texts(TEXTS), atol=1e-6)
