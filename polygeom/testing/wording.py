"""Networks and regions as a reader can type them again: what laws say when they are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polygeom.errors import InputError
from polygeom.gates import Elementwise, elementwise_gate
from polygeom.network import Network
from polygeom.polyhedron import Polyhedron
from polygeom.steps import Dense

if TYPE_CHECKING:
    from polygeom.complexes import PolyhedralComplex

__all__ = ["as_numbers", "broken", "named_region", "named_unit", "written"]

MOST_NUMBERS = 100
"""Weights of a network that is written out; of a larger one the repr is given."""

_TABLES = ("breakpoints", "slopes", "offsets")


def as_numbers(array: object) -> list | int | float:
    """Return an array as nested lists, whole numbers as integers.

    Examples
    --------
    >>> as_numbers(np.array([[1.0, 0.5]]))
    [[1, 0.5]]
    """
    if isinstance(array, list | tuple):
        return [as_numbers(v) for v in array]
    if isinstance(array, np.ndarray):
        return as_numbers(array.tolist())
    return int(array) if isinstance(array, float) and array.is_integer() and abs(array) < 2**53 else array


def written(thing: Network | Polyhedron) -> str:
    """Return the call that makes a small dense network or a polyhedron again; the repr of anything else.

    Examples
    --------
    >>> written(Network.from_layers([([[1, -1]], [0]), ([[2]], None)]))
    "Network.from_layers([([[1, -1]], [0]), ([[2]], None)], 'relu')"
    >>> written(Polyhedron([[1, 0.5]], [3]))
    'Polyhedron([[1, 0.5]], [3])'
    """
    if isinstance(thing, Polyhedron) and not thing.is_rounded and thing.A.size <= MOST_NUMBERS:
        return f"Polyhedron({as_numbers(thing.A)}, {as_numbers(thing.b)})"
    gates = _dense_units(thing) if isinstance(thing, Network) else None
    if gates is None:
        return repr(thing)
    pairs = [
        (as_numbers(s.weight), None if s.constant is None else as_numbers(s.constant))
        for s in thing.steps[::2]
    ]
    return f"Network.from_layers({pairs}, {gates})"


def _dense_units(net: Network) -> str | None:
    """Return the activation of a small network of dense layers as `Network.from_layers` takes it, or None."""
    dense, gates = net.steps[::2], net.steps[1::2]
    if not all(isinstance(s, Dense) for s in dense) or not all(isinstance(g, Elementwise) for g in gates):
        return None
    if len(net.steps) % 2 == 0 or any(s.inputs != (k,) for k, s in enumerate(net.steps)):
        return None
    if sum(s.weight.size for s in dense) > MOST_NUMBERS:
        return None
    kinds = {_call(g) for g in gates}
    return kinds.pop() if len(kinds) == 1 else None


def _call(gate: Elementwise) -> str | None:
    """Return the arguments that make a gate's units, if they are all alike and have a name."""
    for parameters in ((), tuple(gate.slopes[:1].ravel()), tuple(gate.breakpoints.ravel())):
        numbers = [as_numbers(float(v)) for v in parameters]
        try:
            made = elementwise_gate(gate.name, *numbers)
        except InputError:
            continue
        if all(np.array_equal(made[name], getattr(gate, name)) for name in _TABLES):
            return ", ".join(map(repr, [gate.name, *numbers]))
    return None


def named_unit(net: Network, unit: int) -> str:
    """Return a unit with its place in the network.

    Examples
    --------
    >>> named_unit(Network.from_layers([([[1, -1]], [0]), ([[2]], None)]), 0)
    "unit 0 (relu of '0.gate', channel 0)"
    """
    place = net.units[int(unit)]
    return f"unit {int(unit)} ({place.kind} of {place.path!r}, channel {place.channel})"


def named_region(K: PolyhedralComplex, region: int) -> str:
    """Return a region with its code and witness.

    Examples
    --------
    >>> from polygeom import enumerate_regions
    >>> K = enumerate_regions(Network.from_layers([([[1]], [0]), ([[2]], None)]))
    >>> named_region(K, 0)
    'region 0 (code 1, witness [1])'
    """
    letters = "".join(map(str, K.code(region).tolist()))
    return f"region {int(region)} (code {letters}, witness {as_numbers(K.witnesses[region])})"


def broken(law: str, what: str, *about: object) -> AssertionError:
    """Return the error of a broken law: what is wrong, and the smallest thing it is wrong about, to type again."""
    return AssertionError("\n".join([f"{law}: {what}", *(f"  {written(thing)}" for thing in about)]))
