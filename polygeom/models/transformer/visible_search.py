r"""Float searches for points of facets inside a ball, and for proofs that there are none; nothing here is proved.

`hat_points` looks from an interior point at all facets at once: in coordinates where the rows, scaled by their
slacks, are nearly orthonormal, the facet i is met along :math:`z_i` (`polygeom.predicates.facet_search`).

`least_norms` asks for the point of each facet that is nearest to the origin,

.. math:: \min \tfrac12 |y|^2 \;:\; n_i \cdot y = h_i, \; N y \le h,

through its dual, :math:`y = -N'\lambda` with :math:`\lambda_j \ge 0`, :math:`\lambda_i` free: accelerated
gradients (Nesterov 1983, with the restart of O'Donoghue and Candes 2015), all facets at once, in single precision.
The same :math:`\lambda` bounds the distance from below. `least_norm_by_program` is one second-order cone program
for one row.

Points come out a little beyond their own row: the equation is asked for at :math:`h_i` plus a share of the slack
of the interior point c, and the segment from c is cut where it meets row i first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polygeom.predicates.facet_search import whitened
from polygeom.rounding import U

__all__ = ["Found", "hat_points", "least_norm_by_program", "least_norms"]

BEYOND = 2**33 * U
"""How far points are moved beyond their facet, as a share of their distance from the interior point."""

AIMS = 2**47 * U, 2**39 * U
"""How far beyond its row the nearest point is asked for, as shares of the slack of the interior point: nearly all
facets are seen with the first, those that the ball barely reaches with the second."""

PROGRAM_AIM = 2**39 * U
"""The same for a cone program, whose points are sharper."""

SWEEPS = 1000
"""Steps of the dual ascent for each aim before the rows left are given up."""

SWEEPS_PER_LOOK = 20
"""Steps between two looks at what has been reached."""

BLOCK = 2**22
"""Multipliers treated at once, to bound memory."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a search suggests for some rows: points beyond their facets, and multipliers of all rows."""

    rows: np.ndarray
    points: np.ndarray
    multipliers: np.ndarray


def hat_points(A: np.ndarray, slack: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Return for every row a point (m, d) a little beyond it, seen from the center in the hat direction."""
    whitening, Z = whitened(A, slack)
    own = np.einsum("ij,ij->i", Z, Z)
    return center + (Z * ((1.0 + BEYOND) / own)[:, None]) @ whitening.T


def least_norms(
    A: np.ndarray, b: np.ndarray, center: np.ndarray, rows: np.ndarray
) -> Iterator[tuple[Found, np.ndarray]]:
    """Yield what is reached for some rows, with a mask to be filled in: True for the rows that need no more.

    Parameters
    ----------
    A, b : (m, d) and (m,) arrays
        Rows of any length but 0.
    center : (d,) array
        Strictly inside.
    rows : (k,) array

    Notes
    -----
    Cost: two products a step, 4 k m d flops.
    """
    lengths = np.linalg.norm(A, axis=1)
    N, h = A / lengths[:, None], b / lengths
    slack = h - N @ center
    size = max(1, BLOCK // len(b))
    for start in range(0, len(rows), size):
        ascent = _Ascent(N, h, rows[start : start + size])
        for look in range(len(AIMS) * SWEEPS // SWEEPS_PER_LOOK):
            if look % (SWEEPS // SWEEPS_PER_LOOK) == 0:
                ascent.aim(AIMS[look * SWEEPS_PER_LOOK // SWEEPS] * slack)
            ascent.climb(SWEEPS_PER_LOOK)
            done = np.zeros(len(ascent.rows), dtype=bool)
            points = _cut(N, h, center, ascent.points(), ascent.rows)
            yield Found(ascent.rows, points, ascent.multipliers / lengths), done
            ascent.drop(done)
            if not len(ascent.rows):
                break


class _Ascent:
    """Accelerated dual ascent for some rows of N y <= h, in single precision."""

    def __init__(self, N: np.ndarray, h: np.ndarray, rows: np.ndarray) -> None:
        self.N, self.h, self.rows = N.astype(np.float32), h, rows
        self.step = np.float32(1.0 / np.linalg.norm(N, 2) ** 2)
        own = np.arange(len(rows)), rows
        self.goal = np.tile(h.astype(np.float32), (len(rows), 1))
        self.multipliers = np.zeros_like(self.goal)
        self.multipliers[own] = -self.goal[own]
        self.ahead, self.momentum = self.multipliers.copy(), np.ones(len(rows), dtype=np.float32)

    def aim(self, beyond: np.ndarray) -> None:
        """Ask for points so far beyond each row, and begin a new run from the multipliers reached."""
        self.goal[np.arange(len(self.rows)), self.rows] = (self.h + beyond)[self.rows]
        self.ahead, self.momentum = self.multipliers.copy(), np.ones(len(self.rows), dtype=np.float32)

    def climb(self, sweeps: int) -> None:
        """Take some steps."""
        own = np.arange(len(self.rows)), self.rows
        for _ in range(sweeps):
            gradient = self.goal + (self.ahead @ self.N) @ self.N.T
            np.negative(gradient, out=gradient)
            new = self.ahead + self.step * gradient
            free = new[own]
            np.maximum(new, 0.0, out=new)
            new[own] = free
            move = new - self.multipliers
            self.momentum[np.einsum("ij,ij->i", gradient, move) < 0] = 1.0
            following = (1.0 + np.sqrt(1.0 + 4.0 * self.momentum**2)) / 2.0
            self.ahead = new + ((self.momentum - 1.0) / following)[:, None] * move
            self.multipliers, self.momentum = new, following

    def points(self) -> np.ndarray:
        """Return the points y = -N'lambda that the multipliers stand for."""
        return -(self.multipliers @ self.N).astype(np.float64)

    def drop(self, done: np.ndarray) -> None:
        """Leave out rows."""
        for name in ("rows", "goal", "multipliers", "ahead", "momentum"):
            setattr(self, name, getattr(self, name)[~done])


def _cut(N: np.ndarray, h: np.ndarray, center: np.ndarray, ends: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return where the segments from the center to some points meet their rows, a little beyond."""
    inside = h[rows] - N[rows] @ center
    beyond = np.einsum("ij,ij->i", N[rows], ends) - h[rows]
    share = inside / np.maximum(inside + beyond, 0.5 * inside)
    return center + ((1.0 + BEYOND) * share)[:, None] * (ends - center)


def least_norm_by_program(A: np.ndarray, b: np.ndarray, center: np.ndarray, row: int) -> Found | None:
    """Return the same for one row from a second-order cone program; None where the solver gives up.

    Cost: half a minute at (d, m) = (768, 3072).
    """
    import cvxpy as cp

    lengths = np.linalg.norm(A, axis=1)
    N, h = A / lengths[:, None], b / lengths
    others = np.delete(np.arange(len(b)), row)
    aim = h[row] + PROGRAM_AIM * (h[row] - N[row] @ center)
    y = cp.Variable(len(center))
    below, at = N[others] @ y <= h[others], N[row] @ y == aim
    problem = cp.Problem(cp.Minimize(cp.norm(y)), [below, at])
    try:
        problem.solve(solver=cp.CLARABEL)
    except cp.SolverError:
        return None
    if y.value is None or below.dual_value is None:
        return None
    multipliers = np.zeros(len(b))
    multipliers[others] = np.maximum(below.dual_value, 0.0)
    multipliers[row] = float(at.dual_value)
    index = np.array([row])
    points = _cut(N, h, center, y.value[None], index)
    return Found(index, points, multipliers[None] / lengths)
