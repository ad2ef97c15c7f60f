"""Complexes and their dual graphs as pages that stand alone: to turn, zoom and hover over, without a connection.

Plotly draws; everything it draws comes from the complex, and nothing is computed here but the order of vertices
around a facet. plotly is imported where it is used.
"""

from __future__ import annotations

from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_array
from polygeom.complexes import PolyhedralComplex
from polygeom.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    import plotly.graph_objects

__all__ = ["complex_figure", "graph_figure", "html_page", "write_html"]

LAYERS = ("#26364d", "#d5772c", "#2a8c82", "#8c5a97", "#7a8aa0", "#e9b07c")
"""Colors of what the units of a gate draw, in order and again from the first."""

LIGHT, DARK = np.array([0xF3, 0xF5, 0xF8]), np.array([0x9F, 0xB0, 0xC6])
"""Colors of the regions where the fewest and the most units are on."""

MOST_REGIONS = 3000
"""Regions that a browser still turns and zooms without waiting."""

SHOWN_LETTERS = 48


def complex_figure(K: PolyhedralComplex, title: str = "") -> plotly.graph_objects.Figure:
    """Return the cells of a complex in two or three dimensions, each told apart by what one hovers over.

    In the plane cells are filled, darker where more units are on; in space their edges are drawn, and facets
    between them are translucent. Lines and facets have the color of the gate whose unit draws them.

    Parameters
    ----------
    K : PolyhedralComplex
        Enumerated with ``store="cells"`` in a bounded domain.
    title : str

    Raises
    ------
    InputError
        If K is of another dimension, without stored cells, not bounded, or too large for a page.
    MissingPackageError
        If plotly is not installed.

    Examples
    --------
    >>> import polygeom as pg
    >>> net = pg.Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
    >>> K = pg.enumerate_regions(net, pg.Polyhedron.box(-2, 2, dim=2), store="cells")
    >>> figure = complex_figure(K)
    >>> sum(trace.fill == "toself" for trace in figure.data) == K.n_regions
    True
    """
    _check(K)
    if K.arrays.vertices is None:
        raise InputError('The complex holds no vertices: enumerate it with store="cells".')
    if (K.arrays.vertices[:, -1] == 0).any():
        raise InputError(
            "The complex has unbounded regions: enumerate it in a bounded domain, a box for example."
        )
    return _styled(_plane(K) if K.dim == 2 else _space(K), K.dim, title)


def graph_figure(
    K: PolyhedralComplex, title: str = "", *, places: object = None
) -> plotly.graph_objects.Figure:
    """Return the dual graph of a complex: a node for every region, an edge for every common facet.

    Edges have the color of the gate whose unit flips there.

    Parameters
    ----------
    K : PolyhedralComplex
    title : str
    places : (N, 2) or (N, 3) array, optional
        Where the nodes go; by default at the witnesses, if these live in two or three dimensions.

    Raises
    ------
    InputError
        If there are no places for the nodes, or too many of them for a page.
    MissingPackageError
        If plotly is not installed.

    Examples
    --------
    >>> import polygeom as pg
    >>> net = pg.Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
    >>> K = pg.enumerate_regions(net)
    >>> nodes = graph_figure(K).data[-1]
    >>> len(nodes.x), nodes.mode
    (7, 'markers')
    """
    if places is None:
        _check(K)
        nodes = K.witnesses
    else:
        nodes = as_array(places, "places")
        if nodes.shape not in ((K.n_regions, 2), (K.n_regions, 3)):
            raise InputError(
                f"places has shape {nodes.shape}, wanted ({K.n_regions}, 2) or ({K.n_regions}, 3)."
            )
        _check_size(K)
    edges, gates = K.edges, _gates(K, K.edge_units.indices[K.edge_units.indptr[:-1]])
    traces = [
        _lines(nodes[edges[gates == gate]], f"{name} flips", LAYERS[gate % len(LAYERS)])
        for gate, name in enumerate(K.network.gate_names)
        if (gates == gate).any()
    ]
    return _styled([*traces, _nodes(K, nodes)], nodes.shape[1], title)


