"""Options of the losses."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ContrastiveOptions(BaseModel):
    """Options of the contrastive loss."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(
        0.1, gt=0, description="cosines are divided by it; smaller looks harder at near misses; the paper has 1"
    )
    learn_temperature: bool = Field(False, description="train the temperature too, from this value, down to 0.01")


class SiglipOptions(BaseModel):
    """Options of the pairwise sigmoid loss."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(0.1, gt=0, description="cosines are divided by it, at the start of training")
    bias: float = Field(-10.0, description="added to the scaled cosines, at the start of training")
    learn: bool = Field(True, description="train temperature and bias too, as SigLIP does")


class RetainOptions(BaseModel):
    """Options of the term against forgetting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: Literal["text", "images"] = Field(
        "images", description="keep captions near their pictures (images), or near their original embeddings (text)"
    )
    temperature: float = Field(0.1, gt=0, description="of the caption-picture cosines, where the target is images")
