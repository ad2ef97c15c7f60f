r"""Float search for rays and positive multipliers of a cone :math:`\{y : A y \le 0\}`; nothing here is proved.

Minimize :math:`f(y) = \log \sum_i e^{a_i \cdot y}` (rows scaled to length 1) by Newton's method. With weights
:math:`w_i = e^{a_i \cdot y}`, gradient g = A'w and Hessian H = A'WA of the sum, each step
:math:`p = -H^{-1} g` is asked three questions before it is taken:

- :math:`\max_i a_i \cdot p < 0` (or the same for y): a ray in the interior of the cone.
- :math:`\min_i a_i \cdot p > -1` (with a margin): then :math:`\lambda_i = w_i (1 + a_i \cdot p) > 0`
  satisfies :math:`A'\lambda = g + H p = 0` up to rounding. So f need not be minimized: relative changes below
  1 are enough, after one to eight factorizations in practice.
- Some products are near -1 and the others near 0. If the cone is lower-dimensional, f has no minimizer:
  Newton's method on a vanishing exponential moves by -1 in its exponent, and on the implicit equalities it
  converges, so the steps tell these from the rest.

The iteration runs in coordinates in which the rows are nearly orthonormal. A of rank r < d is restricted to
its row space (y in the kernel changes nothing), and a kernel vector is proposed last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polygeom.rounding import U

__all__ = ["ConeSearch", "Proposal", "balance"]

STEPS = 60
"""Newton steps before the search ends: a guard, it needs about ten."""

WELL_CONDITIONED = 2.0**7
"""Mean condition of rows |L| |L^-1| / d (Frobenius) up to which the iteration needs no other coordinates."""

LEVEL_GAP = 0.75
"""Products of a Newton step beyond -0.75 are on their way to -1, those within 0.25 of 0 to 0: a guess."""

GUESS_BITS = 30
"""Guessed directions are rounded to this many bits, so that simple directions come out simple."""

LARGEST_EXPONENT = 1100
"""Beyond the binary exponent of every float, up or down."""

MIDDLE = 400
"""Rows of sizes around 2^k with |k| beyond this get multipliers around 2^0 instead of 2^-k."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """What Newton's method suggests; rows are indices into the rows searched.

    Attributes
    ----------
    direction : (d,) array or None
        A ray, with products 0 wanted on the `level` rows. None: the multipliers say that there is no ray.
    level : array of int or None
        None for a ray with negative products only.
    multipliers : array or None
        Of all rows, or of the `level` rows if there is a direction.
    """

    direction: np.ndarray | None = None
    level: np.ndarray | None = None
    multipliers: np.ndarray | None = None


def balance(A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A with columns, then rows, scaled by powers of two to largest entry in [1/2, 1), and the exponents.

    A = balanced * 2^heights * 2^exponents, one exponent for each row and one for each column. Both scalings are
    made at once: rows or columns of extreme size would underflow between two steps.
    """
    sizes, there = np.frexp(A)[1].astype(np.int64), A != 0
    exponents = np.where(there.any(axis=0), sizes.max(axis=0, initial=-LARGEST_EXPONENT, where=there), 0)
    heights = (sizes - exponents).max(axis=1, initial=-2 * LARGEST_EXPONENT, where=there)
    return np.ldexp(A, -exponents - heights[:, None]), heights, exponents


