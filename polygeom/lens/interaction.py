r"""How much directions in spline-code space interact: second differences of the affine maps of codes.

For directions U, V and a code s

.. math:: D_U D_V T(s) = T(s[U, V]) - T(s[U]) - T(s[V]) + T(s),

defined if U and V agree where they overlap. It is what is missing when their effects on the affine map are added.

*One layer.* Let all units of U and V be of one layer (the units of one gate), and t the rest of the code. T is
affine in the indicators of this layer's letters, with coefficients that depend on t alone
(`polygeom.lens.code_maps`). At a unit that only U names, the indicators of the four codes cancel in pairs,
as s[U,V] agrees with s[U] there and s[V] with s; likewise for V; so **disjoint units of one layer never
interact**, whatever they do: that they do not is no evidence of independence. At a unit that both name,
the first three indicators are equal: what is left is that of s minus that of the target, so
:math:`D_U D_V T = -D_{U \cap V} T` for directions of one layer.

*Different layers.* Two units i, j of a chain interact by the product of what reaches i, the Jacobian from i to j
on s, and what j hands on: not at all if no path of open units leads from one to the other, and else in general.

*Size.* :math:`D_U D_V T = D_{U \cup V} T - D_U T - D_V T`, so

.. math:: 0 \le \frac{|D_U D_V T|}{|D_U T| + |D_V T| + |D_{U \cup V} T|} \le 1

in every norm: the `strength`. The norm is the root mean square of :math:`|Tx|` over given points x (rank-deficient
points give a seminorm), or the Frobenius norm of [A | c].

Floats decide that a second difference is not zero, beyond their error bounds; that it is zero is proved in
rationals, or stays undecided.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_points, freeze
from polygeom.enclosures import OVERFLOW_IS_UNKNOWN
from polygeom.errors import InputError
from polygeom.exact import fraction, nearest_float
from polygeom.lens.code_directions import Direction, UnitFlip, as_direction
from polygeom.lens.code_maps import CodeCell, code_cell, enclosed_maps, exact_map, one_code, some_codes
from polygeom.lens.saved import Saved
from polygeom.network import Network, as_network
from polygeom.rounding import gamma, round_up

if TYPE_CHECKING:
    import flint
    import networkx

__all__ = ["VANISHES", "CodeInteraction", "Interactions", "code_interaction", "interactions"]

UNDECIDED, NONZERO, VANISHES, UNDEFINED = -1, 0, 1, 2
"""What is known of a pair: nothing yet; a second difference is not zero; all are zero; there is none."""


# -- one pair at one code --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CodeInteraction:
    """The second difference of the affine map of one code along two directions, in rationals.

    Attributes
    ----------
    codes : (4, n_units) array
        s, s[U], s[V] and s[U, V].
    value : (dim_out, dim_in + 1) array of Fraction
        The second difference of [A | c].
    cells : tuple of CodeCell
        For each of the four codes, whether any input has it.
    strength : float
        Relative, between 0 and 1, in the Frobenius norm.
    """

    codes: np.ndarray
    value: np.ndarray = field(repr=False)
    cells: tuple[CodeCell, ...] = field(repr=False)
    strength: float

    @property
    def vanishes(self) -> bool:
        """Whether the second difference is zero, exactly."""
        return not self.value.any()


def code_interaction(net: Network, code: object, U: Direction, V: Direction) -> CodeInteraction:
    """Return the exact second difference of one code's affine map along two directions.

    Raises
    ------
    InputError
        If the directions do not agree where they overlap, or on letters that are no code.
    TooLargeError
        If the network is too large for rational arithmetic.

    Notes
    -----
    Cost: four rational Jacobians and four questions of feasibility.

    Examples
    --------
    Two units in a chain interact; two of one layer do not:

    >>> net = Network.from_layers([([[1], [-1]], [0, 0]), ([[2, 1]], [1]), ([[3]], [0])])
    >>> from polygeom.lens.code_directions import CodeDirection
    >>> on = [CodeDirection([unit], [1]) for unit in range(3)]
    >>> chain = code_interaction(net, [0, 0, 0], on[0], on[2])
    >>> chain.value, chain.vanishes, [cell.is_empty for cell in chain.cells]
    (array([[Fraction(6, 1), Fraction(0, 1)]], dtype=object), False, [True, True, False, False])
    >>> code_interaction(net, [0, 0, 0], on[0], on[1]).vanishes
    True
    """
    as_network(net)
    letters = one_code(net, code)
    U, V = as_direction(net, U), as_direction(net, V)
    if not U.agrees(V):
        raise InputError(f"{U} and {V} want different letters of one unit: there is no second difference.")
    codes = np.stack([letters, U.follow(letters), V.follow(letters), U.follow(V.follow(letters))])
    codes = some_codes(net, codes, "a direction")
    base, by_u, by_v, by_both = maps = [exact_map(net, c) for c in codes]
    second = by_both - by_u - by_v + base
    value = np.array([fraction(v) for v in second.entries()], dtype=object).reshape(net.dim_out, -1)
    entries = [[fraction(v) for v in m.entries()] for m in maps]
    largest = max((abs(v) for row in entries for v in row), default=Fraction(0)) or Fraction(1)
    strength = _strengths(*np.array([[nearest_float(v / largest) for v in row] for row in entries]))
    cells = tuple(code_cell(net, c) for c in codes)
    return CodeInteraction(freeze(codes), freeze(value), cells, float(strength))


def _strengths(*corners: np.ndarray) -> np.ndarray:
    """Return relative second differences over the last axis (maps of s, s[U], s[V], s[U, V]); 0 without change.

    They do not depend on scale: the largest entry is divided by first, so that no square overflows.
    """
    largest = np.max([np.abs(corner).max(axis=-1, initial=0.0) for corner in corners], axis=0)[..., None]
    base, by_u, by_v, by_both = (
        np.divide(corner, largest, out=np.zeros_like(corner), where=largest > 0) for corner in corners
    )
    second = np.linalg.norm((by_both - by_u) - (by_v - base), axis=-1)
    whole = sum(np.linalg.norm(moved - base, axis=-1) for moved in (by_u, by_v, by_both))
    return np.divide(second, whole, out=np.zeros_like(whole), where=whole > 0)


# -- many pairs at many codes ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Interactions(Saved):
    """Interactions of all pairs of directions, at many codes.

    Attributes
    ----------
    strength : (K, K) array
        Mean relative second difference over the codes where both directions change something; NaN where there is
        no such code, the directions do not agree, or a map overflows. The diagonal is NaN.
    strengths : (B, K, K) array
        At every distinct code, in lexicographic order; NaN likewise.
    known : (K, K) integer array
        1: all second differences are proved to vanish, 0: one is proved not to, -1: undecided, 2: there is none
        (directions that do not agree, or that never both change something).
    one_layer : (K, K) bool array
        Disjoint units of one and the same layer: these vanish by a theorem, which says nothing about the network.
    names : tuple of str
        What the directions are called.
    """

    strength: np.ndarray
    strengths: np.ndarray = field(repr=False)
    known: np.ndarray
    one_layer: np.ndarray = field(repr=False)
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        pairs = self.known[np.triu_indices(len(self), 1)]
        counts = [int((pairs == state).sum()) for state in (NONZERO, VANISHES, UNDECIDED)]
        return "Interactions({} directions: {} pairs interact, {} do not, {} undecided)".format(
            len(self), *counts
        )

    @property
    def graph(self) -> networkx.Graph:
        """Directions as nodes 0 to K - 1, an edge for every pair not proved to vanish, weighted by strength."""
        import networkx

        graph = networkx.Graph()
        graph.add_nodes_from((k, {"name": name}) for k, name in enumerate(self.names))
        rows, columns = np.nonzero(np.triu((self.known == NONZERO) | (self.known == UNDECIDED), 1))
        graph.add_edges_from(
            (
                int(j),
                int(k),
                {"weight": float(self.strength[j, k]), "proved": bool(self.known[j, k] == NONZERO)},
            )
            for j, k in zip(rows, columns, strict=True)
        )
        return graph

    def components(self) -> tuple[tuple[int, ...], ...]:
        """Return the connected components of the graph, the largest first."""
        import networkx

        return _sorted(networkx.connected_components(self.graph))

    def bridging(self) -> tuple[int, ...]:
        """Return the directions without which a component falls apart (articulation points)."""
        import networkx

        return tuple(sorted(networkx.articulation_points(self.graph)))

    def communities(self, seed: int = 0) -> tuple[tuple[int, ...], ...]:
        """Return communities by Louvain's method on the strengths, the largest first.

        References
        ----------
        Blondel, Guillaume, Lambiotte, Lefebvre 2008, Fast unfolding of communities in large networks.
        """
        import networkx

        return _sorted(networkx.community.louvain_communities(self.graph, weight="weight", seed=seed))

    def modularity(self, seed: int = 0) -> float:
        """Return how much more weight lies within communities than chance would put there; 0 without edges."""
        import networkx

        graph = self.graph
        if not graph.number_of_edges():
            return 0.0
        return float(networkx.community.modularity(graph, self.communities(seed), weight="weight"))


def _sorted(sets: object) -> tuple[tuple[int, ...], ...]:
    return tuple(sorted((tuple(sorted(s)) for s in sets), key=lambda s: (-len(s), s)))


def interactions(
    net: Network,
    codes: object,
    directions: Sequence[Direction],
    points: object = None,
    *,
    exact: bool = True,
) -> Interactions:
    """Measure how all pairs of directions interact, starting from every one of some codes.

    Parameters
    ----------
    net : Network
    codes : (B, n_units) array or SplineCodes
        Usually those of data.
    directions : sequence of CodeDirection or of UnitFlip
    points : (N, dim_in) array, optional
        Where affine maps are compared; by default by their entries.
    exact : bool
        Whether rationals prove that second differences vanish (networks small enough); otherwise such pairs are
        undecided unless they are disjoint and of one layer.

    Raises
    ------
    InputError
        If codes or directions are not of the network's units, points not of its inputs, or there are less than
        two directions.

    Notes
    -----
    Cost: B (K^2 + K + 2) / 2 affine maps in floats; four rational ones for each second difference within rounding.

    Examples
    --------
    >>> from polygeom.lens.code_directions import unit_flips
    >>> net = Network.from_layers([([[1], [-1]], [0, 0]), ([[2, 1]], [1]), ([[3]], [0])])
    >>> found = interactions(net, [[0, 0, 1]], unit_flips(net))
    >>> found
    Interactions(3 directions: 2 pairs interact, 1 do not, 0 undecided)
    >>> found.bridging()
    (2,)
    """
    as_network(net)
    bases = np.unique(some_codes(net, codes), axis=0)
    if not isinstance(directions, Iterable):
        raise InputError(f"directions is a {type(directions).__name__}, wanted a sequence of directions.")
    directions = tuple(as_direction(net, one) for one in directions)
    K = len(directions)
    if K < 2:
        raise InputError(f"interactions got {K} directions, wanted at least two.")
    pair = _Pairs(net, bases, directions, _whitened(net, points), exact)
    strengths = np.full((len(bases), K, K), np.nan)
    known = np.full((K, K), UNDEFINED, dtype=np.int8)
    same = np.zeros((K, K), dtype=bool)
    for j, U in enumerate(directions):
        for k in range(j + 1, K):
            same[j, k] = same[k, j] = _disjoint_in_one_layer(net, U, directions[k])
            column, state = pair.measured(j, k)
            strengths[:, j, k] = strengths[:, k, j] = column
            known[j, k] = known[k, j] = state
    defined = ~np.isnan(strengths)
    total, n = np.where(defined, strengths, 0.0).sum(axis=0), defined.sum(axis=0)
    mean = np.divide(total, n, out=np.full((K, K), np.nan), where=n > 0)
    names = tuple(str(d.unit) if isinstance(d, UnitFlip) else str(k) for k, d in enumerate(directions))
    return Interactions(freeze(mean), freeze(strengths), freeze(known), freeze(same), names)


def _whitened(net: Network, points: object) -> np.ndarray | None:
    """Return R with |T R| the root mean square of |T x| over points x, in homogeneous coordinates."""
    if points is None:
        return None
    X = as_points(points, "points", net.dim_in)
    return np.linalg.qr(np.column_stack([X, np.ones(len(X))]) / np.sqrt(len(X)), mode="r").T


def _disjoint_in_one_layer(net: Network, U: Direction, V: Direction) -> bool:
    gates = np.unique(net.units.gate_of(np.concatenate([U.units, V.units])))
    return len(gates) == 1 and not np.intersect1d(U.units, V.units).size


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Affine maps at all bases and along all directions, kept while pairs are measured."""

    net: Network
    bases: np.ndarray
    directions: tuple[Direction, ...]
    root: np.ndarray | None
    exact: bool

    def __post_init__(self) -> None:
        moved = [self.bases, *(d.follow(self.bases) for d in self.directions)]
        some_codes(self.net, np.concatenate(moved), "a direction")
        object.__setattr__(self, "_moved", moved)
        object.__setattr__(self, "_maps", [enclosed_maps(self.net, codes) for codes in moved])
        object.__setattr__(self, "_exact", {})

    def _exact_map(self, code: np.ndarray) -> flint.fmpq_mat:
        """Return an exact map, each computed once: pairs share three of four corners with others."""
        key = code.tobytes()
        if key not in self._exact:
            self._exact[key] = exact_map(self.net, code)
        return self._exact[key]

    def measured(self, j: int, k: int) -> tuple[np.ndarray, int]:
        """Return the strength of a pair at every base, and what is proved of it."""
        U, V = self.directions[j], self.directions[k]
        strengths = np.full(len(self.bases), np.nan)
        changed = [(self._moved[i + 1] != self.bases).any(axis=1) for i in (j, k)]
        both = np.flatnonzero(changed[0] & changed[1])
        if not U.agrees(V) or not both.size:
            return strengths, UNDEFINED
        if _disjoint_in_one_layer(self.net, U, V):
            strengths[both] = 0.0
            return strengths, VANISHES
        last = U.follow(V.follow(self.bases[both]))
        values, errors = zip(
            *((v[both], e[both]) for v, e in (self._maps[0], self._maps[j + 1], self._maps[k + 1])),
            enclosed_maps(self.net, last),
            strict=True,
        )
        normed = values if self.root is None else [v @ self.root for v in values]
        known = np.all([np.isfinite(e).all(axis=(1, 2)) for e in errors], axis=0)  # else something overflowed
        found = _strengths(*(v.reshape(len(both), -1) for v in normed))
        strengths[both] = np.where(known, found, np.nan)
        state = self._proved(values, errors, both, (j, k), last)
        if state == VANISHES:
            strengths[both] = 0.0
        return strengths, state

    @OVERFLOW_IS_UNKNOWN
    def _proved(
        self,
        values: tuple[np.ndarray, ...],
        errors: tuple[np.ndarray, ...],
        both: np.ndarray,
        pair: tuple[int, int],
        last: np.ndarray,
    ) -> int:
        """Decide whether all second differences vanish: by floats if one does not, else in rationals.

        Three additions of four terms t: the rounding error is at most gamma(3) sum |t|, and gamma(8) pays for
        the arithmetic on the bound.
        """
        base, by_u, by_v, by_both = values
        second = (by_both - by_u) - (by_v - base)
        magnitude = sum(np.abs(v) for v in values)
        bound = round_up(sum(errors) + gamma(8) * magnitude, 8)
        if (np.abs(second) > bound).any():
            return NONZERO
        if not self.exact or not self.net.exact().is_feasible:
            return UNDECIDED
        j, k = pair
        for row, i in enumerate(both):
            corners = (self._moved[0][i], self._moved[j + 1][i], self._moved[k + 1][i], last[row])
            a, b, c, d = (self._exact_map(code) for code in corners)
            if any((d - b - c + a).entries()):
                return NONZERO
        return VANISHES
