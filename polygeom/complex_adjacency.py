r"""Which regions share a facet.

Three ways, by what is known of the cells. All compare codes, none guesses.

**Facets are listed.** Across a facet on which one unit alone vanishes the code differs in that unit: one look into
the hash table of codes, confirmed byte by byte. Where several units vanish (`facet_tied`), a point of the facet is
found in rationals, and the letters beyond it are those of the lexicographic rule (`RationalNetwork.letters`). The
point p is the tied point projected onto the facet's hyperplane. It serves if the letters just inside are the
region's own (so p is in the closed cell) and every row of the cell that vanishes at p and belongs to a unit that
differs beyond is a multiple of the facet's row, or 0. Then the letters beyond are the same all over the facet: by
induction over the layers, a unit that vanishes on all of it has a derivative that does not depend on p, and the
others keep the cell's own letter, near p by assumption and near a generic point of the facet because they do not
vanish there. Where the point does not serve, all facets of the cell are found anew (third way).

Networks too large for rationals: p is where the segment from the witness through the tied point leaves the cell,
enclosed in a box, and the facet's unit is known to vanish there (`KnownTies`). It serves if the letters on either
side are decided and those inside are the region's own. As the box has a width in every coordinate, the letters are
decided for all points of the facet in it: p is in the relative interior of the facet, and what ties there ties on
the whole facet, by structure.

**Facets are not listed, the network is a chain of two-letter units** (`polygeom.complex_flips`). Codes that differ
in one unit, or in one set of coincident units, are candidates; a common facet is proved for each.

**Anything else** (`across_facets`). The facets of the cell by `polygeom.facets`, the codes across them by
`polygeom.exploration`: some milliseconds a cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import freeze
from polygeom.complex_cells import Cells
from polygeom.complex_flips import single_flips
from polygeom.enclosures import enclose_pass
from polygeom.errors import UndecidedError
from polygeom.exact import fractions_array
from polygeom.exploration.neighbours import neighbours_from
from polygeom.gates import MaxGate
from polygeom.network import Network
from polygeom.one_sided import KnownTies, enclose_toward
from polygeom.predicates.facets import facets
from polygeom.rounding import dot_error, gamma, round_up
from polygeom.rows import RowLabels, row_slacks

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["Adjacency", "across_facets", "find_adjacency"]


@dataclass(frozen=True, eq=False)
class Adjacency:
    """Which regions share a facet.

    Attributes
    ----------
    matrix : (N, N) bool scipy.sparse.csr_array
        Symmetric, sorted, without diagonal.
    missing : (M, 2) array
        Facets that lead to no listed region: region, and a unit that draws the facet. None for a complete list;
        else the frontier, as far as facets are known.
    by_pieces : (P,) array
        Regions whose facets were found by `polygeom.facets`, the slow way.
    """

    matrix: scipy.sparse.csr_array
    missing: np.ndarray
    by_pieces: np.ndarray


def find_adjacency(cells: Cells, complete: bool) -> Adjacency:
    """Return the adjacency of the listed regions (module docstring).

    Cost: 0.2 us a facet where facets are listed, 1 ms for each tied one; without facets 10 to 100 us a pair of
    candidates, some milliseconds a cell with tied units.
    """
    if cells.arrays.facet_units is not None:
        return _join_facets(cells, complete)
    flips = single_flips(cells)
    if flips is None:
        return _assemble(cells, _NO_PAIRS, _NO_PAIRS, range(len(cells.arrays)))
    anew = set(np.flatnonzero(flips.tied).tolist()) | set(flips.pairs[flips.undecided, 0].tolist())
    return _assemble(cells, flips.pairs[flips.adjacent], _NO_PAIRS, sorted(anew))


_NO_PAIRS = np.empty((0, 2), dtype=np.int64)


# -- facets are listed -----------------------------------------------------------------------------------------


def _join_facets(cells: Cells, complete: bool) -> Adjacency:
    """Join regions across listed facets."""
    from polygeom.kernels.region_table import AMBIGUOUS

    arrays = cells.arrays
    found = _across_untied(cells, complete)
    regions = np.repeat(np.arange(len(arrays), dtype=np.int32), np.diff(arrays.facet_start))
    for point, facet in zip(arrays.tied_points, np.flatnonzero(arrays.facet_tied).tolist(), strict=True):
        beyond = _beyond_tied(cells, int(regions[facet]), int(arrays.facet_units[facet]), point)
        found[facet] = AMBIGUOUS if beyond is None else cells.find(beyond[None])[0]
    if (found >= 0).all():
        matrix = _csr(found, arrays.facet_start)
        if matrix.nnz == len(found):
            return Adjacency(_symmetric(matrix), _NO_PAIRS, _NO_PAIRS[:, 0])
    # Two convex cells share one facet at most: one of the points was nearer to another facet of the same unit.
    known, n = found >= 0, len(arrays)
    pairs, times = np.unique(regions[known].astype(np.int64) * n + found[known], return_counts=True)
    anew = np.union1d(regions[found == AMBIGUOUS], pairs[times > 1] // n)
    kept = ~np.isin(regions, anew)
    missing = np.column_stack([regions, arrays.facet_units])[kept & (found < 0)]
    return _assemble(cells, np.column_stack([regions, found])[kept & (found >= 0)], missing, anew.tolist())


def _across_untied(cells: Cells, complete: bool) -> np.ndarray:
    """Return for every facet the region in whose code the facet's unit alone differs, or ABSENT, or AMBIGUOUS."""
    from polygeom.kernels.region_table import AMBIGUOUS

    arrays = cells.arrays
    if cells.has_bits:
        return cells.table.across_bits(arrays.facet_start, arrays.facet_units)
    if cells.network.letter_dtype.itemsize > 1:  # the kernel changes one byte
        return np.full(len(arrays.facet_units), AMBIGUOUS, dtype=np.int32)
    reachable = _reachable_letters(cells.network)
    return cells.table.across_letters(arrays.facet_start, arrays.facet_units, reachable, complete)


