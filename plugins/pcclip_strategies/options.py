"""Options of the strategies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ZeroShotOptions(BaseModel):
    """Options of every strategy that starts from class prompts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: str = Field("This is a photo of a {label}", description="class prompt; {label} stands for the class name")

    @field_validator("template")
    @classmethod
    def _has_label(cls, template: str) -> str:
        if "{label}" not in template:
            raise ValueError("the template needs {label} where the class name goes")
        return template


class ComparativeOptions(ZeroShotOptions):
    """Options of comparative prompting."""

    alpha: float = Field(
        0.85, ge=0, le=1, description="weight of the class's own prompt against the described differences"
    )
