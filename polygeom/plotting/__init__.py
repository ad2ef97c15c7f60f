"""Pictures: plane geometry and what the lens finds on axes of matplotlib; complexes as pages to turn."""

from polygeom.plotting.pages import complex_figure, graph_figure, html_page, write_html
from polygeom.plotting.plane import draw_cells, draw_crossings, draw_facets, draw_halfspaces, draw_table
from polygeom.plotting.studies import draw_estimates, draw_interactions, draw_profile, draw_scaling

__all__ = [
    "complex_figure",
    "draw_cells",
    "draw_crossings",
    "draw_estimates",
    "draw_facets",
    "draw_halfspaces",
    "draw_interactions",
    "draw_profile",
    "draw_scaling",
    "draw_table",
    "graph_figure",
    "html_page",
    "write_html",
]
