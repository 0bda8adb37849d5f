"""What a finetuning run is made of, as one frozen model, and the recipes that fill it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pcclip.errors import UsageError
from pcclip.plugins import describe_validation

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class FinetuneConfig(BaseModel):
    """All settings of ``finetune``. Field names are the keys of a recipe file and the flags of the command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str = Field(description="captioned pictures: a file, a folder, or the name of a built-in data set")
    images: Path | None = Field(None, description="folder that relative picture paths start from")
    image_column: str | None = Field(None, description="column that holds the picture's path, where it is not guessed")
    caption_column: str | None = Field(None, description="column that holds the caption, where it is not guessed")
    label_column: str | None = Field(None, description="column that holds the class, where it is not guessed")
    limit: int | None = Field(None, ge=4, description="use only this many pictures")
    max_bad_fraction: float = Field(0.1, ge=0, le=1, description="stop when more of the data than this is unusable")

    backbone: str = Field("vit-b-32", description="CLIP model to finetune")
    backbone_options: dict[str, Any] = Field(default_factory=dict, description="options of the backbone")
    captioner: str = Field("llama", description="who writes how two pictures differ")
    captioner_options: dict[str, Any] = Field(default_factory=dict, description="options of the captioner")
    loss: str = Field("contrastive", description="what training minimises")
    loss_options: dict[str, Any] = Field(default_factory=dict, description="options of the loss")

    holdout: float = Field(0.25, gt=0, lt=1, description="fraction of the pictures kept out of training, to measure")
    pairs: int = Field(2000, ge=1, description="pairs of training pictures to describe")
    eval_pairs: int = Field(200, ge=1, description="pairs of held-out pictures to describe")
    reversals: bool = Field(True, description="train on the reversed text of each pair as well, where its form allows")

    train: str = Field("blocks", description="text parameters to train: blocks, text, projection or last-N")
    epochs: int = Field(3, ge=1, description="passes over the described pairs")
    max_steps: int | None = Field(None, ge=1, description="stop after this many optimizer steps")
    batch_size: int = Field(64, ge=2, description="pairs an optimizer step")
    optimizer: Literal["adamw", "adam"] = Field("adamw", description="optimizer")
    learning_rate: float = Field(3e-5, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.0, ge=0, description="weight decay")
    schedule: Literal["constant", "cosine", "exponential"] = Field("constant", description="learning rate over time")
    decay: float = Field(0.9, gt=0, le=1, description="factor an epoch of the exponential schedule")
    warmup_steps: int = Field(0, ge=0, description="steps over which the learning rate rises to its peak")
    clip_grad_norm: float | None = Field(None, gt=0, description="largest norm of the gradient")
    alpha: float | Literal["auto"] = Field(
        1.0,
        description="weight of the tuned parameters in the result, the rest being the original's: above 0 to 1; auto "
        "takes the alpha of the sweep with the best difference accuracy among those that lower no other measure",
    )
    sweep_alpha: tuple[float, ...] = Field(
        (), description="measure these alphas, such as 0,0.25,0.5,0.75,1, on held-out pictures; 0 is always measured"
    )

    seed: int = Field(0, ge=0, description="seed of the split, the pairs and the order of training")
    threads: int | None = Field(None, ge=1, description="CPU threads; default: the cores this process may use")
    checkpoint_every: int = Field(20, ge=1, description="optimizer steps between checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="checkpoints to keep")

    @field_validator("alpha", mode="before")
    @classmethod
    def _check_alpha(cls, value: Any) -> float | str:
        alpha = value if value == "auto" else _number(value, "auto or a number above 0, up to 1")
        if alpha != "auto" and not 0 < alpha <= 1:
            raise ValueError("it is auto or a number above 0, up to 1")
        return alpha

    @field_validator("sweep_alpha", mode="before")
    @classmethod
    def _check_sweep(cls, value: Any) -> tuple[float, ...]:
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
        alphas = tuple(sorted({_number(part, "numbers from 0 to 1, with commas between") for part in parts}))
        if not all(0 <= alpha <= 1 for alpha in alphas):
            raise ValueError("they are numbers from 0 to 1")
        return alphas

    @property
    def swept_alphas(self) -> tuple[float, ...]:
        """The alphas that are measured on held-out pictures, from 0 up; none where no sweep is wanted.

        With ``alpha`` at ``auto`` and nothing said of the sweep: 0, 0.25, 0.5, 0.75, 1.
        """
        if not self.sweep_alpha and self.alpha != "auto":
            return ()
        wanted = {0.0, *(self.sweep_alpha or (0.25, 0.5, 0.75, 1.0))}
        return tuple(sorted(wanted if self.alpha == "auto" else {*wanted, self.alpha}))

    def identity(self) -> dict[str, Any]:
        """Return the settings that a run folder cannot change: all but those of speed and bookkeeping."""
        return self.model_dump(mode="json", exclude={"threads", "checkpoint_every", "keep_checkpoints"})


def _number(value: Any, wanted: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"it is {wanted}") from None


RECIPES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "demo": {"backbone": "mini", "holdout": 0.4, "pairs": 600, "eval_pairs": 200},
    # arXiv:2409.09721, section 4, and its public code. 1,000 pictures train, all their pairs are described once each;
    # the other 334 are held out to measure, for which the paper takes other data sets.
    "paper": {
        "limit": 1334,
        "holdout": 0.25,
        "pairs": 499_500,
        "reversals": False,
        "backbone": "vit-l-14",
        "backbone_options": {"pretrained": "datacomp_xl_s13b_b90k"},
        "loss": "contrastive",
        "loss_options": {"temperature": 1.0},
        "train": "blocks",
        "epochs": 20,
        "batch_size": 512,
        "optimizer": "adam",
        "learning_rate": 1e-8,
        "schedule": "exponential",
        "decay": 0.9,
        "alpha": 0.5,
    },
}


def read_recipe(name: str) -> dict[str, Any]:
    """Return the settings of a named recipe, of a TOML file, or of a run: its ``run.json`` or its folder.

    Raises:
        UsageError: there is no such recipe or file, or it is neither TOML nor a run's record.
    """
    if name in RECIPES:
        return dict(RECIPES[name])
    path = Path(name)
    if path.is_dir():
        path = path / "run.json"
    try:
        text = path.read_text("utf-8")
        settings: Any = json.loads(text)["config"] if path.suffix == ".json" else tomllib.loads(text)
        return dict(settings)
    except FileNotFoundError:
        raise UsageError(
            f"no recipe is called {name!r}, and no such file exists",
            f"Recipes: {', '.join(RECIPES)}; or the path of a TOML file or of a run.json.",
        ) from None
    except (KeyError, TypeError):
        raise UsageError(f"cannot read the recipe {path}: it is no run.json, which holds a config") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from None


def make_config(recipe: str | None = None, **settings: Any) -> FinetuneConfig:
    """Return a validated configuration: the recipe's settings, overridden by ``settings``.

    Options of a plugin in ``settings`` are laid over those of the recipe; where ``settings`` chooses another
    plugin, the recipe's options of the replaced one are dropped.

    Raises:
        UsageError: a setting is unknown or out of bounds.
    """
    values = read_recipe(recipe) if recipe else {}
    for plugin in ("backbone", "captioner", "loss"):
        options = values.pop(f"{plugin}_options", {})
        if settings.get(plugin, values.get(plugin)) == values.get(plugin):
            settings[f"{plugin}_options"] = {**options, **settings.get(f"{plugin}_options", {})}
    values.update(settings)
    try:
        return FinetuneConfig.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"settings: {describe_validation(error)}") from None
