"""The text tower of any open_clip model: encoding at the length the texts have, and its parts by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pcclip.errors import UsageError
from pcclip.interfaces import Tokens
from pcclip_openclip import packed

# Parts of a CLIP or CoCa model that are not its text tower; the rest is.
_NOT_TEXT = ("visual.", "text_decoder.", "logit_scale", "logit_bias")


class TextSide:
    """The text tower of ``model``, whatever its class.

    Args:
        model: CLIP, whose text tower is spread over the model, or CustomTextCLIP or CoCa, where it is ``model.text``.
        context_length: the length that the model's own ``encode_text`` expects.
        pad_id: what fills texts up to it.
    """

    def __init__(self, model: nn.Module, context_length: int, pad_id: int) -> None:
        self._model = model
        self._tower: Any = getattr(model, "text", model)
        self._context_length = context_length
        self._pad_id = pad_id
        self.is_hub_tower = hasattr(self._tower, "pooler")
        self.cuts_exactly = self.is_hub_tower or self._is_causal_with_end_marker()

    def encode(self, tokens: Tokens) -> Tensor:
        """Return (n, dim) unit rows, as ``encode_text`` gives them for texts padded to the full length.

        Causal towers that read the end marker's position, and Hugging Face towers, which mask the
        padding, give the same for shorter rows, so they get the rows as they are. All others (padding
        is attended to, or the last position is read) get them padded.
        """
        ids = tokens.ids
        if not self.cuts_exactly:
            ids = nn.functional.pad(ids, (0, self._context_length - ids.shape[1]), value=self._pad_id)
        if self.cuts_exactly and not self.is_hub_tower:
            features = self._encode_causal(ids, tokens.lengths)
        else:
            features = self._model.encode_text(ids)  # type: ignore[operator]
        return nn.functional.normalize(features, dim=-1)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return every parameter of the text tower by its name in the model."""
        named = self._model.named_parameters()
        return {name: parameter for name, parameter in named if not name.startswith(_NOT_TEXT)}

    def tensors(self) -> dict[str, Tensor]:
        """Return the text tower's weights and saved buffers by name."""
        state: Mapping[str, Tensor] = self._model.state_dict()
        return {name: tensor for name, tensor in state.items() if not name.startswith(_NOT_TEXT)}

    def trainable(self, scope: str, variant: str) -> dict[str, nn.Parameter]:
        """Return the parameters of ``scope`` by name.

        Raises:
            UsageError: the scope is unknown, or the tower has no such part.
        """
        if scope == "text":
            return self.parameters()
        blocks = list(self.blocks())
        if scope == "blocks":
            return self._inside(blocks)
        projection = self._projection()
        if scope == "projection" and projection:
            return projection
        count = scope.removeprefix("last-")
        if count != scope and count.isdecimal() and 1 <= int(count) <= len(blocks):
            return self._inside(blocks[-int(count) :])
        named = ["blocks", "text", *(["projection"] if projection else []), f"last-1 to last-{len(blocks)}", "lora"]
        raise UsageError(
            f"backbone {variant!r}: nothing to train is called {scope!r}", f"There are: {', '.join(named)}"
        )

    def _is_causal_with_end_marker(self) -> bool:
        pool = getattr(self._tower, "text_pool_type", None) or getattr(self._tower, "pool_type", None)
        causal = getattr(self._tower, "attn_mask", None) is not None
        appended = getattr(self._tower, "cls_emb", None) is not None
        return causal and not appended and pool in ("argmax", "eos")

    @property
    def packs(self) -> bool:
        """Whether only real tokens are computed, however the texts are padded."""
        return self.cuts_exactly and not self.is_hub_tower and packed.fits(self.blocks())

    def _encode_causal(self, ids: Tensor, lengths: Tensor) -> Tensor:
        tower, length = self._tower, ids.shape[1]
        embedded = tower.token_embedding(ids) + tower.positional_embedding[:length]
        if self.packs:
            ends = packed.run(self.blocks(), embedded, lengths)
        else:
            hidden = tower.transformer(embedded, attn_mask=tower.attn_mask[:length, :length])
            ends = hidden[torch.arange(len(ids), device=ids.device), lengths - 1]
        # The end marker is the last real token; the norm works on each position by itself.
        features: Tensor = tower.ln_final(ends)
        projection = tower.text_projection
        if projection is None:
            return features
        projected: Tensor = projection(features) if isinstance(projection, nn.Module) else features @ projection
        return projected

    def blocks(self) -> nn.ModuleList:
        """Return the transformer blocks, first to last: the longest list of modules that are all of one class."""
        lists = [
            module
            for module in self._tower.transformer.modules()
            if isinstance(module, nn.ModuleList) and len({type(block) for block in module}) == 1
        ]
        return max(lists, key=len, default=nn.ModuleList())

    def _projection(self) -> dict[str, nn.Parameter]:
        prefix = "" if self._tower is self._model else "text."
        own = (f"{prefix}text_projection", f"{prefix}proj.")
        return {
            name: parameter
            for name, parameter in self.parameters().items()
            if name == own[0] or name.startswith((f"{own[0]}.", own[1]))
        }

    def _inside(self, blocks: list[nn.Module]) -> dict[str, nn.Parameter]:
        wanted = {id(parameter) for block in blocks for parameter in block.parameters()}
        return {name: parameter for name, parameter in self.parameters().items() if id(parameter) in wanted}
