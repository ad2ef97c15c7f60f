r"""Prove facets and redundant rows of a stack of cells at once, in floats with rounding bounds.

For each cell :math:`P = \{x : A x \le b\}` with interior point :math:`x_0` put
:math:`s = b - A x_0 \in [s^-, s^+]`, :math:`y = x - x_0`. All statements hold for every matrix and right-hand
side within the row errors.

Facets
------
A point x with :math:`a_i \cdot x > b_i` and :math:`a_j \cdot x < b_j` for the other rows (j not coincident with
i) proves that row i is a facet. With :math:`w_k = \max_i |x_{ik}|` over the cell's witnesses, one bound serves
all of them: :math:`|fl(a_j \cdot x) - a_j \cdot x| \le \gamma\,w \cdot |a_j|`.

Redundant rows
--------------
Let J be d rows, the *reference*, with weights :math:`\nu_j > 0`, in practice :math:`1 / s_j`, and B any matrix,
in practice the approximate inverse of :math:`diag(\nu) A_J`. On P the numbers
:math:`t_j = \nu_j (s_j - a_j \cdot y)` are non-negative; call their sum :math:`\tau`. With
:math:`E = I - B\,diag(\nu) A_J`,

.. math:: |y| = |B (\nu s - t) + E y| \le |B| (\nu s) + \max_j |B_{\cdot j}|\,\tau + |E|\,|y| \le
          (1 + \tau) w + |E|\,|y|, \qquad w_k = \sum_j |B_{kj}| \max(1, \nu_j s_j^+).

If :math:`|E| w \le \kappa w` with :math:`\kappa < 1`, then :math:`|y| \le (1 + \tau) w / (1 - \kappa)` (take the
largest :math:`|y_k| / w_k`). So P may be unbounded, but not faster than the slacks of J grow.

Let :math:`g = \sum_J \nu_j a_j + \sum_l \mu_l a_l` with :math:`\mu \ge 0` (the rows l *close* a bounded cell:
g = 0, nearly) and :math:`h = \sum_J \nu_j s_j + \sum_l \mu_l s_l`, so :math:`g \cdot y \le h - \tau` on P. For
multipliers :math:`\lambda \ge 0` and a weight :math:`\eta > 0` put
:math:`r = a_i - A'\lambda - \eta g`. On P

.. math:: a_i \cdot y \le s \cdot \lambda + \eta (h - \tau) + \rho (1 + \tau), \qquad
          \rho = |r| \cdot w / (1 - \kappa),

and if :math:`\rho \le \eta` the terms with :math:`\tau` are at most 0. Hence :math:`\rho \le \eta` and
:math:`s^+ \cdot \lambda + \eta h^+ + \rho \le s_i^-` prove row i redundant (strictly: no point of P touches it).
Vertices need not be simple, multipliers may be 0, and one small matrix serves all rows of the cell.

Rounding: a float sum of at most n products of floats errs by :math:`\gamma |\cdot| \cdot |\cdot|`, with the
spare roundings of `polygeom.rounding`; errors of the rows are added to :math:`\gamma |a_j|` from the start.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from polygeom.polyhedron import Polyhedron
from polygeom.rounding import dot_error, gamma, round_up, underflow

__all__ = ["FACET", "REDUNDANT", "UNDECIDED", "CellStack", "FacetProofs", "prove_stack"]

UNDECIDED, FACET, REDUNDANT = 0, 1, 2
"""Status of a row."""

BLOCK = 2**18
"""Entries of the largest intermediate array: a few megabytes, so that it stays in the cache."""


@dataclass(frozen=True, eq=False)
class CellStack:
    """The rows of N polyhedra with m rows each in R^d, and the bounds on their errors.

    Attributes
    ----------
    A : (N, m, d) array
    b : (N, m) array
    A_error, b_error : arrays of the same shapes, or None
    """

    A: np.ndarray
    b: np.ndarray
    A_error: np.ndarray | None = None
    b_error: np.ndarray | None = None

    @classmethod
    def of(cls, P: Polyhedron) -> CellStack:
        """Return the stack of one polyhedron."""
        errors = [None if e is None else e[None] for e in (P.A_error, P.b_error)]
        return cls(P.A[None], P.b[None], *errors)

    def part(self, cells: slice) -> CellStack:
        """Return some of the cells."""
        return CellStack(*(None if a is None else a[cells] for a in _arrays(self)))

    @np.errstate(over="ignore", invalid="ignore")
    def slacks(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper bounds (N, m) on b - A x at one point (N, d) per cell; NaN on overflow."""
        column = points[:, :, None]
        slack = self.b - (self.A @ column)[:, :, 0]
        spread = np.abs(column)
        magnitude = (np.abs(self.A) @ spread)[:, :, 0] + np.abs(self.b)
        error = dot_error(magnitude, points.shape[1] + 1)
        if self.A_error is not None:
            error = error + (self.A_error @ spread)[:, :, 0]
        if self.b_error is not None:
            error = error + self.b_error
        error = round_up(error, 2 * points.shape[1] + 6)
        return slack - error, slack + error

    def spreads(self, w: np.ndarray, n: int) -> np.ndarray:
        r"""Return :math:`(\gamma |A| + A_{error}) w` (N, m), for sums of at most n products."""
        column = w[:, :, None]
        spread = gamma(2 * n + 8) * (np.abs(self.A) @ column)[:, :, 0]
        if self.A_error is not None:
            spread = spread + (self.A_error @ column)[:, :, 0]
        return round_up(spread, 2 * w.shape[1] + 4) + underflow(n)


