"""The claim on symmetries: units may be renamed and rescaled without a change to the complex.

A unit of a positively homogeneous gate may be scaled by s > 0 where the next layer reads it by 1 / s; powers of
two do this without rounding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.check import PROVED, REFUTED
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, not_applicable
from polygeom.complexes import PolyhedralComplex
from polygeom.gates import Elementwise
from polygeom.models.toy import NAMED
from polygeom.network import Network
from polygeom.steps import Dense

__all__ = ["is_dense_chain", "is_same_complex", "symmetries", "symmetric_copy"]

EXPONENTS = 4
"""Units are scaled by 2^-3 to 2^3."""


def is_dense_chain(net: Network) -> bool:
    """Tell whether dense layers and elementwise units take turns, units between two dense layers.

    Examples
    --------
    >>> is_dense_chain(Network.from_layers([([[1.0]], [0.0]), ([[1.0]], [0.0])]))
    True
    """
    steps = net.steps
    kinds = [isinstance(step, Elementwise if k % 2 else Dense) for k, step in enumerate(steps)]
    reads = all(step.inputs == (k,) and len(step.shape) == 1 for k, step in enumerate(steps))
    return all(kinds) and reads and len(steps) % 2 == 1 and len(net.input_shape) == 1


def symmetric_copy(net: Network, rng: np.random.Generator) -> tuple[Network, np.ndarray]:
    """Return a dense chain with units permuted, homogeneous ones rescaled; and which unit each column was.

    Examples
    --------
    >>> net = Network.from_layers([([[1.0], [2.0]], [0.0, 1.0]), ([[1.0, 1.0]], [0.0])])
    >>> copy, columns = symmetric_copy(net, np.random.default_rng(0))
    >>> sorted(columns.tolist()), copy([3.0]) == net([3.0])
    ([0, 1], array([ True]))
    """
    steps: list[Any] = list(net.steps)
    columns = np.arange(net.n_units)
    for gate in net.gates:
        k = steps.index(gate)
        order = rng.permutation(gate.size)
        exponent = (
            rng.integers(-EXPONENTS + 1, EXPONENTS, gate.size) if gate.is_homogeneous else np.zeros(gate.size)
        )
        scale = 2.0**exponent
        before, after = steps[k - 1], steps[k + 1]
        constant = np.broadcast_to(0.0 if before.constant is None else before.constant, before.shape)
        steps[k - 1] = replace(
            before, weight=(scale[:, None] * before.weight)[order], constant=(scale * constant)[order]
        )
        tables = {
            name: gate.table(getattr(gate, name))[:, order] for name in ("breakpoints", "slopes", "offsets")
        }
        steps[k] = replace(gate, **tables)
        steps[k + 1] = replace(after, weight=(after.weight / scale)[:, order])
        columns[gate.columns] = gate.first_column + order
    return Network(tuple(steps), net.input_shape), columns


def is_same_complex(
    K: PolyhedralComplex, other: PolyhedralComplex, columns: np.ndarray | None = None
) -> bool:
    """Tell whether two complexes have the same regions and neighbors; column j of the other is columns[j] of K."""
    letters = K.codes.letters if columns is None else K.codes.letters[:, columns]
    if K.n_regions != other.n_regions or letters.shape != other.codes.letters.shape:
        return False
    place = other.find(letters)
    if (place < 0).any() or len(np.unique(place)) < len(place):
        return False
    moved = np.sort(place[K.edges], axis=1)
    return np.array_equal(moved[np.lexsort(moved.T[::-1])], other.edges)


def _same_again(K: PolyhedralComplex, other: PolyhedralComplex, columns: np.ndarray) -> Check:
    """Compare again: regions, neighbors, and every witness of one in the region of the other, exactly."""
    if not is_same_complex(K, other, columns):
        return REFUTED
    for i in range(K.n_regions):
        letters = other.exact_letters(K.interior(i))
        if not np.array_equal(letters, K.code(i)[columns]):
            return REFUTED
    return PROVED


@claim(
    "symmetries",
    statement="Permuting units, and rescaling homogeneous ones by powers of two, leaves the complex unchanged.",
    hypothesis="a chain of dense layers",
    source="Rolnick and Kording 2020",
    settled_by="enumeration of both; codes, neighbors and interior points compared",
    expects={**dict.fromkeys(NAMED, Outcome.HOLDS), "maxima": Outcome.NOT_APPLICABLE},
)
def symmetries(instance: Instance) -> Verdict:
    """Judge one random permutation and rescaling."""
    net = instance.net
    if not is_dense_chain(net):
        return not_applicable("The network is no chain of dense layers with units between them.")
    copy, columns = symmetric_copy(net, instance.rng("symmetries"))
    K, other = instance.complex, replace(instance, net=copy).complex
    witness = Witness({"K": K, "other": other, "columns": columns}, _same_again)
    if not witness.holds():
        return fails(
            Level.EXACT, "The complex of the renamed and rescaled network is another one.", witness.opposite
        )
    text = (
        f"The same {K.n_regions} regions and {len(K.edges)} neighbors with all units permuted and rescaled."
    )
    return holds(Level.EXACT, text, witness, regions=K.n_regions)
