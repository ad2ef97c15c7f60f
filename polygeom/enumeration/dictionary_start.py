r"""What the recursion over dictionaries starts from: padded arrays of a chain and a domain, and the first vertex.

The first dictionary
--------------------
Everything that a chain and a domain do is a function of the rows of the first layer and of the domain. If their rank
r is less than k, r coordinates on which the rows keep their rank are enough: every cell is a cylinder over them, and
witnesses get 0 elsewhere. A vertex of the domain (of its quotient by its lines) gives the first of r independent
*reference* rows, units of the first layer the others. These units are independent on the lines of the domain, so all
combinations of their signs have interior: the recursion splits by them first, without a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from polygeom.enumeration.chain import DenseChain
from polygeom.enumeration.dictionary_ties import ExactDomain
from polygeom.errors import InputError
from polygeom.exact import ScaledMatrix, nearest_float, rational
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.rational import RationalLp, independent_columns
from polygeom.rounding import TINY, dot_error, round_up

if TYPE_CHECKING:
    import flint

    from polygeom.kernels.dictionary_cells import Control, Stack
    from polygeom.kernels.dictionary_proofs import Proof
    from polygeom.kernels.dictionary_rows import Chain, Rows, Weights

__all__ = ["Start", "make_start"]

FIRST_ROOM = 48
"""Nodes that the stack has room for at the beginning."""


@dataclass(frozen=True, eq=False)
class Start:
    """The arrays of the recursion before its first step, and the exact domain.

    Attributes
    ----------
    columns : list of int
        The r coordinates y kept.
    """

    columns: list[int]
    domain: ExactDomain | None
    chain: Chain
    rows: Rows
    stack: Stack
    control: Control
    weights: Weights
    proof: Proof


def make_start(chain: DenseChain, domain: Polyhedron | None) -> Start:
    """Return the arrays for a chain in a domain (slice coordinates of the user; None: everywhere).

    Raises
    ------
    InputError
        If the domain has no interior.
    """
    exact, basis = _exact_domain(chain, domain)
    leader, ratio = _classes(chain)
    reference, columns = _references(chain, exact, basis, leader)
    if exact is not None:
        exact = ExactDomain(_columns_of(exact.A, columns), exact.b)
    arrays = _chain_arrays(chain, exact, columns, leader, ratio, reference)
    rows = _row_arrays(arrays, exact, chain, columns)
    exact_references = _exact_rows(chain, exact, columns, reference)
    arrays, rows = _with_inverse(arrays, rows, exact_references)
    if _bound_box(rows, exact):
        arrays = _with_opposites(arrays, rows)
    return Start(columns, exact, arrays, rows, _stack(arrays, rows), _control(arrays), _weights(arrays), _proof(arrays))


# -- the domain ------------------------------------------------------------------------------------------------


def _exact_domain(chain: DenseChain, domain: Polyhedron | None) -> tuple[ExactDomain | None, list[int]]:
    """Return the domain's rows over y, without zero rows, and the rows tight at one of its vertices."""
    import flint

    if domain is None:
        return None, []
    keep = np.flatnonzero(domain.A.any(axis=1))
    if (domain.b[~domain.A.any(axis=1)] < 0).any():
        raise _no_interior()
    if not len(keep):
        return None, []
    scale = ScaledMatrix.from_floats(np.diag(chain.scale))
    A = (ScaledMatrix.from_floats(domain.A[keep]) @ scale).to_rational()
    b = ScaledMatrix.from_floats(domain.b[keep].reshape(-1, 1)).to_rational()
    m, k = A.nrows(), A.ncols()
    sizes = [max(abs(A[i, j]) for j in range(k)) for i in range(m)]
    entries = [v for i in range(m) for v in [*(A[i, j] for j in range(k)), sizes[i]]]
    lifted = flint.fmpq_mat(m + 1, k + 1, entries + [rational(0)] * k + [rational(1)])
    heights = flint.fmpq_mat(m + 1, 1, [b[i, 0] for i in range(m)] + [rational(1)])
    inside = RationalLp(lifted, heights).maximize(np.array([0.0] * k + [1.0]))
    if inside.status != "optimal" or inside.value <= 0:
        raise _no_interior()
    vertex = RationalLp(A, b).maximize(np.zeros(k))
    return ExactDomain(A, b), list(vertex.basis)


