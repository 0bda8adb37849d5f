"""The flags of ``--backbone transformers``."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class TransformersOptions(BaseModel):
    """Options of the backbone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path = Field(description="folder that save_pretrained of model, tokenizer and image processor wrote")
    device: str = Field("auto", description="where to compute: auto (cuda, else mps, else cpu), cpu, cuda:1, mps")
    image_batch_size: int = Field(32, ge=1, le=4096, description="pictures embedded at once")
