"""What plugin authors test with: small real implementations of the interfaces, without any download."""

from __future__ import annotations

from pcclip.testing.fakes import EchoCaptioner, HashEmbedder

__all__ = ["EchoCaptioner", "HashEmbedder"]
