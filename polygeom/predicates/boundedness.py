r"""Boundedness and recession cones: does a polyhedron go to infinity, and in which directions.

Minimize :math:`f(y) = \log \sum_i e^{a_i \cdot y}` (rows scaled to length 1) by Newton's method. With weights
:math:`w_i = e^{a_i \cdot y}`, gradient g = A'w and Hessian H = A'WA of the sum, each step
:math:`p = -H^{-1} g` is asked three questions before it is taken:

- :math:`\max_i a_i \cdot p < 0` (or the same for y): a ray in the interior of the recession cone.
- :math:`\min_i a_i \cdot p > -1` (with a margin): then :math:`\lambda_i = w_i (1 + a_i \cdot p) > 0`
  satisfies :math:`A'\lambda = g + H p = 0` up to rounding, and the repair lemma makes it exact: bounded. So
  f need not be minimized: relative changes below 1 are enough, after one to eight factorizations in practice.
- Some products are near -1 and the others near 0. If the recession cone is lower-dimensional, f has no
  minimizer, Newton's method on a vanishing exponential moves by -1 in its exponent, and on the implicit
  equalities I it converges: the steps tell I from the rest. That is a guess; a solution of
  :math:`A_I y = 0` near p, in rationals, with all other products negative proves it.

The iteration runs in coordinates in which the rows are nearly orthonormal. A of rank r < d is restricted to
its row space (y in the kernel changes nothing); then there is a line in the cone and a rational kernel vector
proves it, unless a strict ray was found anyway. Where the guesses fail, an exact linear program decides.

Sources: P. Gordan 1873, E. Stiemke 1915 (Schrijver 1986, section 7.8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.certificates.boundedness import (
    Boundedness,
    PositiveSpan,
    RecessionCone,
    RecessionRay,
)
from polygeom.errors import InputError, UndecidedError
from polygeom.exact import fraction, fractions_array
from polygeom.polyhedron import Polyhedron
from polygeom.rounding import U
from polygeom.threads import one_blas_thread
from polygeom.verified import sigma_min, solve_near

__all__ = ["boundedness", "recession_cone"]

STEPS = 60
"""Newton steps before the exact program is asked: a guard, the method needs about ten."""

EXACT_DIMENSION = 250
"""Largest d for which an exact linear program is run when guesses fail (each step solves d equations)."""

LEVEL_GAP = 0.75
"""Products of a Newton step beyond -0.75 are on their way to -1, those within 0.25 of 0 to 0: a guess."""

GUESS_BITS = 30
"""Guessed directions are rounded to this many bits, so that simple directions come out simple."""


def boundedness(P: Polyhedron, method: str = "auto") -> Boundedness:
    r"""Decide whether :math:`\{x : A x \le b\}` is bounded, with a proof.

    Parameters
    ----------
    P : Polyhedron
        Only A matters. If P is empty, it is bounded even where the answer here is False: feasibility is a
        question of its own. Zero rows, no rows, any row or column scaling are allowed.
    method : {"auto", "lp"}
        The method of this module, or one float linear program as a second opinion (same proofs).

    Returns
    -------
    Boundedness
        EXACT: for all matrices within the row errors, or for the exact rows. Undecided only for rounded rows
        without an exact source, or a lower-dimensional cone in dimension > 250 whose guess failed.

    Notes
    -----
    Cost: one to ten factorizations of a (d, d) matrix and as many products :math:`m d^2`; 0.3 s at
    (m, d) = (3072, 768).

    Examples
    --------
    >>> result = boundedness(Polyhedron([[1, 0], [0, 1], [-1, -1]], [1, 1, 1]))
    >>> result.bounded, type(result.certificate).__name__
    (True, 'PositiveSpan')
    >>> boundedness(Polyhedron([[1, 0], [-1, 0]], [1, 1])).certificate.direction
    array([0., 1.])
    """
    if method not in ("auto", "lp"):
        raise InputError(f"method is {method!r}, wanted 'auto' or 'lp'.")
    if P.dim == 0:
        return Boundedness(True, PositiveSpan(np.empty(0), np.empty(0, dtype=np.intp)))
    dead = _dead_columns(P)
    if dead.any():
        return Boundedness(False, RecessionRay(dead.astype(np.float64) * (np.cumsum(dead) == 1)))
    rows = np.flatnonzero(P.A.any(axis=1))
    proposals = _lp_proposals(P, rows) if method == "lp" else _Search(P.A[rows]).proposals()
    with one_blas_thread(P.A.size):
        for proposal in proposals:
            certificate = _proved(P, rows, proposal)
            if certificate is not None:
                return Boundedness(isinstance(certificate, PositiveSpan), certificate)
    return _boundedness_in_rationals(P)


def _dead_columns(P: Polyhedron) -> np.ndarray:
    """Return which coordinates no true row can depend on."""
    touched = P.A.any(axis=0)
    return ~touched if P.A_error is None else ~(touched | P.A_error.any(axis=0))


# -- proposals -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Proposal:
    """What Newton's method suggests; rows are indices into the rows searched.

    A ray if `multipliers` is None: a direction, with products 0 wanted on `level` rows. Otherwise multipliers
    of all rows.
    """

    direction: np.ndarray | None = None
    level: np.ndarray | None = None
    multipliers: np.ndarray | None = None


class _Search:
    """Newton's method of the module docstring over nonzero rows (m, d), in scaled coordinates.

    Columns are scaled by powers of two and rows to length 1: `rows` = diag(1 / length) A diag(2^-exponents).
    """

    def __init__(self, A: np.ndarray) -> None:
        self.exponents = np.frexp(np.abs(A).max(axis=0, initial=0.0))[1]
        with np.errstate(over="ignore", under="ignore"):
            balanced = np.ldexp(A, -self.exponents)
            heights = np.frexp(np.abs(balanced).max(axis=1, initial=0.0))[1]
            balanced = np.ldexp(balanced, -heights[:, None])
        norms = np.linalg.norm(balanced, axis=1)
        self.lengths = np.ldexp(norms, heights)
        self.rows = balanced / norms[:, None]

    def proposals(self):
        """Yield proposals until the method has nothing more to say."""
        coordinates, kernel = _row_space(self.rows)
        yield from self._newton(self.rows @ coordinates, coordinates)
        if kernel is not None:
            yield self._ray(kernel, np.arange(len(self.rows)))

    def _newton(self, B: np.ndarray, coordinates: np.ndarray):
        """Iterate on rows B (m, r) of coordinates (d, r) in which they are well conditioned."""
        m, r = B.shape
        if m == 0:
            return
        y, z, guess = np.zeros(r), np.zeros(m), None
        for _ in range(STEPS):
            weights = np.exp(z - z.max())
            p = _newton_step(B, weights)
            if p is None:
                return
            s = B @ p
            if s.min() > -LEVEL_GAP:
                yield _Proposal(multipliers=weights * (1.0 + s) / self.lengths)
            for direction, products in ((p, s), (y, z)):
                if products.max() < 0.0:
                    yield self._ray(coordinates @ direction, None)
            level = np.abs(s) < 1.0 - LEVEL_GAP
            if (s[~level] < -LEVEL_GAP).all() and 0 < level.sum() < m:
                if guess is not None and (guess == level).all():
                    yield self._ray(coordinates @ p, np.flatnonzero(level), weights * (1.0 + s))
                guess = level
            step = _step_length(z, s)
            if step == 0.0:
                return
            y, z = y + step * p, z + step * s

    def _ray(
        self, direction: np.ndarray, level: np.ndarray | None, weights: np.ndarray | None = None
    ) -> _Proposal:
        """Return a direction of the original coordinates, its entries rounded to `GUESS_BITS` bits."""
        largest = np.frexp(np.abs(direction).max())[1]
        rounded = np.ldexp(np.round(np.ldexp(direction, GUESS_BITS - largest)), -GUESS_BITS)
        exponents = -self.exponents + int(self.exponents.min(initial=0))
        multipliers = None if weights is None else weights[level] / self.lengths[level]
        return _Proposal(np.ldexp(rounded, exponents) + 0.0, level, multipliers)


def _row_space(B: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return coordinates T (d, r) of the row space, B T nearly orthonormal, and one kernel vector if r < d.

    Cholesky QR, twice where once is not enough; eigenvectors of B'B where that has no factor. A guess of the
    rank, to be proved or dropped later.
    """
    from scipy.linalg import solve_triangular

    d = B.shape[1]
    coordinates, moved = np.eye(d), B
    for _ in range(3):
        try:
            factor = np.linalg.cholesky(moved.T @ moved)
        except np.linalg.LinAlgError:
            break
        inverse = solve_triangular(factor, np.eye(d), lower=True, check_finite=False).T
        coordinates, moved = coordinates @ inverse, moved @ inverse
        pivots = np.diag(factor)
        if pivots.min() > 2.0**-10 * pivots.max():
            return coordinates, None
    _, vectors = np.linalg.eigh(B.T @ B)
    lengths = np.linalg.norm(B @ vectors, axis=0)  # the eigenvalues have lost half of their digits
    small = lengths <= 64 * d * U * lengths.max(initial=0.0)
    kernel = vectors[:, int(np.argmax(small))] if small.any() else None
    return vectors[:, ~small] / lengths[~small], kernel


