"""Laws of verified linear algebra: every bound is compared with rational arithmetic."""

from __future__ import annotations

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.exact import fraction, rational, rational_matrix
from polygeom.ranks import has_full_rank, rank, solve_near
from polygeom.verified import norm_bound, repair, sigma_min

seeds = st.integers(0, 2**32 - 1)
small_dims = st.integers(1, 5)


def is_positive_semidefinite(S: flint.fmpq_mat) -> bool:
    """Exact test by symmetric elimination; a zero pivot must have a zero row."""
    n = S.nrows()
    M = [[S[i, j] for j in range(n)] for i in range(n)]
    for k in range(n):
        if M[k][k] < 0:
            return False
        if M[k][k] == 0:
            if any(M[k][j] != 0 for j in range(k + 1, n)):
                return False
            continue
        for i in range(k + 1, n):
            factor = M[i][k] / M[k][k]
            for j in range(k, n):
                M[i][j] = M[i][j] - factor * M[k][j]
    return True


def gram(M: np.ndarray) -> flint.fmpq_mat:
    exact = rational_matrix(M)
    return exact.transpose() * exact


def scaled_identity(n: int, value: flint.fmpq) -> flint.fmpq_mat:
    return flint.fmpq_mat(n, n, [value if i == j else 0 for i in range(n) for j in range(n)])


def random_matrix(rng: np.random.Generator, d: int, decades: float) -> np.ndarray:
    """A matrix of condition number about 10^decades, with columns in different units half of the time."""
    n = d + int(rng.integers(0, 4))
    U, _ = np.linalg.qr(rng.standard_normal((n, d)))
    V, _ = np.linalg.qr(rng.standard_normal((d, d)))
    M = U * np.logspace(0, -decades, d) @ V
    return M * 10.0 ** rng.integers(-9, 9, d) if rng.random() < 0.5 else M


@given(seeds, small_dims, st.floats(0, 17))
def test_sigma_min_is_a_lower_bound_in_rationals(seed, d, decades):
    M = random_matrix(np.random.default_rng(seed), d, decades)
    bound = rational(sigma_min(M))
    assert is_positive_semidefinite(gram(M) - scaled_identity(d, bound * bound))


@given(seeds, small_dims, st.floats(0, 6))
def test_sigma_min_with_errors_bounds_every_matrix_within_them(seed, d, decades):
    rng = np.random.default_rng(seed)
    M = random_matrix(rng, d, decades)
    error = np.abs(M) * 10.0 ** -rng.uniform(1, 16)
    bound = rational(sigma_min(M, error))
    for _ in range(5):
        # corners: the float sum may leave the interval by a rounding, so it is kept in rationals
        corner = rational_matrix(M) + rational_matrix(rng.choice([-1.0, 1.0], M.shape) * error)
        assert is_positive_semidefinite(corner.transpose() * corner - scaled_identity(d, bound * bound))


@given(seeds, st.integers(1, 30))
def test_sigma_min_is_sharp_within_a_factor(seed, d):
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((2 * d + 3, d))
    assert sigma_min(M) >= 0.3 * np.linalg.svd(M, compute_uv=False)[-1]


@pytest.mark.parametrize("decades", [5, 8, 11, 13])
def test_sigma_min_survives_squaring_the_condition_number(decades):
    M = random_matrix(np.random.default_rng(1), 5, decades)
    assert sigma_min(M) > 0.0


@pytest.mark.parametrize(
    "M",
    [
        np.zeros((3, 2)),
        np.ones((4, 2)),
        np.ones((1, 2)),
        np.array([[1.0, 0.0], [1.0, 0.0]]),
        np.array([[1.0, np.nan], [1.0, 0.0]]),
        np.array([[np.inf, 0.0], [0.0, 1.0]]),
        np.outer([0.1, 0.2, 0.7], [0.3, 1.1]) * 1e-300,
    ],
)
def test_sigma_min_proves_nothing_for_deficient_matrices(M):
    assert sigma_min(M) == 0.0


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-9, 1e9, 1e160, 1e300])
def test_sigma_min_at_extreme_scales(scale):
    M = np.array([[3.0, 1.0], [1.0, 2.0], [0.0, 1.0]]) * scale
    assert 0.5 * scale < sigma_min(M) < 2 * scale
    assert norm_bound(M) == pytest.approx(4 * scale)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_norm_bound_is_an_upper_bound_in_rationals(values):
    bound = norm_bound(np.array(values))
    if np.isfinite(bound):
        assert fraction(bound) ** 2 >= sum(fraction(v) ** 2 for v in values)


def least_norm_repair(weights, A, target):
    """The exact multipliers of the lemma's proof: lambda (1 + delta) with delta of least norm."""
    D = rational_matrix(weights)
    DA = flint.fmpq_mat(*A.shape, [D[i, 0] * rational(a) for i, row in enumerate(A) for a in row])
    residual = rational_matrix(A).transpose() * D - rational_matrix(target)
    delta = DA * (DA.transpose() * DA).solve(residual * -1)
    exact = flint.fmpq_mat(len(weights), 1, [D[i, 0] * (1 + delta[i, 0]) for i in range(len(weights))])
    return exact, delta


