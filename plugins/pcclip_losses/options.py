"""Options of the losses."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ContrastiveOptions(BaseModel):
    """Options of the contrastive loss."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(
        0.1, gt=0, description="cosines are divided by it; smaller looks harder at near misses; the paper has 1"
    )
