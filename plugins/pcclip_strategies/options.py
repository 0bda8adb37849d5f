"""Options of the strategies."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Options(BaseModel):
    """What all options have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ZeroShotOptions(Options):
    """Options of every strategy that starts from class prompts."""

    template: str = Field("This is a photo of a {label}", description="class prompt; {label} stands for the class name")
    templates: str | None = Field(
        None,
        description="several class prompts instead, whose mean counts: imagenet (CLIP's 80), simple (7 of them), or a "
        "text file with one a line",
    )

    @field_validator("template")
    @classmethod
    def _has_label(cls, template: str) -> str:
        return with_places(template, "{label}")

    @model_validator(mode="after")
    def _one_of_both(self) -> ZeroShotOptions:
        if self.templates is not None and "template" in self.model_fields_set:
            raise ValueError("give template or templates, not both")
        return self


class ComparativeOptions(ZeroShotOptions):
    """Options of comparative prompting."""

    alpha: float | Literal["auto"] = Field(
        0.85,
        description="weight of the class's own prompt against the described differences, 0 to 1; auto: the one that is "
        "best on the labelled pictures, of equals the largest",
    )

    @field_validator("alpha", mode="before")
    @classmethod
    def _is_a_share(cls, value: Any) -> Any:
        if value == "auto":
            return value
        try:
            alpha = float(value)
        except (TypeError, ValueError):
            alpha = -1
        if not 0 <= alpha <= 1:
            raise ValueError("input should be auto or a number from 0 to 1")
        return alpha


class FuddOptions(ZeroShotOptions):
    """Options of follow-up differential descriptions."""

    top: int = Field(10, ge=2, description="how many of the nearest classes are looked at again")
    text: str = Field(
        "This is a photo of a {label}. {description}",
        description="what is embedded of a class and a description of it",
    )

    @field_validator("text")
    @classmethod
    def _has_both(cls, template: str) -> str:
        return with_places(template, "{label}", "{description}")


class ExtendedOptions(Options):
    """Options of prompts that a description extends."""

    template: str = Field(
        "This is a photo of a {label}. {description}",
        description="class prompt; {label} stands for the class name, {description} for what is known of it",
    )

    @field_validator("template")
    @classmethod
    def _has_both(cls, template: str) -> str:
        return with_places(template, "{label}", "{description}")


class DescriptionsOptions(Options):
    """Options of classification by description."""

    template: str = Field(
        "{label}, which has {description}",
        description="what is embedded of a class and a feature; a whole sentence is embedded as it is",
    )

    @field_validator("template")
    @classmethod
    def _has_both(cls, template: str) -> str:
        return with_places(template, "{label}", "{description}")


class CuplOptions(Options):
    """Options of customised prompts."""

    templates: str | None = Field(
        None, description="class prompts to put into the same mean: imagenet, simple, or a text file with one a line"
    )


class WaffleOptions(DescriptionsOptions):
    """Options of random features."""

    pairs: int = Field(15, ge=1, description="how many features of random words, and as many of random letters")
    seed: int = Field(0, ge=0, description="seed of the random features; evaluate takes seven, from this one on")


class ProbeOptions(Options):
    """Options of the linear probe."""

    shots: int | None = Field(None, ge=1, description="labelled pictures of each class to learn from; default: all")
    seed: int = Field(0, ge=0, description="seed of the choice of pictures")
    c: float = Field(
        10.0, gt=0, description="strength of the fit against the L2 penalty, as in scikit-learn; for unit rows"
    )


def with_places(template: str, *places: str) -> str:
    """Return ``template`` if it holds each of ``places``."""
    missing = [place for place in places if place not in template]
    if missing:
        wheres = {"{label}": "the class name", "{description}": "the description"}
        raise ValueError(f"the template needs {missing[0]} where {wheres[missing[0]]} goes")
    return template
