r"""Pairs of listed cells that differ in one unit, and proofs that they share a facet.

For chains of two-letter units (`polygeom.enumeration.chain`) whose cells come without facets.

Which pairs there can be
------------------------
Where no two units are tied on a cell (no two of their rows are multiples of each other, none is 0), one unit
vanishes on each facet and its letter alone changes. Units of the first layer whose rows are multiples of each
other are tied on every cell and flip together, so they count as one. Whether anything else is tied on a cell
is decided modulo a prime (`polygeom.kernels.modular_rows`).

Which of them are adjacent
--------------------------
Let two cells differ exactly in a unit u (or such a set), with witnesses v and w. Both lie in the same cell of the
layers before, where z_u is affine, so on the segment from v to w it changes sign once, at

.. math:: p = v + s (w - v), \qquad s = \frac{|z_u(v)|}{|z_u(v)| + |z_u(w)|}.

If all other letters at p are decided and unchanged, p lies in the relative interior of a common facet. In the last
layer that is always so: the other pre-activations are affine on the whole segment and have equal signs at both
ends. Before it, p is enclosed in a box (bounds on z_u at both ends bound s, which grows with the first and falls
with the second; at most eight roundings) and an enclosed pass over the box decides.

Pairs that are left are decided by the rows of one of the cells, in stacks: `polygeom.facets_batch` proposes
witnesses and multipliers for the rounded rows, `prove_stack` proves them for all rows within the rounding errors.
A row that is a facet of an untied cell leads to the other cell of the pair; a redundant one to none.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd

import numpy as np

from polygeom.certificates.facet_stack import FACET, REDUNDANT, CellStack, prove_stack
from polygeom.complex_cells import Cells
from polygeom.enumeration.chain import DenseChain, dense_chain
from polygeom.exact import ScaledMatrix
from polygeom.pieces import points_at_once
from polygeom.predicates.facets import facets_batch
from polygeom.rounding import dot_error, gamma, round_up

__all__ = ["Flips", "single_flips"]


@dataclass(frozen=True, eq=False)
class Flips:
    """Pairs of untied cells that differ in one unit or one set of coincident units.

    Attributes
    ----------
    pairs : (P, 2) array of int
    adjacent, undecided : (P,) bool arrays
        Where a common facet was proved, and where it was neither proved nor refuted.
    tied : (N,) bool array
        Cells on which other units may be tied; they are in no pair.
    """

    pairs: np.ndarray
    adjacent: np.ndarray
    undecided: np.ndarray
    tied: np.ndarray


def single_flips(cells: Cells) -> Flips | None:
    """Return the pairs of cells that differ in one unit, or None if the network is no chain.

    Cost: 0.1 us a cell and unit; 1 us a cell and thousand weights; three forward passes a pair of a unit that is
    not in the last layer, and 0.2 ms for each cell where these do not decide.
    """
    chain = dense_chain(cells.network, cells.along)
    if chain is None:
        return None
    sets = _flipping_sets(chain)
    masks = np.zeros((len(sets), cells.network.n_units), dtype=np.uint8)
    for g, members in enumerate(sets):
        masks[g, members] = 1
    tied = _tied_cells(cells, chain, np.array([members[0] for members in sets], dtype=np.intp))
    i, j, g = cells.table.flips(cells.pack(masks))
    free = ~(tied[i] | tied[j])
    i, j, g = i[free], j[free], g[free]
    columns = np.array([members[0] for members in sets], dtype=np.intp)
    adjacent = columns[g] >= chain.layers[-1].first_column
    rest = np.flatnonzero(~adjacent)
    at_once = points_at_once(cells.network)
    for first in range(0, len(rest), at_once):
        chosen = rest[first : first + at_once]
        adjacent[chosen] = _proved_by_segment(cells, i[chosen], j[chosen], masks[g[chosen]].astype(bool))
    undecided = ~adjacent
    rest = np.flatnonzero(undecided)
    facet, redundant = _decided_by_rows(cells, chain, columns, i[rest], g[rest])
    adjacent[rest], undecided[rest] = facet, ~(facet | redundant)
    return Flips(np.column_stack([i, j]), adjacent, undecided, tied)


def _flipping_sets(chain: DenseChain) -> list[list[int]]:
    """Return the columns that flip together: coincident units of the first layer, every other unit by itself.

    Units that read nothing never flip.
    """
    weight, bias = chain.exact_maps[0]
    rows = zip(weight.numerators.table(), bias.numerators.entries(), strict=True)
    sets: dict[tuple[int, ...], list[int]] = {}
    for unit, (slopes, offset) in enumerate(rows):
        if any(slopes):
            row = [int(v * bias.denominator) for v in slopes] + [int(offset * weight.denominator)]
            divisor = gcd(*row) * (1 if next(v for v in row if v) > 0 else -1)
            sets.setdefault(tuple(v // divisor for v in row), []).append(unit)
    found = list(sets.values())
    for layer, part in enumerate(chain.layers[1:], start=1):
        moves = _moves(chain.exact_maps[layer][0]).any(axis=1)
        found += [[part.first_column + unit] for unit in np.flatnonzero(moves).tolist()]
    return found


# -- ties modulo a prime ---------------------------------------------------------------------------------------


def _tied_cells(cells: Cells, chain: DenseChain, columns: np.ndarray) -> np.ndarray:
    """Return on which cells two of some units may be tied, or one may be 0."""
    from polygeom.kernels.modular_rows import PRIME, have_ties, push_layer

    start = np.random.default_rng(0).integers(1, PRIME, (chain.dim + 1, 2))
    maps = []
    for layer, part in enumerate(chain.layers):
        weight, bias = chain.exact_maps[layer]
        slopes = np.array([[_residue(Fraction(v), PRIME) for v in row] for row in part.slopes.tolist()])
        maps.append(
            (_residues(weight, PRIME), _residues(bias, PRIME)[:, 0], _moves(weight), slopes, part.slopes != 0)
        )
    tied = np.zeros(len(cells.arrays), dtype=bool)
    widest = max(len(start), *(part.width for part in chain.layers), len(columns))
    at_once = max(1, 2**22 // widest)
    for first in range(0, len(tied), at_once):
        cut = slice(first, min(first + at_once, len(tied)))
        letters = cells.unpack(cells.arrays.packed[cut])
        values = np.repeat(start[None], len(letters), axis=0)
        live = np.ones((len(letters), chain.dim), dtype=bool)
        forms, alive = [], []
        for part, (weight, bias, moves, slopes, open_) in zip(chain.layers, maps, strict=True):
            z, moving = push_layer(weight, bias, moves, values, live)
            forms.append(z)
            alive.append(moving)
            own = letters[:, part.first_column : part.first_column + part.width].astype(np.intp)
            unit = np.arange(part.width)
            opened = z * slopes[own, unit][:, :, None] % PRIME
            values = np.concatenate([opened, values[:, -1:]], axis=1)
            live = moving & open_[own, unit]
        forms, alive = np.concatenate(forms, axis=1), np.concatenate(alive, axis=1)
        tied[cut] = have_ties(
            np.ascontiguousarray(forms[:, columns]), np.ascontiguousarray(alive[:, columns])
        )
    return tied


def _moves(matrix: ScaledMatrix) -> np.ndarray:
    """Return which entries of an exact matrix are not 0."""
    return np.array([v != 0 for v in matrix.numerators.entries()], dtype=bool).reshape(matrix.shape)


def _residues(matrix: ScaledMatrix, prime: int) -> np.ndarray:
    """Return an exact matrix modulo a prime."""
    inverse = pow(int(matrix.denominator), -1, prime)
    entries = [int(v % prime) * inverse % prime for v in matrix.numerators.entries()]
    return np.array(entries, dtype=np.int64).reshape(matrix.shape)


def _residue(value: Fraction, prime: int) -> int:
    return value.numerator % prime * pow(value.denominator, -1, prime) % prime


# -- proofs on segments ----------------------------------------------------------------------------------------


def _proved_by_segment(cells: Cells, i: np.ndarray, j: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Tell for which pairs of cells the segment between the witnesses proves a common facet.

    Parameters
    ----------
    i, j : (P,) arrays
    flips : (P, n_units) bool array
        The units that differ: on the facet they vanish, all others must be decided.
    """
    start, stop = cells.arrays.witnesses[i], cells.arrays.witnesses[j]
    unit = flips.argmax(axis=1)
    size, size_error, up = _sizes(cells, start, unit)
    far, far_error, down = _sizes(cells, stop, unit)
    proved = (size > size_error) & (far > far_error) & (up != down)
    exact = np.array(sorted(cells.arrays.exact_witnesses), dtype=np.intp)  # their floats may lie elsewhere
    proved &= ~(np.isin(i, exact) | np.isin(j, exact))
    if not proved.any():
        return proved
    i, start, stop, flips = i[proved], start[proved], stop[proved], flips[proved]
    (size, size_error), (far, far_error) = (
        (size[proved], size_error[proved]),
        (far[proved], far_error[proved]),
    )
    with np.errstate(over="ignore", invalid="ignore"):
        high = (size + size_error) / ((size + size_error) + (far - far_error)) * (1.0 + gamma(8))
        low = (size - size_error) / ((size - size_error) + (far + far_error)) * (1.0 - gamma(8))
        way = stop - start
        step = 0.5 * (low + high)[:, None] * way
        error = dot_error(np.abs(start) + np.abs(step), 2)
        error = round_up(error + round_up(high - low, 1)[:, None] * np.abs(way), 4)
        point = start + step
    sound = np.isfinite(point).all(axis=1) & np.isfinite(error).all(axis=1)
    point[~sound], error[~sound] = 0.0, 0.0
    seen = cells.enclosed_pass(point, error)
    codes = cells.unpack(cells.arrays.packed[i])
    proved[proved] = sound & (((seen.letters == codes) & ~seen.undecided) | flips).all(axis=1)
    return proved


