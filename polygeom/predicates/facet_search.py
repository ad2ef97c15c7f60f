r"""Float searches for facet witnesses and redundancy multipliers in high dimension; nothing here is proved.

The polyhedron is :math:`\{v : z_i \cdot v \le 1\}` (0 inside), in coordinates where Z'Z is nearly the identity.
`polygeom.predicates.facets_large` explains the three searches, and checks all they find.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polygeom.rounding import U

__all__ = ["first_order_witnesses", "hat_witnesses", "least_violation", "whitened"]

OVERSHOOT = 2**43 * U
"""How far beyond its own hyperplane a witness is sought, in units of the slack at the interior point."""

MARGIN = 2**40 * U
"""How far inside the other hyperplanes, in the same units."""

SWEEPS = 320
"""First-order steps before the rows left go to Newton's method one by one."""

SWEEPS_PER_LOOK = 5
"""First-order steps between two looks at which rows have arrived."""

NEWTON_STEPS = 1000
"""Newton steps for one row: a guard, ten to fifty are usual, some hundred where a facet is thin and far."""

BLOCK = 1024
"""Rows of the hat matrix treated at once, to bound memory."""


def whitened(A: np.ndarray, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return W (d, d) and Z = diag(1 / slack) A W (m, d) with Z'Z close to the identity.

    W is the inverse Cholesky factor of the Gram matrix; a ridge keeps it finite where columns depend on each
    other, which weakens the searches and nothing else. Columns are first scaled to length 1.
    """
    from scipy.linalg import solve_triangular

    scaled = A / slack[:, None]
    lengths = np.linalg.norm(scaled, axis=0)
    lengths[lengths == 0] = 1.0
    scaled /= lengths
    gram = scaled.T @ scaled
    d = len(gram)
    ridge = 4.0 * d * U * float(np.trace(gram)) or 1.0  # any, without rows
    while True:
        gram[np.diag_indices(d)] += ridge
        try:
            factor = np.linalg.cholesky(gram)
            break
        except np.linalg.LinAlgError:
            ridge *= 16.0
    inverse = solve_triangular(factor, np.eye(d), lower=True, check_finite=False).T
    return inverse / lengths[:, None], scaled @ inverse


def hat_witnesses(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows i with G_ii > max_j G_ij for G = Z Z', and for each a point t z_i beyond row i alone.

    t is the geometric mean of its limits 1 / G_ii and 1 / max_j G_ij, at most 2 / G_ii. Cost: m^2 d flops in
    single precision.
    """
    single = Z.astype(np.float32)
    own = np.einsum("ij,ij->i", Z, Z)
    largest = np.empty(len(Z))
    for start in range(0, len(Z), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(Z)))
        products = single[block] @ single.T
        products[block - start, block] = -np.inf
        largest[block] = products.max(axis=1, initial=0.0)
    rows = np.flatnonzero(own > largest)
    with np.errstate(divide="ignore"):
        t = np.minimum(1.0 / np.sqrt(own[rows] * largest[rows]), 2.0 / own[rows])
    return rows, t[:, None] * Z[rows]