def _reachable_letters(net: Network) -> np.ndarray:
    """Return (n_units, L, L): to which letters each letter of a unit can change where no other unit is tied.

    Up across a breakpoint to the number of breakpoints up to it, down to the number of those below it; of a
    maximum to any rival.
    """
    most = max(g.n_letters for g in net.gates)
    reachable = np.zeros((net.n_units, most, most), dtype=bool)
    for gate in net.gates:
        own = reachable[gate.columns]
        if isinstance(gate, MaxGate):
            k = gate.n_letters
            own[:, :k, :k] = gate.valid[:, None, :] & ~np.eye(k, dtype=bool)
            continue
        levels, unit = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1), np.arange(gate.size)
        for side, level in enumerate(levels):
            own[unit, side, (levels <= level).sum(axis=0)] = True
            own[unit, side + 1, (levels < level).sum(axis=0)] = True
    return reachable


def _beyond_tied(cells: Cells, region: int, unit: int, near: np.ndarray) -> np.ndarray | None:
    """Return the letters across a tied facet from a homogeneous point near it; None if the point is of no use."""
    code = cells.code(region)
    if not cells.network.exact().is_feasible:
        return _beyond_enclosed(cells, region, unit, near[:-1] / near[-1])
    point = fractions_array(near[:-1]) / fractions_array(near[-1:])[0]
    A, b = cells.exact_rows(code, *_labels(cells, code, [unit]))
    drawn = [(a, side) for a, side in zip(A, b, strict=True) if any(a)]
    normal, side = min(drawn, key=lambda row: (row[1] - row[0] @ point) ** 2 / (row[0] @ row[0]))
    point = point + (side - normal @ point) / (normal @ normal) * normal
    if not np.array_equal(cells.exact_letters(point, -normal), code):
        return None
    beyond = cells.exact_letters(point, normal)
    A, b = cells.exact_rows(code, *_labels(cells, code, np.flatnonzero(beyond != code)))
    pivot = next(c for c, v in enumerate(normal) if v)
    for a, side in zip(A, b, strict=True):
        if a @ point == side and any(a * normal[pivot] != normal * a[pivot]):
            return None
    return beyond


def _beyond_enclosed(cells: Cells, region: int, unit: int, near: np.ndarray) -> np.ndarray | None:
    """Return the letters across a tied facet in floats (module docstring). Cost: ten forward passes."""
    code, inside = cells.code(region), cells.arrays.witnesses[region]
    units, sides = _labels(cells, code, [unit])
    found = _leaving(cells, code, RowLabels(units, sides), inside, near)
    if found is None or region in cells.arrays.exact_witnesses:
        return None
    row, point, error = found
    start, ways = (np.stack([point] * 2), np.stack([error] * 2)), np.stack([inside - near, near - inside])
    toward, source = (ways, np.zeros_like(ways)), None
    if cells.along is not None:
        source = _equal_rows(cells.along)
        start, toward = (
            _copied(cells.along, source, enclosed)
            for enclosed in (cells.along.enclose(*start), cells.along.linear_part.enclose(ways))
        )
    letter = np.repeat(code[[unit]], 2).astype(np.intp)
    tied = KnownTies(np.arange(2), units[[row, row]], sides[[row, row]], letter)
    letters, open_ = enclose_toward(cells.network, start, toward, tied, source)
    return None if open_.any() or not np.array_equal(letters[0], code) else letters[1]


def _equal_rows(along: AffineMap) -> np.ndarray:
    """Return for every entry of the input the first that is the same function on a slice."""
    rows = np.column_stack([along.matrix, along.offset]) + 0.0
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first[group.ravel()]


