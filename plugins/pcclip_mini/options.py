"""The options of ``mini``; importing this pulls in pydantic and nothing else."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class MiniOptions(BaseModel):
    """How ``mini`` is run; what it computes is fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str = Field(
        default="auto", description="where to compute: auto (cuda, else mps, else cpu), cpu, cuda:1, mps"
    )
    image_batch_size: int = Field(default=16, ge=1, le=4096, description="pictures embedded at once")
