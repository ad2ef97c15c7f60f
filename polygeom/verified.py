r"""Verified linear algebra: smallest singular values, and the repair of multipliers.

A float computation here never says "about": it returns a bound that holds for the real numbers, rounding
included, or nothing (a bound of 0). Two facts carry the library's multiplier proofs.

Smallest singular value
-----------------------
For :math:`M` (n, d) put :math:`G = fl(M'M)`, :math:`S = fl(G - cI)` and let :math:`R` be any upper triangular
float matrix, in practice the Cholesky factor of S. Then

.. math:: M'M = cI + R'R + (S - R'R) + (G - cI - S) + (M'M - G),

and :math:`R'R \succeq 0`, so by Weyl's inequality

.. math:: \sigma_d(M)^2 \ge c - |fl(R'R - S)|_F - \gamma\,|R|_F^2 - \gamma'\,|M|_F^2 - \dots

where the two last terms bound the rounding of the two products: entrywise it is at most
:math:`\gamma_k |X|'|X|` (`polygeom.rounding`), and :math:`\| |X|'|X| \|_F \le |X|_F^2`. The residual
:math:`R'R - S` is computed, not estimated, so nothing is assumed about how LAPACK orders its work.

This squares the condition number. Where that is too weak, M is preconditioned by an approximate inverse X of
its triangular factor: :math:`\sigma_d(M) \ge \sigma_d(M X) / \|X\|_2` with :math:`M X` nearly orthonormal
(any X is allowed; a bad one only weakens the bound).

The repair lemma
----------------
Let :math:`\lambda > 0`, :math:`r = A'\lambda - c` and :math:`D = diag(\lambda)`. If
:math:`|r| < \sigma_d(DA)` then some :math:`\lambda' > 0` satisfies :math:`A'\lambda' = c` exactly.

*Proof.* :math:`(DA)'` is onto R^d, so :math:`(DA)'\delta = -r` has a solution with
:math:`|\delta| \le |r| / \sigma_d(DA) < 1` (the one of least norm). Put
:math:`\lambda' = \lambda (1 + \delta)` entrywise. :math:`A'\lambda' = A'\lambda + (DA)'\delta = c`, and
:math:`|\delta_i| < 1` gives :math:`\lambda' > 0`. Moreover
:math:`|b \cdot \lambda' - b \cdot \lambda| = |(Db) \cdot \delta| \le |Db|\,|r| / \sigma_d(DA)`.
:math:`\square`

The equation for :math:`\delta` is unchanged when both sides are multiplied by :math:`X'` (which
:math:`\sigma_d(DAX) > 0` proves nonsingular), so :math:`|\delta| \le |X'r| / \sigma_d(DAX)` as well: a bound
independent of the units of the coordinates.

If A is known only up to entrywise errors, both sides are bounded over all matrices within them, and the lemma
holds for each of these matrices (with its own :math:`\lambda'`).

Source: S. M. Rump, Verification of positive definiteness, BIT 46 (2006), for bounds through a shifted
Cholesky factor; S. M. Rump, Verified bounds for singular values, BIT 51 (2011), for the preconditioned form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.rounding import TINY, U, dot_error, gamma, round_up, underflow

__all__ = ["Repair", "norm_bound", "repair", "sigma_min"]


# -- norms and singular values -------------------------------------------------------------------------------


def norm_bound(array: np.ndarray) -> float:
    """Return an upper bound on the Euclidean (Frobenius) norm of an array.

    The entries are scaled by a power of two to a maximum in [1/2, 1], so the sum of squares neither overflows
    nor loses anything but entries below 2^-511 of the largest, which `round_up` and one rounding pay for.
    NaN and infinities give infinity.

    Examples
    --------
    >>> 5.0 <= norm_bound(np.array([3.0, 4.0])) < 5.0 + 1e-12
    True
    """
    largest = float(np.abs(array).max(initial=0.0))
    if largest == 0.0:
        return 0.0
    if not np.isfinite(largest):
        return float("inf")
    exponent = int(np.frexp(largest)[1])
    scaled = np.ldexp(array, -exponent).ravel()
    squares = round_up(float(scaled @ scaled), scaled.size + 1)
    with np.errstate(over="ignore"):
        return float(np.ldexp(round_up(np.sqrt(squares), 2), exponent)) + TINY


@np.errstate(over="ignore", invalid="ignore")
def sigma_min(M: np.ndarray, error: np.ndarray | None = None) -> float:
    r"""Return a rigorous lower bound on the d-th (smallest) singular value of a matrix.

    Parameters
    ----------
    M : (n, d) float64 array
    error : (n, d) array, optional
        Entrywise bounds on the distance of M from the true matrix.

    Returns
    -------
    float
        A number :math:`\le \sigma_d(M + E)` for every :math:`|E| \le` `error`. A positive bound proves full
        column rank; 0.0 proves nothing. For well-conditioned M it is at least a third of the true value; it
        degrades to 0 when :math:`\sigma_d / \|M\|` approaches :math:`n d u`.

    Notes
    -----
    Module docstring. Perturbation by E costs at most :math:`\|E\|_2 \le |E|_F` (Weyl).
    Cost: :math:`n d^2 + 2 d^3` flops, four times that where the condition number exceeds about 10^6.

    Examples
    --------
    >>> 0.5 < sigma_min(np.diag([3.0, 2.0, 1.0])) <= 1.0
    True
    >>> sigma_min(np.ones((3, 2)))
    0.0
    """
    n, d = M.shape
    if d == 0:
        return float("inf")
    if n < d or not np.isfinite(M).all():
        return 0.0
    scaled, scaled_error, exponent = _scaled(M, np.zeros_like(M) if error is None else error)
    bound = _gram_bound(scaled) - norm_bound(scaled_error)
    if not bound > 0.0:
        X = _approximate_inverse(scaled)
        if X is None:
            return 0.0
        bound = _preconditioned_bound(scaled, X, scaled_error) / _spectral_bound(X)
    return _unscaled(bound, exponent)


def _scaled(M: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return M and its error over the power of two that brings the largest entry into [1/2, 1).

    Exact but for entries that fall below the smallest normal number: the error grows by TINY.
    """
    exponent = int(np.frexp(np.abs(M).max(initial=0.0))[1])
    with np.errstate(over="ignore"):
        return np.ldexp(M, -exponent), np.ldexp(error, -exponent) + TINY, exponent