def _sizes(cells: Cells, points: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the absolute pre-activation of a unit at each point, its error bound, and whether it is positive."""
    seen = cells.enclosed_pass(points, np.zeros_like(points))
    row = np.arange(len(points))
    z = np.concatenate([s.value.reshape(len(points), -1) for s in seen.inputs], axis=1)[row, unit]
    error = np.concatenate([s.error.reshape(len(points), -1) for s in seen.inputs], axis=1)[row, unit]
    return np.abs(z), error, z > 0


# -- proofs from the rows of cells -------------------------------------------------------------------------------


def _decided_by_rows(
    cells: Cells, chain: DenseChain, columns: np.ndarray, regions: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tell which rows of some untied cells are facets for sure, and which are redundant for sure.

    Parameters
    ----------
    columns : (m,) array
        One unit of every set that flips together; their rows are all that the cells need.
    regions, rows : (P,) arrays
        The questions: a region and a row (an index into `columns`).
    """
    facet, redundant = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    if cells.domain is not None and cells.domain.is_rounded:
        return facet, redundant
    asked, place = np.unique(regions, return_inverse=True)
    at_once = max(1, 2**21 // ((len(columns) + 1) * (chain.dim + 1)))
    for first in range(0, len(asked), at_once):
        cut = asked[first : first + at_once]
        status = _row_statuses(cells, chain, columns, cut)
        own = (place >= first) & (place < first + len(cut))
        answers = status[place[own] - first, rows[own]]
        facet[own], redundant[own] = answers == FACET, answers == REDUNDANT
    return facet, redundant


def _row_statuses(cells: Cells, chain: DenseChain, columns: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Return FACET, REDUNDANT or neither for rows of some columns on some cells, (N, m), proved for true rows."""
    status = np.zeros((len(regions), len(columns)), dtype=np.int8)
    stack, active = _row_stack(cells, chain, columns, regions)
    inside = cells.arrays.witnesses[regions] / chain.scale
    low, _ = stack.slacks(inside)
    clear = np.flatnonzero(((low > 0) | ~active).all(axis=1) & np.isfinite(stack.A).all(axis=(1, 2)))
    if not len(clear):
        return status
    A, b, A_error, b_error = (a[clear] for a in (stack.A, stack.b, stack.A_error, stack.b_error))
    proofs = facets_batch(A, b, inside[clear]).proofs
    lead = proofs.representative == np.arange(A.shape[1])
    proved = prove_stack(CellStack(A, b, A_error, b_error), proofs, active[clear] & lead)
    found = np.where(proved & lead & active[clear], proofs.status, 0)
    status[clear] = found[:, : len(columns)]
    return status


def _row_stack(
    cells: Cells, chain: DenseChain, columns: np.ndarray, regions: np.ndarray
) -> tuple[CellStack, np.ndarray]:
    """Return the rows of some units, then of the domain, on some cells, and which of them depend on y.

    A row that no path leads to is constant; it is replaced by 0 <= 1.
    """
    letters, N = cells.unpack(cells.arrays.packed[regions]), len(regions)
    forms, alive = [], []
    arriving, live = np.eye(chain.dim + 1)[None, :-1], np.ones((1, chain.dim), dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for part in chain.layers:
            form = np.broadcast_to(part.weight @ arriving, (N, part.width, chain.dim + 1)).copy()
            form[:, :, -1] += part.bias
            moving = np.broadcast_to((live[:, None, :] & (part.weight != 0)).any(axis=2), (N, part.width))
            own = letters[:, part.first_column : part.first_column + part.width].astype(np.intp)
            slopes = part.slopes[own, np.arange(part.width)]
            arriving, live = slopes[:, :, None] * form, moving & (slopes != 0)
            forms.append(form)
            alive.append(moving)
        outward = np.where(letters[:, columns] == 1, -1.0, 1.0)[:, :, None]
        form = outward * np.concatenate(forms, axis=1)[:, columns]
        error = np.concatenate([part.row_error for part in chain.layers])[columns]
        active = np.concatenate(alive, axis=1)[:, columns]
        form = np.where(active[:, :, None], form, np.eye(chain.dim + 1)[-1] * -1.0)
        error = np.where(active, error, 0.0)
        if cells.domain is not None:
            walls = np.column_stack([cells.domain.A * chain.scale, -cells.domain.b])
            form = np.concatenate([form, np.broadcast_to(walls, (N, *walls.shape))], axis=1)
            active = np.concatenate(
                [active, np.broadcast_to(cells.domain.A.any(axis=1), (N, len(walls)))], axis=1
            )
            error = np.concatenate([error, np.zeros((N, len(walls)))], axis=1)
    A_error = np.repeat(error[:, :, None], chain.dim, axis=2)
    return CellStack(np.ascontiguousarray(form[:, :, :-1]), -form[:, :, -1], A_error, error), active
