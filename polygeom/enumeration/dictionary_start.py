r"""What the recursion over dictionaries starts from: coordinates that matter, multiples, the first vertex.

The first dictionary
--------------------
Everything that a chain and a domain do is a function of the rows of the first layer and of the domain. If
their rank r is less than k, r coordinates on which the rows keep their rank are enough: every cell is a
cylinder over them, and witnesses get 0 elsewhere. A vertex of the domain (of its quotient by its lines) gives
the first of r independent *reference* rows, units of the first layer the others. These units are independent
on the lines of the domain, so all combinations of their signs have interior: the recursion splits by them
first, without a test.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from polygeom.enumeration.chain import DenseChain
from polygeom.enumeration.dictionary_arrays import Frame, Start, first_arrays
from polygeom.enumeration.dictionary_ties import ExactDomain
from polygeom.errors import InputError
from polygeom.exact import ScaledMatrix, nearest_float, rational, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.rational import RationalLp, independent_columns

if TYPE_CHECKING:
    import flint

__all__ = ["make_start"]


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
    frame = Frame(chain, exact, columns, leader, ratio, reference)
    return first_arrays(frame, _exact_rows(frame))


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
    A, b = domain.exact_rows(keep)
    A = A * rational_matrix(np.diag(chain.scale))
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
        "The domain has no interior point: regions are full-dimensional, so there is none in it. It is empty or "
        "lies in a hyperplane; widen it, or pass along= to restrict the network to the flat it lies in."
    )


def _columns_of(matrix: flint.fmpq_mat, columns: list[int]) -> flint.fmpq_mat:
    """Return some columns of a rational matrix."""
    import flint

    height = matrix.nrows()
    return flint.fmpq_mat(height, len(columns), [matrix[i, j] for i in range(height) for j in columns])


# -- units that are multiples of others, references ------------------------------------------------------------


def _classes(chain: DenseChain) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return for every layer of which first unit each unit is an exact multiple, bias included, and the factor."""
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


def _exact_rows(frame: Frame) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
    """Return the exact coefficients and constants of the reference rows."""
    import flint

    weight, bias = frame.chain.exact_maps[0]
    coef, const, r = [], [], len(frame.columns)
    for number in frame.reference:
        if number < frame.n_domain:
            coef += [-frame.domain.A[number, j] for j in range(r)]
            const.append(frame.domain.b[number, 0])
        else:
            u = number - frame.n_domain
            coef += [rational(weight.numerators[u, j]) / weight.denominator for j in frame.columns]
            const.append(rational(bias.numerators[u, 0]) / bias.denominator)
    return flint.fmpq_mat(r, r, coef), flint.fmpq_mat(r, 1, const)
