"""Attention of texts that lie end to end in one row of tokens, in both directions of the computation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the texts lie in the row of tokens.

    Attributes:
        real: (n, L) booleans, the tokens that are no padding.
        places: (tokens,) where they lie in (n·L,).
        ends: (n,) places of the last tokens.
        groups: number and length of texts that are equally long, one group after the other, or None where attention
            sees all texts at once, padded: many small products are slow on a GPU.
    """

    real: Tensor
    places: Tensor
    ends: Tensor
    groups: list[tuple[int, int]] | None

    @classmethod
    def of(cls, lengths: Tensor, *, by_length: bool) -> Layout:
        """Return the layout of texts of ``lengths`` (n,) int64, which ascend."""
        real = torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
        groups = None
        if by_length:
            values, counts = torch.unique_consecutive(lengths, return_counts=True)
            groups = list(zip(counts.tolist(), values.tolist(), strict=True))
        return cls(real, real.flatten().nonzero()[:, 0], lengths.cumsum(0) - 1, groups)

    def padded(self, rows: Tensor) -> Tensor:
        """Return (n, L, ...) of (tokens, ...) rows, zeros where there is no token."""
        out = rows.new_zeros(self.real.numel(), *rows.shape[1:]).index_copy(0, self.places, rows)
        return out.view(*self.real.shape, *rows.shape[1:])


def causal(joint: Tensor, heads: int, layout: Layout) -> Tensor:
    """Return (tokens, width) of (tokens, 3·width) queries, keys and values: each token sees those before it."""
    if layout.groups is not None:
        return _ByLength.apply(joint, heads, layout.groups)  # type: ignore[no-any-return, no-untyped-call]
    queries, keys, values = (_by_head(part, heads) for part in layout.padded(joint).chunk(3, dim=-1))
    out = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    return out.transpose(1, 2).flatten(2).flatten(0, 1)[layout.places]


def at_ends(queries: Tensor, joint: Tensor, heads: int, layout: Layout) -> Tensor:
    """Return (n, width) of (n, width) queries and (tokens, 2·width) keys and values: each sees all of its text."""
    if layout.groups is None:
        return _see_all(queries, layout.padded(joint), heads, layout.real[:, None, None])
    sizes = [count for count, _ in layout.groups]
    parts = torch.split(joint, [count * length for count, length in layout.groups])
    rows = [
        _see_all(own, part.view(count, length, -1), heads, None)
        for own, part, (count, length) in zip(torch.split(queries, sizes), parts, layout.groups, strict=True)
    ]
    return torch.cat(rows)


class _ByLength(torch.autograd.Function):
    """Causal attention among texts of one length after the other, on a CPU.

    Texts are so short that plain batched products beat PyTorch's fused kernel, which in bfloat16 is slower still, so
    all is in float32 whatever comes in. The gradient is written to its place in one piece of memory, where autograd
    alone would join queries, keys and values first and the groups after that.
    """

    @staticmethod
    def forward(ctx: Any, joint: Tensor, heads: int, groups: list[tuple[int, int]]) -> Tensor:
        out = joint.new_empty(len(joint), joint.shape[1] // 3)
        ctx.heads, ctx.groups, ctx.dtype = heads, groups, joint.dtype
        saved: list[Tensor] = []
        with torch.autocast("cpu", enabled=False):
            for places, count, length in _spans(groups):
                queries, keys, values = _by_text(joint[places], 3, count, length, heads)
                later = torch.full((length, length), -torch.inf, dtype=queries.dtype).triu_(1)
                scores = torch.baddbmm(later, queries, keys.mT, alpha=queries.shape[-1] ** -0.5)
                shares = scores.softmax(-1)
                _write(out[places], [shares @ values], count, heads)
                saved += [queries, keys, values, shares]
        ctx.save_for_backward(*saved)
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, no-untyped-call]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        out = gradient.new_empty(len(gradient), 3 * gradient.shape[1], dtype=ctx.dtype)
        saved = iter(ctx.saved_tensors)
        for places, count, length in _spans(ctx.groups):
            queries, keys, values, shares = (next(saved) for _ in range(4))
            (upper,) = _by_text(gradient[places], 1, count, length, ctx.heads)
            of_shares = upper @ values.mT
            of_scores = shares * (of_shares - (of_shares * shares).sum(-1, keepdim=True)) * queries.shape[-1] ** -0.5
            _write(out[places], [of_scores @ keys, of_scores.mT @ queries, shares.mT @ upper], count, ctx.heads)
        return out, None, None


def _by_text(rows: Tensor, parts: int, count: int, length: int, heads: int) -> Tensor:
    """Return (parts, count·heads, length, d), contiguous, of (count·length, parts·heads·d) rows; float32 at least."""
    apart = rows.reshape(count, length, parts, heads, -1).permute(2, 0, 3, 1, 4)
    precise = torch.promote_types(rows.dtype, torch.float32)
    return apart.to(precise, memory_format=torch.contiguous_format, copy=True).flatten(1, 2)


def _write(rows: Tensor, found: list[Tensor], count: int, heads: int) -> None:
    """Put ``found``, each (count·heads, length, d), side by side into (count·length, len(found)·heads·d) rows."""
    apart = rows.view(count, -1, len(found), heads, found[0].shape[-1]).permute(2, 0, 3, 1, 4)
    for part, own in zip(apart, found, strict=True):
        part.copy_(own.unflatten(0, (count, heads)))


def _spans(groups: list[tuple[int, int]]) -> Iterator[tuple[slice, int, int]]:
    """Yield the tokens of each group, how many texts it has, and how long they are."""
    start = 0
    for count, length in groups:
        yield slice(start, start + count * length), count, length
        start += count * length


def _see_all(queries: Tensor, joint: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    keys, values = (_by_head(part, heads) for part in joint.chunk(2, dim=-1))
    own = queries.unflatten(-1, (heads, -1))[:, :, None]
    return F.scaled_dot_product_attention(own, keys, values, attn_mask=mask).flatten(1)


def _by_head(rows: Tensor, heads: int) -> Tensor:
    """Return (n, heads, L, d) of (n, L, heads·d)."""
    return rows.unflatten(-1, (heads, -1)).transpose(1, 2)
