"""llama.cpp through llama-cpp-python's low-level functions: one model, one context, typed.

What a run of the engine asks of llama.cpp is here; finding the library and loading a model is in
``library``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pcclip.errors import PluginError
from pcclip_llama.library import first_error, last_error, library, load_model, noted

FlashAttention = Literal["auto", "on", "off"]
CacheType = Literal["f16", "q8_0"]


class Sampling(NamedTuple):
    """How tokens are drawn; ``temperature`` 0 takes the likeliest and ignores the rest."""

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    seed: int = 0


class Row(NamedTuple):
    """One token of a batch: its place in its sequence, and whether its successor will be sampled."""

    token: int
    position: int
    sequence: int
    wanted: bool


class Context:
    """A loaded model with one unified key-value cache for many sequences.

    Args:
        path: the GGUF file. It is parsed by C code: load only files from people you trust.
        n_ctx: cells of the cache, shared by all sequences.
        n_sequences: how many sequences there may be, numbered from 0.
        n_batch: the most rows of one ``decode``; raised to ``n_sequences``, as llama.cpp asserts.
        n_threads: CPU threads.
        n_gpu_layers, main_gpu, use_mmap, use_mlock: see :func:`pcclip_llama.library.load_model`.
        flash_attn: attention in one fused kernel; ``auto``: where llama.cpp thinks it right on a GPU,
            and on a CPU only where ``cache_type`` needs it, for it was no faster there.
        cache_type: number format of keys and values; q8_0 takes about half the memory of f16.

    Raises:
        PluginError: llama.cpp refuses the file, or the model cannot share a prefix between sequences.
    """

    def __init__(
        self,
        path: Path,
        *,
        n_ctx: int,
        n_sequences: int,
        n_batch: int,
        n_threads: int,
        n_gpu_layers: int,
        main_gpu: int | None = None,
        flash_attn: FlashAttention = "auto",
        cache_type: CacheType = "f16",
        use_mmap: bool = True,
        use_mlock: bool = False,
    ) -> None:
        n_batch = max(n_batch, n_sequences)
        self._lib = lib = library()
        self._model = self._ctx = self._batch = None
        self._pieces: dict[int, bytes] = {}
        try:
            self._model = load_model(
                path, n_gpu_layers=n_gpu_layers, main_gpu=main_gpu, use_mmap=use_mmap, use_mlock=use_mlock
            )
            self._vocab = lib.llama_model_get_vocab(self._model)
            params = lib.llama_context_default_params()
            params.n_ctx = n_ctx
            params.n_batch = params.n_ubatch = n_batch
            params.n_seq_max = n_sequences
            params.n_threads = params.n_threads_batch = n_threads
            params.kv_unified = True  # sequences can then share the cells of a common prefix
            params.swa_full = True  # a sliding-window cache would forget cells that another sequence needs
            params.no_perf = True
            params.flash_attn_type = _flash_attention(lib, flash_attn, cache_type)
            params.type_k = params.type_v = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0}[cache_type]
            if hasattr(params, "n_outputs_max"):
                params.n_outputs_max = min(n_batch, n_sequences)  # else it reserves n_batch rows of logits
            with noted():
                self._ctx = lib.llama_init_from_model(self._model, params)
            if not self._ctx:
                raise PluginError(
                    f"llama.cpp cannot make a context of {n_ctx} tokens for {path}: {first_error()}",
                    f"Lower n_ctx or n_parallel{'' if cache_type == 'f16' else ', or leave cache_type at f16'}.",
                )
            self._memory = lib.llama_get_memory(self._ctx)
            if not self._memory:
                raise PluginError(f"{path} keeps no cache: it writes no text", "Give a text-generation GGUF.")
            self.n_ctx = int(lib.llama_n_ctx(self._ctx))
            self.n_batch = int(lib.llama_n_batch(self._ctx))  # a small context lowers it; more rows abort the process
            self._batch = lib.llama_batch_init(n_batch, 0, 1)
            self.n_vocab = int(lib.llama_vocab_n_tokens(self._vocab))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free everything; calling it twice is harmless."""
        lib = self._lib
        if self._batch is not None:
            lib.llama_batch_free(self._batch)
        if self._ctx:
            lib.llama_free(self._ctx)
        if self._model:
            lib.llama_model_free(self._model)
        self._batch = self._ctx = self._model = None

    def tokenize(self, text: str, *, start: bool = False, special: bool = False) -> list[int]:
        """Return the tokens of ``text``.

        Args:
            start: begin with the model's start token, where it has one.
            special: read ``<end_of_turn>`` and the like as markers; never for text from users' data.
        """
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 8
        while True:
            tokens = (ctypes.c_int32 * room)()
            count = self._lib.llama_tokenize(self._vocab, raw, len(raw), tokens, room, start, special)
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def tokenize_after(self, anchor: str, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of ``text`` as it reads right after ``anchor``.

        SentencePiece puts a space before every text it is given; here that lands on the anchor.
        """
        before, both = self.tokenize(anchor), self.tokenize(anchor + text, special=special)
        return both[len(before) :] if both[: len(before)] == before else self.tokenize(text, special=special)

    def without_double_start(self, tokens: list[int]) -> list[int]:
        """Return the tokens of a prompt with one start token, where it was in the text and added as well."""
        start = self._lib.llama_vocab_bos(self._vocab)
        return tokens[1:] if start >= 0 and tokens[:2] == [start, start] else tokens

    def piece(self, token: int) -> bytes:
        """Return the bytes that ``token`` stands for; markers stand for none."""
        known = self._pieces.get(token)
        if known is None:
            buffer = ctypes.create_string_buffer(256)
            count = self._lib.llama_token_to_piece(self._vocab, token, buffer, 256, 0, False)
            if count < 0:
                buffer = ctypes.create_string_buffer(-count)
                count = self._lib.llama_token_to_piece(self._vocab, token, buffer, -count, 0, False)
            known = self._pieces[token] = buffer.raw[:count]
        return known

    def is_end(self, token: int) -> bool:
        """Tell whether ``token`` ends generation."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def clear(self) -> None:
        """Forget every sequence and zero the cache, so that what follows depends on nothing before."""
        self._lib.llama_memory_clear(self._memory, True)

    def copy(self, source: int, target: int) -> None:
        """Let ``target`` begin with all of ``source``; the cells are shared, not copied."""
        self._lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def save(self, sequence: int) -> Any:
        """Return a copy of all that the cache holds of ``sequence``, for ``restore``."""
        size = self._lib.llama_state_seq_get_size(self._ctx, sequence)
        state = (ctypes.c_uint8 * size)()
        if self._lib.llama_state_seq_get_data(self._ctx, state, size, sequence) != size:
            raise PluginError("llama.cpp cannot copy the state of the shared prompt")
        return state

    def restore(self, sequence: int, state: Any) -> bool:
        """Put back what ``save`` returned; False where the cache has no room for it."""
        return bool(self._lib.llama_state_seq_set_data(self._ctx, state, len(state), sequence))

    def drop(self, sequence: int, start: int = 0) -> None:
        """Forget the positions of ``sequence`` from ``start`` on."""
        if not self._lib.llama_memory_seq_rm(self._memory, sequence, start, -1):
            raise PluginError("this model's memory cannot be cut back", "Give an ordinary transformer GGUF.")

    def decode(self, rows: Sequence[Row]) -> bool:
        """Evaluate the rows; False where the cache has no room for them, and then nothing has changed.

        Raises:
            PluginError: llama.cpp failed in any other way.
        """
        batch: Any = self._batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = wanted
        status = self._lib.llama_decode(self._ctx, batch)
        if status not in (0, 1):
            raise PluginError(f"llama.cpp failed to decode (status {status}): {last_error()}")
        return bool(status == 0)

    def sampler(self, sampling: Sampling) -> Any:
        """Make a sampler chain; give it back with ``free_sampler``."""
        lib = self._lib
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if sampling.temperature <= 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
            return chain
        if sampling.top_k:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_k(sampling.top_k))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_p(sampling.top_p, 1))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_temp(sampling.temperature))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_dist(sampling.seed))
        return chain

    def free_sampler(self, sampler: Any) -> None:
        """Free what ``sampler`` made."""
        self._lib.llama_sampler_free(sampler)

    def sample(self, sampler: Any, row: int) -> int:
        """Draw the successor of row ``row`` of the last decoded batch."""
        return int(self._lib.llama_sampler_sample(sampler, self._ctx, row))


def _flash_attention(lib: Any, wanted: FlashAttention, cache_type: CacheType) -> int:
    if wanted == "auto" and not lib.llama_supports_gpu_offload():
        wanted = "on" if cache_type == "q8_0" else "off"
    return int(
        {
            "auto": lib.LLAMA_FLASH_ATTN_TYPE_AUTO,
            "on": lib.LLAMA_FLASH_ATTN_TYPE_ENABLED,
            "off": lib.LLAMA_FLASH_ATTN_TYPE_DISABLED,
        }[wanted]
    )
