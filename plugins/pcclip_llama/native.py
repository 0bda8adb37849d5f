"""llama.cpp through llama-cpp-python's low-level functions: one model, one context, typed.

Everything that touches ctypes is here. The low-level names change between versions, so they are
checked before anything is loaded.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pcclip.errors import MissingDependencyError, PluginError

_REQUIREMENT = "llama-cpp-python>=0.3.34,<0.4"
_NAMES = (
    "llama_backend_init llama_log_set llama_log_callback llama_model_default_params llama_model_load_from_file "
    "llama_model_free llama_model_get_vocab llama_model_has_decoder llama_model_has_encoder llama_model_is_recurrent "
    "llama_model_chat_template llama_context_default_params llama_init_from_model llama_free llama_n_ctx llama_n_batch "
    "llama_state_seq_get_size llama_state_seq_get_data llama_state_seq_set_data "
    "llama_supports_gpu_offload llama_get_memory llama_memory_clear "
    "llama_memory_seq_cp llama_memory_seq_rm llama_batch_init llama_batch_free "
    "llama_decode llama_tokenize llama_token_to_piece llama_vocab_is_eog llama_vocab_n_tokens "
    "llama_sampler_chain_default_params llama_sampler_chain_init llama_sampler_chain_add llama_sampler_init_greedy "
    "llama_sampler_init_top_k llama_sampler_init_top_p llama_sampler_init_temp llama_sampler_init_dist "
    "llama_sampler_sample llama_sampler_free"
).split()
_ERROR_LEVEL = 3
_log: deque[str] = deque(maxlen=20)
_keep: list[Any] = []  # the log callback must outlive every use by C


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


def library() -> Any:
    """Import llama_cpp, silence it, and make sure that it has every function used here.

    Raises:
        MissingDependencyError: it is not installed.
        PluginError: it is a version with another low-level API.
    """
    try:
        import llama_cpp
    except ImportError as error:
        raise MissingDependencyError(
            f"captioner 'llama' needs llama-cpp-python: {error}", 'Install it: pip install "pcclip[llama]"'
        ) from error
    missing = [name for name in _NAMES if not hasattr(llama_cpp, name)]
    fields = {name for name, *_ in getattr(getattr(llama_cpp, "llama_context_params", None), "_fields_", [])}
    missing += sorted({"flash_attn_type", "kv_unified", "swa_full", "n_seq_max"} - fields)
    if missing:
        version = getattr(llama_cpp, "__version__", "of unknown version")
        raise PluginError(
            f"captioner 'llama' does not know llama-cpp-python {version}: it lacks {', '.join(missing)}",
            f'Install a version it knows: pip install "{_REQUIREMENT}"',
        )
    if not _keep:
        callback = llama_cpp.llama_log_callback(_note)
        llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        _keep.append(callback)
    return llama_cpp


def _note(level: int, text: bytes | None, _: object) -> None:
    if level == _ERROR_LEVEL and text:
        _log.append(text.decode("utf-8", "replace").strip())


class Context:
    """A loaded model with one unified key-value cache for many sequences.

    Args:
        path: the GGUF file. It is parsed by C code: load only files from people you trust.
        n_ctx: cells of the cache, shared by all sequences.
        n_sequences: how many sequences there may be, numbered from 0.
        n_batch: the most rows of one ``decode``.
        n_threads: CPU threads.
        n_gpu_layers: layers on the GPU, -1 for all.

    Raises:
        PluginError: llama.cpp refuses the file, or the model cannot share a prefix between sequences.
    """

    def __init__(
        self, path: Path, *, n_ctx: int, n_sequences: int, n_batch: int, n_threads: int, n_gpu_layers: int
    ) -> None:
        self._lib = lib = library()
        self._model = self._ctx = self._batch = None
        self._pieces: dict[int, bytes] = {}
        _log.clear()
        model_params = lib.llama_model_default_params()
        model_params.n_gpu_layers = n_gpu_layers
        self._model = lib.llama_model_load_from_file(str(path).encode(), model_params)
        if not self._model:
            raise PluginError(f"llama.cpp cannot load {path}: {_last_error()}", "Is it a complete GGUF file?")
        if lib.llama_model_has_encoder(self._model) or not lib.llama_model_has_decoder(self._model):
            self.close()
            raise PluginError(f"{path} is no decoder-only language model", "Give a text-generation GGUF.")
        if lib.llama_model_is_recurrent(self._model):
            self.close()
            raise PluginError(f"{path} is a recurrent model, whose state has no prefix to share", "Give a transformer.")
        self._vocab = lib.llama_model_get_vocab(self._model)
        params = lib.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = n_batch
        params.n_seq_max = n_sequences
        params.n_threads = params.n_threads_batch = n_threads
        params.kv_unified = True  # sequences can then share the cells of a common prefix
        params.swa_full = True  # a sliding-window cache would forget cells that another sequence needs
        params.no_perf = True
        if not lib.llama_supports_gpu_offload():
            params.flash_attn_type = 0  # on a CPU plain attention was no slower here
        if hasattr(params, "n_outputs_max"):
            params.n_outputs_max = min(n_batch, n_sequences)  # else it reserves n_batch rows of logits
        self._ctx = lib.llama_init_from_model(self._model, params)
        if not self._ctx:
            self.close()
            raise PluginError(
                f"llama.cpp cannot make a context of {n_ctx} tokens for {path}: {_last_error()}",
                "Lower n_ctx or n_parallel.",
            )
        self.n_ctx = int(lib.llama_n_ctx(self._ctx))
        self.n_batch = int(lib.llama_n_batch(self._ctx))  # a small context lowers it, and more rows abort the process
        self._memory = lib.llama_get_memory(self._ctx)
        self._batch = lib.llama_batch_init(n_batch, 0, 1)
        self.n_vocab = int(lib.llama_vocab_n_tokens(self._vocab))

    @property
    def chat_template(self) -> str | None:
        """The Jinja chat template in the GGUF's metadata, or None for a base model."""
        raw = self._lib.llama_model_chat_template(self._model, None)
        return raw.decode("utf-8", "replace") if raw else None

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

    def tokenize_after(self, anchor: str, text: str) -> list[int]:
        """Return the tokens of ``text`` as it reads right after ``anchor``.

        SentencePiece puts a space before every text it is given; here that lands on the anchor.
        """
        before, both = self.tokenize(anchor), self.tokenize(anchor + text)
        return both[len(before) :] if both[: len(before)] == before else self.tokenize(text)

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
            raise PluginError(f"llama.cpp failed to decode (status {status}): {_last_error()}")
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


def _last_error() -> str:
    return _log[-1] if _log else "no reason given"
