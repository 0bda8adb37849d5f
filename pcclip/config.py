"""What a finetuning run is made of, as one frozen model, and the recipes that fill it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pcclip.errors import UsageError
from pcclip.plugins import describe_validation
from pcclip.terms import joined_options, options_by_term, parse_terms
from pcclip.types import PairStrategy

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


LOGS = ("tensorboard", "wandb")
Measure: TypeAlias = Literal[
    "difference_accuracy",
    "difference_swap_accuracy",
    "difference_cosine",
    "retrieval_r1",
    "retrieval_r5",
    "zero_shot_accuracy",
]


class FinetuneConfig(BaseModel):
    """All settings of ``finetune``. Field names are the keys of a recipe file and the flags of the command."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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
    loss: str = Field(
        "contrastive+0.5*retain", description="what training minimises: a loss, or a weighted sum of losses"
    )
    loss_options: dict[str, Any] = Field(
        default_factory=dict, description="options of the loss; of a sum, a table of options for each loss"
    )

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

    train: str = Field("text", description="text parameters to train: text, blocks, projection, last-N or lora")
    lora_rank: int = Field(8, ge=1, description="rank of the adapters of --train lora")
    lora_alpha: int = Field(16, ge=1, description="adapters are scaled by this over their rank")
    epochs: int = Field(3, ge=1, description="passes over the described pairs")
    max_steps: int | None = Field(None, ge=1, description="stop after this many optimizer steps")
    batch_size: int = Field(64, ge=2, description="pairs an optimizer step")
    chunk_size: int | None = Field(
        None, ge=1, description="texts whose activations are held at once; the same gradient in less memory"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the text tower's products; weights stay in fp32; auto: bf16 where the GPU has it"
    )
    false_negatives: Literal["keep", "mask"] = Field(
        "keep", description="mask: pairs with a picture or a text in common do not push each other apart"
    )
    hard_negatives: float = Field(
        0.0, ge=0, le=0.5, description="share of a batch filled with pairs whose texts are easily mistaken"
    )
    optimizer: Literal["adamw", "adam"] = Field("adamw", description="optimizer")
    learning_rate: float = Field(3e-5, gt=0, description="peak learning rate")
    loss_learning_rate: float = Field(
        1e-3, gt=0, description="peak learning rate of a loss's own parameters, such as a learned temperature"
    )
    weight_decay: float = Field(0.0, ge=0, description="weight decay of matrices; norms, biases, embeddings have none")
    schedule: Literal["constant", "cosine", "exponential"] = Field("constant", description="learning rate over time")
    decay: float = Field(0.9, gt=0, le=1, description="factor an epoch of the exponential schedule")
    warmup_steps: int = Field(0, ge=0, description="steps over which the learning rate rises to its peak")
    clip_grad_norm: float | None = Field(None, gt=0, description="largest norm of the gradient")
    alpha: float | Literal["auto"] = Field(
        1.0,
        description="weight of the tuned parameters in the result, the rest being the original's: above 0 to 1; auto "
        "takes the alpha of the sweep with the best difference accuracy among those that lower no other measure of the "
        "validation pictures",
    )
    sweep_alpha: tuple[float, ...] = Field(
        (), description="measure these alphas, such as 0,0.25,0.5,0.75,1, on held-out pictures; 0 is always measured"
    )

    eval_every: int | None = Field(
        None, ge=1, description="steps between held-out measures; default: an epoch, where one is needed"
    )
    patience: int | None = Field(None, ge=1, description="stop after this many held-out measures without a better one")
    keep_best: bool = Field(False, description="end with the weights that measured best, not the last ones")
    monitor: Measure = Field(
        "difference_accuracy", description="held-out measure that stops the training and chooses the best weights"
    )
    validation: float = Field(
        0.15, gt=0, lt=1, description="fraction of the training pictures kept for such measures, where one is needed"
    )
    log_to: tuple[str, ...] = Field(
        (), description="also log to tensorboard, wandb, or both with a comma between; metrics.jsonl is always there"
    )

    seed: int = Field(0, ge=0, description="seed of the split, the pairs and the order of training")
    threads: int | None = Field(None, ge=1, description="CPU threads; default: the cores this process may use")
    checkpoint_every: int = Field(50, ge=1, description="optimizer steps between checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="checkpoints to keep")

    @field_validator("loss")
    @classmethod
    def _is_a_sum(cls, value: str) -> str:
        try:
            parse_terms(value)
        except UsageError as error:
            raise ValueError(error.message) from None
        return value

    @field_validator("backbone_options", "captioner_options", "loss_options")
    @classmethod
    def _can_be_written(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(value, allow_nan=False, default=str)
        except ValueError:
            raise ValueError("a number in it is not finite") from None
        return value

    @field_validator("log_to", mode="before")
    @classmethod
    def _apart(cls, value: Any) -> Any:
        values = [value] if isinstance(value, str) else value
        names = [name.strip() for item in values for name in str(item).split(",") if name.strip()]
        unknown = [name for name in names if name not in LOGS]
        if unknown:
            raise ValueError(f"nothing to log to is called {unknown[0]!r}, there are {' and '.join(LOGS)}")
        return tuple(dict.fromkeys(names))

    @property
    def measures(self) -> bool:
        """Whether something is decided by measures, which takes pictures that neither train nor are held out."""
        return self.eval_every is not None or self.patience is not None or self.keep_best or self.alpha == "auto"

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
        """Return the settings that a run folder cannot change: all but those of speed and bookkeeping.

        Options of backbone and captioner are not among them: the run folder holds their fingerprints, and those
        tell options that change a result from an address or a number of threads.
        """
        aside = {"threads", "checkpoint_every", "keep_checkpoints", "chunk_size", "log_to"}
        return self.model_dump(mode="json", exclude={*aside, "backbone_options", "captioner_options"})


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
        "false_negatives": "keep",
        "precision": "fp32",
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
        UsageError: there is no such recipe or file, it is neither TOML nor a run's record, or a plugin or its options
            are not given as such.
    """
    if name in RECIPES:
        return dict(RECIPES[name])
    path = Path(name)
    if path.is_dir():
        path = path / "run.json"
    try:
        text = path.read_text("utf-8")
        settings: Any = json.loads(text)["config"] if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise UsageError(
            f"no recipe is called {name!r}, and no such file exists",
            f"Recipes: {', '.join(RECIPES)}; or the path of a TOML file or of a run.json.",
        ) from None
    except (KeyError, TypeError):
        settings = None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from None
    if not isinstance(settings, dict):
        raise UsageError(f"cannot read the recipe {path}: it is no run.json, which holds a config")
    _check_plugins(settings)
    return settings


def make_config(recipe: str | None = None, **settings: Any) -> FinetuneConfig:
    """Return a validated configuration: the recipe's settings, overridden by ``settings``.

    Options of a plugin in ``settings`` are laid over those of the recipe; where ``settings`` chooses another
    plugin, the recipe's options of the replaced one are dropped.

    Raises:
        UsageError: a setting is unknown or out of bounds.
    """
    values = read_recipe(recipe) if recipe else {}
    _check_plugins(settings)
    _lay_loss_options(values, settings)
    for plugin in ("backbone", "captioner"):
        options = values.pop(f"{plugin}_options", {})
        if settings.get(plugin, values.get(plugin)) == values.get(plugin):
            settings[f"{plugin}_options"] = {**options, **settings.get(f"{plugin}_options", {})}
    values.update(settings)
    try:
        return FinetuneConfig.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"settings: {describe_validation(error)}") from None


def _check_plugins(settings: Mapping[str, Any]) -> None:
    """Make sure that plugins are named by texts and that their options are tables: both are read before the rest."""
    for plugin in ("backbone", "captioner", "loss"):
        name, options = settings.get(plugin, ""), settings.get(f"{plugin}_options", {})
        if not isinstance(name, str):
            raise UsageError(f"settings: {plugin}: it is a name, got {name!r}")
        if not isinstance(options, Mapping):
            raise UsageError(f"settings: {plugin}_options: it is a table of options, got {options!r}")


def _lay_loss_options(values: dict[str, Any], settings: dict[str, Any]) -> None:
    """Lay the loss options of ``settings`` over those that the recipe has for the same losses."""
    default = FinetuneConfig.model_fields["loss"].default
    recipe_loss, loss = values.get("loss", default), settings.get("loss", values.get("loss", default))
    before = values.pop("loss_options", {})
    if not before and not settings.get("loss_options"):
        return
    terms = parse_terms(loss)
    kept = options_by_term(parse_terms(recipe_loss), before)
    own = options_by_term(terms, settings.get("loss_options", {}))
    merged = {term.name: {**kept.get(term.name, {}), **own[term.name]} for term in terms}
    settings["loss_options"] = joined_options(terms, merged)