@given(seeds, small_dims, st.floats(0, 14), st.booleans())
def test_repair_lemma_against_rationals(seed, d, decades, in_units):
    rng = np.random.default_rng(seed)
    m = d + int(rng.integers(1, 5))
    A = rng.standard_normal((m, d))
    weights = rng.uniform(0.1, 1, m) * 10.0 ** rng.uniform(-3, 3, m)
    if in_units:
        A *= 10.0 ** rng.integers(-9, 9, d)
    target = weights @ A
    target = target + np.abs(weights) @ np.abs(A) * rng.standard_normal(d) * 10.0**-decades
    b = rng.standard_normal(m)
    result = repair(weights, A, target)
    if not result:
        return
    exact, delta = least_norm_repair(weights, A, target)
    assert (rational_matrix(A).transpose() * exact - rational_matrix(target)).rank() == 0
    assert all(value > 0 for value in exact.entries())
    changes = zip(b, exact.entries(), weights, strict=True)
    moved = sum(rational(side) * (new - rational(old)) for side, new, old in changes)
    assert abs(fraction(moved)) <= fraction(result.offset_change(b))
    assert sum(fraction(v) ** 2 for v in delta.entries()) <= fraction(result.change) ** 2


@given(seeds, small_dims)
def test_repair_proves_well_posed_multipliers(seed, d):
    rng = np.random.default_rng(seed)
    A = np.vstack([np.eye(d), -np.eye(d)]) * 10.0 ** rng.integers(-9, 9, d)
    weights = np.ones(2 * d)
    assert repair(weights, A, np.zeros(d))


def test_repair_proves_nothing_without_strict_multipliers_or_rank():
    A = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    assert repair(np.ones(3), A, np.zeros(2))
    assert not repair(np.array([1.0, 1.0, 0.0]), A, np.zeros(2))
    assert not repair(np.array([1.0, 1.0, np.nan]), A, np.zeros(2))
    assert not repair(np.ones(3), A, np.array([5.0, 0.0]))
    assert not repair(np.ones(3), A, np.zeros(2), A_error=np.full((3, 2), 0.9))
    assert repair(np.ones(3), A, np.zeros(2), A_error=np.full((3, 2), 0.01))


@given(seeds, st.integers(1, 7), st.integers(1, 7), st.integers(0, 7))
def test_rank_is_exact(seed, n, d, r):
    rng = np.random.default_rng(seed)
    A = rng.integers(-5, 6, (n, r)).astype(float) @ rng.integers(-5, 6, (r, d)).astype(float)
    A *= 2.0 ** rng.integers(-40, 40, (n, 1))
    truth = rational_matrix(A).rank()
    assert rank(A) == truth == rank(rational_matrix(A))
    assert not has_full_rank(A) or truth == min(n, d)


def test_rank_sees_a_single_bit():
    tenth = np.array([[1.0, 0.1], [10.0, 1.0]])  # 10 * fl(0.1) is not 1
    assert rank(tenth) == 2
    assert rank(np.array([[1.0, 0.1], [2.0, 0.2]])) == 1
    assert rank(np.zeros((3, 2))) == rank(np.zeros((0, 2))) == 0


@given(seeds, st.integers(1, 6), st.integers(1, 6), st.integers(0, 6))
def test_solve_near_is_exact_and_near(seed, n, d, r):
    rng = np.random.default_rng(seed)
    M = rng.integers(-5, 6, (n, r)).astype(float) @ rng.integers(-5, 6, (r, d)).astype(float)
    v = rng.standard_normal(d)
    exact = rational_matrix(M)
    target = exact * rational_matrix(v)
    assert solve_near(exact, target, v).entries() == rational_matrix(v).entries()
    found = solve_near(exact, target, v * (1 + 2.0**-40))
    assert (exact * found - target).rank() == 0
    assert all(abs(float(fraction(a)) - b) < 1e-6 for a, b in zip(found.entries(), v, strict=True))


def test_solve_near_finds_nothing_where_nothing_is():
    one = rational_matrix(np.array([[1.0, 1.0], [1.0, 1.0]]))
    assert solve_near(one, rational_matrix(np.array([1.0, 2.0])), np.zeros(2)) is None


def test_repair_leaves_out_idle_coordinates_and_says_so():
    A = np.array([[1.0, 0.0], [-1.0, 0.0]])
    idle = repair(np.ones(2), A, np.zeros(2))
    assert idle
    assert idle.rank == 1
    assert not repair(np.ones(2), A, np.array([0.0, 1.0]))
    assert not repair(np.ones(2), A, np.zeros(2), A_error=np.array([[0.0, 0.0], [0.0, 1e-3]]))