def _copied(
    along: AffineMap, source: np.ndarray, enclosed: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return enclosures with equal numbers where entries are equal, without errors where they are constant."""
    value, error = (a[:, source] for a in enclosed)
    return value, np.where(along.matrix.any(axis=1), error, 0.0)


def _leaving(
    cells: Cells, code: np.ndarray, labels: RowLabels, inside: np.ndarray, near: np.ndarray
) -> tuple[int, np.ndarray, np.ndarray] | None:
    r"""Return the row that vanishes nearest to a point on the way there from inside, and an enclosure of where.

    Slacks a inside and b at the point vanish at the share a / (a - b) of the way. None if that is not sure.
    """
    ends = np.stack([inside, near])
    at = (ends, np.zeros_like(ends)) if cells.along is None else cells.along.enclose(ends)
    seen = enclose_pass(cells.network, at[0], error=at[1], letters=code, keep=True)
    slack, off = row_slacks(cells.network, code, labels, seen.inputs, homogeneous=False)
    (first_low, last_low), (first_high, last_high) = slack - off, slack + off
    with np.errstate(all="ignore"):
        low = first_low / (first_high - last_low) * (1.0 - gamma(8))
        high = first_high / (first_low - last_high) * (1.0 + gamma(8))
    sure = np.flatnonzero((first_low > 0) & (first_low - last_high > 0) & np.isfinite(high))
    if not len(sure):
        return None
    row = int(sure[np.abs(low + high - 2.0)[sure].argmin()])
    way = near - inside
    step = 0.5 * (low[row] + high[row]) * way
    error = dot_error(np.abs(inside) + np.abs(step), 2)
    error = round_up(error + round_up(high[row] - low[row], 1) * np.abs(way), 4)
    return row, inside + step, error


def _labels(cells: Cells, code: np.ndarray, units: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return unit and side of all rows that some units can draw."""
    labels = []
    for unit in units:
        gate, letter = cells.network.gates[int(cells.network.units.gate_of(unit))], int(code[unit])
        if isinstance(gate, MaxGate):
            sides = np.flatnonzero(gate.valid[unit - gate.first_column])
            labels += [(unit, side) for side in sides.tolist() if side != letter]
        else:
            labels += [(unit, side) for side in (letter - 1, letter) if 0 <= side < len(gate.breakpoints)]
    table = np.array(labels, dtype=np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


# -- any cell --------------------------------------------------------------------------------------------------


def across_facets(cells: Cells, region: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a unit that draws it, and the letters beyond, for each facet of a region that is not the domain's.

    The facet of the region lies in one of the unclipped cell, and one cell is behind all of that.

    Raises
    ------
    UndecidedError
        If facets or letters could not be decided: the network is too large for rational arithmetic.
    """
    piece, inside = cells.piece(region), cells.interior(region)
    found = neighbours_from(piece, inside)
    undecided, kept = len(found.undecided), np.ones(len(found), dtype=bool)
    if cells.domain is not None:
        report = facets(cells.polyhedron(region), interior=inside)
        undecided += len(report.undecided)
        shared = {group[0] for group in report.groups if group[-1] >= len(piece.units)}
        kept = np.isin(found.rows, [row for row in report.facets.tolist() if row not in shared])
    if undecided:
        raise UndecidedError(
            f"Region {region} has {undecided} rows of which it is not known whether they are facets, or what lies "
            "beyond: they are within rounding errors, and the network is too large for rational arithmetic."
        )
    return piece.units[found.rows[kept]], found.codes.letters[kept]


# -- the matrix ------------------------------------------------------------------------------------------------


def _assemble(cells: Cells, pairs: np.ndarray, missing: np.ndarray, anew: Iterable[int]) -> Adjacency:
    """Return the adjacency of known pairs, and of some regions whose facets are found here."""
    import scipy.sparse

    lost, parts = [missing], [pairs]
    for region in anew:
        units, letters = across_facets(cells, region)
        neighbors = cells.find(letters)
        both = np.column_stack([np.full(len(units), region), neighbors])
        parts.append(both[neighbors >= 0])
        lost.append(np.column_stack([np.full(len(units), region), units])[neighbors < 0])
    i, j = np.concatenate(parts).astype(np.int32).T
    N = len(cells.arrays)
    matrix = scipy.sparse.coo_array((np.ones(len(i), dtype=bool), (i, j)), shape=(N, N)).tocsr()
    matrix.sum_duplicates()
    return Adjacency(_symmetric(matrix), freeze(np.concatenate(lost)), np.fromiter(anew, dtype=np.int64))


def _csr(neighbors: np.ndarray, starts: np.ndarray) -> scipy.sparse.csr_array:
    """Return the matrix with an entry for each facet, sorted; facets with the same neighbor share one."""
    import scipy.sparse

    N = len(starts) - 1
    entries = (np.ones(len(neighbors), dtype=bool), neighbors.copy(), starts.copy())
    matrix = scipy.sparse.csr_array(entries, shape=(N, N))
    matrix.sum_duplicates()
    return matrix


def _symmetric(matrix: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """Return the matrix, sorted, with what is known from one side alone on both, and read-only."""
    other = matrix.T.tocsr()  # sorted by the way it is made
    if not (np.array_equal(matrix.indptr, other.indptr) and np.array_equal(matrix.indices, other.indices)):
        matrix = (matrix + other).tocsr()
        matrix.sort_indices()
    for array in (matrix.data, matrix.indices, matrix.indptr):
        freeze(array)
    return matrix