def _unscaled(bound: float, exponent: int) -> float:
    """Return a lower bound times a power of two, rounded down; 0 unless it is positive and finite."""
    with np.errstate(over="ignore"):
        bound = float(np.ldexp(bound * (1.0 - 8.0 * U), exponent))
    return bound if TINY < bound < float("inf") else 0.0


def _gram_bound(M: np.ndarray) -> float:
    """Return a lower bound on sigma_d of a float matrix with entries of order 1, by the module's first fact.

    The shift c is half an estimate of the smallest eigenvalue of M'M (inverse iteration); the error terms are
    subtracted from it. Additions on the error terms: fewer than the spare roundings of `dot_error`.
    """
    n, d = M.shape
    G = M.T @ M
    shift = 0.5 * _smallest_eigenvalue(G)
    while shift > 0.0:
        shifted = G.copy()
        shifted[np.diag_indices(d)] -= shift
        factor = _cholesky(shifted)
        if factor is not None:
            break
        shift = 0.5 * shift if shift > gamma(n + d) * np.trace(G) else 0.0
    if shift <= 0.0:
        return 0.0
    residual = norm_bound(factor.T @ factor - shifted)
    lost = (
        residual
        + dot_error(np.square(norm_bound(factor)), d)
        + dot_error(np.square(norm_bound(M)), n)
        + d * (underflow(n) + underflow(d))
    )
    square = shift - round_up(lost, 6)
    return float(np.sqrt(square) * (1.0 - 4.0 * U)) if square > 0.0 else 0.0