class ConeSearch:
    """Newton's method of the module docstring over nonzero rows A (m, d), in scaled coordinates.

    Columns are scaled by powers of two and rows to length 1: `rows` = diag(2^-heights / norms) A
    diag(2^-exponents).
    """

    def __init__(self, A: np.ndarray) -> None:
        balanced, self.heights, self.exponents = balance(A)
        self.norms = np.linalg.norm(balanced, axis=1)
        self.rows = balanced / self.norms[:, None]

    def multipliers(self, weights: np.ndarray, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Return multipliers of some original rows, up to a positive factor that keeps them in the middle."""
        heights = self.heights[rows]
        middle = (int(heights.max(initial=0)) + int(heights.min(initial=0))) // 2
        middle = 0 if abs(middle) < MIDDLE else middle
        with np.errstate(over="ignore"):
            return np.ldexp(weights / self.norms[rows], middle - heights)

    def proposals(self) -> Iterator[Proposal]:
        """Yield proposals until the method has nothing more to say."""
        if not np.isfinite(self.rows).all():
            return
        coordinates, moved, kernel = _row_space(self.rows)
        yield from self._newton(moved, coordinates)
        if kernel is not None:
            yield self.ray(kernel, np.arange(len(self.rows)))

    def _newton(self, B: np.ndarray, coordinates: np.ndarray) -> Iterator[Proposal]:
        """Iterate on rows B (m, r) of coordinates (d, r) in which they are well conditioned."""
        m, r = B.shape
        if m == 0:
            return
        y, z, guess = np.zeros(r), np.zeros(m), None
        for _ in range(STEPS):
            weights, p, s = _newton_step(B, z)
            if p is None:
                return
            if s.min() > -LEVEL_GAP:
                yield Proposal(multipliers=self.multipliers(weights * (1.0 + s)))
            for direction, products in ((p, s), (y, z)):
                if products.max() < 0.0:
                    yield self.ray(coordinates @ direction, None)
            level = np.abs(s) < 1.0 - LEVEL_GAP
            if (s[~level] < -LEVEL_GAP).all() and 0 < level.sum() < m:
                if guess is not None and (guess == level).all():
                    yield self.ray(coordinates @ p, np.flatnonzero(level), weights * (1.0 + s))
                guess = level
            step = _step_length(z, s)
            if step == 0.0:
                return
            y, z = y + step * p, z + step * s

    @np.errstate(over="ignore", under="ignore", invalid="ignore")
    def ray(
        self, direction: np.ndarray, level: np.ndarray | None, weights: np.ndarray | None = None
    ) -> Proposal:
        """Return a direction of the original coordinates, its entries rounded to `GUESS_BITS` bits."""
        largest = np.frexp(np.abs(direction).max())[1]
        rounded = np.ldexp(np.round(np.ldexp(direction, GUESS_BITS - largest)), -GUESS_BITS)
        exponents = -self.exponents + int(self.exponents.min(initial=0))
        multipliers = None if weights is None else self.multipliers(weights[level], level)
        return Proposal(np.ldexp(rounded, exponents) + 0.0, level, multipliers)


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _row_space(B: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return coordinates T (d, r) of the row space, B T well conditioned, and one kernel vector if r < d.

    T = I where B is well conditioned, else Cholesky QR, repeated until it is; eigenvectors of B'B where that
    has no factor. A guess of the rank, to be proved or dropped later.
    """
    from scipy.linalg import solve_triangular

    d = B.shape[1]
    coordinates, moved = np.eye(d), B
    for _ in range(4):
        try:
            factor = np.linalg.cholesky(moved.T @ moved)
        except np.linalg.LinAlgError:
            break
        inverse = solve_triangular(factor, np.eye(d), lower=True, check_finite=False).T
        if np.linalg.norm(factor) * np.linalg.norm(inverse) < WELL_CONDITIONED * d:
            return coordinates, moved, None
        coordinates, moved = coordinates @ inverse, moved @ inverse
    _, vectors = np.linalg.eigh(B.T @ B)
    lengths = np.linalg.norm(B @ vectors, axis=0)  # the eigenvalues have lost half of their digits
    small = lengths <= 64 * d * U * lengths.max(initial=0.0)
    kernel = vectors[:, int(np.argmax(small))] if small.any() else None
    coordinates = vectors[:, ~small] / lengths[~small]
    return coordinates, B @ coordinates, kernel


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _newton_step(B: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return the weights w, p = -H^-1 g for H = B'WB, g = B'w, and B p.

    p is None if H cannot be factored even with a ridge at noise level.
    """
    from scipy.linalg import cho_solve

    weights = np.exp(z - z.max())
    half = np.sqrt(weights)[:, None] * B
    H = half.T @ half
    gradient = weights @ B
    noise = U * np.trace(H)
    for ridge in (0.0, 4.0 * noise, 4.0 * len(H) * noise):
        H[np.diag_indices_from(H)] += ridge
        try:
            factor = np.linalg.cholesky(H)
        except np.linalg.LinAlgError:
            continue
        step = -cho_solve((factor, True), gradient, check_finite=False)
        products = B @ step
        if np.isfinite(step).all() and np.isfinite(products).all():
            return weights, step, products
    return weights, None, None


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _step_length(z: np.ndarray, s: np.ndarray) -> float:
    """Return a step t that lowers log sum exp(z + t s): Armijo halving, no product growing by more than 5."""
    top = z.max()
    weights = np.exp(z - top)
    slope = float(weights @ s) / weights.sum()
    start = np.log(weights.sum())
    step = min(1.0, 5.0 / s.max()) if s.max() > 0 else 1.0
    while step > U:
        if np.log(np.exp(z + step * s - top).sum()) <= start + 0.25 * step * slope:
            return step
        step *= 0.5
    return 0.0
