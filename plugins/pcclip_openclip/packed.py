"""Run a causal text transformer over the real tokens of a batch, end to end, without any padding.

The linear maps and norms, which are nearly all of the work, see one long row of tokens, so each weight is
used, and its gradient computed, once a batch. Only attention looks at texts one by one. In the last block
everything but keys and values is needed at the end markers alone, since nothing else is read from it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from pcclip_openclip.attention import Layout, at_ends, causal


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
    layout = Layout.of(lengths[order], by_length=embedded.device.type == "cpu")
    hidden = embedded[order, : layout.real.shape[1]].flatten(0, 1)[layout.places]
    for block in blocks[:-1]:
        hidden = _block(block, hidden, layout)
    ends = _last_block(blocks[-1], hidden, layout)
    return ends[torch.argsort(order)]


def _block(block: Any, hidden: Tensor, layout: Layout) -> Tensor:
    attention = block.attn
    joint = F.linear(block.ln_1(hidden), attention.in_proj_weight, attention.in_proj_bias)
    seen = causal(joint, attention.num_heads, layout)
    hidden = hidden + block.ls_1(attention.out_proj(seen))
    added: Tensor = hidden + block.ls_2(block.mlp(block.ln_2(hidden)))
    return added


def _last_block(block: Any, hidden: Tensor, layout: Layout) -> Tensor:
    attention, width = block.attn, hidden.shape[1]
    normed = block.ln_1(hidden)
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    queries = F.linear(normed[layout.ends], weight[:width], None if bias is None else bias[:width])
    joint = F.linear(normed, weight[width:], None if bias is None else bias[width:])
    ends = hidden[layout.ends] + block.ls_1(attention.out_proj(at_ends(queries, joint, attention.num_heads, layout)))
    added: Tensor = ends + block.ls_2(block.mlp(block.ln_2(ends)))
    return added
