"""Writes tiny language models that llama.cpp loads in a moment: one that babbles, one that recites.

Both have one layer of width 64 or more and a SentencePiece-like tokenizer of 3 markers, 256 bytes,
printable ASCII and a few words. ``write_random`` has random weights, and any text may come out: good
for comparing ways to decode. ``write_chain`` has a layer that adds nothing, so that a token's
successor depends on that token alone, and it recites a chosen sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np

BOS, EOS, UNKNOWN = 1, 2, 0
_WORDS = ("▁a", "▁the", "▁first", "▁second", "▁image", "▁shows", "▁while", "▁red", "▁dog", "▁cat", "▁tree")


def vocabulary(words: Sequence[str] = _WORDS) -> tuple[list[str], list[float], list[int]]:
    """Return tokens, scores and types; longer pieces score higher, so that words win over letters."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    scores = [0.0, 0.0, 0.0] + [-1000.0] * 256
    letters = ["▁", *(chr(code) for code in range(33, 127))]
    # Pieces are merged two by two, so every beginning of a word has to be a piece as well.
    pieces = {word[:end] for word in words for end in range(2, len(word) + 1)}
    for piece in [*letters, *sorted(pieces, key=lambda piece: (len(piece), piece))]:
        tokens.append(piece)
        types.append(gguf.TokenType.NORMAL)
        scores.append(-20.0 + len(piece))
    return tokens, scores, [int(kind) for kind in types]


def write_random(path: Path, seed: int = 0, width: int = 64) -> Path:
    """Write a model of random weights and return ``path``."""
    tokens = vocabulary()[0]
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (rng.standard_normal((rows, columns)) * columns**-0.5).astype(np.float32)

    embedding = rng.standard_normal((len(tokens), width)).astype(np.float32)
    output = matrix(len(tokens), width) * 4
    layer = [matrix(*shape) for shape in _shapes(width)]
    return _write(path, width, embedding, output, layer)


def write_chain(path: Path, chain: Sequence[str], width: int = 128) -> Path:
    """Write a model that says ``chain[i + 1]`` after ``chain[i]``, ends after the last, and return ``path``.

    Args:
        chain: pieces of the vocabulary, "▁" for a space, each once; the first starts the recital.
    """
    tokens = vocabulary()[0]
    if len(set(chain)) != len(chain):
        raise ValueError("a piece twice in the chain would have two successors")
    rng = np.random.default_rng(7)
    embedding = rng.choice(np.array([-1.0, 1.0], np.float32), (len(tokens), width))
    output = np.zeros((len(tokens), width), np.float32)
    ids = [*(tokens.index(piece) for piece in chain), EOS]
    for before, after in pairwise(ids):
        output[after] += embedding[before]
    layer = [np.zeros(shape, np.float32) for shape in _shapes(width)]
    return _write(path, width, embedding, output, layer)


def _shapes(width: int) -> list[tuple[int, int]]:
    return [(width, width)] * 4 + [(2 * width, width), (2 * width, width), (width, 2 * width)]


def _write(path: Path, width: int, embedding: np.ndarray, output: np.ndarray, layer: Sequence[np.ndarray]) -> Path:
    tokens, scores, types = vocabulary()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(path.stem)
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(width // 2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    ones = np.ones(width, np.float32)
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", output)
    writer.add_tensor("blk.0.attn_norm.weight", ones)
    writer.add_tensor("blk.0.ffn_norm.weight", ones)
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    for name, weight in zip(names, layer, strict=True):
        writer.add_tensor(f"blk.0.{name}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