def first_order_witnesses(Z: np.ndarray, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    r"""Yield (rows, points) found by accelerated gradients on the squared violations; last those that failed.

    All rows move at once. For each row i the variable v runs over
    :math:`\{z_i \cdot v = 1 + \epsilon\}`; the other rows, scaled to length 1, should hold with a margin. The
    step is near 1 / L, L the largest eigenvalue of the scaled rows' Gram matrix; momentum is dropped where it
    points uphill. Cost: two products a step, 4 k m d flops for k rows, in single precision.
    """
    if len(rows) == 0:
        return
    lengths = np.linalg.norm(Z, axis=1)
    N, limits = (Z / lengths[:, None]).astype(np.float32), (1.0 / lengths).astype(np.float32)
    step = np.float32(1.5 / _largest_eigenvalue(N))
    left = rows.copy()
    old = N[left] * (limits[left] * (1.0 + OVERSHOOT))[:, None]
    v, momentum = old.copy(), np.ones(len(left), dtype=np.float32)
    for sweep in range(1, SWEEPS + 1):
        violation = v @ N.T - limits * (1.0 - MARGIN)
        violation[np.arange(len(left)), left] = 0.0
        np.maximum(violation, 0.0, out=violation)
        gradient = violation @ N
        gradient -= np.einsum("ij,ij->i", gradient, N[left])[:, None] * N[left]
        new = v - step * gradient
        uphill = np.einsum("ij,ij->i", gradient, new - old) > 0
        momentum[uphill] = 1.0
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        v = new + ((momentum - 1.0) / following)[:, None] * (new - old)
        old, momentum = new, following
        if sweep % SWEEPS_PER_LOOK == 0:
            excess = old @ N.T - limits
            excess[np.arange(len(left)), left] *= -1.0
            arrived = excess.max(axis=1) < 0.0
            if arrived.any():
                yield left[arrived], old[arrived]
                left, old, v, momentum = left[~arrived], old[~arrived], v[~arrived], momentum[~arrived]
            if len(left) == 0:
                return
    yield left, old


def _largest_eigenvalue(N: np.ndarray, sweeps: int = 15) -> float:
    """Estimate the largest eigenvalue of N'N by power iteration."""
    vector = np.ones(N.shape[1], dtype=N.dtype)
    value = 1.0
    for _ in range(sweeps):
        vector = N.T @ (N @ (vector / np.linalg.norm(vector)))
        value = float(np.linalg.norm(vector))
    return value


def least_violation(
    Z: np.ndarray, limit: float, own: np.ndarray, level: float, start: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Minimize :math:`|(Z v - limit)_+|^2` over :math:`\{v : own \cdot v = level\}` by Newton's method.

    Parameters
    ----------
    Z : (m, d) array
        The other rows.
    limit, level : float
    own : (d,) array
        The row to decide.
    start : (d,) array, optional
        Where to begin; moved onto the hyperplane.

    Returns
    -------
    v : (d,) array
    violation : (m,) array
        Non-negative; zero if v satisfies the other rows.

    Notes
    -----
    With V the violated rows, the step p solves Z_V'Z_V p = nu own - Z_V'r with own . p = 0: two solves with one
    Cholesky factor (a ridge covers ``|V| < d``), then the exact minimum along p, where the derivative is piecewise
    linear. Finite for a piecewise quadratic function (Mangasarian 2002). Cost: ``|V| d^2 + d^3 / 3`` a step.
    """
    from scipy.linalg import cho_solve

    v = np.zeros(len(own)) if start is None else start
    v = v + own * ((level - own @ v) / (own @ own))
    excess, settled = Z @ v - limit, False
    for _ in range(NEWTON_STEPS):
        violated = excess > 0.0
        if not violated.any():
            break
        active = Z[violated]
        hessian = active.T @ active
        # fewer violated rows than dimensions leave directions free: there the ridge keeps the step short
        ridge = (8.0 if len(active) >= len(own) else 2**23) * U * np.trace(hessian)
        hessian[np.diag_indices_from(hessian)] += ridge
        factor = _factor(hessian)
        gradient = active.T @ excess[violated]
        solved = cho_solve((factor, True), np.stack([gradient, own], axis=1), check_finite=False)
        step = solved[:, 1] * ((own @ solved[:, 0]) / (own @ solved[:, 1])) - solved[:, 0]
        step -= own * ((own @ step) / (own @ own))  # again, because the solves amplify rounding
        rate = Z @ step
        length = _line_minimum(excess, rate)
        if length == 0.0:
            break
        gain = -length * float(excess[violated] @ rate[violated])
        negligible = gain <= 2**10 * U * float(excess[violated] @ excess[violated])
        v, excess = v + length * step, excess + length * rate
        done, settled = settled, length == 1.0 and bool(((excess > 0.0) == violated).all())
        if negligible or (settled and (done or len(active) >= len(own))):
            break
    return v, np.maximum(Z @ v - limit, 0.0)


def _factor(hessian: np.ndarray) -> np.ndarray:
    """Return a Cholesky factor, of a slightly larger matrix where rounding has left no other."""
    try:
        return np.linalg.cholesky(hessian)
    except np.linalg.LinAlgError:
        hessian[np.diag_indices_from(hessian)] += 2**23 * U * np.trace(hessian)
        return np.linalg.cholesky(hessian)


def _line_minimum(excess: np.ndarray, rate: np.ndarray) -> float:
    """Return t >= 0 minimizing |(excess + t rate)_+|^2; 0 if its slope at 0 is not negative.

    The slope is S + t C over the rows positive at t, increasing, and linear between the times at which rows
    cross 0. Sort these, follow S and C, and take the zero in the first interval whose end has a slope >= 0.
    """
    positive = excess > 0.0
    slope, curvature = float(excess[positive] @ rate[positive]), float(rate[positive] @ rate[positive])
    if slope >= 0.0:
        return 0.0
    crossing = np.flatnonzero(np.where(positive, rate < 0.0, rate > 0.0))
    times = -excess[crossing] / rate[crossing]
    order = np.argsort(times)
    crossing, times = crossing[order], times[order]
    turn = np.where(positive[crossing], -1.0, 1.0)  # rows leave or enter
    slopes = slope + np.append(0.0, np.cumsum(turn * excess[crossing] * rate[crossing]))
    curvatures = curvature + np.append(0.0, np.cumsum(turn * rate[crossing] ** 2))
    risen = slopes[:-1] + times * curvatures[:-1] >= 0.0
    interval = int(np.argmax(risen)) if risen.any() else len(times)
    if curvatures[interval] <= 0.0:
        return float(times[-1]) if len(times) else 0.0
    t = -slopes[interval] / curvatures[interval]
    # a full step is recognized as such, up to rounding
    return 1.0 if abs(t - 1.0) < 2**33 * U else float(t)