@dataclass(frozen=True, eq=False)
class FacetProofs:
    """Proofs for a stack of cells, as arrays (module docstring); what is not used is 0, or -1 for rows.

    Attributes
    ----------
    interior : (N, d) array
    status : (N, m) int8 array
        FACET, REDUNDANT or UNDECIDED.
    representative : (N, m) int array
        The lowest of the rows coincident with each row.
    witness : (N, m, d) array
        Of facets.
    support : (N, m, d) int array, multipliers : (N, m, d) array, weight : (N, m) array
        Of redundant rows.
    reference : (N, d) int array, reference_weight : (N, d) array, inverse : (N, d, d) array
    closing : (N, d) int array, closing_multipliers : (N, d) array
    """

    interior: np.ndarray
    status: np.ndarray
    representative: np.ndarray
    witness: np.ndarray
    support: np.ndarray
    multipliers: np.ndarray
    weight: np.ndarray
    reference: np.ndarray
    reference_weight: np.ndarray
    inverse: np.ndarray
    closing: np.ndarray
    closing_multipliers: np.ndarray

    def part(self, cells: slice) -> FacetProofs:
        """Return the proofs of some of the cells."""
        return FacetProofs(*(a[cells] for a in _arrays(self)))


def _arrays(record: object) -> list[np.ndarray | None]:
    return [getattr(record, f.name) for f in fields(record)]


