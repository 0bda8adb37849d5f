"""How a plugin declares what it brings: names and import paths, nothing that has to be computed.

A spec is cheap to make. The class behind ``target`` and the model behind ``options`` are imported
only when the plugin is used, so that listing plugins, help texts and completion stay fast.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

API_VERSION = 1
OLDEST_API = 1  # served beside it; see docs/plugin-api.md for how long
# option names whose flags ``pcclip finetune`` has already: --loss-learning-rate
RESERVED = {"loss": frozenset({"learning_rate"})}
_NAME = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpec:
    """What every plugin declares.

    Attributes:
        name: what users write, in lower case: ``llama``, ``comparative``.
        target: ``package.module:Class``; the class implements the interface of its kind.
        summary: one line for listings.
        options: ``package.module:Model``, a frozen pydantic model, or None for no options.
        install_hint: the command that brings what the target needs, shown when its import fails.
        variants: names that this one class serves, such as ``vit-b-32``; users write these instead
            of ``name`` and the class gets the chosen one as ``variant=``.
        api: version of the plugin interface it was written for.
    """

    kind: ClassVar[str] = ""

    name: str
    target: str
    summary: str = ""
    options: str | None = None
    install_hint: str = ""
    variants: tuple[str, ...] = ()
    api: int = 1  # what was written before there was a second one says nothing

    def __post_init__(self) -> None:
        for name in (self.name, *self.variants):
            if not _NAME.fullmatch(name):
                raise ValueError(f"plugin name {name!r}: use lower-case letters, digits, '-', '_' and '.'")
        if not isinstance(self.api, int) or isinstance(self.api, bool) or self.api < 1:
            raise ValueError(f"plugin {self.name!r}: api {self.api!r} is no version of the plugin API, 1 or more")
        for what, path in (("target", self.target), ("options", self.options)):
            if path is not None and not _TARGET.fullmatch(path):
                raise ValueError(f"plugin {self.name!r}: {what} {path!r} is not of the form 'package.module:Name'")

    @property
    def names(self) -> tuple[str, ...]:
        """What users can write to choose this plugin."""
        return self.variants or (self.name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderSpec(PluginSpec):
    """Declares an :class:`pcclip.interfaces.Embedder`, chosen by ``--backbone``."""

    kind: ClassVar[str] = "embedder"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionerSpec(PluginSpec):
    """Declares a :class:`pcclip.interfaces.Captioner`, chosen by ``--captioner``."""

    kind: ClassVar[str] = "captioner"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpec(PluginSpec):
    """Declares a :class:`pcclip.interfaces.Loss`, chosen by ``--loss``."""

    kind: ClassVar[str] = "loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec(PluginSpec):
    """Declares a :class:`pcclip.interfaces.Strategy`, chosen by ``--strategy``."""

    kind: ClassVar[str] = "strategy"
