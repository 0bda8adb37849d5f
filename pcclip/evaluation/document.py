"""``evaluation.json`` of ``pcclip evaluate``: one schema, read and written by these models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFacts(_Part):
    """A model that was measured."""

    name: str = Field(description="what tables call it; unique in the document")
    backbone: str = Field(description="name of the embedder plugin")
    path: str | None = Field(default=None, description="folder of the run, or null for an untuned backbone")
    baseline: bool = Field(default=False, description="whether the others are compared with it")
    image_fingerprint: str
    text_fingerprint: str


class TaskFacts(_Part):
    """A data set that was measured on, or why it was not."""

    name: str
    source: str = ""
    pictures: int = 0
    support: int = Field(default=0, description="labelled pictures beside the test pictures")
    classes: tuple[str, ...] = ()
    prompts: dict[str, str] = Field(default={}, description="class prompt by label, attribute sentences by name")
    quarantined: tuple[dict[str, str], ...] = Field(default=(), description="rows of id, stage, reason, detail")
    notes: tuple[str, ...] = ()
    skipped: str | None = Field(default=None, description="why the whole task was left out")


class Result(_Part):
    """One measure of one model on one task."""

    task: str
    model: str
    measure: str = Field(description="a name of pcclip.evaluation.words, such as difference_accuracy")
    part: str = Field(default="", description="which of several it is of: an attribute, a strategy, a pair")
    value: float
    standard_error: float | None = Field(default=None, description="over seeds, where there are several")
    low: float | None = Field(default=None, description="lower end of the 95% bootstrap interval")
    high: float | None = None
    n: int = Field(description="of how many pictures, pairs or queries")
    seeds: tuple[float, ...] = Field(default=(), description="the value of each seed")
    higher_is_better: bool | None = Field(default=True, description="null where neither is")


class Compared(_Part):
    """A measure of a model against the same of the baseline, paired over pictures."""

    task: str
    measure: str
    part: str = ""
    model: str
    baseline: str
    difference: float = Field(description="model minus baseline")
    low: float = Field(description="lower end of the 95% paired bootstrap interval")
    high: float
    p: float = Field(description="two-sided, of the paired bootstrap")


class Problem(_Part):
    """A measure that could not be taken, and why. The others still are."""

    task: str
    measure: str
    part: str = ""
    message: str


class Picture(_Part):
    """A test picture as the report shows it."""

    id: str
    path: str
    caption: str = ""
    label: str | None = None


class PairExample(_Part):
    """A pair of pictures with a text that tells them apart, and each model's cosine."""

    task: str
    first: Picture
    second: Picture
    text: str
    cosines: dict[str, float] = Field(description="by model; above 0 is right")


class RankingExample(_Part):
    """Pictures in the order that each model puts them in by an attribute."""

    task: str
    attribute: str
    text: str
    pictures: dict[str, Picture] = Field(description="by id")
    values: dict[str, float] = Field(description="true value by picture id")
    orders: dict[str, tuple[str, ...]] = Field(description="picture ids by model, strongest first")


class Confusion(_Part):
    """A confusion matrix of a model under a strategy."""

    task: str
    model: str
    strategy: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...] = Field(description="rows are true classes, columns predicted ones")


class Explanation(_Part):
    """What a described pair of classes did to predictions, beside zero-shot."""

    task: str
    model: str
    strategy: str
    first: str
    second: str
    text: str
    moved: int = Field(description="pictures whose prediction went from one of the two classes to the other")
    moved_rightly: int | None = None


class Geometry(_Part):
    """Cosines between texts and differences, pair by pair, for the plot."""

    task: str
    model: str
    image_cosines: tuple[float, ...] = Field(description="of g(t_ij) and N(d_ij)")
    caption_cosines: tuple[float, ...] = Field(default=(), description="of g(t_ij) and N(g(c_i) - g(c_j))")


class CaptionerFacts(_Part):
    """Who wrote the comparatives of a task, how much was rejected and why, with examples."""

    task: str
    captioner: str
    asked: int
    accepted: int
    rejected: dict[str, int] = Field(default={}, description="count by reason")
    examples: tuple[dict[str, str], ...] = Field(default=(), description='rows of first, second, text, reason or ""')


class Evaluation(_Part):
    """Everything that ``pcclip evaluate`` found."""

    kind: Literal["pcclip-evaluation"] = "pcclip-evaluation"
    schema_version: int = SCHEMA
    created: str = Field(description="UTC, ISO 8601")
    versions: dict[str, str] = Field(default={}, description="pcclip, torch, open_clip, …")
    suite: str
    settings: dict[str, Any] = Field(
        default={}, description="seed, bootstrap resamples, strategies and their options, …"
    )
    models: tuple[ModelFacts, ...]
    tasks: tuple[TaskFacts, ...]
    results: tuple[Result, ...] = ()
    comparisons: tuple[Compared, ...] = ()
    problems: tuple[Problem, ...] = ()
    pair_examples: tuple[PairExample, ...] = ()
    rankings: tuple[RankingExample, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    geometry: tuple[Geometry, ...] = ()
    captioners: tuple[CaptionerFacts, ...] = ()
