"""The flags of ``--loss hardest``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class HardestOptions(BaseModel):
    """Options of the loss."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin: float = Field(0.2, gt=0, le=2, description="how much nearer the right one shall be than any other")
