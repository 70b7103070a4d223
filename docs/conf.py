"""How the pages in this folder become a site: ``make docs``.

Sphinx, because the reference is made from the docstrings that an editor shows too (numpydoc), because a
broken link or reference is a warning that stops the build, and because search and equations need no server.
Pages are Markdown (MyST). What a page prints stands in it behind ``>>>`` and is compared with what happens by
the test suite, which ``make docs`` runs; pictures are drawn by the code before them when the site is built.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mixedmodels

sys.path.insert(0, str(Path(__file__).parent))

project = "mixedmodels"
author = "the mixedmodels developers"
copyright = f"2026, {author}"
release = version = mixedmodels.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "plain_index",
    "pictures",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]

# Markdown.
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
suppress_warnings = ["config.cache"]

# Reference.
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Links are checked inside the site; others only where there is a network (`make docs-links`).
linkcheck_timeout = 10
linkcheck_anchors = False

html_theme = "pydata_sphinx_theme"
html_title = "mixedmodels"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
