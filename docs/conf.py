"""Sphinx configuration."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "pcclip"
author = "The pcclip authors"
release = version = importlib.metadata.version("pcclip")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"pcclip {release}"
html_static_path = ["_static"]
html_css_files = ["pcclip.css"]
html_copy_source = False

myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_type_aliases = {"FloatArray": "FloatArray"}
napoleon_use_ivar = True