def _no_interior() -> InputError:
    return InputError(
        "The domain has no interior point: regions are full-dimensional, so there is none in it. It is empty or lies "
        "in a hyperplane; widen it, or pass along= to restrict the network to the flat it lies in."
    )


def _columns_of(matrix: flint.fmpq_mat, columns: list[int]) -> flint.fmpq_mat:
    """Return some columns of a rational matrix."""
    import flint

    height = matrix.nrows()
    return flint.fmpq_mat(height, len(columns), [matrix[i, j] for i in range(height) for j in columns])


def _bound_box(rows: Rows, domain: ExactDomain | None) -> bool:
    """Where rows of the domain bound every coordinate from both sides, bound y by the box instead of by sigma."""
    if domain is None:
        return False
    k = domain.A.ncols()
    bounds = {}
    for i in range(domain.A.nrows()):
        used = [j for j in range(k) if domain.A[i, j] != 0]
        if len(used) == 1:
            j, slope = used[0], domain.A[i, used[0]]
            bounds[j, slope > 0] = abs(domain.b[i, 0] / slope)
    if len(bounds) == 2 * k:
        rows.kappa[0] = 0.0, float(round_up(max((nearest_float(v) for v in bounds.values()), default=0.0), 2))
    return len(bounds) == 2 * k


def _with_opposites(chain: Chain, rows: Rows) -> Chain:
    """Pair the rows of a box that are each other's negative up to the constant; their sum is the span."""
    n_domain = int(chain.first[0])
    opposite, span, first = np.full(len(chain.layer), -1), np.full(len(chain.layer), np.inf), {}
    for number in range(n_domain):
        row = rows.coef[0, number]
        other = first.pop((-row + 0.0).tobytes(), None)
        if other is None:
            first[(row + 0.0).tobytes()] = number
            continue
        opposite[number], opposite[other] = other, number
        span[[number, other]] = rows.const[0, number] + rows.const[0, other]
    return chain._replace(opposite=opposite, span=span, boxed=bool((opposite >= 0).any()))


# -- units that are multiples of others, references ------------------------------------------------------------


