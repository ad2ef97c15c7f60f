"""Find the rows of polyhedra that coincide: positive multiples of each other, right-hand sides included.

A hash of the normalized rows proposes, rationals decide. Rows without exact numbers never coincide.
"""

from __future__ import annotations

import numpy as np

from polygeom.certificates.facet_stack import BLOCK
from polygeom.certificates.facets import canonical_rows
from polygeom.exact import nearest_float
from polygeom.polyhedron import Polyhedron
from polygeom.rounding import TINY, U, dot_error

__all__ = ["cells_with_like_rows", "representatives"]


def representatives(P: Polyhedron, nonzero: np.ndarray) -> np.ndarray:
    """Return for each row the lowest row that coincides with it, exactly."""
    representative = np.arange(P.n_rows)
    rows = np.flatnonzero(nonzero)
    for cluster in _like_rows(*_reliable(P, rows)):
        members = np.sort(rows[cluster])
        canonical = canonical_rows(P, members)
        lowest: dict[tuple, int] = {}
        for row, key in zip(members.tolist(), canonical or [], strict=False):
            representative[row] = lowest.setdefault(key, row)
    return representative


def _reliable(P: Polyhedron, rows: np.ndarray) -> tuple[np.ndarray | None, ...]:
    """Return A, b and their error bounds of some rows; those lost in their errors anew, from the exact rows.

    A row is lost where the bounds reach a quarter of its size: relative errors then have no second-order terms to
    speak of. Its direction is what counts, so it is scaled to largest entry 1 before it is rounded.
    """
    A, b = P.A[rows], P.b[rows]
    errors = tuple(None if e is None else e[rows] for e in (P.A_error, P.b_error))
    if errors[0] is None or not P.has_exact_rows:
        return A, b, *errors
    lost = np.flatnonzero(4.0 * errors[0].sum(axis=1) >= np.abs(A).sum(axis=1))
    if not len(lost):
        return A, b, *errors
    A, b, errors = A.copy(), b.copy(), tuple(None if e is None else e.copy() for e in errors)
    exact_A, exact_b = P.exact_rows(rows[lost])
    for i, row, side in zip(lost.tolist(), exact_A.table(), exact_b.entries(), strict=True):
        largest = max(abs(a) for a in row)
        A[i], b[i] = [nearest_float(a / largest) for a in row], nearest_float(side / largest)
        for error, values in zip(errors, (A, b), strict=True):
            if error is not None:
                error[i] = U * np.abs(values[i]) + TINY
    return A, b, *errors


def _row_keys(
    A: np.ndarray, b: np.ndarray, A_error: np.ndarray | None = None, b_error: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return numbers on which coincident rows agree within the bounds also returned, shapes (..., m).

    The product of (a, b) with a fixed vector v, :math:`|v_k| \le 1`, over the sum of the sizes of a. Numerator
    and denominator err by at most gamma times :math:`|a|_1 + |b|` and :math:`|a|_1`, so the quotient by gamma
    times twice :math:`1 + |b| / |a|_1`, roundings of the quotient included; errors of rounded rows add their
    share of both, twice over for second-order terms.
    """
    d = A.shape[-1]
    v, ones = np.cos(np.arange(d + 1.0)), np.ones(d)
    scale = np.abs(A) @ ones
    scale = np.where(scale > 0, scale, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        keys = (A @ v[:-1] + b * v[-1]) / scale
        sizes = 1.0 + np.abs(b) / scale
        bounds = dot_error(2.0 * sizes, d + 3)
        if A_error is not None:
            bounds = bounds + 4.0 * (A_error @ ones) / scale * sizes
        if b_error is not None:
            bounds = bounds + 4.0 * b_error / scale
    return keys, bounds


def _like_rows(A: np.ndarray, b: np.ndarray, *errors: np.ndarray | None) -> list[np.ndarray]:
    """Return the sets of rows whose keys agree within their bounds: the only candidates for coincidence."""
    keys, bounds = _row_keys(A, b, *errors)
    order = np.argsort(keys, kind="stable")
    with np.errstate(invalid="ignore"):  # a key that overflowed decides nothing
        linked = ~(np.diff(keys[order]) > 2 * bounds.max(initial=0.0))
    starts = np.flatnonzero(np.concatenate([[True], ~linked]))
    return [part for part in np.split(order, starts[1:]) if len(part) > 1]


def cells_with_like_rows(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cells of a stack in which some keys agree."""
    alike = np.zeros(len(b), dtype=bool)
    step = max(1, BLOCK // max(1, A[:1].size))
    for start in range(0, len(b), step):
        cells = slice(start, start + step)
        keys, bounds = _row_keys(A[cells], b[cells])
        keys.sort(axis=1)
        apart = np.diff(keys, axis=1) > 2 * bounds.max(axis=1, initial=0.0)[:, None]
        alike[cells] = ~apart.all(axis=1)
    return np.flatnonzero(alike)
