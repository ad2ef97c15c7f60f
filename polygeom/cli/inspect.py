"""``polygeom inspect``: what a network consists of, and the region around a point."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from polygeom.cli.terminal import (
    FINE,
    add_json,
    add_network,
    console,
    network,
    new_table,
    plain,
    shown,
    writable,
    write_json,
)
from polygeom.errors import InputError
from polygeom.exits import nearest_boundaries
from polygeom.gates import Elementwise, Gate
from polygeom.network import Network
from polygeom.pieces import piece_at
from polygeom.predicates import boundedness, facets, feasibility, origin_test
from polygeom.steps import Step, TransposedConvolution

__all__ = ["add_inspect"]

MOST_ENTRIES = 2**22
"""Rows times dimensions of a region up to which facets and boundedness are asked."""


def add_inspect(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "inspect",
        help="show the layers of a network, and the region around a point",
        description="Show what a network consists of: layers, units, parameters; with --at the region around "
        "a point: facets, boundedness, origin, nearest boundary. Exit code: 0, or 2 if the request cannot be "
        "answered.",
    )
    add_network(parser)
    parser.add_argument(
        "--at",
        metavar="POINT",
        help="numbers between commas (--at=-1,0.5), an .npy file, or zeros, ones, random",
    )
    add_json(parser)
    parser.set_defaults(run=_inspect)


def _inspect(request: argparse.Namespace) -> int:
    writable("--json", request.json)
    net, _ = network(request.net)
    found = {"net": request.net, **_described(net)}
    if request.at is not None:
        found["region"] = _region(net, _point(request.at, net))
    if request.json != "-":
        _print(found)
    if request.json is not None:
        write_json(request.json, found)
    return FINE


def _described(net: Network) -> dict[str, object]:
    """Return the layers of a network and what they add up to."""
    layers = [
        {
            "path": step.path,
            "kind": _kind(step),
            "shape": list(step.shape),
            "units": step.size if isinstance(step, Gate) else 0,
            "parameters": _parameters(step),
        }
        for step in net.steps
    ]
    return {
        "input_shape": list(net.input_shape),
        "inputs": net.dim_in,
        "outputs": net.dim_out,
        "units": net.n_units,
        "parameters": sum(int(layer["parameters"]) for layer in layers),
        "layers": layers,
    }


def _kind(step: Step) -> str:
    if isinstance(step, Elementwise):
        return step.name
    return "max" if isinstance(step, Gate) else type(step).__name__.lower()


def _parameters(step: Step) -> int:
    """Return how many numbers a step stores that training could have set."""
    if isinstance(step, TransposedConvolution):
        return _parameters(step.convolution)
    arrays = (getattr(step, name, None) for name in ("weight", "constant", "scale"))
    return sum(array.size for array in arrays if isinstance(array, np.ndarray))


def _point(text: str, net: Network) -> np.ndarray:
    """Return the point that was asked for.

    Raises
    ------
    InputError
        If it is neither a word that is known, nor a file of numbers, nor as many numbers as there are inputs.
    """
    words = {"zeros": np.zeros, "ones": np.ones, "random": np.random.default_rng(0).standard_normal}
    if text in words:
        return words[text](net.dim_in)
    try:
        if Path(text).suffix == ".npy":
            values = np.load(text, allow_pickle=False)
        else:
            values = np.array([float(number) for number in text.split(",")])
    except FileNotFoundError:
        raise InputError(f"There is no file {text}.") from None
    except (ValueError, OSError, EOFError):
        raise InputError(
            f"--at got {text!r}, wanted {net.dim_in} numbers between commas, an .npy file of them, or "
            f"{', '.join(words)}."
        ) from None
    return net.flat_point(values, "--at")


def _region(net: Network, x: np.ndarray) -> dict[str, object]:
    """Return what is said of the region around a point."""
    piece = piece_at(net, x)
    near = nearest_boundaries(net, x, k=1, piece=piece)
    found: dict[str, object] = {
        "units_on": int((piece.code > 0).sum()),
        "undecided_letters": len(piece.undecided),
        "half_spaces": len(piece.labels),
        "nearest_boundary": float(near.distances[0]) if len(near.distances) else None,
        "nearest_unit": _unit(net, near.units[0]) if len(near.distances) else None,
        "touching": len(near.touching),
    }
    if len(piece.labels) * net.dim_in > MOST_ENTRIES:
        return found | {
            "left_out": "facets, boundedness and origin: the region has too many rows and dimensions"
        }
    P = piece.polyhedron
    inside = bool((P.slack_signs(x[None])[0] == 1).all())
    bounded, origin = boundedness(P, point=x), origin_test(P, point=x)
    found |= {
        "dimension": net.dim_in if inside else feasibility(P).dim,
        "bounded": bounded.bounded,
        "contains_origin": origin.contains_origin,
        "cone": origin.is_cone,
    }
    if found["dimension"] == net.dim_in:
        report = facets(P, interior=x if inside else None)
        found |= {
            "facets": len(report.facets),
            "redundant": len(report.redundant),
            "undecided_rows": len(report.undecided),
        }
    return found


def _unit(net: Network, column: int) -> str:
    unit = net.units[int(column)]
    where = f" at {unit.position}" if unit.position else ""
    return f"{unit.path} {unit.channel}{where}"


def _print(found: dict) -> None:
    out = console()
    out.print(f"[bold]{plain(found['net'])}[/]")
    table = new_table("#>", "path", "layer", "shape", "units>", "parameters>")
    for number, layer in enumerate(found["layers"]):
        shape = " x ".join(map(str, layer["shape"]))
        counts = (f"{layer[name]:,}" if layer[name] else "" for name in ("units", "parameters"))
        table.add_row(str(number), plain(layer["path"]), layer["kind"], shape, *counts)
    out.print(table)
    shape = " x ".join(map(str, found["input_shape"]))
    out.print(
        f"R^{found['inputs']} ({shape}) -> R^{found['outputs']}, {found['units']:,} units, "
        f"{found['parameters']:,} parameters"
    )
    if "region" in found:
        region = new_table("", "")
        for name, value in found["region"].items():
            region.add_row(name.replace("_", " "), shown(value, "undecided"))
        out.print("[bold]The region around the point[/]")
        out.print(region)
