"""Sphinx configuration; `make docs` turns every warning into an error."""

import re
from importlib.metadata import version as installed_version

project = "polygeom"
author = "The polygeom authors"
copyright = author
release = installed_version("polygeom")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "alabaster"
html_theme_options = {
    "description": "exact polytopes of piecewise-affine networks, with proofs",
    "page_width": "70rem",
}

myst_enable_extensions = ["deflist", "dollarmath"]

# Docstrings are numpydoc; a page per module is written into docs/api by autosummary.
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autosummary_generate = True

# Shapes such as (N, dim_in) stand where Sphinx expects a type and looks for a name.
suppress_warnings = ["ref.python"]


def escape_shapes(app, what, name, obj, options, lines):
    """Escape the star of a shape (N, *shape), which reStructuredText takes for the start of an emphasis."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(``.*?``|:\w+:`.*?`)", line)
            parts[::2] = [re.sub(r"([(,] ?)\*(?=\w)", r"\1\*", text) for text in parts[::2]]
            lines[number] = "".join(parts)


def setup(app):
    """Run after napoleon, which listens with priority 500."""
    app.connect("autodoc-process-docstring", escape_shapes, priority=900)