def _newton_step(B: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Return -H^-1 g for H = B'WB, g = B'w; None if H cannot be factored even with a ridge at noise level."""
    from scipy.linalg import cho_solve

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
        if np.isfinite(step).all():
            return step
    return None


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


def _lp_proposals(P: Polyhedron, rows: np.ndarray):
    """Yield what one float program says: maximize -sum a_i.y over A y <= 0, -sum a_i.y <= 1.

    Its maximum is 1 at a ray, or 0 with A'mu = -sum a_i, so that lambda = 1 + mu (rows scaled to length 1).
    """
    from polygeom.lp import maximize

    search = _Search(P.A[rows])
    _, kernel = _row_space(search.rows)
    if kernel is not None:
        yield search._ray(kernel, np.arange(len(rows)))
    if len(rows) == 0:
        return
    total = -search.rows.sum(axis=0)
    found = maximize(total, np.vstack([search.rows, total]), np.append(np.zeros(len(rows)), 1.0))
    if found.point is None:
        return
    if found.value < 0.5:
        yield _Proposal(multipliers=(1.0 + found.multipliers[:-1]) / search.lengths)
        return
    products = search.rows @ found.point
    level = products > -(2.0**-20) * np.abs(products).max()
    yield search._ray(found.point, np.flatnonzero(level))


# -- from proposals to proofs --------------------------------------------------------------------------------


def _proved(P: Polyhedron, rows: np.ndarray, proposal: _Proposal) -> PositiveSpan | RecessionRay | None:
    """Turn a proposal into a certificate that holds, or None."""
    if proposal.direction is None:
        span = PositiveSpan(proposal.multipliers, rows)
        return span if span.holds(P) else None
    ray = RecessionRay(proposal.direction)
    if ray.holds(P):
        return ray
    if proposal.level is None or not P.has_exact_rows:
        return None
    exact = _on_level_rows(P, rows[proposal.level], proposal.direction)
    ray = None if exact is None else RecessionRay(exact)
    return ray if ray is not None and ray.holds(P) else None


def _on_level_rows(P: Polyhedron, level: np.ndarray, direction: np.ndarray) -> np.ndarray | None:
    """Return a direction near a float one with products exactly 0 on some rows, or None."""
    A, _ = P.exact_rows(level)
    exact = solve_near(A, _zeros(A.nrows()), direction)
    return None if exact is None else _simplest(exact)


def _zeros(size: int):
    import flint

    return flint.fmpq_mat(size, 1)


def _simplest(vector) -> np.ndarray:
    """Return an fmpq column as floats where these are exact, as Fractions otherwise."""
    exact = fractions_array(vector.entries())
    floats = np.array([float(v) for v in exact])
    return floats if all(fraction(f) == v for f, v in zip(floats, exact, strict=True)) else exact


def _boundedness_in_rationals(P: Polyhedron) -> Boundedness:
    """Decide by exact linear programs, where rows are exact and few enough."""
    if not P.has_exact_rows:
        return Boundedness(None, None, "the rows are rounded, and the answer depends on the rounding")
    if P.dim > EXACT_DIMENSION:
        return Boundedness(None, None, f"a lower-dimensional cone in dimension {P.dim} > {EXACT_DIMENSION}")
    cone = _cone_in_rationals(P)
    if cone.dim == 0:
        return Boundedness(True, PositiveSpan(cone.multipliers, cone.implicit))
    moving = any(v != 0 for v in cone.direction)
    return Boundedness(False, RecessionRay(cone.direction if moving else cone.lineality[0]))


# -- the whole cone ------------------------------------------------------------------------------------------


def recession_cone(P: Polyhedron) -> RecessionCone:
    r"""Return dimension, relative interior point, implicit equalities and lineality of :math:`A y \le 0`.

    Parameters
    ----------
    P : Polyhedron
        Only A matters.

    Returns
    -------
    RecessionCone
        With everything needed to re-verify it.

    Raises
    ------
    UndecidedError
        If the rows are rounded without an exact source and the cone depends on the rounding (it is
        lower-dimensional, or contains a line), or an exact program would be needed in dimension > 250.

    Notes
    -----
    Cost: that of `boundedness`; exact kernels or programs where the cone is lower-dimensional or has lines.

    Examples
    --------
    >>> quadrant = recession_cone(Polyhedron([[-1, 0], [0, -1], [0, -2]], [0, 0, 5]))
    >>> quadrant.dim, quadrant.is_pointed, quadrant.implicit.size
    (2, True, 0)
    """
    rows = np.flatnonzero(P.A.any(axis=1))
    zero = np.setdiff1d(np.arange(P.n_rows), rows)
    if P.dim > 0:
        with one_blas_thread(P.A.size):
            for proposal in _Search(P.A[rows]).proposals():
                cone = _cone_from(P, rows, zero, proposal)
                if cone is not None:
                    return cone
    if not P.has_exact_rows:
        raise UndecidedError(
            "The rows are rounded, have no exact source, and the recession cone depends on the rounding."
        )
    if P.dim > EXACT_DIMENSION:
        raise UndecidedError(
            f"The recession cone is lower-dimensional or has lines, in dimension {P.dim} > {EXACT_DIMENSION}."
        )
    return _cone_in_rationals(P)


def _cone_from(
    P: Polyhedron, rows: np.ndarray, zero: np.ndarray, proposal: _Proposal
) -> RecessionCone | None:
    """Turn a proposal into a proved recession cone, or None."""
    pointed = np.empty((0, P.dim))
    if proposal.direction is None:
        everything = np.concatenate([rows, zero])
        multipliers = np.concatenate([proposal.multipliers, np.ones(len(zero))])
        cone = RecessionCone(0, np.zeros(P.dim), everything, multipliers, pointed)
        return cone if cone.holds(P) else None
    if proposal.level is None:
        lineality = pointed if sigma_min(P.A, P.A_error) > 0.0 else _kernel(P)
        if lineality is None:
            return None
        cone = RecessionCone(P.dim, proposal.direction, zero, np.ones(len(zero)), lineality)
        return cone if cone.holds(P) else None
    if proposal.multipliers is None or not P.has_exact_rows:
        return None
    return _lower_dimensional(P, rows[proposal.level], zero, proposal)


def _lower_dimensional(
    P: Polyhedron, level: np.ndarray, zero: np.ndarray, proposal: _Proposal
) -> RecessionCone | None:
    """Return the cone whose implicit equalities are guessed to be `level`, if rationals agree."""
    direction = _on_level_rows(P, level, proposal.direction)
    A, _ = P.exact_rows(level)
    multipliers = solve_near(A.transpose(), _zeros(P.dim), proposal.multipliers)
    lineality = None if direction is None or multipliers is None else _kernel(P)
    if lineality is None:
        return None
    weights = fractions_array(multipliers.entries() + [1] * len(zero))
    implicit = np.concatenate([level, zero])
    order = np.argsort(implicit)
    dim = P.dim - A.rank()
    cone = RecessionCone(dim, direction, implicit[order], weights[order], lineality)
    return cone if cone.holds(P) else None


def _kernel(P: Polyhedron) -> np.ndarray | None:
    """Return an exact basis of the kernel of the true A as rows of Fractions, (l, d); None if not available.

    From the reduced row echelon form: one basis vector for each column without a pivot.
    """
    if not P.has_exact_rows or P.dim > EXACT_DIMENSION:
        return None
    reduced, pivots = _echelon(P)
    free = [j for j in range(P.dim) if j not in set(pivots)]
    basis = np.zeros((len(free), P.dim), dtype=object)
    basis[:] = fraction(0)
    for k, j in enumerate(free):
        basis[k, j] = fraction(1)
        for i, pivot in enumerate(pivots):
            basis[k, pivot] = fraction(-reduced[i, j])
    return basis if len(free) else np.empty((0, P.dim))


def _echelon(P: Polyhedron) -> tuple[object, list[int]]:
    """Return the reduced row echelon form of the true A and its pivot columns."""
    reduced, rank = P.exact_rows(np.arange(P.n_rows))[0].rref()
    pivots, column = [], 0
    for row in range(rank):
        while reduced[row, column] == 0:
            column += 1
        pivots.append(column)
    return reduced, pivots


def _cone_in_rationals(P: Polyhedron) -> RecessionCone:
    r"""Find the cone by exact linear programs: at most one more than the dimension of the cone.

    With K the rows not yet seen strictly negative, maximize :math:`-\sum_K a_i \cdot y` over the cone, at
    most 1. A maximum of 1 shows some of K negative at y; the sum of all these y is a relative interior point.
    A maximum of 0 with :math:`A'\mu = -\sum_K a_i` ends it: the multipliers of the rows seen negative are 0
    (multiply by that sum), and :math:`\lambda_K = 1 + \mu_K > 0`.
    """
    import flint

    from polygeom.predicates.rational import maximize

    m, d = P.n_rows, P.dim
    A, _ = P.exact_rows(np.arange(m))
    direction, left = flint.fmpq_mat(d, 1), np.arange(m)
    multipliers = fractions_array([])
    while len(left):
        total = [-sum((A[i, j] for i in left.tolist()), flint.fmpq(0)) for j in range(d)]
        bounded = flint.fmpq_mat(m + 1, d, A.entries() + total)
        found = maximize(flint.fmpq_mat(d, 1, total), bounded, flint.fmpq_mat(m + 1, 1, [0] * m + [1]))
        if found.value == 0:
            multipliers = fractions_array([1 + found.multipliers[i] for i in left])
            break
        y = flint.fmpq_mat(d, 1, [flint.fmpq(v.numerator, v.denominator) for v in found.point])
        direction += y
        products = (A * y).entries()
        left = np.array([i for i in left.tolist() if products[i] == 0], dtype=np.intp)
    dim = d - (P.exact_rows(left)[0].rank() if len(left) else 0)
    lineality = _kernel(P)
    return RecessionCone(dim, _simplest(direction), left, multipliers, lineality)
