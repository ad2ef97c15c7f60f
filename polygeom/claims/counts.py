"""Claims on how many regions there are: arrangements exactly, deep networks between bounds."""

from __future__ import annotations

from functools import cache
from math import comb, prod

from polygeom.certificates import Check, Level
from polygeom.certificates.check import PROVED, REFUTED
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, not_applicable, undecided
from polygeom.complex_checks.arrangements import Arrangement, arrangement_of, central_regions, simple_regions
from polygeom.complex_checks.partition import MOST_ELIMINATIONS
from polygeom.complexes import PolyhedralComplex
from polygeom.enumeration.regions import enumerate_regions
from polygeom.gates import Elementwise
from polygeom.models.toy import NAMED, montufar, tent
from polygeom.network import Network
from polygeom.polyhedron import Polyhedron

__all__ = ["count_bounds", "count_general_position", "count_one_layer", "euler", "pattern_bounds"]

TENTS = range(1, 9)
"""Depths of the tent maps whose pieces are counted."""

STACK = (2, (4, 4))
"""Input size and widths of Montufar's construction whose regions are counted."""

MOST_DIMENSIONS = 4
"""Dimensions up to which faces are counted."""


# -- one layer -----------------------------------------------------------------------------------------------


def _as_counted(network: Network, regions: int, bounded: int) -> Check:
    """Count the regions of the arrangement again, by its characteristic polynomial."""
    arrangement = arrangement_of(network, None)
    found = arrangement.n_regions(), arrangement.n_bounded()
    return PROVED if found == (regions, bounded) else REFUTED


@claim(
    "count-one-layer",
    statement="Hyperplanes make |chi(-1)| regions, |chi(1)| of them bounded if their normals span the space.",
    hypothesis="the network begins with a layer of elementwise units; the whole space",
    source="Zaslavsky 1975, Theorems A and C",
    settled_by="enumeration beside the characteristic polynomial chi, in rationals",
    expects=dict.fromkeys(set(NAMED) - {"hardtanh"}, Outcome.HOLDS),
)
def count_one_layer(instance: Instance) -> Verdict:
    """Judge the first layer alone: its regions beside those that its distinct hyperplanes make."""
    arrangement, reason = _arrangement(instance)
    if arrangement is None:
        return not_applicable(reason)
    n, d = len(arrangement), arrangement.dim
    if arrangement.work > MOST_ELIMINATIONS:
        return undecided(f"Counting the flats of {n} hyperplanes in R^{d} takes too long.")
    K = instance.first_layer.complex
    wanted, found = (arrangement.n_regions(), arrangement.n_bounded()), (K.n_regions, K.n_bounded)
    data = {"network": K.network, "regions": found[0], "bounded": found[1]}
    witness = Witness(data, _as_counted)
    text = f"{n} distinct hyperplanes in R^{d} make {wanted[0]} regions, {wanted[1]} bounded"
    if found != wanted:
        return fails(Level.EXACT, f"{text}; found were {found}.", witness.opposite, hyperplanes=n)
    return holds(
        Level.EXACT, f"{text}, as found.", witness, hyperplanes=n, regions=found[0], bounded=found[1]
    )


@claim(
    "count-general-position",
    statement="m >= 1 hyperplanes in general position in R^d make S_d(m) regions, C(m-1, d) of them bounded; "
    "central ones 2 S_{d-1}(m-1), none bounded.",
    hypothesis="the first layer's hyperplanes are in general position, or central and general otherwise",
    source="Zaslavsky 1975; Buck 1943",
    settled_by="enumeration",
    expects={
        **dict.fromkeys(("quick", "one-layer", "cones", "orthants", "absolute", "tent"), Outcome.HOLDS),
        **dict.fromkeys(("grid", "braid", "xor", "three-axes"), Outcome.NOT_APPLICABLE),
    },
)
def count_general_position(instance: Instance) -> Verdict:
    """Judge the first layer alone; general position is decided by the lattice of flats."""
    arrangement, reason = _arrangement(instance)
    if arrangement is None:
        return not_applicable(reason)
    m, d = len(arrangement), arrangement.dim
    if not m:
        return not_applicable("The first layer draws no hyperplane.")
    if arrangement.work > MOST_ELIMINATIONS:
        return undecided(f"General position of {m} hyperplanes in R^{d} takes too long to decide.")
    general = arrangement.characteristic() == simple_characteristic(m, d)
    central = arrangement.is_central and arrangement.n_regions() == central_regions(m, d)
    if not (general or central):
        return not_applicable(f"The {m} hyperplanes in R^{d} are not in general position.")
    wanted = (simple_regions(m, d), comb(m - 1, d)) if general else (central_regions(m, d), 0)
    K = instance.first_layer.complex
    found, kind = (K.n_regions, K.n_bounded), "in general position" if general else "through one point"
    witness = Witness({"network": K.network, "regions": found[0], "bounded": found[1]}, _as_counted)
    text = f"{m} hyperplanes {kind} in R^{d}: {wanted[0]} regions, {wanted[1]} bounded"
    if found != wanted:
        return fails(Level.EXACT, f"{text}; found were {found}.", witness.opposite, hyperplanes=m)
    return holds(
        Level.EXACT, f"{text}, as found.", witness, hyperplanes=m, regions=found[0], bounded=found[1]
    )


