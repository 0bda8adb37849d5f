"""The flags of ``--strategy votes``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class VotesOptions(BaseModel):
    """Options of the strategy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(0.1, ge=0, description="weight of the votes against the cosine with the class prompt")
