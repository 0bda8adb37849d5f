"""The flags of ``--strategy two-sided``: each field becomes one (``--strategy-template``)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class TwoSidedStrategyOptions(BaseModel):
    """Options of the strategy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: str = Field("a photo of a {label}", description="class prompt; {label} stands for the class name")
    shift: float = Field(0.1, ge=0, le=1, description="how far described differences move the prompts of their classes")
    away: float = Field(0.05, ge=0, le=1, description="how far they move the prompts of the classes they are told from")

    @field_validator("template")
    @classmethod
    def _has_label(cls, template: str) -> str:
        if "{label}" not in template:
            raise ValueError("the template needs {label} where the class name goes")
        return template