def simple_characteristic(m: int, d: int) -> tuple[int, ...]:
    """Return chi of m hyperplanes in general position in R^d, constant first; no other arrangement has it.

    The absolute coefficient of t^{d-k} is at most C(m, k), as every flat of codimension k comes from a set of k
    hyperplanes that no other set shares; all are equal only if each such set meets in a flat of its own, for
    k = d too, and no d + 1 share a point.

    Examples
    --------
    >>> simple_characteristic(3, 2)
    (3, -3, 1)
    """
    return tuple((-1) ** (d - k) * comb(m, d - k) for k in range(d + 1))


def _arrangement(instance: Instance) -> tuple[Arrangement | None, str]:
    """Return the arrangement of the first layer, or None and the reason."""
    first = instance.first_layer
    if first is None:
        return None, "The network does not begin with a layer of elementwise units."
    if instance.domain is not None:
        return None, "The formulas count the regions of the whole space; a domain was given."
    arrangement = arrangement_of(first.net, None)
    return arrangement, "" if arrangement is not None else "The first layer is too large for rationals."


# -- depth -----------------------------------------------------------------------------------------------------


def pattern_bounds(dim: int, widths: tuple[int, ...]) -> tuple[int, int]:
    r"""Return upper bounds on the numbers of regions of ReLU networks: Montufar's, and Serra's, at most as large.

    Montufar 2017, Proposition 3: :math:`\prod_l S_{d_l}(n_l)`, :math:`d_l = \min(n_0, ..., n_{l-1})`. Serra,
    Tjandraatmadja, Ramalingam 2018, Theorem 1: :math:`\sum_{j} \prod_l \binom{n_l}{j_l}` over all j with
    :math:`0 \le j_l \le \min(n_0, n_1 - j_1, ..., n_{l-1} - j_{l-1}, n_l)`.

    Examples
    --------
    >>> pattern_bounds(2, (3,)), pattern_bounds(2, (2, 2))
    ((7, 7), (16, 11))
    """

    @cache
    def serra(layer: int, rank: int) -> int:
        if layer == len(widths):
            return 1
        n = widths[layer]
        return sum(comb(n, j) * serra(layer + 1, min(rank, n - j)) for j in range(min(rank, n) + 1))

    ranks = [min(dim, *widths[:layer]) if layer else dim for layer in range(len(widths))]
    return prod(simple_regions(n, d) for n, d in zip(widths, ranks, strict=True)), serra(0, dim)


def _within_bounds(K: PolyhedralComplex, widths: tuple[int, ...], tents: dict, stack: tuple) -> Check:
    """Compare numbers of regions with their bounds again; those of the constructions are counted anew."""
    if widths != _relu_widths(K.network) or K.n_regions > min(pattern_bounds(K.dim, widths)):
        return REFUTED
    if {depth: _tent_pieces(depth) for depth in tents} != tents or _stack_regions() != stack:
        return REFUTED
    return PROVED if stack[0] >= stack[1] else REFUTED


