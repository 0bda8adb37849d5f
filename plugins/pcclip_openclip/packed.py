"""Run a causal text transformer over the real tokens of a batch, end to end, without any padding.

The linear maps and norms, which are nearly all of the work, see one long row of tokens, so each weight is
used, and its gradient computed, once a batch. Only attention looks at texts one by one. In the last block
everything but keys and values is needed at the end markers alone, since nothing else is read from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn


def fits(blocks: nn.ModuleList) -> bool:
    """Whether the blocks are open_clip's ordinary ones, as they were built: no adapters, no variants."""
    return all(
        type(block) is ResidualAttentionBlock
        and type(block.attn) is nn.MultiheadAttention
        and type(block.attn.out_proj) in (nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear)
        and block.attn.in_proj_weight is not None
        and block.attn.bias_k is None
        and block.attn.dropout == 0
        and not hasattr(block, "ln_1_kv")
        for block in blocks
    )


def run(blocks: nn.ModuleList, embedded: Tensor, lengths: Tensor) -> Tensor:
    """Return (n, width), the last block's output at the last token of each text.

    Args:
        blocks: as :func:`fits` asks for.
        embedded: (n, L, width) token and position embeddings, texts padded on the right in any way.
        lengths: (n,) int64 real tokens of each text, at least 1.
    """
    order = torch.argsort(lengths, stable=True)
    layout = _Layout.of(lengths[order], by_length=embedded.device.type == "cpu")
    hidden = embedded[order, : layout.real.shape[1]].flatten(0, 1)[layout.places]
    for block in blocks[:-1]:
        hidden = _block(block, hidden, layout)
    ends = _last_block(blocks[-1], hidden, layout)
    return ends[torch.argsort(order)]


@dataclass(frozen=True, slots=True)
class _Layout:
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
    def of(cls, lengths: Tensor, *, by_length: bool) -> _Layout:
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


def _block(block: Any, hidden: Tensor, layout: _Layout) -> Tensor:
    attention = block.attn
    joint = F.linear(block.ln_1(hidden), attention.in_proj_weight, attention.in_proj_bias)
    seen = _attend(joint, attention.num_heads, layout)
    hidden = hidden + block.ls_1(attention.out_proj(seen))
    added: Tensor = hidden + block.ls_2(block.mlp(block.ln_2(hidden)))
    return added


def _last_block(block: Any, hidden: Tensor, layout: _Layout) -> Tensor:
    attention, width = block.attn, hidden.shape[1]
    normed = block.ln_1(hidden)
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    queries = F.linear(normed[layout.ends], weight[:width], None if bias is None else bias[:width])
    joint = F.linear(normed, weight[width:], None if bias is None else bias[width:])
    ends = hidden[layout.ends] + block.ls_1(attention.out_proj(_look_back(queries, joint, attention.num_heads, layout)))
    added: Tensor = ends + block.ls_2(block.mlp(block.ln_2(ends)))
    return added


def _attend(joint: Tensor, heads: int, layout: _Layout) -> Tensor:
    """Return (tokens, width) of (tokens, 3·width) queries, keys and values: each token sees those before it."""
    if layout.groups is None:
        return _causal(layout.padded(joint), heads).flatten(0, 1)[layout.places]
    parts = torch.split(joint, [count * length for count, length in layout.groups])
    rows = [
        _causal(part.view(count, length, -1), heads).flatten(0, 1)
        for part, (count, length) in zip(parts, layout.groups, strict=True)
    ]
    return torch.cat(rows)


def _causal(joint: Tensor, heads: int) -> Tensor:
    queries, keys, values = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in joint.chunk(3, dim=-1))
    out = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    return out.transpose(1, 2).flatten(2)


def _look_back(queries: Tensor, joint: Tensor, heads: int, layout: _Layout) -> Tensor:
    """Return (n, width) of (n, width) queries and (tokens, 2·width) keys and values: each sees all of its text."""
    if layout.groups is None:
        return _all(queries, layout.padded(joint), heads, layout.real[:, None, None])
    sizes = [count for count, _ in layout.groups]
    parts = torch.split(joint, [count * length for count, length in layout.groups])
    rows = [
        _all(own, part.view(count, length, -1), heads, None)
        for own, part, (count, length) in zip(torch.split(queries, sizes), parts, layout.groups, strict=True)
    ]
    return torch.cat(rows)


def _all(queries: Tensor, joint: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    keys, values = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in joint.chunk(2, dim=-1))
    own = queries.unflatten(-1, (heads, -1))[:, :, None]
    return F.scaled_dot_product_attention(own, keys, values, attn_mask=mask).flatten(1)
