"""The options of ``--captioner llama``. Imports nothing heavy: help texts and completion read it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator


class LlamaOptions(BaseModel):
    """How the local language model writes comparatives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(
        "gemma3-270m",
        min_length=1,
        description="which model: gemma3-270m, smollm2, PATH.gguf or hf:owner/repo/file.gguf",
    )
    prompt: Path | None = Field(
        None,
        description="text file with {first} and {second} where the captions go, in place of the built-in examples",
    )
    template: Literal["auto", "chat", "completion"] = Field(
        "auto",
        description="chat: ask through the chat template in the GGUF; completion: have a text continued; "
        "auto: chat where the file has a template",
    )
    n_parallel: int = Field(
        16, ge=1, le=240, description="pairs decoded side by side; 8 to 24 suit a CPU, a GPU takes more"
    )
    chunk_size: int = Field(
        128, ge=1, le=4096, description="pairs that are described and kept together; a cut-off loses at most so many"
    )
    n_ctx: int | None = Field(
        None, ge=256, le=1_048_576, description="tokens the cache holds for all pairs together; default: by n_parallel"
    )
    n_batch: int = Field(512, ge=16, le=65_536, description="most tokens evaluated in one step")
    n_threads: int | None = Field(
        None, ge=1, le=1024, description="CPU threads; default: --threads, or all this process may use"
    )
    n_gpu_layers: int = Field(-1, ge=-1, le=10_000, description="layers on the GPU where there is one; -1: all")
    main_gpu: int | None = Field(
        None, ge=0, le=255, description="number of the one GPU to use; default: the layers are spread over all"
    )
    flash_attn: Literal["auto", "on", "off"] = Field(
        "auto", description="attention in one fused kernel; auto: where llama.cpp thinks it right, on GPUs only"
    )
    cache_type: Literal["f16", "q8_0"] = Field(
        "f16", description="numbers of the key-value cache; q8_0 halves its memory and can change answers"
    )
    use_mmap: bool = Field(True, description="map the file into memory; without it the model is read before it starts")
    use_mlock: bool = Field(False, description="keep the model from being swapped out")
    guide: Literal["auto", "always", "retry"] = Field(
        "auto",
        description="begin each half with its caption's first words, so that small models keep the order: always, "
        "only on the retry, or (auto) always for gemma3-270m and smollm2",
    )
    max_tokens: int = Field(48, ge=1, le=1024, description="most tokens written about one picture")
    max_caption_tokens: int = Field(96, ge=4, le=4096, description="tokens of a caption that the model reads")
    temperature: float = Field(0.0, ge=0.0, le=5.0, description="randomness of sampling; 0: always the likeliest token")
    top_k: int = Field(40, ge=0, le=1_000_000, description="sample among this many likeliest tokens; 0: no limit")
    top_p: float = Field(0.95, gt=0.0, le=1.0, description="sample among likeliest tokens of this total probability")
    retry_temperature: float = Field(
        0.7, ge=0.0, le=5.0, description="temperature of the one retry after a rejected answer; 0: no retry"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of all sampling")

    @field_validator("cache_type")
    @classmethod
    def _fits_attention(cls, cache_type: str, info: ValidationInfo) -> str:
        if cache_type == "q8_0" and info.data.get("flash_attn") == "off":
            raise ValueError("q8_0 needs flash attention, leave flash_attn out")
        return cache_type
