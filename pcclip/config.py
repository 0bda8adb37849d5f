"""What a finetuning run is made of, as one frozen model, and the recipes that fill it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pcclip.errors import UsageError
from pcclip.plugins import describe_validation
from pcclip.types import PairStrategy

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
    pair_strategy: PairStrategy = Field(
        "random", description="which pairs to train on; held-out pairs are always random"
    )
    pair_attribute: str | None = Field(None, description="with the strategy attribute: whose values must differ")
    eval_pairs: int = Field(200, ge=1, description="pairs of held-out pictures to describe")
    comparatives: Path | None = Field(
        None, description="store of comparatives to use and fill; default: one in the run folder"
    )
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
    alpha: float = Field(1.0, gt=0, le=1, description="weight of the tuned parameters in the result; 1 keeps them all")

    seed: int = Field(0, ge=0, description="seed of the split, the pairs and the order of training")
    threads: int | None = Field(None, ge=1, description="CPU threads; default: the cores this process may use")
    checkpoint_every: int = Field(20, ge=1, description="optimizer steps between checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="checkpoints to keep")

    def identity(self) -> dict[str, Any]:
        """Return the settings that a run folder cannot change: all but those of speed and bookkeeping."""
        return self.model_dump(mode="json", exclude={"threads", "checkpoint_every", "keep_checkpoints"})


RECIPES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "demo": {"backbone": "mini", "holdout": 0.4, "pairs": 600, "eval_pairs": 200},
    # arXiv:2409.09721, section 4 and its public code; all pairs are described in both directions there
    "paper": {
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
    """Return the settings of a named recipe or of a TOML file.

    Raises:
        UsageError: there is no such recipe or file, or it is not TOML.
    """
    if name in RECIPES:
        return dict(RECIPES[name])
    path = Path(name)
    try:
        settings: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        return settings
    except FileNotFoundError:
        raise UsageError(
            f"no recipe is called {name!r}, and no such file exists",
            f"Recipes: {', '.join(RECIPES)}; or the path of a TOML file.",
        ) from None
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