@claim(
    "count-bounds",
    statement="ReLU networks have no more regions than the bounds of Montufar and of Serra et al.; Montufar's "
    "construction reaches its lower bound; the tent map iterated L times has 2^L pieces on [0, 1].",
    hypothesis="the upper bounds: a chain of dense ReLU layers",
    source="Telgarsky 2016, Lemma 3.10; Montufar et al. 2014, Theorem 4; Montufar 2017; Serra et al. 2018",
    settled_by="enumeration",
    expects=dict.fromkeys(set(NAMED) - {"hardtanh", "maxima"}, Outcome.HOLDS),
)
def count_bounds(instance: Instance) -> Verdict:
    """Judge the network by the upper bounds, and the two constructions by their own counts."""
    widths = _relu_widths(instance.net)
    if not widths:
        return not_applicable("The upper bounds are those of chains of dense ReLU layers.")
    K, (tents, stack) = instance.complex, _constructions()
    upper = pattern_bounds(instance.net.dim_in, widths)
    data = {"K": K, "widths": widths, "tents": {L: 2**L for L in TENTS}, "stack": stack}
    witness = Witness(data, _within_bounds)
    text = (
        f"{K.n_regions} regions, at most {upper[1]} (Serra), {upper[0]} (Montufar); Montufar's construction "
        f"{STACK} has {stack[0]} linear regions, at least {stack[1]}; tents of depth 1 to {TENTS[-1]} have "
        f"{tents[1]} to {tents[TENTS[-1]]} pieces."
    )
    numbers = {"regions": K.n_regions, "serra": upper[1], "montufar": upper[0]}
    fine = K.n_regions <= min(upper) and tents == data["tents"] and stack[0] >= stack[1]
    if not fine:
        return fails(Level.EXACT, text, witness.opposite, **numbers)
    return holds(Level.EXACT, text, witness, **numbers)


@cache
def _constructions() -> tuple[dict[int, int], tuple[int, int]]:
    """Return the pieces of the tents, and the regions of Montufar's construction with their lower bound."""
    return {depth: _tent_pieces(depth) for depth in TENTS}, _stack_regions()


def _relu_widths(net: Network) -> tuple[int, ...]:
    """Return the widths of the hidden layers, empty unless the network is a chain of dense ReLU layers."""
    gates, chain = net.gates, all(step.inputs == (k,) for k, step in enumerate(net.steps))
    relu = all(isinstance(g, Elementwise) and g.name == "relu" and len(g.shape) == 1 for g in gates)
    return tuple(g.size for g in gates) if chain and relu else ()


def _tent_pieces(depth: int) -> int:
    """Return the number of linear pieces of the iterated tent map on [0, 1]."""
    K = enumerate_regions(tent(depth), Polyhedron.box(0, 1, dim=1))
    return len(set(K.linear_regions().tolist()))


def _stack_regions() -> tuple[int, int]:
    """Return the number of linear regions of Montufar's construction, and its lower bound."""
    net, lower = montufar(*STACK)
    return len(set(enumerate_regions(net).linear_regions().tolist())), lower


# -- faces -----------------------------------------------------------------------------------------------------


def _alternates(K: PolyhedralComplex, wanted: int) -> Check:
    """Sum the numbers of faces again."""
    return PROVED if sum((-1) ** k * n for k, n in enumerate(K.f_vector)) == wanted else REFUTED


@claim(
    "euler",
    statement="The faces of the complex sum alternatingly to 1 in a box, to (-1)^d in R^d.",
    hypothesis="at most four dimensions; all of R^d, or a bounded domain",
    source="Euler and Poincare; Buck 1943 for the numbers of a simple arrangement",
    settled_by="the exact numbers of faces of every dimension",
    expects=dict.fromkeys(NAMED, Outcome.HOLDS),
)
def euler(instance: Instance) -> Verdict:
    """Judge by the f-vector."""
    K, d = instance.complex, instance.net.dim_in
    if d > MOST_DIMENSIONS:
        return not_applicable(
            f"Faces are counted up to {MOST_DIMENSIONS} dimensions; the input space is R^{d}."
        )
    bounded = instance.domain is not None
    if bounded and not K.bounded.all():
        return not_applicable("The domain is unbounded, and not the whole space.")
    wanted, faces = 1 if bounded else (-1) ** d, K.f_vector
    witness = Witness({"K": K, "wanted": wanted}, _alternates)
    text = f"The numbers of faces {tuple(int(n) for n in faces)} sum alternatingly to {wanted}."
    if not witness.holds():
        return fails(Level.EXACT, f"The numbers of faces {faces} do not sum to {wanted}.", witness.opposite)
    return holds(Level.EXACT, text, witness, faces=list(faces))
