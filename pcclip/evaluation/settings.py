"""How an evaluation is taken, as one frozen model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pcclip.errors import UsageError
from pcclip.plugins import describe_validation
from pcclip.types import Confusable


class EvaluateSettings(BaseModel):
    """All settings of ``evaluate`` beside models and data. Field names are the flags of the command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measures: tuple[str, ...] = Field(
        (), description="take only this group of measures; default: all that the data allows"
    )
    strategy: tuple[str, ...] = Field(("comparative",), description="way to classify, beside zero-shot")
    strategy_options: dict[str, dict[str, Any]] = Field(default_factory=dict, description="options by strategy")
    captioner: str = Field("template", description="who writes how pictures and classes differ")
    captioner_options: dict[str, Any] = Field(default_factory=dict, description="options of the captioner")
    comparatives: Path | None = Field(
        None, description="store of comparatives to use and fill; default: one in the cache folder"
    )
    differences: Path | None = Field(None, description="file of how classes differ; default: the captioner writes it")
    descriptions: Path | None = Field(
        None, description="file of texts about classes; default: the captioner writes them"
    )
    confusable: Confusable = Field(
        "similar",
        description="which pairs of classes are described: by their prompts, by the first model's own "
        "predictions without labels, or by its mistakes on labelled pictures beside the test",
    )
    confusable_pairs: int = Field(3, ge=1, description="pairs of classes to describe for strategies that need it")
    test_on: Literal["held-out", "all"] = Field(
        "held-out", description="whether pictures that a model was trained on are left out of the test"
    )
    seeds: int | None = Field(None, ge=1, description="draws of pictures and shots; default: the task's own, mostly 5")
    pictures: int | None = Field(None, ge=2, description="pictures a draw; default: the task's own, mostly 100")
    pairs: int | None = Field(None, ge=1, description="the most pairs a draw; default: the task's own")
    shots: int | None = Field(None, ge=1, description="labelled pictures a class of the linear probe; default: 16")
    weight: float = Field(
        1.0, allow_inf_nan=False, description="weight of the text in composed retrieval, f(I) + weight · g(t)"
    )
    resamples: int = Field(1000, ge=100, description="resamples of the bootstrap over pictures")
    seed: int = Field(0, ge=0, description="seed of all draws")

    @field_validator("measures", "strategy", mode="before")
    @classmethod
    def _apart(cls, value: Any) -> Any:
        values = [value] if isinstance(value, str) else value
        return tuple(dict.fromkeys(name.strip() for item in values for name in str(item).split(",") if name.strip()))


def make_settings(**values: Any) -> EvaluateSettings:
    """Return validated settings.

    Raises:
        UsageError: a setting is unknown or out of bounds.
    """
    try:
        return EvaluateSettings.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"settings: {describe_validation(error)}") from None
