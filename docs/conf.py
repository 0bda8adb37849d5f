"""Sphinx configuration."""

from __future__ import annotations

import importlib.metadata

project = "pcclip"
author = "The pcclip authors"
release = version = importlib.metadata.version("pcclip")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"pcclip {release}"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_type_aliases = {"FloatArray": "FloatArray"}
nitpicky = False
napoleon_use_ivar = True
