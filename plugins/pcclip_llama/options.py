"""The options of ``--captioner llama``. Imports nothing heavy: help texts and completion read it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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
    n_parallel: int = Field(
        16, ge=1, le=240, description="pairs decoded side by side; 8 to 24 suit a CPU, a GPU takes more"
    )
    chunk_size: int = Field(
        128, ge=1, le=4096, description="pairs that are described and kept together; a cut-off loses at most so many"
    )
    n_ctx: int | None = Field(
        None, ge=256, le=1_048_576, description="tokens the cache holds for all pairs together; default: by n_parallel"
    )
    n_threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; default: all this process may use")
    n_gpu_layers: int = Field(-1, ge=-1, le=10_000, description="layers on the GPU where there is one; -1: all")
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
