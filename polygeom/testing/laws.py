"""Laws that hold for every network, as functions: silent where they hold, an AssertionError that says where not.

A message names the region or the unit and ends in the network, written so that it can be typed again.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from polygeom.affine import AffineMap
from polygeom.certificates import Level
from polygeom.claims.verdict import Outcome, Verdict, Witness
from polygeom.complex_checks import check_complex
from polygeom.complexes import PolyhedralComplex
from polygeom.enumeration.regions import enumerate_regions
from polygeom.errors import InputError, PolygeomError
from polygeom.exact import fractions_array, rational_matrix
from polygeom.network import Network
from polygeom.pieces import piece_with_code
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.inclusion import is_equal
from polygeom.testing.wording import broken, named_region, named_unit

__all__ = ["assert_partition", "assert_pullback", "assert_same_complex", "assert_witnessed"]

STRENGTH = (Level.EXACT, Level.CERTIFIED, Level.SAMPLED)
"""Levels, the strongest first."""

MOST_NAMES = 3
"""Regions and units that a message describes."""


def assert_partition(of: Network | PolyhedralComplex, domain: Polyhedron | None = None) -> None:
    """Assert that regions are full-dimensional, disjoint and cover the domain, and that all that is said is right.

    Codes, witnesses, facets, neighbors and boundedness of every region are proved again (`check_complex` without
    sampling).

    Parameters
    ----------
    of : Network or PolyhedralComplex
        All regions of a network are found first.
    domain : Polyhedron, optional
        For a network: the part of the input space looked at; None: all of it.

    Raises
    ------
    AssertionError
        If something is wrong, or was not proved.

    Examples
    --------
    >>> net = Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], None)])
    >>> assert_partition(net)
    """
    K = _complex(of, domain)
    report = check_complex(K, sample=None)
    if not report:
        wrong = [str(item) for item in (*report.refuted, *report.open)]
        raise broken("These regions are no partition", "\n  ".join(wrong + _described(wrong, K)), K.network)


def _complex(of: object, domain: Polyhedron | None) -> PolyhedralComplex:
    if isinstance(of, Network):
        return enumerate_regions(of, domain)
    if not isinstance(of, PolyhedralComplex):
        raise InputError(
            f"assert_partition got a {type(of).__name__}, wanted a Network or a PolyhedralComplex. Remedy: "
            "polygeom.from_torch, Network.from_layers, or enumerate_regions."
        )
    return of


def _described(sentences: list[str], K: PolyhedralComplex) -> list[str]:
    """Return the regions and units that sentences name, with their codes and places."""
    text = " ".join(sentences)
    regions = [int(i) for i in dict.fromkeys(re.findall(r"[Rr]egion (\d+)", text)) if int(i) < K.n_regions]
    units = [int(u) for u in dict.fromkeys(re.findall(r"[Uu]nit (\d+)", text)) if int(u) < K.network.n_units]
    return [
        *(named_region(K, i) for i in regions[:MOST_NAMES]),
        *(named_unit(K.network, u) for u in units[:MOST_NAMES]),
    ]


# -- slices ------------------------------------------------------------------------------------------------------


def assert_pullback(net: Network, along: AffineMap, domain: Polyhedron | None = None) -> None:
    r"""Assert that slicing commutes with everything: the regions of a slice are pulled back from the whole space.

    For every region found on the slice w -> x = M w + c: the letters at x are those at w; the cell of x pulled
    back is the cell of w, as sets; the affine map at x composed with the slice is the affine map at w. All in
    rationals.

    Parameters
    ----------
    net : Network
    along : AffineMap
        Into the input space.
    domain : Polyhedron, optional
        In coordinates of the slice.

    Raises
    ------
    AssertionError
        If one of these is wrong.

    Examples
    --------
    >>> net = Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], None)])
    >>> assert_pullback(net, AffineMap.segment([0, -1], [1, 2]))
    """
    K = enumerate_regions(net, domain, along=along)
    M, c = rational_matrix(along.matrix), rational_matrix(along.offset)
    exact = net.exact()
    for region in range(K.n_regions):
        where = f"on the slice {along.matrix.tolist()} w + {along.offset.tolist()}, {named_region(K, region)}"
        point = (M * rational_matrix(fractions_array(K.interior(region))) + c).entries()
        letters = exact.letters(exact.point(point))
        if not np.array_equal(letters, K.code(region)):
            unit = int(np.flatnonzero(letters != K.code(region))[0])
            text = f"{where}: at its point x, {named_unit(net, unit)} has the letter {letters[unit]}."
            raise broken("Letters are not pulled back", text, net)
        whole = piece_with_code(net, K.code(region), along(K.witnesses[region]))
        part = piece_with_code(net, K.code(region), K.witnesses[region], along)
        if not is_equal(whole.polyhedron.pullback(along), part.polyhedron):
            text = f"{where}: its cell is not the cell of its point x, pulled back."
            raise broken("A cell is not pulled back", text, net)
        (A, a), (B, b) = whole.exact_affine_map(), part.exact_affine_map()
        if A * M != B or A * c + a != b:
            text = f"{where}: its affine map is not that of its point x after the slice."
            raise broken("An affine map is not pulled back", text, net)


# -- two complexes -----------------------------------------------------------------------------------------------


def assert_same_complex(first: PolyhedralComplex, second: PolyhedralComplex, units: object = None) -> None:
    """Assert that two complexes have the same regions, in any order: cells, flags, facets and neighbors.

    Parameters
    ----------
    first, second : PolyhedralComplex
        In the same coordinates; of the same network, or of two whose units correspond.
    units : sequence of int, optional
        ``units[j]`` is the column in `second` of unit j of `first`; all columns in order by default. Columns of
        `second` that do not occur (a copy, a unit that never flips) must not tell regions apart.

    Raises
    ------
    AssertionError
        If a region is in one of them only, or something about it differs.
    InputError
        If `units` are no columns of `second`, one for each unit of `first`.

    Examples
    --------
    >>> one = Network.from_layers([([[1, 0], [0, 1]], [0, 0]), ([[1, 1]], None)])
    >>> other = Network.from_layers([([[0, 2], [1, 0], [0, 1]], [0, 0, 0]), ([[1, 1, 0]], None)])
    >>> assert_same_complex(enumerate_regions(one), enumerate_regions(other), units=[1, 0])
    """
    number = _counterparts(first, second, _columns(first, second, units))
    for i, j in enumerate(number):
        about = f"{named_region(first, i)} of the first, {named_region(second, j)} of the second"
        if not is_equal(first.polyhedron(i), second.polyhedron(j)):
            raise broken("Two cells differ", f"{about}.", first.network, second.network)
        for name in ("bounded", "n_facets"):
            one, other = getattr(first, name)[i], getattr(second, name)[j]
            if one != other:
                text = f"{name} is {one} and {other}: {about}."
                raise broken("What is said about a cell differs", text, first.network, second.network)
    edges = {frozenset((number[i], number[j])) for i, j in first.edges.tolist()}
    odd = sorted(map(sorted, edges ^ {frozenset(edge) for edge in second.edges.tolist()}))
    if odd:
        i, j = odd[0]
        text = f"{named_region(second, i)} and {named_region(second, j)} are neighbors in one of them only."
        raise broken("The dual graphs differ", text, first.network, second.network)


def _columns(first: PolyhedralComplex, second: PolyhedralComplex, units: object) -> np.ndarray:
    """Return the columns of the second network that belong to the units of the first."""
    n, most = first.network.n_units, second.network.n_units
    columns = np.arange(n) if units is None else np.asarray(units)
    right = columns.shape == (n,) and columns.dtype.kind in "iu" and len(set(columns.tolist())) == n
    if not right or (n and not 0 <= columns.min() <= columns.max() < most):
        raise InputError(
            f"units is {units!r}; wanted {n} different columns of the second network, which has {most}, one for "
            "each unit of the first."
        )
    return columns


def _counterparts(first: PolyhedralComplex, second: PolyhedralComplex, columns: np.ndarray) -> list[int]:
    """Return the region of the second with the letters of each region of the first."""
    nets = first.network, second.network
    by_code: dict[tuple, int] = {}
    for j in range(second.n_regions):
        code = tuple(second.code(j)[columns].tolist())
        if code in by_code:
            text = f"{named_region(second, by_code[code])} and {named_region(second, j)} of the second."
            raise broken("Two regions have the same letters on the units that correspond", text, *nets)
        by_code[code] = j
    number, taken = [], set()
    for i in range(first.n_regions):
        j = by_code.get(tuple(first.code(i).tolist()))
        if j is None or j in taken:
            kind = "has no counterpart" if j is None else "is listed twice"
            raise broken(f"A region of the first {kind}", f"{named_region(first, i)}.", *nets)
        number.append(j)
        taken.add(j)
    if len(taken) < second.n_regions:
        j = min(set(range(second.n_regions)) - taken)
        raise broken("A region of the second has no counterpart", f"{named_region(second, j)}.", *nets)
    return number


# -- verdicts ----------------------------------------------------------------------------------------------------

_UNREADABLE = (ArithmeticError, AttributeError, LookupError, PolygeomError, TypeError, ValueError)
"""What a rule may raise when the data it reads is not there."""


def assert_witnessed(verdict: Verdict) -> None:
    """Assert that a verdict earned its level: its witness is there, is read, and holds when checked again.

    An answer at EXACT or CERTIFIED needs a witness. Every witness must hold at no weaker level, and must not hold
    any more when its data is taken away: a rule that reads nothing proves nothing.

    Raises
    ------
    AssertionError
        If one of these is wrong.

    Examples
    --------
    >>> from polygeom.claims import verify
    >>> net = Network.from_layers([([[1], [-1]], [0, 0]), ([[1, 1]], None)])
    >>> assert_witnessed(verify("partition", net=net))
    """
    if verdict.outcome not in (Outcome.HOLDS, Outcome.FAILS):
        return
    if verdict.witness is None:
        if verdict.level is not Level.SAMPLED:
            raise broken("A verdict rests on no witness", str(verdict))
        return
    try:
        check = verdict.witness.holds()
    except PolygeomError as error:
        raise broken("The witness of a verdict does not hold", f"{verdict} It is none: {error}") from error
    if not check:
        raise broken("The witness of a verdict does not hold", f"{verdict} Re-checking it gave {check}.")
    if STRENGTH.index(check.level) > STRENGTH.index(verdict.level):
        raise broken("A verdict did not earn its level", f"{verdict} Its witness is {check.level.value}.")
    if not _is_refused(replace(verdict.witness, data=dict.fromkeys(verdict.witness.data))):
        raise broken("The witness of a verdict is not read", f"{verdict} Its rule holds for no data at all.")


def _is_refused(witness: Witness) -> bool:
    try:
        return not witness.holds()
    except _UNREADABLE:
        return True
