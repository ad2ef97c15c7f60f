r"""Claims that tie cells to directions: when are all cells cones with apex 0, and what biases change.

Proofs, with precise hypotheses: docs/cones.md. Over the whole input space these are equivalent, for any
piecewise-linear gates:

1. all cells are cones with apex 0;
2. all closed cells contain 0;
3. all unbounded closed cells contain 0;
4. every letter that occurs on some cell holds at 0, with equality allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.boundedness import Boundedness
from polygeom.certificates.check import PROVED, REFUTED
from polygeom.certificates.origin import Apex, OriginTest
from polygeom.claims.counts import simple_characteristic
from polygeom.claims.exact_walls import has_code, walls
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, not_applicable, undecided
from polygeom.complex_checks.arrangements import arrangement_of
from polygeom.complex_checks.partition import MOST_ELIMINATIONS
from polygeom.complexes import PolyhedralComplex
from polygeom.exact import fractions_array, rational
from polygeom.gates import Gate, MaxGate
from polygeom.models.toy import NAMED
from polygeom.network import Network
from polygeom.predicates.boundedness import boundedness
from polygeom.predicates.origin import apex, origin_test
from polygeom.ranks import pivot_columns
from polygeom.steps import LinearStep

if TYPE_CHECKING:
    import flint

__all__ = ["bias_free_cones", "biased_steps", "cones_iff", "converse", "letters_at_origin"]

CENTRAL = ("cones", "orthants", "braid", "absolute")
"""Toys without biases."""

MOST_APEXES = 100
"""Unbounded cells that are asked for an apex until one has none."""


# -- no biases -----------------------------------------------------------------------------------------------


def biased_steps(network: Network) -> list[int]:
    """Return the linear steps that add a constant other than zero to something that a gate reads, however late.

    Examples
    --------
    >>> biased_steps(Network.from_layers([([[1], [2]], [0, 0]), ([[1, 1]], [5])]))  # behind the last gate
    []
    >>> biased_steps(Network.from_layers([([[1], [2]], [0, 3]), ([[1, 1]], [0])]))
    [0]
    """
    read: set[int] = set()
    biased = []
    for k in range(len(network.steps), 0, -1):
        step = network.steps[k - 1]
        if isinstance(step, Gate) or k in read:
            read.update(step.inputs)
        if k in read and isinstance(step, LinearStep) and step.constant is not None and step.constant.any():
            biased.append(k - 1)
    return biased[::-1]


def _are_rays(network: Network, codes: np.ndarray, rays: list) -> Check:
    r"""Check for every code c and point w that all of :math:`\{t w : t > 0\}` is inside the cell with code c.

    The letters at w are c, exactly; every half-space of that cell is :math:`a \cdot x \le 0`, and
    :math:`a \cdot w < 0`. So the cell is a cone with apex 0, and no letter changes under t > 0.
    """
    if len(codes) != len(rays):
        return REFUTED
    for code, ray in zip(codes, rays, strict=True):
        if not any(ray) or not has_code(network, code, ray):
            return REFUTED
        direction = [rational(v) for v in ray]
        if any(wall.offset != 0 or wall.rate(direction) >= 0 for wall in walls(network, code)):
            return REFUTED
    return PROVED


def _are_no_rays(network: Network, codes: np.ndarray, rays: list) -> Check:
    """Find again that some code and point are not those of a ray inside a cone with apex 0."""
    return REFUTED if _are_rays(network, codes, rays) else PROVED


@claim(
    "bias-free-cones",
    statement="Without biases every region is an unbounded cone with apex 0, and no letter changes under t > 0.",
    hypothesis="positively homogeneous gates; no biases before the last gate, those of BatchNorm included",
    source="docs/cones.md, Theorem 1",
    settled_by="for every region a ray whose points all lie strictly inside, in rationals",
    expects={
        **dict.fromkeys(CENTRAL, Outcome.HOLDS),
        **dict.fromkeys(set(NAMED) - set(CENTRAL), Outcome.NOT_APPLICABLE),
    },
)
def bias_free_cones(instance: Instance) -> Verdict:
    """Judge region by region: its interior point spans a ray, and all its half-spaces pass through 0."""
    reason = no_cones_because(instance)
    biased = biased_steps(instance.net)
    if not reason and biased:
        named = ", ".join(instance.net.steps[k].path or f"step {k}" for k in biased[:3])
        reason = (
            f"There are biases ({named}{', ...' if len(biased) > 3 else ''}); see cones-iff and converse."
        )
    if reason:
        return not_applicable(reason)
    K = instance.complex
    rays = [_ray(K.interior(i)) for i in range(K.n_regions)]
    data = {"network": K.network, "codes": K.codes.letters, "rays": rays}
    if not _are_rays(**data):
        text = "Some region is no cone with apex 0 that its interior point spans a ray of."
        return fails(Level.EXACT, text, Witness(data, _are_no_rays, K.witnesses), regions=K.n_regions)
    witness = Witness(data, _are_rays, K.witnesses)
    if K.bounded.any():
        text = f"{K.n_bounded} regions are listed as bounded, and rays prove that they are not."
        return fails(Level.EXACT, text, witness, regions=K.n_regions)
    text = f"All {K.n_regions} regions are cones with apex 0, each proved by a ray inside."
    return holds(Level.EXACT, text, witness, regions=K.n_regions)


def no_cones_because(instance: Instance) -> str:
    """Return why the theorems on homogeneous gates do not speak of an instance; empty if they do."""
    if instance.domain is not None:
        return "The statement is about the whole input space; a domain was given."
    odd = sorted({gate.name for gate in instance.net.gates if not gate.is_homogeneous})
    return f"Not all gates are positively homogeneous: {', '.join(odd)}." if odd else ""


def _ray(point: np.ndarray) -> np.ndarray:
    """Return a point as a direction; any direction will do where a region found at 0 is the whole space."""
    return point if any(point) else np.ones(len(point))


# -- if and only if ------------------------------------------------------------------------------------------


def letters_at_origin(network: Network) -> np.ndarray:
    """Return which letters hold at 0, with equality allowed: (n_units, n_letters), exactly.

    Examples
    --------
    >>> letters_at_origin(Network.from_layers([([[1], [1], [1]], [-1, 0, 1]), ([[1, 1, 1]], [0])]))
    array([[ True, False],
           [ True,  True],
           [False,  True]])
    """
    exact = network.exact()
    origin = exact.point([0] * network.dim_in)
    arrivals = exact.arrivals(origin, exact.letters(origin))
    hold = np.zeros((network.n_units, max([g.n_letters for g in network.gates], default=1)), dtype=bool)
    for gate, arrival in zip(network.gates, arrivals, strict=True):
        values = [v for (v,) in arrival.to_rational().table()]
        hold[gate.columns, : gate.n_letters] = _weakly(gate, values)
    return hold


def _weakly(gate: Gate, values: list[flint.fmpq]) -> np.ndarray:
    """Return which letters (size, n_letters) hold, with equality allowed, for exact values that arrive."""
    if isinstance(gate, MaxGate):
        windows = [[values[k] if k >= 0 else None for k in window] for window in gate.index.tolist()]
        largest = [max(v for v in window if v is not None) for window in windows]
        return np.array([[v == most for v in window] for window, most in zip(windows, largest, strict=True)])
    tables = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)
    gaps = [[z - rational(float(t)) for t, z in zip(row, values, strict=True)] for row in tables]
    above, below = (np.array([[s * gap >= 0 for gap in row] for row in gaps]) for s in (1, -1))
    always = np.ones((1, gate.size), dtype=bool)
    return (np.concatenate([always, above]) & np.concatenate([below, always])).T


def _letters_off(K: PolyhedralComplex, hold: np.ndarray) -> np.ndarray:
    """Return which letters (N, n_units) of the regions do not hold at 0."""
    return ~hold[np.arange(K.network.n_units), K.codes.letters.astype(np.intp)]


def _sides(K: PolyhedralComplex, tests: dict[int, OriginTest]) -> tuple[bool, bool] | None:
    """Return both sides of the equivalence: all cells are cones with apex 0; all letters that occur hold at 0.

    None if the tests do not prove the first one, or its opposite.
    """
    if not all(test.holds(K.polyhedron(i)) for i, test in tests.items()):
        return None
    cones = all(test.is_cone for test in tests.values())
    if cones and set(tests) != set(range(K.n_regions)):
        return None
    return cones, not _letters_off(K, letters_at_origin(K.network)).any()


def _are_equal(K: PolyhedralComplex, tests: dict[int, OriginTest]) -> Check:
    """Check that both sides are true, or both false."""
    sides = _sides(K, tests)
    return PROVED if sides is not None and sides[0] == sides[1] else REFUTED


def _are_opposite(K: PolyhedralComplex, tests: dict[int, OriginTest]) -> Check:
    """Check that one side is true and the other one false."""
    sides = _sides(K, tests)
    return PROVED if sides is not None and sides[0] != sides[1] else REFUTED


@claim(
    "cones-iff",
    statement="All cells are cones with apex 0 iff z(0) = 0 for every unit whose letter changes anywhere.",
    hypothesis="none on gates or biases: at other breakpoints, and for maxima, all letters that occur hold at 0",
    source="docs/cones.md, Theorem 2",
    settled_by="both sides by themselves: an origin test for every cell, and the exact values at 0",
    expects=dict.fromkeys(NAMED, Outcome.HOLDS),
)
def cones_iff(instance: Instance) -> Verdict:
    """Judge both sides: only cells that contain 0 can be cones with apex 0, and these are tested."""
    if instance.domain is not None:
        return not_applicable("The statement is about the whole input space; a domain was given.")
    K = instance.complex
    off = _letters_off(K, letters_at_origin(K.network))
    around = K.locate(np.zeros(K.dim)).tolist()
    tests = {i: origin_test(K.polyhedron(i), K.witnesses[i]) for i in around}
    if any(test.is_cone is None for test in tests.values()):
        return undecided("Whether some cell is a cone with apex 0 was neither proved nor refuted.")
    cones = sum(test.is_cone is True for test in tests.values())
    numbers = {"regions": K.n_regions, "around_origin": len(around), "cones": cones}
    if cones < K.n_regions:
        tests = {i: test for i, test in tests.items() if not test.is_cone}
        outside = [int(i) for i in np.flatnonzero(off.any(axis=1))] + list(range(K.n_regions))
        other = next((i for i in outside if i not in around), None)
        tests |= {other: origin_test(K.polyhedron(other))} if other is not None else {}
    witness = Witness({"K": K, "tests": tests}, _are_equal, K.witnesses)
    text = (
        f"{cones} of {K.n_regions} cells are cones with apex 0, {len(around)} contain 0; {_changes(K, off)}."
    )
    if witness.holds():
        return holds(Level.EXACT, text, witness, **numbers)
    witness = Witness({"K": K, "tests": tests}, _are_opposite, K.witnesses)
    if witness.holds():
        return fails(Level.EXACT, text, witness, **numbers)
    return undecided(f"{text} But a proof of that does not hold again.", **numbers)


def _changes(K: PolyhedralComplex, off: np.ndarray) -> str:
    """Say which units change letters, and whether they do so at 0."""
    letters = K.codes.letters
    changing = int((letters != letters[:1]).any(axis=0).sum())
    wrong = int(off.any(axis=0).sum())
    if not wrong:
        return f"all {changing} units that change letters do so at 0"
    return f"{wrong} of {changing} units that change letters take one that does not hold at 0"


# -- what biases change --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outlier:
    """An unbounded region that is no cone with apex 0, with no apex at all if `without` is an `Apex`."""

    region: int
    unbounded: Boundedness
    without: OriginTest | Apex

    def holds(self, K: PolyhedralComplex) -> bool:
        """Check both proofs again."""
        P = K.polyhedron(self.region)
        if not (self.unbounded.holds(P) and self.unbounded.bounded is False and self.without.holds(P)):
            return False
        return (self.without.exists if isinstance(self.without, Apex) else self.without.is_cone) is False


@dataclass(frozen=True)
class GenericLayer:
    """A first layer in general position, with a bounded region where it has more than d hyperplanes."""

    K: PolyhedralComplex
    bounded: tuple[int, Boundedness] | None

    def holds(self) -> bool:
        """Check general position again, by the lattice of flats, and the bounded region."""
        arrangement = arrangement_of(self.K.network, None)
        m, d = len(arrangement), arrangement.dim
        if arrangement.characteristic() != simple_characteristic(m, d):
            return False
        if self.bounded is None:
            return m <= d and not self.K.bounded.any()
        region, proof = self.bounded
        return m > d and proof.bounded is True and bool(proof.holds(self.K.polyhedron(region)))


def _shows_converse(
    K: PolyhedralComplex, outlier: Outlier, layer: GenericLayer | None, line: list | None
) -> Check:
    """Check the unbounded region that is no cone, the first layer, and the line that all cells contain."""
    if not outlier.holds(K) or (layer is not None and not layer.holds()):
        return REFUTED
    if line is not None and not (_is_in_all_cells(K.network, line) and not K.bounded.any()):
        return REFUTED
    return PROVED


def _shows_no_converse(**data: object) -> Check:
    """Find again that something of this is wrong."""
    return REFUTED if _shows_converse(**data) else PROVED


@claim(
    "converse",
    statement="With biases there are unbounded regions that are no cones; a generic first layer has bounded "
    "regions iff it has more than d units; if rank W_1 < d, no region is bounded.",
    hypothesis="not all cells are cones with apex 0; on boundedness: general position; no input but through W_1",
    source="docs/cones.md, Theorem 3; Zaslavsky 1975",
    settled_by="a region with a ray and no apex; positive multipliers; a line in the kernel of W_1",
    expects={
        **dict.fromkeys(set(NAMED) - set(CENTRAL), Outcome.HOLDS),
        **dict.fromkeys(CENTRAL, Outcome.NOT_APPLICABLE),
    },
)
def converse(instance: Instance) -> Verdict:
    """Judge by witnesses, each part where it applies."""
    if instance.domain is not None:
        return not_applicable("The statement is about the whole input space; a domain was given.")
    K = instance.complex
    if not _letters_off(K, letters_at_origin(K.network)).any():
        return not_applicable("All cells are cones with apex 0: there are no biases that matter.")
    outlier, layer, line = _outlier(K), _generic_layer(instance), _common_line(K.network)
    if outlier is None:
        return undecided("No unbounded region was proved to be no cone with apex 0.")
    kind = "has no apex" if isinstance(outlier.without, Apex) else "is no cone with apex 0"
    text = f"Region {outlier.region} is unbounded and {kind}. {K.n_bounded} of {K.n_regions} bounded."
    if layer is not None:
        m, n = len(arrangement_of(layer.K.network, None)), layer.K.n_bounded
        text += f" The first layer, {m} hyperplanes in general position in R^{K.dim}: {n} bounded."
    if line is not None:
        text += " Rank W_1 < d: every region contains a line."
    data = {"K": K, "outlier": outlier, "layer": layer, "line": line}
    numbers = {"regions": K.n_regions, "bounded": K.n_bounded, "region": outlier.region}
    witness = Witness(data, _shows_converse, K.witnesses[[outlier.region]])
    if witness.holds():
        return holds(Level.EXACT, text, witness, **numbers)
    return fails(Level.EXACT, text, Witness(data, _shows_no_converse), **numbers)


def _outlier(K: PolyhedralComplex) -> Outlier | None:
    """Return an unbounded region without an apex if one is found soon, else one that does not contain 0."""
    around = set(K.locate(np.zeros(K.dim)).tolist())
    unbounded = np.flatnonzero(~K.bounded).tolist()
    candidates = ((i, apex(K.polyhedron(i))) for i in unbounded[:MOST_APEXES])
    found = next(((i, proof) for i, proof in candidates if proof.exists is False), None)
    if found is None:
        off = next((i for i in unbounded if i not in around), None)
        found = None if off is None else (off, origin_test(K.polyhedron(off)))
    if found is None:
        return None
    region, proof = found
    return Outlier(region, boundedness(K.polyhedron(region), point=K.witnesses[region]), proof)


def _generic_layer(instance: Instance) -> GenericLayer | None:
    """Return the first layer if it is in general position, with a bounded region if it has one."""
    first = instance.first_layer
    arrangement = None if first is None else arrangement_of(first.net, None)
    if arrangement is None or not len(arrangement) or arrangement.work > MOST_ELIMINATIONS:
        return None
    if arrangement.characteristic() != simple_characteristic(len(arrangement), arrangement.dim):
        return None
    K = first.complex
    found = next(iter(np.flatnonzero(K.bounded).tolist()), None)
    return GenericLayer(K, None if found is None else (found, boundedness(K.polyhedron(found))))


def _common_line(network: Network) -> np.ndarray | None:
    """Return a direction (d,) of Fractions that no step which reads the input sees; None if there is none."""
    import flint

    rows = _first_maps(network)
    if rows is None:
        return None
    d = network.dim_in
    echelon, rank = flint.fmpq_mat(len(rows), d, [v for row in rows for v in row]).rref()
    if rank == d:
        return None
    pivots = pivot_columns(echelon, rank)
    free = next(k for k in range(d) if k not in pivots)
    line = [flint.fmpq(int(k == free)) for k in range(d)]
    for row, column in enumerate(pivots):
        line[column] = -echelon[row, free]
    return fractions_array(line)


def _is_in_all_cells(network: Network, line: Iterable[object]) -> bool:
    """Check that a direction is not zero, and in the kernel of every step that reads the input."""
    rows, direction = _first_maps(network), [rational(v) for v in line]
    if rows is None or not any(direction):
        return False
    return all(sum(a * v for a, v in zip(row, direction, strict=True)) == 0 for row in rows)


def _first_maps(network: Network) -> list[list[flint.fmpq]] | None:
    """Return the rows of all linear steps that read the input, over one another; None if a gate reads it."""
    rows: list[list[flint.fmpq]] = []
    for step in network.steps:
        if 0 not in step.inputs:
            continue
        if not isinstance(step, LinearStep):
            return None
        matrices, _ = network.exact().matrices(step)
        for source, matrix in zip(step.inputs, matrices, strict=True):
            rows += matrix.to_rational().table() if source == 0 else []
    return rows
