"""What is trained: some of the text tower's own parameters, or low-rank adapters beside them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from pcclip.config import FinetuneConfig
from pcclip.errors import MissingDependencyError
from pcclip.interfaces import Embedder

LORA = "lora"


def result_scope(scope: str) -> str:
    """Return the scope of the parameters that training changes in the end: adapters are merged into the blocks."""
    return "blocks" if scope == LORA else scope


@contextmanager
def opened(embedder: Embedder, config: FinetuneConfig) -> Iterator[Mapping[str, nn.Parameter]]:
    """Yield the parameters to train by stable names, all others of the text tower frozen.

    Low-rank adapters are merged into the weights at the end, and taken away again where training failed.

    Raises:
        UsageError: the embedder has no such scope.
        MissingDependencyError: the scope is ``lora`` and peft is not installed.
    """
    frozen = embedder.trainable("text")
    if config.train != LORA:
        chosen = embedder.trainable(config.train)
        _only(frozen, chosen)
        yield chosen
        return
    module = embedder.blocks()
    chosen = _attach(module, config)
    _only(frozen, chosen)
    try:
        yield chosen
    except BaseException:
        _detach(module, merge=False)
        raise
    _detach(module, merge=True)


def _only(frozen: Mapping[str, nn.Parameter], chosen: Mapping[str, nn.Parameter]) -> None:
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    for parameter in chosen.values():
        parameter.requires_grad_(True)


def _attach(module: nn.Module, config: FinetuneConfig) -> dict[str, nn.Parameter]:
    """Add adapters to every linear map of ``module`` (arXiv:2106.09685): random inwards, zero outwards.

    Of ``nn.MultiheadAttention`` that is the joint map to queries, keys and values. Its output map it reads past
    the layer's own forward, where no adapter is seen; and peft's adapter of the whole layer adds itself to the
    weights and takes itself away again in each pass, which leaves rounding errors in them.
    """
    require(LORA)
    import peft

    attention = [name for name, child in module.named_modules() if isinstance(child, nn.MultiheadAttention)]
    settings = peft.LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules=[
            name
            for name, child in module.named_modules()
            if isinstance(child, nn.Linear) and not any(name.startswith(f"{outer}.") for outer in attention)
        ],
        target_parameters=[f"{name}.in_proj_weight" for name in attention],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        peft.inject_adapter_in_model(settings, module)
    return {name: parameter for name, parameter in module.named_parameters() if "lora_" in name}


def _detach(module: nn.Module, *, merge: bool) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [(name, child) for name, child in module.named_modules() if isinstance(child, BaseTunerLayer)]
    # innermost first: an attention's output map is a layer of its own inside the attention's
    for name, layer in sorted(layers, key=lambda item: -item[0].count(".")):
        if merge:
            layer.merge()
        parent, _, own = name.rpartition(".")
        setattr(module.get_submodule(parent), own, layer.get_base_layer())


def require(scope: str) -> None:
    """Make sure that what a scope needs is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    if scope == LORA and importlib.util.find_spec("peft") is None:
        raise MissingDependencyError(
            "--train lora cannot start: No module named 'peft'", "Install it: pip install 'pcclip[lora]'"
        )
