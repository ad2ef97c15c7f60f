"""``polygeom enumerate``: all regions of a network, counted and checked."""

from __future__ import annotations

import argparse
import time
from math import inf
from pathlib import Path

from polygeom.budget import Budget
from polygeom.cli.terminal import (
    DIFFERENT,
    FINE,
    add_json,
    add_network,
    console,
    network,
    new_table,
    plain,
    shown,
    watched,
    writable,
    write_json,
)
from polygeom.complex_checks import check_complex
from polygeom.complexes import PolyhedralComplex
from polygeom.enumeration.regions import RegionCount, enumerate_regions
from polygeom.errors import InputError
from polygeom.polyhedron import Polyhedron

__all__ = ["add_enumerate"]


def add_enumerate(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "enumerate",
        help="find all regions of a network",
        description="Find all regions of a network, exactly, in the whole space or a box. Exit code: 0 if "
        "they are all of them, proved (and with --check everything holds again), 1 if not, 2 if the request "
        "cannot be answered.",
    )
    add_network(parser)
    parser.add_argument(
        "--box",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="only where every input lies between these",
    )
    parser.add_argument("--count", action="store_true", help="count only, in memory that does not grow")
    parser.add_argument(
        "--check", action="store_true", help="check everything again, without the enumeration"
    )
    parser.add_argument("--most", type=int, metavar="N", help="stop after so many regions")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so many seconds")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the complex to an .npz file")
    add_json(parser)
    parser.set_defaults(run=_enumerate)


def _enumerate(request: argparse.Namespace) -> int:
    if request.count and (request.check or request.save):
        raise InputError(
            "With --count nothing is kept that could be checked or saved: leave one of them out."
        )
    writable("--json", request.json)
    writable("--save", request.save)
    net, _ = network(request.net)
    box = None if request.box is None else _box(request.box[0], request.box[1], net.dim_in)
    limits = {"regions": request.most, "seconds": request.seconds}
    budget = Budget(**limits) if any(limit is not None for limit in limits.values()) else None
    start = time.perf_counter()
    store = "count" if request.count else "regions"
    K = enumerate_regions(net, box, store=store, budget=budget, progress=watched())
    found = {"net": request.net, "box": request.box, **_described(K), "seconds": time.perf_counter() - start}
    holds = True
    if request.check:
        report = check_complex(K)
        holds, found["check"] = bool(report), report.text.splitlines()
    if request.save is not None:
        _save(K, request.save)
    if request.json != "-":
        _print(found)
    if request.json is not None:
        write_json(request.json, found)
    return FINE if K.complete and holds else DIFFERENT


def _box(low: float, high: float, dim: int) -> Polyhedron:
    """Return the box.

    Raises
    ------
    InputError
        If it is empty, flat or unbounded.
    """
    if not -inf < low < high < inf:
        raise InputError(f"--box got {low:g} {high:g}, wanted two numbers, the smaller first.")
    return Polyhedron.box(low, high, dim=dim)


def _described(K: PolyhedralComplex | RegionCount) -> dict[str, object]:
    """Return the numbers of an enumeration."""
    found: dict[str, object] = {
        "regions": K.n_regions,
        "bounded": K.n_bounded,
        "complete": K.complete,
        "undecided_signs": K.exactness.undecided,
    }
    if isinstance(K, PolyhedralComplex) and K.finished:
        found |= {
            "adjacencies": len(K.edges),
            "mean_facets": float(K.n_facets.mean()),
            "most_facets": int(K.n_facets.max()),
        }
    return found


def _save(K: PolyhedralComplex, path: Path) -> None:
    """Write the complex.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    try:
        K.save(path)
    except OSError as error:
        raise InputError(f"--save {path} cannot be written: {error.strerror}.") from error


def _print(found: dict) -> None:
    where = "the whole space" if found["box"] is None else f"the box {found['box']}"
    table = new_table("", ">")
    for name, value in found.items():
        if name not in ("net", "box", "check"):
            table.add_row(name.replace("_", " "), shown(value, "not asked"))
    out = console()
    out.print(f"[bold]Regions of {plain(found['net'])} in {plain(where)}[/]")
    out.print(table)
    for line in found.get("check", ()):
        out.print(plain(line), soft_wrap=True)
