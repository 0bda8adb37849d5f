"""The flags of ``--strategy votes``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class VotesOptions(BaseModel):
    """Options of the strategy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(0.1, ge=0, description="weight of the votes against the cosine with the class prompt")
    soft: bool = Field(False, description="a vote near the middle counts less: cosines instead of their signs")
    template: str = Field("This is a photo of a {label}", description="class prompt; {label} stands for the class name")

    @field_validator("template")
    @classmethod
    def _has_label(cls, template: str) -> str:
        if "{label}" not in template:
            raise ValueError("the template needs {label} where the class name goes")
        return template