def _cholesky(S: np.ndarray) -> np.ndarray | None:
    """Return the upper Cholesky factor of a symmetric matrix, or None where it is not positive definite."""
    try:
        factor = np.linalg.cholesky(S).T
    except np.linalg.LinAlgError:
        return None
    return factor if np.isfinite(factor).all() else None


def _smallest_eigenvalue(G: np.ndarray, sweeps: int = 8) -> float:
    """Estimate the smallest eigenvalue of a positive semidefinite matrix by inverse iteration; 0 if singular.

    Only a guess is wanted: the Rayleigh quotient of any vector is an upper bound, and within a small factor
    of the eigenvalue after a few sweeps from a start that is not special.
    """
    from scipy.linalg import cho_solve

    factor = _cholesky(G)
    if factor is None:
        return 0.0
    vector = np.random.default_rng(0).standard_normal(G.shape[0])
    for _ in range(sweeps):
        vector /= np.linalg.norm(vector)
        vector = cho_solve((factor, False), vector, check_finite=False)
        if not np.isfinite(vector).all() or not vector.any():
            return 0.0
    return 1.0 / float(np.linalg.norm(vector))


def _approximate_inverse(M: np.ndarray) -> np.ndarray | None:
    """Return an approximate inverse (d, d) of the triangular factor of M, or None where it is singular.

    The columns are first scaled to norm 1 by powers of two, so that units of coordinates do not matter.
    """
    from scipy.linalg import solve_triangular

    largest = np.abs(M).max(axis=0)
    if not largest.all():
        return None
    exponents = np.frexp(largest)[1]
    balanced = np.ldexp(M, -exponents)
    triangle = np.linalg.qr(balanced, mode="r")
    if not np.isfinite(triangle).all() or not np.diag(triangle).all():
        return None
    inverse = solve_triangular(triangle, np.eye(M.shape[1]), check_finite=False)
    inverse = np.ldexp(inverse, -exponents[:, None])
    return inverse if np.isfinite(inverse).all() else None


def _preconditioned_bound(M: np.ndarray, X: np.ndarray, error: np.ndarray | None) -> float:
    """Return a lower bound on sigma_d(M_true X): `_gram_bound` of fl(M X) less the errors of that product."""
    spread = np.abs(X)
    product_error = dot_error(np.abs(M) @ spread, M.shape[1])
    if error is not None:
        product_error = round_up(product_error + error @ spread, 2 * M.shape[1] + 4)
    return _gram_bound(M @ X) - norm_bound(product_error)


def _spectral_bound(X: np.ndarray) -> float:
    r"""Return an upper bound on the spectral norm: the least of |X|_F and :math:`\sqrt{|X|_1 |X|_\infty}`."""
    spread = np.abs(X)
    by_sums = np.sqrt(spread.sum(axis=0).max()) * np.sqrt(spread.sum(axis=1).max())
    return min(norm_bound(X), float(round_up(by_sums, 2 * max(X.shape) + 4)))


# -- the repair lemma ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Repair:
    r"""What the repair lemma proves about approximate multipliers.

    Attributes
    ----------
    change : float
        Upper bound on :math:`|\delta|_2`, the relative change from :math:`\lambda` to an exact
        :math:`\lambda'`; ``inf`` if nothing could be bounded.
    residual : float
        Upper bound on :math:`|A'\lambda - c|_2`, rounding and row errors included.
    weights : (m,) array
        The multipliers the lemma was applied to.
    rank : int
        Where the lemma holds, a lower bound on the rank of A: the number of coordinates in which anything is
        asked. It is d unless A, its errors and the target have common zero columns.
    """

    change: float
    residual: float
    weights: np.ndarray
    rank: int

    @property
    def holds(self) -> bool:
        r"""Whether an exact :math:`\lambda' > 0` with :math:`A'\lambda' = c` is proved to exist."""
        return self.change < 1.0

    def __bool__(self) -> bool:
        return self.holds

    def offset_change(self, b: np.ndarray, b_error: np.ndarray | None = None) -> float:
        r"""Return an upper bound on :math:`|b \cdot \lambda' - b \cdot \lambda|`; infinity without proof."""
        if not self.holds:
            return float("inf")
        size = np.abs(b) if b_error is None else np.abs(b) + b_error
        return float(round_up(norm_bound(self.weights * size) * self.change, 4))


