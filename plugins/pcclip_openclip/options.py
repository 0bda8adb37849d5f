"""The options of the open_clip backbones; importing this pulls in pydantic and nothing else."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class OpenClipOptions(BaseModel):
    """Which weights an open_clip model gets, and how its image tower is run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pretrained: str | None = Field(
        default=None,
        min_length=1,
        description="tag of open_clip (such as datacomp_xl_s13b_b90k) or a local .safetensors, .pt or .bin file; "
        "by default a tag chosen for the model",
    )
    quick_gelu: bool | None = Field(
        default=None,
        description="activation a local file was trained with: true for QuickGELU; by default as its "
        "open_clip_config.json or else the model's name says. Tags know their own",
    )
    device: str = Field(
        default="auto", description="where to compute: auto (cuda, else mps, else cpu), cpu, cuda:1, mps"
    )
    image_batch_size: int = Field(default=32, ge=1, le=4096, description="pictures embedded at once")
