"""What else enumerates regions: the project's prototypes, regioncam and relucent, each behind one call.

The prototypes are three files in the folder ``prototypes`` of POLYGEOM_DATA (polygons, cones by rays, linear
programs); they decide signs with fixed tolerances and prove nothing, and are the speed to beat. regioncam
(MIT or Apache-2.0) splits a square in float32. relucent (AGPL-3.0) searches facet by facet with linear programs.

relucent is on no list of what is installed here: it needs gurobipy, whose license binds whoever installs it and
forbids to publish benchmarks made with its evaluation version. Whoever has a license and relucent gets the
comparison, everybody else a reason why it is skipped.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np

Layers = tuple[list[np.ndarray], list[np.ndarray]]
"""Weights (out, in) and biases of the hidden layers."""

PROTOTYPES = ("enum2d_v2", "enumnd", "lpbsp")
MOST_CONE_RAYS = {2: 512, 3: 512, 4: 512}
MOST_RAYS = 2048
"""Room for the rays of one cell in the prototype: in dimensions 2 to 4, and in more."""


@dataclass(frozen=True)
class Counted:
    """Regions a peer found, and leaves it found itself to be wrong: those may be regions or not."""

    regions: int
    doubtful: int = 0


class MissingPeerError(Exception):
    """A peer is not here, and why."""


def prototype_folder() -> Path:
    """Return the folder of the prototypes.

    Raises
    ------
    MissingPeerError
        If POLYGEOM_DATA is not set or has none.
    """
    named = os.environ.get("POLYGEOM_DATA")
    if not named:
        raise MissingPeerError("POLYGEOM_DATA is not set; it names the folder that holds prototypes/")
    folder = Path(named) / "prototypes"
    absent = [name for name in PROTOTYPES if not (folder / f"{name}.py").is_file()]
    if absent:
        raise MissingPeerError(f"POLYGEOM_DATA has no prototypes/{absent[0]}.py")
    return folder


@cache
def prototypes() -> dict[str, ModuleType]:
    """Import the prototypes, which import each other by name, and leave nothing in their folder."""
    import numba

    folder = prototype_folder()
    kernels = tempfile.TemporaryDirectory(prefix="prototype-kernels-")
    before = (list(sys.path), sys.dont_write_bytecode, numba.config.CACHE_DIR)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode, numba.config.CACHE_DIR = True, kernels.name
    try:
        modules = {name: import_module(name) for name in PROTOTYPES}
    finally:
        sys.path[:], sys.dont_write_bytecode, numba.config.CACHE_DIR = before
    modules["enum2d_v2"].kernels = kernels  # lives as long as the modules, whose kernels it keeps
    return modules


@cache
def prototype(name: str) -> ModuleType:
    """Import one prototype that needs no other, and leave nothing in its folder.

    Raises
    ------
    MissingPeerError
        If it is not there.
    """
    folder = prototype_folder()
    if not (folder / f"{name}.py").is_file():
        raise MissingPeerError(f"POLYGEOM_DATA has no prototypes/{name}.py")
    before = (list(sys.path), sys.dont_write_bytecode)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        return import_module(name)
    finally:
        sys.path[:], sys.dont_write_bytecode = before


def prototype_layers(widths: tuple[int, ...]) -> Layers:
    """Return the network of the table in ALGORITHMS.md: Gaussian weights, seed 0."""
    return prototypes()["enum2d_v2"].net(list(widths))


def polygons(layers: Layers, box: float | None) -> Callable[[], Counted]:
    """Return the run of the prototype with polygons; the plane in a box."""
    module = prototypes()["enum2d_v2"]

    def run() -> Counted:
        return Counted(int(module.enumerate2d(*layers, (-box, -box), (box, box))[0][0]))

    return run


def rays(layers: Layers, box: float | None) -> Callable[[], Counted]:
    """Return the run of the prototype with cones by their rays."""
    module = prototypes()["enumnd"]
    room = MOST_CONE_RAYS.get(layers[0][0].shape[1], MOST_RAYS)

    def run() -> Counted:
        found = module.enumerate_nd(*layers, box, MV=room)[0]
        if found[15]:
            raise SystemExit("the prototype ran out of room for facets or rays")
        return Counted(int(found[0]))

    return run


def programs(layers: Layers, box: float | None) -> Callable[[], Counted]:
    """Return the run of the prototype with linear programs."""
    from numba.typed import List

    module = prototypes()["lpbsp"]
    widths = [len(b) for b in layers[1]]
    keys = np.random.default_rng(7).integers(0, 2**63, size=sum(widths), dtype=np.uint64)
    offsets = np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)
    weights, biases = List(layers[0]), List(layers[1])
    start = np.random.default_rng(3).standard_normal(layers[0][0].shape[1]) * 0.3 * (box or 0.5)
    hashes = np.zeros(1, np.uint64)

    def run() -> Counted:
        found = module.run(weights, biases, start, float(box or 0), keys, offsets, 1, hashes, 0)
        return Counted(found[0], found[4])

    return run


KINDS = {"polygons": polygons, "rays": rays, "programs": programs}


def regioncam(layers: Layers, box: float) -> Callable[[], int]:
    """Return the run of regioncam: the square around 0, all faces of the planar map, float32.

    Raises
    ------
    MissingPeerError
        If it is not installed.
    """
    require("regioncam", "the extra `bench` brings it")
    from regioncam import Regioncam

    single = [(W.T.astype(np.float32).copy(), b.astype(np.float32)) for W, b in zip(*layers, strict=True)]

    def run() -> int:
        plane = Regioncam(size=box)
        for weight, bias in single:
            plane.linear(weight, bias)
            plane.relu()
        return plane.num_faces

    return run


def relucent(layers: Layers) -> Callable[[], int]:
    """Return the run of relucent: all of R^d, breadth first, one worker, no verification afterwards.

    Raises
    ------
    MissingPeerError
        If it or the solver it needs is not installed.
    """
    require("gurobipy", "a proprietary solver with a license of its own, which relucent needs")
    require("relucent", "AGPL-3.0, so never a dependency; install it yourself")
    from relucent import Complex
    from relucent.model.model import LinearLayer, ReLULayer, ReLUNetwork

    steps = {}
    for i, (W, b) in enumerate(zip(*layers, strict=True)):
        steps |= {f"fc{i}": LinearLayer(weight=W, bias=b), f"relu{i}": ReLULayer()}

    def run() -> int:
        found = Complex(ReLUNetwork(steps, input_shape=(layers[0][0].shape[1],)))
        found.bfs(nworkers=1, verify=False, verbose=0)
        return len(found)

    return run


def require(package: str, reason: str) -> None:
    """Say why a package that is missing is missing."""
    if find_spec(package) is None:
        raise MissingPeerError(f"{package} is not installed: {reason}")
