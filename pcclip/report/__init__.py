"""The report of an evaluation as one HTML file; needs neither torch nor a model."""

from __future__ import annotations

from pcclip.report.writing import write_report

__all__ = ["write_report"]
