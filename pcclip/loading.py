"""Load one entry point: what its hooks declare, and what loading them costs everybody."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass

import pluggy

from pcclip import hookspecs
from pcclip.specs import CaptionerSpec, EmbedderSpec, LossSpec, PluginSpec, StrategySpec

# Libraries that compute or talk to a network: each costs more than all that listing plugins needs
HEAVY = frozenset(
    """accelerate cv2 datasets httpx httpx2 huggingface_hub jax llama_cpp matplotlib numpy onnxruntime open_clip openai
    pandas peft PIL pyarrow ray requests scipy sentence_transformers sklearn tensorflow timm tokenizers torch
    torchvision transformers vllm""".split()
)
SLOW = 0.5  # seconds; hooks that only declare take thousandths
HOOKS: dict[str, tuple[str, type[PluginSpec]]] = {
    "pcclip_embedders": ("embedder", EmbedderSpec),
    "pcclip_captioners": ("captioner", CaptionerSpec),
    "pcclip_losses": ("loss", LossSpec),
    "pcclip_strategies": ("strategy", StrategySpec),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """An entry point that was loaded.

    Attributes:
        specs: what its hooks declare.
        seconds: how long that took.
        imported: the packages that were imported for it and not before, the heavy and the largest first.
    """

    specs: tuple[PluginSpec, ...]
    seconds: float
    imported: tuple[str, ...]

    @property
    def heavy(self) -> tuple[str, ...]:
        """Those of the imported packages that compute or talk to a network."""
        return tuple(name for name in self.imported if name in HEAVY)

    @property
    def cost(self) -> str | None:
        """What is wrong with how long it took, or None."""
        if not self.heavy and self.seconds < SLOW:
            return None
        blamed = ", ".join((self.heavy or self.imported)[:5])
        return (
            f"its hooks import {blamed}" if blamed else "its hooks do more than declare"
        ) + f" ({self.seconds:.1f} s)"


def load(entry_point: importlib.metadata.EntryPoint) -> Loaded:
    """Import an entry point's module and call its hooks.

    Raises:
        Exception: whatever the module or a hook raises; TypeError where what a hook returned is no spec of its kind.
    """
    before, started = set(sys.modules), time.perf_counter()
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(entry_point.load(), name=entry_point.name)
    manager.check_pending()
    trace(entry_point.name, f"imported {entry_point.value}", started)
    specs: list[PluginSpec] = []
    for hook, (_, expected) in HOOKS.items():
        called = time.perf_counter()
        found: list[PluginSpec] = []
        for declared in getattr(manager.hook, hook)():
            for spec in declared:
                if not isinstance(spec, expected):
                    raise TypeError(f"hook {hook} returned {spec!r}, not a {expected.__name__}")
                found.append(spec)
        if found:
            trace(entry_point.name, f"{hook}() declared {', '.join(spec.name for spec in found)}", called)
        specs += found
    if not specs:
        raise TypeError("it declares nothing: none of its hooks returned a spec")
    seconds = time.perf_counter() - started
    own = entry_point.value.partition(":")[0].partition(".")[0]
    sizes = Counter(module.partition(".")[0] for module in sys.modules.keys() - before)
    imported = sorted(sizes.keys() - {own}, key=lambda name: (name not in HEAVY, -sizes[name], name))
    return Loaded(tuple(specs), seconds, tuple(imported))


def trace(entry_point: str, what: str, started: float) -> None:
    """Say on stderr what was done for a plugin and how long it took, where ``PCCLIP_TRACE_PLUGINS`` is set."""
    if os.environ.get("PCCLIP_TRACE_PLUGINS", "") not in ("", "0"):
        milliseconds = 1000 * (time.perf_counter() - started)
        sys.stderr.write(f"pcclip plugins: {entry_point}: {what} in {milliseconds:.1f} ms\n")
