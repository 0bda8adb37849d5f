"""Attention of texts that lie end to end: its own gradient, and what a text sees."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pcclip_openclip.attention import Layout, causal

HEADS, WIDTH = 2, 6
LENGTHS = torch.tensor([1, 1, 3, 3, 3, 5])


def _rows(dtype: torch.dtype = torch.float64) -> Tensor:
    rows = torch.randn(int(LENGTHS.sum()), 3 * WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return rows.to(dtype).requires_grad_()


def _one_by_one(joint: Tensor) -> Tensor:
    texts = []
    for part in joint.split(LENGTHS.tolist()):
        heads = [each.unflatten(-1, (HEADS, -1)).transpose(0, 1) for each in part.chunk(3, dim=-1)]
        texts.append(F.scaled_dot_product_attention(*heads, is_causal=True).transpose(0, 1).flatten(1))
    return torch.cat(texts)


def test_the_gradient_is_that_of_finite_differences() -> None:
    layout = Layout.of(LENGTHS, by_length=True)
    assert torch.autograd.gradcheck(lambda joint: causal(joint, HEADS, layout), _rows())
    # a gradient that is one number seen everywhere has no memory of its own
    causal(_rows(), HEADS, layout).sum().backward()


@pytest.mark.parametrize("by_length", [True, False])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_each_text_sees_its_own_earlier_tokens(by_length: bool, dtype: torch.dtype, bound: float) -> None:
    layout = Layout.of(LENGTHS, by_length=by_length)
    joint, exact = _rows(dtype), _rows()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = causal(joint, HEADS, layout)
    expected = _one_by_one(exact)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, atol=bound, rtol=bound)
    mix = torch.linspace(-1, 1, expected.numel(), dtype=torch.float64).view_as(expected).sin()
    (found * mix).sum().backward()
    (expected * mix).sum().backward()
    assert joint.grad is not None
    torch.testing.assert_close(joint.grad.double(), exact.grad, atol=bound, rtol=bound)
    assert joint.grad.dtype == dtype


def test_without_a_gradient_nothing_is_kept() -> None:
    with torch.no_grad():
        found = causal(_rows(), HEADS, Layout.of(LENGTHS, by_length=True))
    assert found.grad_fn is None


def test_a_second_backward_pass_is_refused() -> None:
    found = causal(_rows(), HEADS, Layout.of(LENGTHS, by_length=True)).sum()
    found.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        found.backward()