def html_page(figure: plotly.graph_objects.Figure) -> str:
    """Return a figure as a page that needs nothing else: plotly's script is part of it, some 5 MB.

    Examples
    --------
    >>> import plotly.graph_objects as go
    >>> page = html_page(go.Figure(go.Scatter(x=[0, 1], y=[0, 1])))
    >>> page.startswith("<!doctype html>"), "src=" in page.split("<body>")[1][:200]
    (True, False)
    """
    inside = figure.to_html(
        include_plotlyjs=True,
        full_html=False,
        div_id="figure",
        default_height="92vh",
        config={"displaylogo": False, "responsive": True},
    )
    head = f'<meta charset="utf-8"><title>{escape(figure.layout.title.text or "polygeom")}</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{inside}\n</body></html>\n'


def write_html(figure: plotly.graph_objects.Figure, path: str | PathLike[str]) -> Path:
    """Write a figure as a page that stands alone, and return its path.

    Raises
    ------
    InputError
        If the file cannot be written.

    Examples
    --------
    >>> import plotly.graph_objects as go
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_html(go.Figure(), Path(folder) / "empty.html").name
    'empty.html'
    """
    place = Path(path)
    try:
        place.write_text(html_page(figure), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{place} cannot be written: {error.strerror}.") from error
    return place


# -- what is drawn ---------------------------------------------------------------------------------------------


def _plane(K: PolyhedralComplex) -> list:
    """Return one filled outline a region, and the lines of every gate."""
    go, texts, colors = _plotly(), _texts(K), _shades(K)
    cells = []
    for region, (text, color) in enumerate(zip(texts, colors, strict=True)):
        corners = K.vertices(region)
        outline = np.concatenate([corners, corners[:1]])
        cells.append(
            go.Scatter(
                x=outline[:, 0],
                y=outline[:, 1],
                mode="lines",
                fill="toself",
                fillcolor=color,
                line={"width": 0},
                hoveron="fills",
                text=text,
                hoverinfo="text",
                showlegend=False,
            )
        )
    after = np.arange(1, len(K.arrays.vertices) + 1)
    after[K.arrays.vertex_start[1:] - 1] = K.arrays.vertex_start[:-1]
    points = K.arrays.vertices[:, :2] / K.arrays.vertices[:, 2:]
    return cells + _drawn(K, np.stack([points, points[after]], axis=1), K.arrays.edge_units)


def _space(K: PolyhedralComplex) -> list:
    """Return translucent facets and their outlines by gate, and a node in every region."""
    go, corners, triangles, sides, drawn, outlines = _plotly(), [], [], [], [], []
    start, first = K.arrays.vertex_start, K.arrays.facet_start
    offset = 0
    for region in range(K.n_regions):
        points = K.vertices(region)
        names = K.arrays.vertex_facets[start[region] : start[region + 1]]
        for facet, unit in enumerate(K.arrays.facet_units[first[region] : first[region + 1]].tolist()):
            around = _around(points[(names >> facet) & 1 == 1])
            corners.append(around)
            triangles += [(offset, offset + k, offset + k + 1) for k in range(1, len(around) - 1)]
            sides += [unit] * (len(around) - 2)
            outlines.append(np.stack([around, np.roll(around, -1, axis=0)], axis=1))
            drawn += [unit] * len(around)
            offset += len(around)
    x, y, z = np.concatenate(corners).T if corners else np.empty((3, 0))
    gates = _gates(K, np.array(sides, dtype=np.intp))
    faces = [
        go.Mesh3d(
            x=x,
            y=y,
            z=z,
            **dict(zip("ijk", np.array(triangles)[gates == gate].T, strict=True)),
            color=LAYERS[gate % len(LAYERS)],
            opacity=0.12,
            hoverinfo="skip",
        )
        for gate in np.unique(gates).tolist()
    ]
    ends = np.concatenate(outlines) if outlines else np.empty((0, 2, 3))
    return [*faces, *_drawn(K, ends, np.array(drawn, dtype=np.intp)), _nodes(K, K.witnesses)]


def _around(points: np.ndarray) -> np.ndarray:
    """Return the vertices of a facet in order around it, by their angle in its plane about their mean."""
    middle = points - points.mean(axis=0)
    axes = np.linalg.svd(middle)[2]
    return points[np.argsort(np.arctan2(middle @ axes[0], middle @ axes[1]))]


def _drawn(K: PolyhedralComplex, segments: np.ndarray, units: np.ndarray) -> list:
    """Return the segments of every gate, and those of the domain (unit -1)."""
    gates = np.where(units >= 0, _gates(K, np.maximum(units, 0)), -1)
    names = {-1: "domain", **dict(enumerate(K.network.gate_names))}
    return [
        _lines(segments[gates == gate], names[gate], LAYERS[gate % len(LAYERS)] if gate >= 0 else "#9a9a9a")
        for gate in np.unique(gates).tolist()
    ]


def _lines(segments: np.ndarray, name: str, color: str) -> object:
    """Return segments (S, 2, d) as one trace, with gaps between them."""
    go, d = _plotly(), segments.shape[2]
    gaps = np.full((len(segments), 1, d), np.nan)
    points = np.concatenate([segments, gaps], axis=1).reshape(-1, d)
    style = {"mode": "lines", "line": {"color": color, "width": 1.5}, "hoverinfo": "skip", "name": name}
    trace = go.Scatter if d == 2 else go.Scatter3d
    return trace(**dict(zip("xyz", points.T, strict=False)), **style)


def _nodes(K: PolyhedralComplex, places: np.ndarray) -> object:
    go = _plotly()
    style = {"mode": "markers", "text": _texts(K), "hoverinfo": "text", "name": "regions"}
    trace = go.Scatter if places.shape[1] == 2 else go.Scatter3d
    size = 7 if places.shape[1] == 2 else 3.5
    marker = {"color": "#111111", "size": size}
    return trace(**dict(zip("xyz", places.T, strict=False)), **style, marker=marker)


def _texts(K: PolyhedralComplex) -> list[str]:
    """Return what is said of every region."""
    letters, bounded, facets = K.codes.letters, K.bounded, K.n_facets
    texts = []
    for region in range(K.n_regions):
        code = "".join(map(str, letters[region, :SHOWN_LETTERS].tolist()))
        more = "…" if letters.shape[1] > SHOWN_LETTERS else ""
        kind = "bounded" if bounded[region] else "unbounded"
        texts.append(
            f"region {region}<br>code {code}{more}<br>{int((letters[region] > 0).sum())} units on<br>"
            f"{int(facets[region])} neighbors, {kind}"
        )
    return texts


def _shades(K: PolyhedralComplex) -> list[str]:
    """Return a color a region: darker where more units are on."""
    on = (K.codes.letters > 0).sum(axis=1)
    share = (on - on.min()) / max(int(np.ptp(on)), 1)
    return [f"rgb({r:.0f},{g:.0f},{b:.0f})" for r, g, b in LIGHT + share[:, None] * (DARK - LIGHT)]


def _gates(K: PolyhedralComplex, units: np.ndarray) -> np.ndarray:
    return np.asarray(K.network.units.gate_of(units))


def _styled(traces: list, dim: int, title: str) -> plotly.graph_objects.Figure:
    figure = _plotly().Figure(traces)
    font = {"family": "Georgia, serif", "color": "#26364d"}
    figure.update_layout(title=title, font=font, template="plotly_white", hovermode="closest")
    names = [f"x<sub>{k + 1}</sub>" for k in range(dim)]
    if dim == 2:
        figure.update_layout(xaxis_title=names[0], yaxis_title=names[1])
        figure.update_yaxes(scaleanchor="x", scaleratio=1)
    else:
        axes = dict(zip(("xaxis", "yaxis", "zaxis"), ({"title": {"text": n}} for n in names), strict=True))
        far = {"eye": {"x": 1.5, "y": 1.5, "z": 1.0}}
        figure.update_layout(
            scene={**axes, "aspectmode": "data", "camera": far}, margin={"l": 0, "r": 0, "b": 0}
        )
    return figure


def _check(K: PolyhedralComplex) -> None:
    if not isinstance(K, PolyhedralComplex):
        raise InputError(f"Got a {type(K).__name__}, wanted what enumerate_regions returns.")
    if K.dim not in (2, 3):
        raise InputError(
            f"The complex lives in R^{K.dim}, and pages show two or three dimensions. Enumerate a slice (along=)."
        )
    _check_size(K)


def _check_size(K: PolyhedralComplex) -> None:
    if K.n_regions > MOST_REGIONS:
        raise InputError(
            f"A page with {K.n_regions} regions would stall the browser; at most {MOST_REGIONS} are drawn. "
            "Enumerate a smaller domain."
        )


def _plotly() -> object:
    try:
        import plotly.graph_objects
    except ImportError:
        raise MissingPackageError("An interactive picture", "plotly", extra="html") from None
    return plotly.graph_objects
