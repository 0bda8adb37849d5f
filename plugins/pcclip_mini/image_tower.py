"""The image tower: EfficientNet-Lite2 up to its pooled features, centred without pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from pcclip.errors import PluginError

ARCHITECTURE = "tf_efficientnet_lite2"
DIM = 1280


class ImageTower(nn.Module):
    """EfficientNet-Lite2 without its classifier; frozen, and always in eval mode.

    Attributes:
        centre: (1280,) what is taken off the features before they are normalised.
    """

    centre: Tensor

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.network: nn.Module = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0)
        self.register_buffer("centre", torch.zeros(DIM))
        self.requires_grad_(False)
        self.train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (n, 1280) unit rows of (n, 3, 260, 260) normalised pictures."""
        features: Tensor = self.network(pixels)
        return nn.functional.normalize(features - self.centre, dim=-1)

    def train(self, mode: bool = True) -> ImageTower:
        """Stay in eval mode, whatever is asked for: batch statistics must never move."""
        return super().train(False)


def published(path: Path) -> tuple[ImageTower, Tensor]:
    """Return the tower with the published weights, and its (1000, 1280) classifier rows.

    The file's names are another library's, but its tensors come in timm's order, so they are matched
    by order and shape.

    Raises:
        PluginError: the tensors do not fit timm's architecture.
    """
    tower = ImageTower()
    found: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    *body, (_, rows), _ = found.items()
    expected = tower.network.state_dict()
    if [tuple(tensor.shape) for _, tensor in body] != [tuple(tensor.shape) for tensor in expected.values()]:
        raise PluginError(
            f"embedder 'mini': the weights in {path} do not fit timm {timm.__version__}'s {ARCHITECTURE}",
            "Report this with the version of timm; another version helps meanwhile: pip install timm==1.0.15",
        )
    tower.network.load_state_dict({name: tensor for name, (_, tensor) in zip(expected, body, strict=True)})
    tower.centre.copy_(clipped_expectation(tower.network.get_submodule("bn2")))
    return tower, rows


def clipped_expectation(norm: nn.Module) -> Tensor:
    """Return each channel's mean after a batch norm and ReLU6, taking its output as normal.

    With y ~ N(b, g^2), b the norm's bias and g its weight, E[min(max(y, 0), 6)] = E[y+] - E[(y - 6)+],
    where E[(y - a)+] = (b - a) Phi((b - a)/g) + g phi((b - a)/g).
    """
    mean = norm.get_parameter("bias").detach().double()
    spread = norm.get_parameter("weight").detach().double().abs().clamp_min(1e-12)

    def above(limit: float) -> Tensor:
        z = (mean - limit) / spread
        density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
        below: Tensor = torch.special.ndtr(z)
        return (mean - limit) * below + spread * density

    return (above(0.0) - above(6.0)).float()
