"""llama-cpp-python, checked before it is used: the library itself, and the model files it is given.

The low-level names change between versions, so they are looked for before anything is loaded. A
model that the engine cannot drive is refused here, by name: llama.cpp ends the whole process over
some of them, later.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import re
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from pcclip.errors import MissingDependencyError, PluginError, UsageError

log = logging.getLogger("pcclip.llama")

_REQUIREMENT = "llama-cpp-python>=0.3.36,<0.4"
_NAMES = (
    "llama_backend_init llama_log_set llama_log_callback llama_model_default_params llama_model_load_from_file "
    "llama_model_free llama_model_get_vocab llama_model_has_decoder llama_model_has_encoder llama_model_is_recurrent "
    "llama_model_is_hybrid llama_model_is_diffusion llama_model_meta_val_str llama_model_chat_template "
    "llama_context_default_params llama_init_from_model llama_free llama_n_ctx llama_n_batch "
    "llama_state_seq_get_size llama_state_seq_get_data llama_state_seq_set_data "
    "llama_supports_gpu_offload llama_get_memory llama_memory_clear "
    "llama_memory_seq_cp llama_memory_seq_rm llama_batch_init llama_batch_free "
    "llama_decode llama_tokenize llama_token_to_piece llama_vocab_is_eog llama_vocab_n_tokens llama_vocab_type "
    "llama_vocab_bos llama_vocab_eos llama_vocab_get_text LLAMA_VOCAB_TYPE_NONE "
    "LLAMA_LOAD_MODE_AUTO LLAMA_LOAD_MODE_NONE LLAMA_LOAD_MODE_MLOCK LLAMA_LOAD_MODE_MMAP_MLOCK LLAMA_SPLIT_MODE_NONE "
    "LLAMA_FLASH_ATTN_TYPE_AUTO LLAMA_FLASH_ATTN_TYPE_DISABLED LLAMA_FLASH_ATTN_TYPE_ENABLED "
    "GGML_TYPE_F16 GGML_TYPE_Q8_0 "
    "llama_sampler_chain_default_params llama_sampler_chain_init llama_sampler_chain_add llama_sampler_init_greedy "
    "llama_sampler_init_top_k llama_sampler_init_top_p llama_sampler_init_temp llama_sampler_init_dist "
    "llama_sampler_sample llama_sampler_free"
).split()
_FIELDS = {
    "llama_model_params": {"load_mode", "main_gpu", "n_gpu_layers", "split_mode", "vocab_only"},
    "llama_context_params": {"flash_attn_type", "kv_unified", "n_seq_max", "swa_full", "type_k", "type_v"},
}
_WARNING, _ERROR = 3, 4  # ggml_log_level
_keep: list[Any] = []  # the log callback must outlive every use by C
_errors: deque[str] = deque(maxlen=20)
_warnings: deque[str] = deque(maxlen=20)
_CALLED = re.compile(r"^\w+: (?:error loading model: )?(?:\w+: )?")  # which C function says it


class ChatFormat(NamedTuple):
    """How a chat-tuned model wants to be spoken to.

    Attributes:
        template: the Jinja template in the GGUF's metadata.
        bos, eos: the texts of the markers that start a text and end one, empty where there are none.
    """

    template: str
    bos: str
    eos: str


def library() -> Any:
    """Import llama_cpp, silence it, and make sure that it has everything used here.

    Raises:
        MissingDependencyError: it is not installed.
        PluginError: it is a version with another low-level API.
    """
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:  # the last two: its shared library does not load
        raise MissingDependencyError(
            f"captioner 'llama' needs llama-cpp-python: {error}", 'Install it: pip install "pcclip[llama]"'
        ) from error
    missing = [name for name in _NAMES if not hasattr(llama_cpp, name)]
    for struct, needed in _FIELDS.items():
        missing += sorted(needed - {name for name, *_ in getattr(getattr(llama_cpp, struct, None), "_fields_", [])})
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
        atexit.register(_close_null_files)
    return llama_cpp


def load_model(
    path: Path,
    *,
    vocab_only: bool = False,
    n_gpu_layers: int = 0,
    main_gpu: int | None = None,
    use_mmap: bool = True,
    use_mlock: bool = False,
) -> Any:
    """Load a model that the engine can drive; free it with ``llama_model_free``.

    Args:
        path: the GGUF file. It is parsed by C code: load only files from people you trust.
        vocab_only: read the metadata and the tokenizer, and no weights.
        n_gpu_layers: layers on the GPU where there is one, -1 for all.
        main_gpu: number of the one GPU to use; None spreads the layers over all.
        use_mmap: map the file into memory, so that processes share it.
        use_mlock: keep it from being swapped out.

    Raises:
        PluginError: llama.cpp refuses the file, or the model is of a kind that the engine cannot drive.
    """
    lib = library()
    params = lib.llama_model_default_params()
    params.vocab_only = vocab_only
    params.n_gpu_layers = n_gpu_layers
    if main_gpu is not None:
        if not lib.llama_supports_gpu_offload():
            raise UsageError(
                f"main_gpu={main_gpu}, but the installed llama-cpp-python uses no GPU",
                "Leave main_gpu out, or install a build for your GPU: https://llama-cpp-python.readthedocs.io",
            )
        params.main_gpu, params.split_mode = main_gpu, lib.LLAMA_SPLIT_MODE_NONE
    if use_mlock:
        params.load_mode = lib.LLAMA_LOAD_MODE_MMAP_MLOCK if use_mmap else lib.LLAMA_LOAD_MODE_MLOCK
    else:
        params.load_mode = lib.LLAMA_LOAD_MODE_AUTO if use_mmap else lib.LLAMA_LOAD_MODE_NONE
    model = None
    try:
        with noted():
            model = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not model:
            raise PluginError(f"llama.cpp cannot load {path}: {first_error()}", "Is it a complete GGUF file?")
        if use_mlock and (refused := next((line for line in _warnings if "lock" in line), None)):
            log.warning("%s may be swapped out: %s", path, refused)
        _refuse_unfit(lib, model, path)
    except BaseException:
        if model:
            lib.llama_model_free(model)
        raise
    return model


def read_chat_format(path: Path) -> ChatFormat | None:
    """Return the chat template of a GGUF file, or None where it has none, as base models.

    Raises:
        PluginError: as for :func:`load_model`.
    """
    lib = library()
    model = load_model(path, vocab_only=True)
    try:
        raw = lib.llama_model_chat_template(model, None)
        vocab = lib.llama_model_get_vocab(model)
        bos, eos = (
            "" if token < 0 else lib.llama_vocab_get_text(vocab, token).decode("utf-8", "replace")
            for token in (lib.llama_vocab_bos(vocab), lib.llama_vocab_eos(vocab))
        )
    finally:
        lib.llama_model_free(model)
    return ChatFormat(raw.decode("utf-8", "replace"), bos, eos) if raw else None


@contextmanager
def noted() -> Iterator[None]:
    """Collect what llama.cpp logs in a call, for ``first_error``, and hold Ctrl-C back until it is over.

    The log callback is Python called from C: an exception in it is printed and lost, and Ctrl-C is
    an exception that comes wherever Python runs.
    """
    _errors.clear()
    _warnings.clear()
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    held_back = False

    def hold_back(_: int, __: FrameType | None) -> None:
        nonlocal held_back
        held_back = True

    signal.signal(signal.SIGINT, hold_back)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held_back:
            signal.raise_signal(signal.SIGINT)


def first_error() -> str:
    """Return what llama.cpp logged first as an error in ``noted``: later lines only say that something failed."""
    return _errors[0] if _errors else "no reason given"


def last_error() -> str:
    """Return what llama.cpp logged last as an error."""
    return _errors[-1] if _errors else "no reason given"


def _note(level: int, text: bytes | None, _: object) -> None:
    if level in (_WARNING, _ERROR) and text:
        line = text.decode("utf-8", "replace").strip()
        (_errors if level == _ERROR else _warnings).append(_CALLED.sub("", line))


def _refuse_unfit(lib: Any, model: Any, path: Path) -> None:
    architecture = _metadata(lib, model, "general.architecture")
    if lib.llama_vocab_type(lib.llama_model_get_vocab(model)) == lib.LLAMA_VOCAB_TYPE_NONE:
        raise PluginError(f"{path} has no tokenizer", "Give a complete text-generation GGUF.")
    pooling = _metadata(lib, model, f"{architecture}.pooling_type")
    if pooling not in ("", "0") or _metadata(lib, model, f"{architecture}.attention.causal") == "false":
        raise PluginError(f"{path} is an embedding model: it writes no text", "Give a text-generation GGUF.")
    if lib.llama_model_has_encoder(model) or not lib.llama_model_has_decoder(model):
        raise PluginError(f"{path} is no decoder-only language model", "Give a text-generation GGUF.")
    if lib.llama_model_is_diffusion(model):
        raise PluginError(f"{path} is a diffusion model, which does not write from left to right", "Give another GGUF.")
    if lib.llama_model_is_recurrent(model) or lib.llama_model_is_hybrid(model):
        raise PluginError(
            f"{path} is a recurrent model ({architecture}), whose state cannot be cut back to a shared prompt",
            "Give a transformer, or run this one in llama-server and use --captioner chat.",
        )


def _metadata(lib: Any, model: Any, key: str) -> str:
    """Return a value of the GGUF's metadata as text, empty where it is not there."""
    buffer = ctypes.create_string_buffer(256)
    count = lib.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace") if count >= 0 else ""


def _close_null_files() -> None:
    """Close what llama_cpp opens when it is imported and leaves to the interpreter's end, which warns of it."""
    utils = sys.modules.get("llama_cpp._utils")
    for name in ("outnull_file", "errnull_file"):
        file = getattr(utils, name, None)
        if file is not None:
            file.close()
