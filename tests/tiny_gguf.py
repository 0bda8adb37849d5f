"""Writes tiny language models that llama.cpp loads in a moment: one that babbles, one that recites.

Both have one layer of width 64 or more and a SentencePiece-like tokenizer of 3 markers, 256 bytes,
printable ASCII and a few words. ``write_random`` has random weights, and any text may come out: good
for comparing ways to decode. ``write_chain`` has a layer that adds nothing, so that a token's
successor depends on that token alone, and it recites a chosen sentence. Both can have a chat template
and its markers. ``write_embedder`` and ``write_recurrent`` are real models that write no text side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np

BOS, EOS, UNKNOWN = 1, 2, 0
_WORDS = ("▁a", "▁the", "▁first", "▁second", "▁image", "▁shows", "▁while", "▁red", "▁dog", "▁cat", "▁tree")


def vocabulary(words: Sequence[str] = _WORDS, markers: Sequence[str] = ()) -> tuple[list[str], list[float], list[int]]:
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
    for marker in markers:
        tokens.append(marker)
        types.append(gguf.TokenType.CONTROL)
        scores.append(0.0)
    return tokens, scores, [int(kind) for kind in types]


def write_random(
    path: Path,
    seed: int = 0,
    width: int = 64,
    *,
    template: str | None = None,
    markers: Sequence[str] = (),
    tokenizer: bool = True,
) -> Path:
    """Write a model of random weights and return ``path``.

    Args:
        template: a chat template for the metadata.
        markers: what the template writes and the tokenizer must know as tokens of their own.
        tokenizer: False leaves it out, and the model cannot be used.
    """
    tokens = vocabulary(markers=markers)[0]
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (rng.standard_normal((rows, columns)) * columns**-0.5).astype(np.float32)

    embedding = rng.standard_normal((len(tokens), width)).astype(np.float32)
    output = matrix(len(tokens), width) * 4
    layer = [matrix(*shape) for shape in _shapes(width)]
    return _write(path, width, embedding, output, layer, template, (_WORDS, markers) if tokenizer else None)


def write_chain(
    path: Path,
    chain: Sequence[str],
    width: int = 128,
    *,
    words: Sequence[str] = _WORDS,
    template: str | None = None,
    markers: Sequence[str] = (),
) -> Path:
    """Write a model that says ``chain[i + 1]`` after ``chain[i]``, ends after the last, and return ``path``.

    Args:
        chain: pieces of the vocabulary, "▁" for a space, each once; the first starts the recital.
        words: the words of the vocabulary.
        template, markers: as for ``write_random``.
    """
    tokens = vocabulary(words, markers)[0]
    if len(set(chain)) != len(chain):
        raise ValueError("a piece twice in the chain would have two successors")
    rng = np.random.default_rng(7)
    embedding = rng.choice(np.array([-1.0, 1.0], np.float32), (len(tokens), width))
    output = np.zeros((len(tokens), width), np.float32)
    ids = [*(tokens.index(piece) for piece in chain), EOS]
    for before, after in pairwise(ids):
        output[after] += embedding[before]
    layer = [np.zeros(shape, np.float32) for shape in _shapes(width)]
    return _write(path, width, embedding, output, layer, template, (words, markers))


def write_embedder(path: Path, width: int = 64) -> Path:
    """Write a BERT, which embeds texts, and return ``path``."""
    writer = _writer(path, "bert", width)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    _add_tokenizer(writer)
    writer.add_token_type_count(2)
    square, norm = (width, width), (width,)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(vocabulary()[0]), width),
        "token_types.weight": (2, width),
        "position_embd.weight": (4096, width),
        "token_embd_norm.weight": norm,
        "token_embd_norm.bias": norm,
    }
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        shapes |= {f"blk.0.{name}.weight": square, f"blk.0.{name}.bias": norm}
    for name in ("attn_output_norm", "layer_output_norm"):
        shapes |= {f"blk.0.{name}.weight": norm, f"blk.0.{name}.bias": norm}
    shapes |= {"blk.0.ffn_up.weight": (2 * width, width), "blk.0.ffn_up.bias": (2 * width,)}
    shapes |= {"blk.0.ffn_down.weight": (width, 2 * width), "blk.0.ffn_down.bias": norm}
    return _finish(writer, path, {name: np.full(shape, 0.01, np.float32) for name, shape in shapes.items()})


def write_recurrent(path: Path, width: int = 64) -> Path:
    """Write a Mamba, whose state cannot be cut back, and return ``path``."""
    inner, state, rank = 2 * width, 16, 4
    writer = _writer(path, "mamba", width)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    _add_tokenizer(writer)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(vocabulary()[0]), width),
        "output_norm.weight": (width,),
        "blk.0.attn_norm.weight": (width,),
        "blk.0.ssm_in.weight": (2 * inner, width),
        "blk.0.ssm_conv1d.weight": (inner, 4),
        "blk.0.ssm_conv1d.bias": (inner,),
        "blk.0.ssm_x.weight": (rank + 2 * state, inner),
        "blk.0.ssm_dt.weight": (inner, rank),
        "blk.0.ssm_dt.bias": (inner,),
        "blk.0.ssm_a": (inner, state),
        "blk.0.ssm_d": (inner,),
        "blk.0.ssm_out.weight": (width, inner),
    }
    return _finish(writer, path, {name: np.full(shape, 0.01, np.float32) for name, shape in shapes.items()})


def _shapes(width: int) -> list[tuple[int, int]]:
    return [(width, width)] * 4 + [(2 * width, width), (2 * width, width), (width, 2 * width)]


def _write(
    path: Path,
    width: int,
    embedding: np.ndarray,
    output: np.ndarray,
    layer: Sequence[np.ndarray],
    template: str | None,
    tokenizer: tuple[Sequence[str], Sequence[str]] | None,
) -> Path:
    writer = _writer(path, "llama", width)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(width // 2)
    writer.add_layer_norm_rms_eps(1e-5)
    if tokenizer:
        _add_tokenizer(writer, *tokenizer)
    else:
        writer.add_tokenizer_model("no_vocab")
        writer.add_vocab_size(len(embedding))
    if template is not None:
        writer.add_chat_template(template)
    ones = np.ones(width, np.float32)
    tensors = {
        "token_embd.weight": embedding,
        "output_norm.weight": ones,
        "output.weight": output,
        "blk.0.attn_norm.weight": ones,
        "blk.0.ffn_norm.weight": ones,
    }
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    tensors |= {f"blk.0.{name}.weight": weight for name, weight in zip(names, layer, strict=True)}
    return _finish(writer, path, tensors)


def _writer(path: Path, architecture: str, width: int) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name(path.stem)
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(2 * width)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    return writer


def _add_tokenizer(writer: gguf.GGUFWriter, words: Sequence[str] = _WORDS, markers: Sequence[str] = ()) -> None:
    tokens, scores, types = vocabulary(words, markers)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)


def _finish(writer: gguf.GGUFWriter, path: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
