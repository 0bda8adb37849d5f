"""What plugin authors test with.

Contracts to inherit, one a kind of plugin (:class:`StrategyContract` and its siblings); and small real
implementations of the interfaces, without any download. Nothing here imports pytest.
"""

from __future__ import annotations

from pcclip.testing.captioners import CaptionerContract
from pcclip.testing.embedders import EmbedderContract
from pcclip.testing.fakes import EchoCaptioner, HashEmbedder
from pcclip.testing.losses import LossContract
from pcclip.testing.strategies import StrategyContract

__all__ = [
    "CaptionerContract",
    "EchoCaptioner",
    "EmbedderContract",
    "HashEmbedder",
    "LossContract",
    "StrategyContract",
]
