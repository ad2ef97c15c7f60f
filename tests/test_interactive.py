"""Interactive pages hold what the complex holds, stand alone, and are drawn by a real browser if there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import polygeom as pg
from polygeom.errors import InputError
from polygeom.models import toy
from polygeom.plotting import complex_figure, graph_figure, html_page, pages, write_html

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)


@pytest.fixture(scope="module")
def plane() -> pg.PolyhedralComplex:
    net = toy.he((2, 6, 5, 1), np.random.default_rng(0))
    return pg.enumerate_regions(net, pg.Polyhedron.box(-2, 2, dim=2), store="cells")


@pytest.fixture(scope="module")
def solid() -> pg.PolyhedralComplex:
    net = toy.he((3, 5, 3, 1), np.random.default_rng(0))
    return pg.enumerate_regions(net, pg.Polyhedron.box(-1, 1, dim=3), store="cells")


def drawn(page: str) -> list[dict]:
    """Return the traces that a page hands to plotly."""
    start = page.index("[", page.rindex("Plotly.newPlot("))
    return json.JSONDecoder().raw_decode(page[start:])[0]


def points(trace: dict, dim: int) -> np.ndarray:
    """Return the points of a trace, however they are written."""
    columns = []
    for axis in "xyz"[:dim]:
        values = trace[axis]
        if isinstance(values, dict):
            import base64

            values = np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
        columns.append(np.array(values, dtype=float))
    return np.stack(columns, axis=1)


def test_cells_of_the_plane_have_their_vertices_and_say_who_they_are(plane):
    traces = drawn(html_page(complex_figure(plane)))
    cells = [trace for trace in traces if trace.get("fill") == "toself"]
    assert len(cells) == plane.n_regions
    for region, trace in enumerate(cells):
        assert np.array_equal(points(trace, 2)[:-1], plane.vertices(region))
        code = "".join(map(str, plane.codes.letters[region]))
        assert f"region {region}<br>code {code}<br>" in trace["text"]
        assert f"{plane.n_facets[region]} neighbors" in trace["text"]
    lines = {trace["name"]: points(trace, 2) for trace in traces if trace.get("name")}
    assert set(lines) == {"domain", *plane.network.gate_names}
    segments = sum(len(found) // 3 for found in lines.values())
    assert segments == len(plane.arrays.vertices)


def test_facets_in_space_lie_in_the_planes_that_their_units_draw(solid):
    figure = complex_figure(solid)
    faces = [trace for trace in figure.data if trace.type == "mesh3d"]
    assert len(faces) == 2
    triangles = sum(len(trace.i) for trace in faces)
    on_facets = 0  # a facet of n vertices is n - 2 triangles
    for region in range(solid.n_regions):
        start, stop = solid.arrays.vertex_start[region : region + 2]
        names = solid.arrays.vertex_facets[start:stop]
        first, last = solid.arrays.facet_start[region : region + 2]
        on_facets += sum(int(((names >> j) & 1).sum()) - 2 for j in range(last - first))
    assert triangles == on_facets
    first_layer = faces[0]
    corners = np.stack([first_layer.x, first_layer.y, first_layer.z], axis=1)
    layer = solid.network.steps[0]
    for triangle in np.stack([first_layer.i, first_layer.j, first_layer.k], axis=1):
        z = corners[triangle] @ layer.weight.T + layer.constant
        assert (np.abs(z).max(axis=0) < 1e-9).any()


def test_the_graph_has_a_node_a_region_and_an_edge_a_facet(plane, solid):
    for K in (plane, solid):
        *edges, nodes = drawn(html_page(graph_figure(K)))
        assert np.array_equal(points(nodes, K.dim), K.witnesses)
        assert sum(len(points(trace, K.dim)) for trace in edges) == 3 * len(K.edges)
    codes = plane.codes.letters[:, :3]
    assert len(graph_figure(plane, places=codes).data[-1].z) == plane.n_regions


def test_what_cannot_be_drawn_is_refused(plane, monkeypatch):
    net = plane.network
    with pytest.raises(InputError, match="store="):
        complex_figure(pg.enumerate_regions(net, plane.domain))
    with pytest.raises(InputError, match="unbounded"):
        complex_figure(pg.enumerate_regions(net, store="cells"))
    with pytest.raises(InputError, match=r"R\^4"):
        graph_figure(pg.enumerate_regions(toy.he((4, 3, 1), np.random.default_rng(0))))
    with pytest.raises(InputError, match="places has shape"):
        graph_figure(plane, places=np.zeros((2, 2)))
    with pytest.raises(InputError, match="wanted what enumerate_regions"):
        complex_figure(pg.enumerate_regions(net, store="count"))
    monkeypatch.setattr(pages, "MOST_REGIONS", 3)
    with pytest.raises(InputError, match="stall"):
        complex_figure(plane)


def test_a_page_needs_nothing_else_and_is_written_as_it_is(plane, tmp_path):
    figure = complex_figure(plane, "<Cells> & more")
    path = write_html(figure, tmp_path / "cells.html")
    page = path.read_text(encoding="utf-8")
    assert "<title>&lt;Cells&gt; &amp; more</title>" in page
    assert not re.search(r"<(script|link|img)[^>]*\s(src|href)=", page)
    assert page == html_page(complex_figure(plane, "<Cells> & more"))
    with pytest.raises(InputError, match="cannot be written"):
        write_html(figure, tmp_path / "nowhere" / "cells.html")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no browser on this machine")
def test_a_browser_draws_every_cell(plane, solid, tmp_path):
    flat = rendered(write_html(complex_figure(plane, "Cells"), tmp_path / "plane.html"), tmp_path)
    assert flat.count('class="js-fill"') == plane.n_regions
    assert ">Cells<" in flat
    for name, figure in (("cells", complex_figure(solid)), ("graph", graph_figure(solid))):
        space = rendered(write_html(figure, tmp_path / f"{name}.html"), tmp_path)
        assert "<canvas" in space
        assert "WebGL is not supported" not in space


def rendered(page: Path, folder: Path) -> str:
    """Return what a browser without a window makes of a page, its scripts left out."""
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'user'}",
    ]
    drawing = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    command = [BROWSER, *options, *drawing, "--virtual-time-budget=8000", "--dump-dom", page.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return re.sub(r"<script.*?</script>", "", found, flags=re.DOTALL)
