"""Teach CLIP what differs between two pictures.

The same words as the command line: :func:`finetune`, :func:`load`, and a loaded model's
``compare``, ``rank``, ``search`` and ``predict``. Everything is imported on first use, so
``import pcclip`` costs nothing that is not needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pcclip.config import FinetuneConfig as FinetuneConfig
    from pcclip.config import make_config as make_config
    from pcclip.data import check as check
    from pcclip.data import read as read
    from pcclip.describe import describe_examples as describe_examples
    from pcclip.embeddings import embed as embed
    from pcclip.errors import PcclipError as PcclipError
    from pcclip.evaluation.running import evaluate as evaluate
    from pcclip.exporting import export as export
    from pcclip.finetuning import finetune as finetune
    from pcclip.hookspecs import hookimpl as hookimpl
    from pcclip.merging import merge as merge
    from pcclip.merging import sweep_run as sweep_run
    from pcclip.model import Model as Model
    from pcclip.plugins import registry as registry
    from pcclip.saved import load as load

_EXPORTS = {
    "FinetuneConfig": "pcclip.config",
    "Model": "pcclip.model",
    "PcclipError": "pcclip.errors",
    "check": "pcclip.data",
    "describe_examples": "pcclip.describe",
    "embed": "pcclip.embeddings",
    "evaluate": "pcclip.evaluation.running",
    "export": "pcclip.exporting",
    "finetune": "pcclip.finetuning",
    "make_config": "pcclip.config",
    "hookimpl": "pcclip.hookspecs",
    "load": "pcclip.saved",
    "merge": "pcclip.merging",
    "read": "pcclip.data",
    "registry": "pcclip.plugins",
    "sweep_run": "pcclip.merging",
}

__all__ = ["__version__", *sorted(_EXPORTS)]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'pcclip' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
