"""Pictures of plane geometry: every function draws what it is given on given axes, and computes nothing.

The functions return the artists, so that a caller may restyle them; matplotlib is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_array
from polygeom.errors import InputError
from polygeom.lines.crossings import LineCrossings
from polygeom.polyhedron import Polyhedron

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.lines import AxLine
    from matplotlib.text import Text

__all__ = ["draw_cells", "draw_crossings", "draw_facets", "draw_halfspaces", "draw_table"]


def draw_cells(polygons: Sequence[object], *, ax: Axes, colors: object = "#dde3ea") -> PolyCollection:
    """Fill polygons, without outlines.

    Parameters
    ----------
    polygons : sequence of (k, 2) arrays
        Vertices of each in order around it; k may differ.
    ax : matplotlib axes
    colors : color or sequence of colors
        One for all, or one each.

    Raises
    ------
    InputError
        If a polygon is not an array of points in the plane.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> cells = draw_cells([[[0, 0], [1, 0], [0, 1]], [[1, 0], [1, 1], [0, 1]]], ax=Figure().subplots())
    >>> len(cells.get_paths())
    2
    """
    from matplotlib.collections import PolyCollection

    drawn = [_in_plane(polygon, f"polygons[{i}]") for i, polygon in enumerate(polygons)]
    # an outline of the same color closes the seams that antialiasing leaves between neighbors
    cells = PolyCollection(drawn, facecolors=colors, edgecolors="face", linewidths=0.2)
    ax.add_collection(cells)
    ax.autoscale_view()
    return cells


def draw_crossings(hits: LineCrossings, *, ax: Axes, color: object = "#1f4e79") -> list[PolyCollection]:
    """Draw where a line crosses boundaries: a row for every gate, the first at the bottom.

    Up to some hundred flips in a row are ticks; more are bars whose height is the number of flips in equal shares
    of the line. Where the largest output changes, if that was asked for, a line runs through all rows, and the
    classes stand above.

    Parameters
    ----------
    hits : LineCrossings
    ax : matplotlib axes
    color : color

    Returns
    -------
    list of PolyCollection
        The ticks or bars of every row.

    Raises
    ------
    InputError
        If hits is something else.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import polygeom as pg
    >>> net = pg.Network.from_layers([([[1, 0], [0, 1]], [0, -1]), ([[1, 1]], [0])])
    >>> rows = draw_crossings(pg.line_crossings(net, [-1, -2], [1, 2]), ax=Figure().subplots())
    >>> len(rows)  # one for the only gate
    1
    """
    if not isinstance(hits, LineCrossings):
        raise InputError(f"draw_crossings got a {type(hits).__name__}, wanted what line_crossings returns.")
    from matplotlib.collections import PolyCollection

    boundary, unit, _, _ = hits.flips
    gate = hits.network.units.gate_of(unit)
    (first, last), rows = hits.reach, []
    for g in range(len(hits.network.gates)):
        t = hits.t[boundary[gate == g]]
        if len(t) <= MOST_TICKS:
            half, low, high = (last - first) / 2500, np.full(len(t), g + 0.1), np.full(len(t), g + 0.9)
            left, right = t - half, t + half
        else:
            counts, edges = np.histogram(t, bins=BARS, range=(first, last))
            left, right, low = edges[:-1], edges[1:], np.full(len(counts), g + 0.1)
            high = low + 0.8 * counts / counts.max()
        corners = np.stack([left, low, right, low, right, high, left, high], axis=1)
        # ticks are thinner than a pixel: snapped to pixels without an outline, some would vanish
        width = 0.4 if len(t) <= MOST_TICKS else 0.0
        style = {"facecolors": color, "edgecolors": "face", "linewidths": width, "snap": False}
        row = PolyCollection(list(corners.reshape(-1, 4, 2)), **style)
        rows.append(ax.add_collection(row))
    if hits.class_t is not None:
        _mark_classes(hits, ax)
    names = [f"{name} ({int((gate == k).sum())})" for k, name in enumerate(hits.network.gate_names)]
    ax.set(xlim=(first, last), ylim=(0, len(names)), yticks=np.arange(len(names)) + 0.5, yticklabels=names)
    ax.tick_params(axis="y", length=0)
    return rows


def _mark_classes(hits: LineCrossings, ax: Axes) -> None:
    """Draw where the largest output changes, and name it on every stretch that is wide enough."""
    cuts = np.concatenate([hits.reach[:1], hits.class_t, hits.reach[1:]])
    for t in hits.class_t:
        ax.axvline(t, color="#b3261e", linewidth=0.8)
    for begin, end, winner in zip(cuts[:-1], cuts[1:], hits.classes, strict=True):
        if end - begin > 0.04 * (hits.reach[1] - hits.reach[0]):
            place = {"xy": (0.5 * (begin + end), 1.0), "xycoords": ("data", "axes fraction")}
            offset = {"xytext": (0, 2), "textcoords": "offset points"}
            ax.annotate(str(winner), **place, **offset, ha="center", va="bottom", color="#b3261e", fontsize=7)


MOST_TICKS, BARS = 300, 120
"""Flips of a gate that are drawn one by one, and bars where there are more."""


def draw_facets(segments: object, *, ax: Axes, color: object = "black", width: float = 0.6) -> LineCollection:
    """Draw segments, facets of cells in the plane.

    Parameters
    ----------
    segments : (N, 2, 2) array
        End points of each.
    ax : matplotlib axes
    color : color or sequence of colors
    width : float
        In points.

    Raises
    ------
    InputError
        On another shape, NaN or infinities.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> segments = draw_facets([[[0, 0], [1, 1]]], ax=Figure().subplots())
    >>> len(segments.get_segments())
    1
    """
    from matplotlib.collections import LineCollection

    ends = as_array(segments, "segments")
    if ends.ndim != 3 or ends.shape[1:] != (2, 2):
        raise InputError(
            f"segments have shape {ends.shape}, wanted (N, 2, 2): two end points in the plane each."
        )
    lines = LineCollection(list(ends), colors=color, linewidths=width, capstyle="round")
    ax.add_collection(lines)
    ax.autoscale_view()
    return lines


def draw_halfspaces(P: Polyhedron, *, ax: Axes, color: object = "black", width: float = 0.6) -> list[AxLine]:
    """Draw the boundary line of every half-space of a polyhedron in the plane; zero rows have none.

    Parameters
    ----------
    P : Polyhedron
        In R^2.
    ax : matplotlib axes
    color : color
    width : float
        In points.

    Raises
    ------
    InputError
        If the polyhedron does not live in the plane.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import polygeom as pg
    >>> len(draw_halfspaces(pg.Polyhedron.box(0, 1, dim=2), ax=Figure().subplots()))
    4
    """
    if P.dim != 2:
        raise InputError(f"draw_halfspaces draws in the plane; this polyhedron lives in R^{P.dim}.")
    moving = P.A.any(axis=1)
    normals, offsets = P.A[moving], P.b[moving]
    feet = normals * (offsets / np.einsum("ij,ij->i", normals, normals))[:, None]
    along = feet + normals[:, ::-1] * [-1, 1]
    return [
        ax.axline(tuple(foot), tuple(end), color=color, linewidth=width)
        for foot, end in zip(feet, along, strict=True)
    ]


def draw_table(
    lines: Sequence[Sequence[str]], *, ax: Axes, group: int | None = None, size: float = 6
) -> list[Text]:
    """Write a ruled table: the headings first, the first column flush left, the others flush right.

    Parameters
    ----------
    lines : sequence of sequences of str
        Equally long; formulas between dollars.
    ax : matplotlib axes
        Filled by the table; its own frame and ticks are hidden. Line k stands between y = k - 1 and k.
    group : int, optional
        Hairlines part so many lines from the next.
    size : float
        Of the type, in points.

    Raises
    ------
    InputError
        If there are no lines or they differ in length.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> texts = draw_table([["layer", "facets"], ["first", "14"]], ax=Figure().subplots())
    >>> [text.get_text() for text in texts]
    ['layer', 'facets', 'first', '14']
    """
    if not lines or len({len(line) for line in lines}) != 1:
        raise InputError(f"A table needs equally long lines, got lengths {[len(line) for line in lines]}.")
    widths = np.array([max(map(_width, column)) + 3 for column in zip(*lines, strict=True)])
    right, last = np.cumsum(widths) / widths.sum(), len(lines) - 1
    ax.set(xlim=(0, 1), ylim=(last, -1))
    ax.axis("off")
    rules = [(-1, "black", 0.8), (0, "black", 0.4), (last, "black", 0.8)]
    rules += [(y, "0.8", 0.3) for y in range(group or last, last, group or last)]
    for y, color, width in rules:
        ax.plot([0, 1], [y, y], color=color, linewidth=width, clip_on=False)
    return [
        ax.text(
            right[k] if k else 0.0, row - 0.5, text, ha="right" if k else "left", va="center", fontsize=size
        )
        for row, line in enumerate(lines)
        for k, text in enumerate(line)
    ]


def _width(text: str) -> int:
    """Return about how many letters wide a text is set."""
    return len(text.replace("\\times", "x").translate(dict.fromkeys(map(ord, "${}^_"))))


def _in_plane(points: object, name: str) -> np.ndarray:
    array = as_array(points, name)
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(f"{name} has shape {array.shape}, wanted (k, 2): vertices in the plane.")
    return array
