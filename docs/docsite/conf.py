# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx' settings of the documentation site; tools/site.py lays out the pages."""

from __future__ import annotations

project = "gpuops.runpod"
copyright = "The gpuops.runpod authors, GPL-3.0-or-later"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["tasklist", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "gpuops.runpod"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
nitpicky = True
# Modules of other collections, which have no page here.
nitpick_ignore_regex = [(r"ansplugin|std:ref", r".*(amazon\.aws|ansible\.builtin|collections\.(amazon|ansible)\.).*")]
