"""Measure models on suites: from embeddings to one document with tables, intervals and comparisons."""

from __future__ import annotations
