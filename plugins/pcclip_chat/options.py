"""The options of ``--captioner chat``. Imports nothing heavy: help texts and completion read it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pcclip.errors import UsageError

_OURS = ("messages", "model", "n", "stream")  # fields of a request that no extra_body may change


class ChatOptions(BaseModel):
    """Which server writes comparatives, and how it is asked. No field holds a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(
        "http://localhost:8080/v1", description="address of the server's API; for most servers it ends in /v1"
    )
    model: str | None = Field(
        None, min_length=1, description="the model's name at the server; default: the one model that it lists"
    )
    api_key_env: str = Field(
        "OPENAI_API_KEY",
        description="NAME of the environment variable that holds the key; unset: no key is sent",
    )
    prompt: Path | None = Field(
        None,
        description="text file with {first} and {second} where the captions go, sent as one user message in place of "
        "instruction and examples",
    )
    system: bool = Field(
        True, description="give the instruction as a system message; else it opens the first user message"
    )
    n_parallel: int = Field(
        8, ge=1, le=1024, description="requests in flight; as many as the server works on at a time, or a few more"
    )
    chunk_size: int = Field(
        128, ge=1, le=4096, description="pairs that are described and kept together; a cut-off loses at most so many"
    )
    timeout: float = Field(120.0, gt=0, le=86_400, description="seconds until a request without answer has failed")
    max_retries: int = Field(
        5, ge=0, le=100, description="times that a failed request is sent again, after longer and longer waits"
    )
    max_tokens: int = Field(
        256, ge=1, le=1_000_000, description="most tokens of an answer; models that think aloud need thousands"
    )
    temperature: float = Field(0.0, ge=0.0, le=5.0, description="randomness of sampling; 0: always the likeliest token")
    retry_temperature: float = Field(
        0.7, ge=0.0, le=5.0, description="temperature of the one retry after a rejected answer; 0: no retry"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of all sampling")
    extra_body: str | None = Field(
        None,
        description="JSON object laid over every request, such as '{\"top_k\": 20}'; a null leaves the field out",
    )

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            parts = urlsplit(value.strip())
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable or "@" in value or parts.query or parts.fragment or any(map(str.isspace, value.strip())):
            # Not a ValueError: that message would repeat the value, which may hold a password.
            raise UsageError(
                "base_url is no address of an API",
                "Give it as http://HOST:PORT/v1 or https://HOST/v1, without credentials: a key goes into an "
                "environment variable.",
            )
        return value.strip().rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z_]\w*", value, re.ASCII):
            # Not a ValueError: that message would repeat the value, which may be the key itself.
            raise UsageError(
                "api_key_env is not the name of an environment variable",
                "Put the key into a variable, and give that variable's name: letters, digits and _.",
            )
        return value

    @field_validator("extra_body", mode="before")
    @classmethod
    def _is_object(cls, value: Any) -> Any:
        """Return JSON text in one spelling; a recipe may give a table."""
        if isinstance(value, str) and value.strip():
            try:
                value = json.loads(value)
            except ValueError as error:
                raise ValueError(f"no JSON: {error}") from None
            if not isinstance(value, dict):
                raise ValueError("no JSON object")
        if not isinstance(value, Mapping):
            return value or None
        taken = sorted(set(value) & set(_OURS))
        if taken:
            raise ValueError(f"may not set {', '.join(taken)}")
        return json.dumps(value, sort_keys=True) if value else None

    @property
    def is_local(self) -> bool:
        """Whether the address is of this machine."""
        host = urlsplit(self.base_url).hostname or ""
        return host in ("localhost", "::1") or host.startswith("127.")

    @property
    def extra(self) -> dict[str, Any]:
        """What ``extra_body`` says."""
        extra: dict[str, Any] = json.loads(self.extra_body) if self.extra_body else {}
        return extra
