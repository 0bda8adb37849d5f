"""Averages of text towers: of a tuned one with its original, and of several tuned ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pcclip.errors import RunError
from pcclip.files import new_file, writing
from pcclip.interfaces import Embedder


def text_weights(embedder: Embedder) -> dict[str, Tensor]:
    """Return a copy of the text tower's parameters by name, on the CPU."""
    return {name: parameter.detach().cpu().clone() for name, parameter in embedder.trainable("text").items()}


def put_text_weights(embedder: Embedder, weights: Mapping[str, Tensor]) -> None:
    """Set the text tower's parameters to what :func:`text_weights` returned.

    Raises:
        RunError: they are those of another architecture.
    """
    parameters = embedder.trainable("text")
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if shapes != {name: tuple(parameter.shape) for name, parameter in parameters.items()}:
        raise RunError("the weights are those of another text tower: names or shapes differ")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def interpolate(original: Mapping[str, Tensor], tuned: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """Return ``alpha · tuned + (1 - alpha) · original`` (WiSE-FT, arXiv:2109.01903, equation 1).

    Bit for bit the original at 0 and the tuned weights at 1; a parameter that training left alone is left alone at
    every alpha.
    """
    return {name: _between(original[name], tensor, alpha) for name, tensor in tuned.items()}


def mean(weights: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of several sets of weights (a uniform soup, arXiv:2203.05482); of one, that one.

    Holds two sets at a time, so ``weights`` may load them one by one.
    """
    found: dict[str, Tensor] = {}
    for count, one in enumerate(weights, start=1):
        found = {name: _between(found.get(name, tensor), tensor, 1 / count) for name, tensor in one.items()}
    return found


def _between(start: Tensor, end: Tensor, weight: float) -> Tensor:
    """Return a linear interpolation that keeps every bit, the sign of zero too, at its ends and between equals."""
    if weight in (0, 1) or torch.equal(start, end):
        return start if weight == 0 else end
    return torch.lerp(start, end, weight)


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights as a safetensors file, as a whole."""
    with writing(path), new_file(path) as file:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, file.name)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read what :func:`save_weights` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None
