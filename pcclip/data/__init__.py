"""Readers of what users bring, and the two data sets that come with pcclip."""

from __future__ import annotations

from pcclip.data.checking import CheckReport, check
from pcclip.data.dataset import Dataset
from pcclip.data.quarantine import read_quarantine, write_quarantine
from pcclip.data.reading import BUILTIN_NAMES, read
from pcclip.data.walking import picture_files

__all__ = [
    "BUILTIN_NAMES",
    "CheckReport",
    "Dataset",
    "check",
    "picture_files",
    "read",
    "read_quarantine",
    "write_quarantine",
]
