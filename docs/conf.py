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


KEPT = r"""(?msx)
    ``.*?`` | :\w+:`.*?`                                       # code and formulas in a line
    | ^[ ]*(?:>>>|\.\.\.)[ ][^\n]*                             # examples
    | ^(?P<margin>[ ]*)\.\.[ ]math::[^\n]*(?:\n(?:(?P=margin)[ ][^\n]*)?$)*  # formulas by themselves
"""


def escape_mathematics(app, what, name, obj, options, lines):
    """Escape what reStructuredText takes for markup: the star of a shape (N, *shape), the bars of a norm |x|."""
    markup = re.compile(KEPT + r"| (?P<sign>(?:(?<=[(,])|(?<=[(,][ ]))\*(?=\w) | \|)")
    text = markup.sub(lambda found: "\\" * bool(found["sign"]) + found[0], "\n".join(lines))
    lines[:] = text.split("\n")


def setup(app):
    """Run after napoleon, which listens with priority 500."""
    app.connect("autodoc-process-docstring", escape_mathematics, priority=900)
