"""Whatever stands in the place of an argument: an answer or an error of polygeom's own, no foreign traceback."""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

import polygeom as pg
from polygeom.errors import PolygeomError
from polygeom.models import toy

NET, X, Y = toy.named("quick"), np.array([0.25, -0.5]), np.array([1.0, 2.0])
BOX, WEDGE = pg.Polyhedron.box(-1, 1, dim=2), pg.Polyhedron([[1, 0], [0, 1]], [0.5, 0.5])
K, PIECE, HITS = pg.enumerate_regions(NET), pg.piece_at(NET, X), pg.line_crossings(NET, X, Y)
FOUND, CODES, FEW = pg.explore(NET, X), pg.spline_codes(NET, [X, Y]), pg.Budget(regions=9)

ASKED = {
    **{
        name: {"P": BOX}
        for name in (
            *("boundedness", "chebyshev_ball", "dimension", "feasibility", "implicit_equalities"),
            *("inscribed_ellipsoid", "interior_point", "is_bounded", "is_cone", "is_empty", "recession_cone"),
            *("vertices", "volume"),
        )
    },
    **{name: {"P": BOX, "Q": WEDGE, "method": "auto"} for name in ("inclusion", "is_equal", "is_subset")},
    "apex": {"P": BOX, "report": pg.facets(BOX)},
    "arc_crossings": {"layer": (np.eye(2), np.zeros(2)), "u": [1, 0], "v": [0, 1]},
    "check_complex": {"K": K, "sample": 1, "rng": np.random.default_rng(0)},
    "density": {"hits": HITS},
    "enumerate_regions": {"net": NET, "domain": BOX, "along": None, "store": "count", "budget": FEW},
    "explore": {"net": NET, "x": X, "budget": FEW, "along": None, "order": "distance", "resume": None},
    "facets": {"P": BOX, "interior": [0, 0], "method": "auto"},
    "facets_batch": {"A": [BOX.A], "b": [BOX.b], "interior": [[0, 0]]},
    "from_onnx": {"path": "absent.onnx"},
    "line_crossings": {"net": NET, "start": X, "stop": Y, "memory": 2**30, "budget": None},
    "nearest_boundaries": {"net": NET, "x": X, "k": 1, "along": None, "piece": None},
    "neighbours": {"net": NET, "piece": PIECE},
    "origin_test": {"P": BOX, "point": [0, 0]},
    "piece_at": {"net": NET, "x": X, "along": None, "toward": Y},
    "project": {"P": BOX, "point": Y},
    "ray_exit": {"net": NET, "x": X, "direction": Y, "along": None},
    "sampled_density": {"net": NET, "start": X, "stop": Y, "samples": 3},
    "scaling_crossings": {"net": NET, "x": Y, "t_max": 2.0},
    "shortest_path": {"regions": K, "x": X, "y": Y},
    "spline_codes": {"net": NET, "X": [X, Y]},
    "verify": {"of": "affine", "net": NET, "domain": BOX, "seed": 0, "budget": FEW},
}
"""Arguments that are fine, by the name of the function; one of them is replaced."""

METHODS = {
    "AffineMap": (pg.AffineMap, {"matrix": [[1.0]], "offset": [0.0]}),
    "Budget": (pg.Budget, {"regions": 1, "seconds": 1.0, "bytes": 1}),
    "Polyhedron": (pg.Polyhedron, {"A": [[1, 0]], "b": [1]}),
    "Polyhedron.contains": (BOX.contains, {"points": X}),
    "Polyhedron.intersect": (BOX.intersect, {"other": WEDGE}),
    "Polyhedron.pullback": (BOX.pullback, {"along": pg.AffineMap.identity(2)}),
    "Polyhedron.ray_interval": (BOX.ray_interval, {"direction": X}),
    "Polyhedron.select": (BOX.select, {"rows": [0]}),
    "Network": (NET, {"x": X}),
    "Network.from_layers": (pg.Network.from_layers, {"layers": [([[1]], [0])], "activation": "relu"}),
    "SplineCodes.hamming": (CODES.hamming, {"other": CODES}),
    "LineCrossings.code": (HITS.code, {"i": 0}),
    "LineCrossings.codes": (HITS.codes, {"pieces": [0]}),
    "LineCrossings.output": (HITS.output, {"t": 0.5}),
    "LineCrossings.piece": (HITS.piece, {"i": 0}),
    "Exploration.locate": (FOUND.locate, {"x": X}),
    "Exploration.piece": (FOUND.piece, {"i": 0}),
    **{
        f"PolyhedralComplex.{name}": (getattr(K, name), {"region": 0})
        for name in ("code", "piece", "polyhedron", "rays", "recession_cone", "vertices")
    },
    "PolyhedralComplex.find": (K.find, {"letters": CODES.letters}),
    "PolyhedralComplex.locate": (K.locate, {"x": X}),
    "verify_all": (
        partial(pg.verify_all, NET, ids=()),
        {"domain": BOX, "name": None, "seed": 0, "budget": FEW},
    ),
}

ODD = (
    None,
    "a",
    -1,
    0.5,
    float("nan"),
    [],
    [np.nan, 1.0],
    [[1, 2], [3]],
    np.zeros((0, 2)),
    np.array(["a", "b"]),
    torch.zeros(3),
    {},
    object(),
    NET,
    WEDGE,
)

CASES = {**{name: (getattr(pg, name), given) for name, given in ASKED.items()}, **METHODS}


def test_every_public_function_is_asked():
    functions = {name for name in dir(pg) if inspect.isfunction(getattr(pg, name))}
    assert functions - set(CASES) == {"from_torch", "region_batches"}  # a module; an iterator


@pytest.mark.parametrize("name", CASES)
def test_odd_arguments_get_an_answer_or_an_own_error(name):
    function, given = CASES[name]
    for argument, odd in product(given, ODD):
        with suppress(PolygeomError):
            function(**given | {argument: odd})


@pytest.mark.parametrize("name", [name for name in CASES if name != "from_onnx"])
def test_the_arguments_that_are_replaced_are_fine(name):
    function, given = CASES[name]
    function(**given)