@np.errstate(over="ignore", invalid="ignore")
def repair(
    multipliers: np.ndarray,
    A: np.ndarray,
    target: np.ndarray,
    A_error: np.ndarray | None = None,
    target_error: np.ndarray | None = None,
) -> Repair:
    r"""Bound how far approximate multipliers are from exact ones (the repair lemma, module docstring).

    Parameters
    ----------
    multipliers : (m,) float64 array
        :math:`\lambda`; must be strictly positive, otherwise nothing is proved. Pass the support only.
    A : (m, d) float64 array
        The rows of the support.
    target : (d,) float64 array
        c, the wanted value of :math:`A'\lambda`.
    A_error, target_error : arrays of the shapes of A and target, optional
        Entrywise bounds on their distance from the true numbers.

    Returns
    -------
    Repair
        Whose `holds` tells whether an exact positive solution exists, for every true A and c.

    Notes
    -----
    The residual is bounded by its float value plus `dot_error` with n = m + 1. First with X = I; if that
    proves nothing, with the preconditioner of `sigma_min`. Cost: that of `sigma_min`.

    Examples
    --------
    >>> A = np.array([[1.0, 0.0], [0.0, 1.0], [-0.1, -0.3]])
    >>> bool(repair(np.array([0.1, 0.3, 1.0]), A, np.zeros(2)))
    True
    """
    m, d = A.shape
    nothing = Repair(float("inf"), float("inf"), multipliers, 0)
    if multipliers.shape != (m,) or not np.isfinite(multipliers).all() or not (multipliers > 0).all():
        return nothing
    A_error = np.zeros_like(A) if A_error is None else A_error
    target_error = np.zeros_like(target) if target_error is None else target_error
    # coordinates in which everything is 0 ask nothing of the multipliers
    live = A.any(axis=0) | A_error.any(axis=0) | (target != 0) | (target_error != 0)
    if not live.all():
        A, A_error, target, target_error = A[:, live], A_error[:, live], target[live], target_error[live]
        d = int(live.sum())
    residual = np.abs(multipliers @ A - target)
    residual += dot_error(multipliers @ np.abs(A) + np.abs(target), m + 1)
    residual = round_up(residual + multipliers @ A_error + target_error, m + 8)
    size = norm_bound(residual)
    if d == 0:
        return Repair(0.0, 0.0, multipliers, 0)
    if not np.isfinite(size) or m < d:
        return Repair(float("inf"), size, multipliers, 0)

    weighted = multipliers[:, None] * A
    weighted_error = round_up(np.abs(weighted) * U + multipliers[:, None] * A_error, 6) + TINY
    scaled, scaled_error, exponent = _scaled(weighted, weighted_error)
    change = _quotient_bound(size, _unscaled(_gram_bound(scaled) - norm_bound(scaled_error), exponent))
    if not change < 1.0:
        with np.errstate(over="ignore"):
            change = min(change, _preconditioned_change(scaled, scaled_error, np.ldexp(residual, -exponent)))
    return Repair(change, size, multipliers, d)


def _preconditioned_change(M: np.ndarray, error: np.ndarray, residual: np.ndarray) -> float:
    """Return the lemma's bound in the coordinates of the preconditioner: |X'r| / sigma_d(M X)."""
    X = _approximate_inverse(M)
    if X is None:
        return float("inf")
    moved = round_up((residual + TINY) @ np.abs(X), 2 * len(X) + 4)
    return _quotient_bound(norm_bound(moved), _preconditioned_bound(M, X, error))


def _quotient_bound(numerator: float, denominator: float) -> float:
    """Return an upper bound on numerator / denominator; infinity unless the denominator is positive."""
    if not denominator > 0.0:
        return float("inf")
    return float(round_up(numerator / denominator, 4)) if np.isfinite(numerator) else float("inf")
