"""Pictures: plane geometry on axes of matplotlib, complexes and their graphs as pages to turn and hover over."""

from polygeom.plotting.pages import complex_figure, graph_figure, html_page, write_html
from polygeom.plotting.plane import draw_cells, draw_crossings, draw_facets, draw_halfspaces, draw_table

__all__ = [
    "complex_figure",
    "draw_cells",
    "draw_crossings",
    "draw_facets",
    "draw_halfspaces",
    "draw_table",
    "graph_figure",
    "html_page",
    "write_html",
]
