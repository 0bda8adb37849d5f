"""The text tower: MiniLM, mean pooling, and the bridge into the space of image features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from pcclip.interfaces import Tokens

CONTEXT_LENGTH = 256
WIDTH = 384
# What decides a BERT's shape and arithmetic; dropout is left out on purpose, so training is deterministic.
_SHAPE_KEYS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "pad_token_id",
)


class TextTower(nn.Module):
    """BERT, the mean over the real tokens, a unit vector, the bridge, a unit vector.

    Args:
        shape: the entries of a BERT's ``config.json`` that decide its shape.
        dim: length of an embedding.
    """

    def __init__(self, shape: Mapping[str, object], dim: int) -> None:
        super().__init__()
        self.shape = {key: shape[key] for key in _SHAPE_KEYS}
        config = BertConfig(**self.shape, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)  # type: ignore[arg-type]
        with torch.random.fork_rng(devices=[]):
            self.bert = BertModel(config, add_pooling_layer=False)
            self.bridge = nn.Linear(int(config.hidden_size), dim)
        self.eval()

    def sentences(self, tokens: Tokens) -> Tensor:
        """Return (n, 384) unit rows: all-MiniLM-L6-v2's own sentence embeddings."""
        steps = torch.arange(tokens.ids.shape[1], device=tokens.ids.device)
        mask = steps[None, :] < tokens.lengths[:, None]
        hidden: Tensor = self.bert(input_ids=tokens.ids, attention_mask=mask.long()).last_hidden_state
        total = (hidden * mask[:, :, None]).sum(1)
        return nn.functional.normalize(total / tokens.lengths[:, None], dim=-1)

    def forward(self, tokens: Tokens) -> Tensor:
        """Return (n, dim) unit rows."""
        return nn.functional.normalize(self.bridge(self.sentences(tokens)), dim=-1)

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks, first to last."""
        layers: nn.ModuleList = self.bert.encoder.layer
        return layers

    def block_parameters(self, last: int | None = None) -> dict[str, nn.Parameter]:
        """Return the parameters of the ``last`` blocks (all by default) by name."""
        first = 0 if last is None else len(self.blocks) - last
        chosen: Iterator[nn.Parameter] = chain.from_iterable(block.parameters() for block in self.blocks[first:])
        wanted = set(map(id, chosen))
        return {name: parameter for name, parameter in self.named_parameters() if id(parameter) in wanted}


def load_bert(tower: TextTower, path: Path) -> None:
    """Read the published MiniLM weights; its pooler is not used."""
    state = load_file(path)
    wanted = tower.bert.state_dict()
    tower.bert.load_state_dict({name: tensor for name, tensor in state.items() if name in wanted})


class TextTokenizer:
    """MiniLM's own WordPiece tokenizer.

    Args:
        source: the text of its ``tokenizer.json``.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._tokenizer = Tokenizer.from_str(source)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # Without this, "[SEP]" in a caption would end the text.
        self._tokenizer.encode_special_tokens = True

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Tokenize, cut to 256 tokens with the end marker kept, pad to the longest."""
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        rows = [ids if len(ids) <= CONTEXT_LENGTH else [*ids[: CONTEXT_LENGTH - 1], ids[-1]] for ids in rows]
        lengths = torch.tensor([len(ids) for ids in rows], dtype=torch.int64)
        padded = torch.zeros(len(rows), int(lengths.max()) if rows else 0, dtype=torch.int64)
        for row, ids in zip(padded, rows, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        return Tokens(padded, lengths)

    def count(self, text: str) -> int:
        """Return the number of tokens before cutting, with both markers."""
        return len(self._tokenizer.encode(text).ids)