def prove_stack(stack: CellStack, proofs: FacetProofs, active: np.ndarray) -> np.ndarray:
    """Tell which rows the proofs settle as their status says.

    Parameters
    ----------
    stack : CellStack
    proofs : FacetProofs
    active : (N, m) bool array
        False for zero rows, and for rows coincident with a lower one: they are not looked at.

    Returns
    -------
    (N, m) bool array
        False proves nothing.

    Notes
    -----
    Cost: one product of m^2 d flops per cell, and about 4 d^2 per redundant row.
    """
    N, m, _ = stack.A.shape
    proved = np.zeros((N, m), dtype=bool)
    step = max(1, BLOCK // max(1, m * m))
    for start in range(0, N, step):
        cells = slice(start, start + step)
        part, claims, on = stack.part(cells), proofs.part(cells), active[cells]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            proved[cells] = _facets_hold(part, claims, on)
            low, high = part.slacks(claims.interior)
            inside = ((low > 0) | ~on).all(axis=1)
            proved[cells] |= _redundant_rows_hold(part, claims, on & inside[:, None], low, high)
    return proved


def _facets_hold(stack: CellStack, proofs: FacetProofs, active: np.ndarray) -> np.ndarray:
    """Tell which witnesses are beyond their own row and inside all other active rows."""
    N, m, d = stack.A.shape
    from polygeom.kernels.checks import leave_alone

    claimed = (proofs.status == FACET) & active
    holds = np.zeros((N, m), dtype=bool)
    if not claimed.any():
        return holds
    error = stack.spreads(np.abs(proofs.witness).max(axis=1), d + 2) + gamma(2 * d + 12) * np.abs(stack.b)
    if stack.b_error is not None:
        error = error + stack.b_error
    error = round_up(error, 4)
    inner, outer = stack.b - error, stack.b + error
    inner[~active] = np.inf
    if N > 1:
        holds = leave_alone(stack.A, proofs.witness, inner, outer, claimed)
    rows = np.flatnonzero(claimed[0]) if N == 1 else np.empty(0, np.intp)
    step = max(1, BLOCK // m)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        products = stack.A[0] @ proofs.witness[0, some].T
        inside = products < inner[0, :, None]
        index = np.arange(len(some))
        inside[some, index] = products[some, index] > outer[0, some]
        holds[0, some] = inside.all(axis=0)
    for cell in np.flatnonzero((claimed & ~holds).any(axis=1)):
        left = np.flatnonzero(claimed[cell] & ~holds[cell])
        holds[cell, left] = _witnesses_hold(
            stack.part(slice(cell, cell + 1)), proofs.witness[cell, left], left, active[cell]
        )
    return holds


def _witnesses_hold(stack: CellStack, points: np.ndarray, rows: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Tell the same for some witnesses of one cell, each with its own rounding bound."""
    index = np.arange(len(rows))
    low, high = np.empty((len(rows), len(active))), np.empty(len(rows))
    for k in index:
        lower, upper = stack.slacks(points[k : k + 1])
        low[k], high[k] = lower[0], upper[0, rows[k]]
    inside = (low > 0) | ~active
    inside[index, rows] = high < 0
    return inside.all(axis=1)


def _redundant_rows_hold(
    stack: CellStack, proofs: FacetProofs, active: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Tell which multipliers prove their row redundant (module docstring)."""
    from polygeom.kernels.checks import combine_supports

    d = stack.A.shape[2]
    claimed = (proofs.status == REDUNDANT) & active & (proofs.reference[:, :1] >= 0)
    if not claimed.any():
        return claimed
    w, g, h, g_spread = _reference_frame(stack, proofs, low, high)
    spread = stack.spreads(w, 3 * d + 4)  # products in a residual: support, reference, closing rows
    # a zero row, or one coincident with a lower one, is no support: infinite slack lets nothing pass
    largest = np.where(active, np.maximum(high, 0), np.inf)
    sums = combine_supports(
        stack.A,
        np.stack([w, g], axis=1),
        np.stack([spread, largest], axis=1),
        claimed,
        proofs.support,
        proofs.multipliers,
        proofs.weight,
    )
    weight = proofs.weight
    rho = round_up(sums[:, :, 0] + spread + weight * g_spread[:, None], 3 * d + 12)
    total = round_up(sums[:, :, 1] + weight * h[:, None] + rho, d + 8)
    return claimed & (weight > 0) & (rho <= weight) & (total < low)


def _reference_frame(
    stack: CellStack, proofs: FacetProofs, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return w / (1 - kappa), g, h and the rounding bound on g . y, per cell; infinite where nothing holds.

    All of w, h and the bound are non-negative sums, rounded up; g is a float sum whose error the bound holds.
    """
    N, _, d = stack.A.shape
    each = np.arange(N)[:, None]
    J, closing = np.maximum(proofs.reference, 0), np.maximum(proofs.closing, 0)
    mu = np.where(proofs.closing >= 0, proofs.closing_multipliers, 0.0)
    nu = proofs.reference_weight
    rows = nu[:, :, None] * stack.A[each, J]
    inverse = np.abs(proofs.inverse)
    reach = round_up(nu * high[each, J], 2)
    w = round_up((inverse @ np.maximum(reach, 1.0)[:, :, None])[:, :, 0], d + 2)

    spread = stack.spreads(w, 3 * d + 4)
    left_over = np.abs(np.eye(d) - proofs.inverse @ rows)
    moved = (left_over @ w[:, :, None])[:, :, 0]
    moved += (inverse @ (nu * spread[each, J])[:, :, None])[:, :, 0]
    kappa = round_up((moved / w).max(axis=1), 4 * d + 12)
    sound = (kappa < 0.5) & (mu >= 0).all(axis=1) & (nu > 0).all(axis=1) & (low[each, J] > 0).all(axis=1)
    w = np.where(sound[:, None], round_up(w / (1.0 - np.minimum(kappa, 0.5))[:, None], 6), np.inf)

    g = rows.sum(axis=1) + (mu[:, None, :] @ stack.A[each, closing])[:, 0]
    h = round_up(reach.sum(axis=1) + (mu * np.maximum(high[each, closing], 0)).sum(axis=1), 2 * d + 4)
    spread = stack.spreads(w, 3 * d + 4)
    g_spread = (nu * spread[each, J]).sum(axis=1) + (mu * spread[each, closing]).sum(axis=1)
    return w, g, h, round_up(g_spread, 2 * d + 4)