def _classes(chain: DenseChain) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return for every layer the first unit whose exact row and bias each unit's is a multiple of, and the factor."""
    leaders, ratios = [], []
    for weight, bias in chain.exact_maps:
        rows = _integer_rows(weight, bias)
        leader, ratio, first = np.arange(len(rows)), np.ones(len(rows)), {}
        for unit, row in enumerate(rows):
            lead = next((v for v in row if v), 0)
            if lead == 0:
                continue
            divisor = gcd(*row) * (1 if lead > 0 else -1)
            other, size = first.setdefault(tuple(v // divisor for v in row), (unit, divisor))
            leader[unit] = other
            ratio[unit] = nearest_float(rational(divisor) / size)
        leaders.append(leader)
        ratios.append(ratio)
    return leaders, ratios


def _integer_rows(weight: ScaledMatrix, bias: ScaledMatrix) -> list[list[int]]:
    """Return [weight | bias] times one common positive integer."""
    common = weight.denominator.lcm(bias.denominator)
    left, right = common // weight.denominator, common // bias.denominator
    table = zip((weight.numerators * left).table(), (bias.numerators * right).table(), strict=True)
    return [[int(v) for v in [*row, *offset]] for row, offset in table]


def _references(
    chain: DenseChain, domain: ExactDomain | None, basis: list[int], leader: list[np.ndarray]
) -> tuple[list[int], list[int]]:
    """Return the numbers of r independent rows, the domain's vertex first, and r coordinates they determine.

    Units are tried in the order of a pivoted QR factorization, which keeps the references far from dependent.
    """
    import flint
    from scipy.linalg import qr

    weight, _ = chain.exact_maps[0]
    units = np.flatnonzero(leader[0] == np.arange(len(leader[0])))
    floats = chain.layers[0].weight[units]
    if units.size:
        units = units[qr(floats.T, mode="r", pivoting=True)[1]]
    n_domain = 0 if domain is None else domain.A.nrows()
    numbers = [*basis, *(n_domain + int(u) for u in units)]
    table = [[domain.A[i, j] for j in range(chain.dim)] for i in basis]
    table += [[rational(weight.numerators[int(u), j]) for j in range(chain.dim)] for u in units]
    stacked = flint.fmpq_mat(len(table), chain.dim, [v for row in table for v in row])
    integers = flint.fmpz_mat([_primitive(row) for row in table]) if table else stacked.numer_denom()[0]
    chosen = independent_columns(integers.transpose())
    independent = flint.fmpz_mat(
        len(chosen), chain.dim, [integers[i, j] for i in chosen for j in range(chain.dim)]
    )
    return [numbers[i] for i in chosen], independent_columns(independent)


def _primitive(row: list[flint.fmpq]) -> list[flint.fmpz]:
    """Return a rational row times a positive integer that clears its denominators."""
    common = rational(1).q
    for v in row:
        common = common.lcm(v.q)
    return [v.p * (common // v.q) for v in row]


def _exact_rows(
    chain: DenseChain, domain: ExactDomain | None, columns: list[int], numbers: list[int]
) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
    """Return the exact coefficients and constants of first path rows, as the recursion writes them."""
    import flint

    weight, bias = chain.exact_maps[0]
    n_domain = 0 if domain is None else domain.A.nrows()
    coef, const = [], []
    for number in numbers:
        if number < n_domain:
            coef += [-domain.A[number, j] for j in range(len(columns))]
            const.append(domain.b[number, 0])
        else:
            u = number - n_domain
            coef += [rational(weight.numerators[u, j]) / weight.denominator for j in columns]
            const.append(rational(bias.numerators[u, 0]) / bias.denominator)
    return flint.fmpq_mat(len(numbers), len(columns), coef), flint.fmpq_mat(len(numbers), 1, const)


# -- arrays ----------------------------------------------------------------------------------------------------


def _distance(floats: np.ndarray, exact: ScaledMatrix) -> np.ndarray:
    """Return upper bounds on the entrywise distance of floats from exact numbers."""
    given = ScaledMatrix.from_floats(floats)
    difference = given + -exact
    if not any(difference.numerators.entries()):
        return np.zeros(floats.shape)
    return round_up(np.abs(difference.to_floats()), 2)


def _chain_arrays(
    chain: DenseChain,
    domain: ExactDomain | None,
    columns: list[int],
    leader: list[np.ndarray],
    ratio: list[np.ndarray],
    reference: list[int],
) -> Chain:
    """Return the padded arrays of a chain; `inverse` is filled in by `_with_inverse`."""
    from polygeom.kernels.dictionary_rows import Chain

    layers, r = chain.layers, len(columns)
    width = np.array([layer.width for layer in layers])
    n_domain = 0 if domain is None else domain.A.nrows()
    first = n_domain + np.concatenate([[0], np.cumsum(width)])
    L, N, R = len(layers), int(width.max()), int(first[-1])
    weight, bias = np.zeros((L, max(N, r, 1), N)), np.zeros((L, N))
    weight_error, bias_error, slopes = np.zeros((L, N)), np.zeros((L, N)), np.zeros((L, 2, N))
    layer_of, leaders, ratios = np.full(R, -1), np.arange(R), np.ones(R)
    passes, slot = np.zeros((2, R), bool), np.full(R, -1)
    slot[reference] = np.arange(r)
    for l, (layer, (W, c)) in enumerate(zip(layers, chain.exact_maps, strict=True)):
        n, here = layer.width, slice(first[l], first[l + 1])
        kept = layer.weight[:, columns] if l == 0 else layer.weight
        weight[l, : kept.shape[1], :n], bias[l, :n], slopes[l, :, :n] = kept.T, layer.bias, layer.slopes
        weight_error[l, :n] = _distance(layer.weight, W).max(axis=1, initial=0.0)
        bias_error[l, :n] = _distance(layer.bias.reshape(-1, 1), c)[:, 0]
        layer_of[here], leaders[here], ratios[here] = l, first[l] + leader[l], ratio[l]
        for unit in range(n if l + 1 < L else 0):
            for side in range(2):
                own = side if ratio[l][unit] > 0 else 1 - side
                passes[side, leaders[first[l] + unit]] |= layer.slopes[own, unit] != 0
    return Chain(
        weight,
        bias,
        weight_error,
        bias_error,
        slopes,
        width,
        first[:-1].copy(),
        np.array([layer.first_column for layer in layers]),
        layer_of,
        leaders,
        ratios,
        passes,
        np.array(reference, dtype=np.int64),
        slot,
        np.zeros((r, r)),
        np.full(R, -1),
        np.full(R, np.inf),
        False,
    )


def _row_arrays(chain: Chain, domain: ExactDomain | None, dense: DenseChain, columns: list[int]) -> Rows:
    """Return room for all rows, with those of the domain and of the first layer written."""
    from polygeom.kernels.dictionary_rows import Rows

    L, R, r = len(chain.width), len(chain.layer), len(columns)
    n_domain, n = int(chain.first[0]), int(chain.width[0])
    coef, const, errors = np.zeros((L, R, r)), np.zeros((L, R)), np.zeros((2, L, R))
    if domain is not None:
        A, b = (
            ScaledMatrix.from_rationals(*_entries(domain.A)),
            ScaledMatrix.from_rationals(*_entries(domain.b)),
        )
        coef[0, :n_domain], const[0, :n_domain] = -A.to_floats(), b.to_floats()[:, 0]
        errors[0, 0, :n_domain] = _distance(-coef[0, :n_domain], A).sum(axis=1)
        errors[1, 0, :n_domain] = _distance(const[0, :n_domain].reshape(-1, 1), b)[:, 0]
    units = slice(n_domain, n_domain + n)
    coef[0, units], const[0, units] = chain.weight[0, :r, :n].T, chain.bias[0, :n]
    errors[0, 0, units] = round_up(chain.weight_error[0, :n] * r, 2) * (chain.weight_error[0, :n] > 0)
    errors[1, 0, units] = chain.bias_error[0, :n]
    largest = np.abs(coef[0, : n_domain + n]).max(axis=1, initial=0.0)
    scale = np.ones(R)
    scale[: n_domain + n] = np.where(
        largest > 0, 2.0 ** -np.floor(np.log2(np.where(largest > 0, largest, 1))), 1
    )
    coef[0] *= scale[:, None]
    const[0] *= scale
    # an inexact scaling is one that underflows
    errors[:, 0] *= scale
    errors[0, 0] += np.where(coef[0].any(axis=1), r * TINY, 0.0)
    errors[1, 0] += np.where(const[0] != 0, TINY, 0.0)
    size = round_up(np.abs(coef).sum(axis=2), r) * coef.any(axis=2)
    kept = np.full(L, -1)
    kept[0] = r
    return Rows(
        coef,
        const,
        size,
        errors[0],
        errors[1],
        scale,
        np.zeros((L, r), np.int64),
        kept,
        np.zeros(R, bool),
        np.tile([1.0, 0.0], (L, 1)),
    )


def _entries(matrix: flint.fmpq_mat) -> tuple[int, int, list[flint.fmpq]]:
    return matrix.nrows(), matrix.ncols(), matrix.entries()


def _with_inverse(
    chain: Chain, rows: Rows, exact: tuple[flint.fmpq_mat, flint.fmpq_mat]
) -> tuple[Chain, Rows]:
    r"""Fill in the inverse of the reference rows, and the bounds kappa of level 0.

    With X close to B^{-1} and :math:`e = |I - X B|_\infty < 1` (rounding and the rows' errors included),
    :math:`B^{-1} = (I - E)^{-1} X` gives :math:`\max|B^{-1}| \le \max|X| / (1 - e)` and
    :math:`|B^{-1} c|_\infty \le |X c|_\infty / (1 - e)`. Where floats give no e < 1/2, the exact inverse is taken.
    """
    number = chain.reference
    B, c, r = rows.coef[0, number], rows.const[0, number], len(number)
    if r == 0:
        return chain, rows
    try:
        X = np.linalg.inv(B)
    except np.linalg.LinAlgError:
        X = np.full((r, r), np.nan)
    spread = np.abs(X)
    E = np.abs(np.eye(r) - X @ B) + dot_error(spread @ np.abs(B) + 1.0, r + 1)
    gap = float(round_up(E.sum(axis=1).max() + (spread @ rows.error[0, number]).max(), 2 * r + 4))
    if gap < 0.5:
        offset = np.abs(X @ c) + dot_error(spread @ np.abs(c), r) + spread @ rows.const_error[0, number]
        kappa = round_up(np.array([spread.max(), offset.max()]), 2 * r + 4) / (1.0 - gap)
    else:
        scale = rows.scale[number]
        coef, const = exact
        inverse = coef.inv()
        entries = [nearest_float(v) for v in inverse.entries()]
        X = np.array(entries).reshape(r, r) / scale
        kappa = np.array([np.abs(X).max(), max(abs(nearest_float(v)) for v in (inverse * const).entries())])
    rows.kappa[0] = round_up(kappa, 4)
    if not (c.any() or rows.const_error[0, number].any()):
        rows.kappa[0, 1] = 0.0  # no offsets, no rounding: cells of a central arrangement stay cones
    return chain._replace(inverse=X), rows


def _stack(chain: Chain, rows: Rows) -> Stack:
    """Return the stack with the whole domain on it, at the vertex of the references."""
    from polygeom.kernels.dictionary_cells import Stack

    R, r = len(chain.layer), len(chain.reference)
    n_domain, n_first = int(chain.first[0]), int(chain.first[0] + chain.width[0])
    held = set(chain.reference.tolist())
    path = []
    for i in range(n_domain):
        if i not in held and chain.opposite[i] not in held:
            held.add(i)
            path.append(i)
    units = [i for i in range(n_domain, n_first) if chain.slot[i] < 0 and chain.leader[i] == i]
    basic = np.array(path + units, dtype=np.int64)
    stack = Stack(
        np.zeros((FIRST_ROOM, R - r + 1, r + 1)),
        np.zeros((FIRST_ROOM, R - r + 1), np.int64),
        np.zeros((FIRST_ROOM, r), np.int64),
        np.zeros((FIRST_ROOM, R), np.int8),
        np.zeros((FIRST_ROOM, 5), np.int64),
    )
    slopes = rows.coef[0, basic] @ chain.inverse
    stack.table[0, : len(basic), 1:] = slopes
    stack.table[0, : len(basic), 0] = rows.const[0, basic] - slopes @ rows.const[0, chain.reference]
    stack.basic[0, : len(basic)] = basic
    stack.nonbasic[0] = chain.reference
    stack.sign[0, :n_domain] = 1
    stack.head[0] = 0, len(path), len(basic), 0, 0
    return stack


def _control(chain: Chain) -> Control:
    """Return the state of the recursion before its first step."""
    from polygeom.kernels.dictionary_cells import ANSWER, NONE, PLACES, Control

    R, r = len(chain.layer), len(chain.reference)
    counts = np.zeros(PLACES, np.int64)
    counts[ANSWER] = NONE
    return Control(
        counts,
        np.zeros(1),
        np.zeros((r, r)),
        np.zeros((r, r)),
        np.zeros((2 * R + 4, 2 * R + r + 4)),
        np.zeros(r),
        np.zeros(r + 1),
        np.zeros(r),
    )


def _weights(chain: Chain) -> Weights:
    """Return room for the weights of a new layer."""
    from polygeom.kernels.dictionary_rows import Weights

    R, N = len(chain.layer), chain.bias.shape[1]
    square = (np.zeros((N, N)) for _ in range(3))
    return Weights(*square, np.zeros(N, np.int64), np.zeros(R, np.int64))


def _proof(chain: Chain) -> Proof:
    """Return scratch for proofs."""
    from polygeom.kernels.dictionary_proofs import STALE, Proof

    r, N = len(chain.reference), chain.bias.shape[1]
    slopes = (np.zeros(r + 1) for _ in range(3))
    forward = (np.zeros(N + r) for _ in range(4))
    return Proof(*slopes, np.full(3, STALE), *forward)
