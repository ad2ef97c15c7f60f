r"""What a network looks like from far away: the fan of the network without its biases.

Let N have positively homogeneous gates and any biases, :math:`N_0` the same network without biases. Then
:math:`P \mapsto int\,rec(P)` is a bijection from the cells of N with full-dimensional recession cone to the cells
of :math:`N_0` (docs/cones.md, Theorem 4). Codes agree but at units that are identically 0 on the cone, whose
letter in N a constant decides; so cells are matched by cones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.boundedness import RecessionCone
from polygeom.certificates.check import PROVED, REFUTED
from polygeom.claims.cones import no_cones_because
from polygeom.claims.exact_walls import has_code, normals_between, walls
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, not_applicable, undecided
from polygeom.complexes import PolyhedralComplex
from polygeom.exact import ScaledMatrix, fraction, nearest_float, rational
from polygeom.gates import Gate, MaxGate
from polygeom.models.toy import NAMED
from polygeom.network import Network
from polygeom.steps import LinearStep

if TYPE_CHECKING:
    import flint

__all__ = ["deviation_bound", "fan_at_infinity", "without_biases"]

MOST_CELLS = 20_000
"""Regions whose recession cones are all found, some milliseconds each."""


def without_biases(network: Network) -> Network:
    """Return the network with all constants of its linear steps taken away.

    Examples
    --------
    >>> net = Network.from_layers([([[1, -1]], [3]), ([[2]], [1])])
    >>> without_biases(net)([[5.0, 1.0], [0.0, 1.0]]).ravel()
    array([8., 0.])
    """
    steps = (replace(s, constant=None) if isinstance(s, LinearStep) else s for s in network.steps)
    return Network(tuple(steps), network.input_shape, network.output)


def deviation_bound(network: Network) -> list[Fraction]:
    r"""Return B, one rational for every output, with :math:`|f(x) - f_0(x)| \le B` for all x.

    For a chain of ReLU layers :math:`B = \sum_l (\prod_{k > l} |W_k|) |b_l|`. In general errors are carried
    through the graph: :math:`E \mapsto |W| E + |b|` at linear steps, :math:`E_j \mapsto \kappa_j E_j` at a unit
    with slopes at most :math:`\kappa_j` in absolute value, the largest error of the window at a maximum.

    Examples
    --------
    >>> deviation_bound(Network.from_layers([([[1], [1]], [-3, 1]), ([[2, -1]], [0.5])]))
    [Fraction(15, 2)]
    """
    import flint

    def linear(step: LinearStep, *errors: flint.fmpq_mat) -> flint.fmpq_mat:
        matrices, constant = network.exact().matrices(step)
        parts = [_absolute(m) * e for m, e in zip(matrices, errors, strict=True)]
        return sum(parts[1:], parts[0]) if constant is None else sum(parts, _absolute(constant))

    def gate(step: Gate, error: flint.fmpq_mat) -> flint.fmpq_mat:
        entries = error.entries()
        if isinstance(step, MaxGate):
            carried = [max(entries[k] for k in window if k >= 0) for window in step.index.tolist()]
        else:
            steepest = np.abs(step.table(step.slopes)).max(axis=0).ravel().tolist()
            carried = [rational(k) * e for k, e in zip(steepest, entries, strict=True)]
        return flint.fmpq_mat(step.size, 1, carried)

    return [fraction(e) for e in network.fold(flint.fmpq_mat(network.dim_in, 1), linear, gate).entries()]


def _absolute(matrix: ScaledMatrix) -> flint.fmpq_mat:
    import flint

    return flint.fmpq_mat(*matrix.shape, [abs(v) for v in matrix.to_rational().entries()])


# -- one cell and its cone -----------------------------------------------------------------------------------


def _is_its_cone(K: PolyhedralComplex, i: int, fan: PolyhedralComplex, q: int, bound: Sequence) -> bool:
    """Check that cell q of the fan is the recession cone of cell i, and that the maps differ by at most B there.

    Both are {x : A x <= 0} for the same normals. Codes differ only where the normal towards the other letter is 0
    on the cone; the affine maps have one matrix, and their offsets are the difference of f and f_0.
    """
    code, central = K.code(i), fan.code(q)
    cell, cone = walls(K.network, code), walls(fan.network, central)
    if {(w.unit, w.normal) for w in cell} != {(w.unit, w.normal) for w in cone} or any(
        w.offset for w in cone
    ):
        return False
    if any(any(normal) for _, normal in normals_between(fan.network, central, code)):
        return False
    (matrix, offset), (other, zero) = (
        [m.to_rational() for m in net.exact().affine_map(letters)]
        for net, letters in ((K.network, code), (fan.network, central))
    )
    small = all(abs(fraction(c)) <= b for c, b in zip(offset.entries(), bound, strict=True))
    return matrix == other and not any(zero.entries()) and small


def _are_partners(
    K: PolyhedralComplex,
    fan: PolyhedralComplex,
    cones: Sequence[RecessionCone],
    partners: Mapping[int, int],
    bound: Sequence[Fraction],
) -> bool:
    """Check all of a bijection but the recession cones themselves: who has a partner, cone by cone, and B."""
    if not fan.network.is_same(without_biases(K.network)) or list(bound) != deviation_bound(K.network):
        return False
    wide = {i for i, cone in enumerate(cones) if cone.dim == K.dim}
    if len(cones) != K.n_regions or set(partners) != wide:
        return False
    if not np.array_equal([cone.dim == 0 for cone in cones], K.bounded):
        return False
    if sorted(partners.values()) != list(range(fan.n_regions)):
        return False
    for i, q in partners.items():
        if not (has_code(K.network, K.code(i), K.interior(i)) and _is_its_cone(K, i, fan, q, bound)):
            return False
        if not has_code(fan.network, fan.code(q), cones[i].direction):
            return False
    return all(gap <= b for x in map(K.interior, range(K.n_regions)) for gap, b in _gaps(K, fan, x, bound))


def _gaps(
    K: PolyhedralComplex, fan: PolyhedralComplex, x: np.ndarray, bound: Sequence[Fraction]
) -> list[tuple[Fraction, Fraction]]:
    """Return |f(x) - f_0(x)| of every output, beside its bound."""
    here, far = K.network.exact()(x), fan.network.exact()(x)
    return [(abs(a - c), b) for a, c, b in zip(here, far, bound, strict=True)]


def _is_fan(
    K: PolyhedralComplex,
    fan: PolyhedralComplex,
    cones: Sequence[RecessionCone],
    partners: Mapping[int, int],
    bound: Sequence[Fraction],
) -> Check:
    """Check the dimension of every recession cone, and the bijection."""
    if not _are_partners(K, fan, cones, partners, bound):
        return REFUTED
    return PROVED if all(cone.holds(K.polyhedron(i)) for i, cone in enumerate(cones)) else REFUTED


def _is_no_fan(**data: object) -> Check:
    """Find again that this is no bijection."""
    return REFUTED if _is_fan(**data) else PROVED


@claim(
    "fan-at-infinity",
    statement="Cells with full-dimensional recession cones match the bias-free network's cells, cone by cone, "
    "and |f(x) - f0(x)| <= B for all x.",
    hypothesis="positively homogeneous gates; any weights and biases, any graph",
    source="docs/cones.md, Theorem 4",
    settled_by="both enumerations; equal normals of every cell and its cone, in rationals",
    expects={
        **dict.fromkeys(set(NAMED) - {"hardtanh"}, Outcome.HOLDS),
        "hardtanh": Outcome.NOT_APPLICABLE,
    },
)
def fan_at_infinity(instance: Instance) -> Verdict:
    """Judge by all recession cones: the direction inside each one finds its cell of the bias-free network."""
    reason = no_cones_because(instance)
    if reason:
        return not_applicable(reason)
    K, fan = instance.complex, replace(instance, net=without_biases(instance.net)).complex
    if K.n_regions > MOST_CELLS:
        return undecided(f"{K.n_regions} recession cones are more than {MOST_CELLS}.")
    cones = [K.recession_cone(i) for i in range(K.n_regions)]
    wide = [i for i, cone in enumerate(cones) if cone.dim == K.dim]
    partners = {i: int(fan.find(fan.exact_letters(cones[i].direction)[None])[0]) for i in wide}
    bound = deviation_bound(K.network)
    data = {"K": K, "fan": fan, "cones": cones, "partners": partners, "bound": bound}
    shared = sum(int((K.code(i) != fan.code(q)).sum()) for i, q in partners.items() if q >= 0)
    numbers = {"regions": K.n_regions, "wide": len(wide), "cones": fan.n_regions, "other_letters": shared}
    numbers["bound"] = max(map(nearest_float, bound), default=0.0)
    text = (
        f"{len(wide)} of {K.n_regions} cells have full-dimensional recession cones, the bias-free network has "
        f"{fan.n_regions} cells"
    )
    if not _are_partners(**data):
        return fails(Level.EXACT, f"{text}; they do not match.", Witness(data, _is_no_fan), **numbers)
    also = f", with {shared} other letters where units are 0 on the cone" if shared else ""
    text = f"{text}: the same cones{also}; |f - f0| <= {numbers['bound']:.4g} everywhere."
    return holds(Level.EXACT, text, Witness(data, _is_fan, K.witnesses[wide]), **numbers)
