"""Data sets of the literature, each read from a folder in its original published layout."""

from __future__ import annotations
