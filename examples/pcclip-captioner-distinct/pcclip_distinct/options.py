"""The flags of ``--captioner distinct``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DistinctOptions(BaseModel):
    """Options of the captioner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prepositions: tuple[str, ...] = Field(
        ("on", "in", "at", "with", "near", "under", "over", "behind", "beside"),
        min_length=1,
        description="words that begin a part of a caption that can be left out",
    )
