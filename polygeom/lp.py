r"""One interface to floating-point linear programs over :math:`\{x : A x \le b\}`, x free.

What a solver returns is a proposal: points, rays and multipliers are judged elsewhere, in rationals or with
rounding bounds. Two solvers propose: HiGHS (dual simplex, persistent and warm in `WarmLp`) and, as a second
opinion, whatever open interior-point solver cvxpy brings.

Before a solver sees the numbers they are scaled by powers of two, which is exact: each row to largest entry
in [1/2, 1), the objective likewise, and x so that the largest right-hand side is in [1/2, 1). Rows scaled by
1e9 or a square of side 1e-9 at the origin are then ordinary to a solver with absolute tolerances.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_matrix, as_vector, freeze
from polygeom.errors import InputError, SolverError
from polygeom.rounding import U

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["LpSolution", "WarmLp", "maximize"]

SOLVER_TOLERANCE = 2**23 * U
"""Feasibility asked of the solvers, in units of the scaled rows: when they stop, not what is true."""


@dataclass(frozen=True, eq=False)
class LpSolution:
    r"""The outcome of maximizing :math:`c \cdot x` over :math:`\{x : A x \le b\}`.

    Attributes
    ----------
    status : str
        ``"optimal"``, ``"unbounded"`` or ``"infeasible"``.
    value : float or Fraction
        The maximum; ``inf`` when unbounded, ``-inf`` when infeasible.
    point : (d,) array or None
        A maximizer, or a feasible point when unbounded.
    ray : (d,) array or None
        When unbounded: A ray <= 0 and c . ray > 0.
    multipliers : (m,) array or None
        Non-negative. When optimal: :math:`A'\lambda = c`, :math:`b \cdot \lambda` = value. When infeasible
        (Farkas): :math:`A'\lambda = 0`, :math:`b \cdot \lambda < 0`.
    basis : tuple of int
        Rows tight at the basic solution (the support of Farkas multipliers when infeasible), a warm start for
        another method; empty if the solver has none.

    Notes
    -----
    From a floating-point solver all numbers are approximate; from `polygeom.predicates.rational` they are
    Fractions (object arrays) and the relations hold exactly.
    """

    status: str
    value: float | Fraction
    point: np.ndarray | None = None
    ray: np.ndarray | None = None
    multipliers: np.ndarray | None = None
    basis: tuple[int, ...] = ()


def maximize(objective: object, A: object, b: object, method: str = "highs") -> LpSolution:
    r"""Maximize :math:`c \cdot x` over :math:`A x \le b`, x free, in floats.

    Parameters
    ----------
    objective : (d,) array
    A : (m, d) array
        Zero rows and m = 0 are allowed.
    b : (m,) array
    method : {"highs", "cvxpy"}
        HiGHS, or an independent interior-point solver through cvxpy.

    Returns
    -------
    LpSolution
        Approximate; see there. Cost: one LP, up to three when it is infeasible or unbounded.

    Raises
    ------
    SolverError
        If the solver stops without an answer.

    Examples
    --------
    >>> solution = maximize([1, 1], [[1, 0], [0, 1], [-1, -1]], [2, 3, 0])
    >>> solution.status, solution.value
    ('optimal', 5.0)
    >>> maximize([1, 0], [[0, 1]], [1]).status
    'unbounded'
    """
    A = as_matrix(A, "A")
    if method == "highs":
        return WarmLp(A, b).maximize(objective)
    if method != "cvxpy":
        raise InputError(f"method is {method!r}, wanted 'highs' or 'cvxpy'.")
    scaled = _Scaled.of(A, as_vector(b, "b", A.shape[0]))
    return _explained(scaled, as_vector(objective, "objective", A.shape[1]), _solve_with_cvxpy)


class WarmLp:
    """A persistent HiGHS program over A x <= b: new objectives and bounds start from the last basis.

    Meant for one LP per row: relax a row, maximize along it, restore it.

    Parameters
    ----------
    A : (m, d) array
    b : (m,) array

    Examples
    --------
    >>> square = WarmLp([[1, 0], [-1, 0], [0, 1], [0, -1]], [1, 1, 1, 1])
    >>> square.maximize([1, 2]).value
    3.0
    >>> square.set_bound(0, 5)
    >>> square.maximize([1, 2]).value
    7.0
    >>> square.restore(0); square.relax(2)
    >>> square.maximize([1, 2]).status
    'unbounded'
    """

    def __init__(self, A: object, b: object) -> None:
        A = as_matrix(A, "A")
        b = as_vector(b, "b", A.shape[0])
        self._scaled = _Scaled.of(A, b)
        self._bounds = self._scaled.b.copy()
        self._highs = _highs_model(self._scaled.A, self._bounds)

    def set_bound(self, row: int, value: float) -> None:
        """Replace the right-hand side of one row; ``inf`` drops the row."""
        self._change(row, self._scaled.scaled_bound(row, value))

    def relax(self, row: int) -> None:
        """Drop one row."""
        self._change(row, np.inf)

    def restore(self, row: int) -> None:
        """Give one row its original right-hand side back."""
        self._change(row, self._scaled.b[row])

    def _change(self, row: int, bound: float) -> None:
        self._bounds[row] = bound
        self._highs.changeRowBounds(int(row), -np.inf, float(bound))

    def maximize(self, objective: object) -> LpSolution:
        """Maximize an objective (d,) over the present rows; see `maximize`."""
        objective = as_vector(objective, "objective", self._scaled.A.shape[1])
        present = self._scaled.with_bounds(self._bounds)

        def solve(c: np.ndarray, A: np.ndarray, b: np.ndarray) -> LpSolution:
            # The auxiliary programs that explain a missing optimum are new; ours is warm.
            if A.size == 0:
                return _trivial(c, b)
            return _solve_highs(self._highs if A is present.A else _highs_model(A, b), c)

        return _explained(present, objective, solve)


@dataclass(frozen=True, eq=False)
class _Scaled:
    """Rows scaled by powers of two: A_i 2^-row_i, and b in units of 2^unit of x."""

    A: np.ndarray
    b: np.ndarray
    row_exponents: np.ndarray
    unit: int

    @classmethod
    @np.errstate(under="ignore")
    def of(cls, A: np.ndarray, b: np.ndarray) -> _Scaled:
        _, exponents = np.frexp(np.abs(A).max(axis=1, initial=0.0))
        zero_rows = ~A.any(axis=1)
        _, b_exponents = np.frexp(b)
        exponents[zero_rows] = b_exponents[zero_rows]  # then 0 <= b reads 0 <= +-1/2..1
        proper = (b != 0) & ~zero_rows
        unit = int((b_exponents - exponents)[proper].max()) if proper.any() else 0
        shift = exponents + np.where(zero_rows, 0, unit)
        return cls(np.ldexp(A, -exponents[:, None]), np.ldexp(b, -shift), exponents, unit)

    def with_bounds(self, bounds: np.ndarray) -> _Scaled:
        return _Scaled(self.A, bounds, self.row_exponents, self.unit)

    def scaled_bound(self, row: int, value: float) -> float:
        return float(np.ldexp(value, -(int(self.row_exponents[row]) + self.unit)))

    def point(self, scaled: np.ndarray) -> np.ndarray:
        return freeze(np.ldexp(scaled, self.unit))

    def multipliers(self, scaled: np.ndarray, objective_exponent: int) -> np.ndarray:
        return freeze(np.ldexp(np.maximum(scaled, 0.0), objective_exponent - self.row_exponents))


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _explained(program: _Scaled, objective: np.ndarray, solve: object) -> LpSolution:
    """Solve, undo the scaling, and where there is no optimum find the ray or the Farkas multipliers."""
    exponent = int(np.frexp(np.abs(objective).max(initial=0.0))[1])
    c = np.ldexp(objective, -exponent)
    raw = solve(c, program.A, program.b)
    if raw.status == "optimal":
        value = float(np.ldexp(raw.value, exponent + program.unit))
        multipliers = program.multipliers(raw.multipliers, exponent)
        return LpSolution("optimal", value, program.point(raw.point), None, multipliers, raw.basis)
    # The solver may also know only that there is no optimum ("none").
    nearest = _least_violation(program.A, program.b, solve)
    violated = nearest.value < -SOLVER_TOLERANCE
    if raw.status == "infeasible" or (raw.status == "none" and violated):
        farkas = program.multipliers(nearest.multipliers, 0)
        return LpSolution("infeasible", -np.inf, None, None, farkas, tuple(np.flatnonzero(farkas).tolist()))
    present = program.A[np.isfinite(program.b)]
    point, ray = program.point(nearest.point), freeze(_ray(c, present, solve))
    return LpSolution("unbounded", np.inf, point, ray, None, nearest.basis)


def _least_violation(A: np.ndarray, b: np.ndarray, solve: object) -> LpSolution:
    """Minimize t >= 0 with A x - t <= b: value -t, the point x, multipliers (Farkas if t > 0), tight rows."""
    m, d = A.shape
    finite = np.flatnonzero(np.isfinite(b))
    last = np.append(np.zeros(d), -1.0)
    rows = np.vstack([np.hstack([A[finite], -np.ones((finite.size, 1))]), last])
    found = solve(last, rows, np.append(b[finite], 0.0))
    if found.status != "optimal":
        raise SolverError(f"The always feasible, bounded program for the violation ended {found.status!r}.")
    multipliers = np.zeros(m)
    multipliers[finite] = found.multipliers[:-1]
    basis = tuple(int(finite[i]) for i in found.basis if i < finite.size)
    return LpSolution("optimal", found.value, found.point[:d], None, multipliers, basis)


def _ray(c: np.ndarray, A: np.ndarray, solve: object) -> np.ndarray:
    """Maximize c . r over A r <= 0, -1 <= r <= 1."""
    m, d = A.shape
    eye = np.eye(d)
    found = solve(c, np.vstack([A, eye, -eye]), np.concatenate([np.zeros(m), np.ones(2 * d)]))
    if found.status != "optimal":
        raise SolverError(f"The always feasible, bounded program for a ray ended {found.status!r}.")
    return found.point


def _highs_model(A: np.ndarray, b: np.ndarray) -> object:
    """Return a silent one-threaded HiGHS object holding A x <= b, x free, objective 0."""
    import highspy
    import scipy.sparse

    m, d = A.shape
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = d, m
    program.col_cost_ = np.zeros(d)
    program.col_lower_, program.col_upper_ = np.full(d, -np.inf), np.full(d, np.inf)
    program.row_lower_, program.row_upper_ = np.full(m, -np.inf), np.asarray(b, dtype=np.float64)
    columns = scipy.sparse.csc_array(A)
    program.a_matrix_.start_, program.a_matrix_.index_ = columns.indptr, columns.indices
    program.a_matrix_.value_ = columns.data
    highs = highspy.Highs()
    for option, value in _HIGHS_OPTIONS.items():
        highs.setOptionValue(option, value)
    if highs.passModel(program) == highspy.HighsStatus.kError:
        raise SolverError("HiGHS refused the program. Likely cause: entries of extremely different size.")
    return highs


_HIGHS_OPTIONS = {
    "output_flag": False,
    "threads": 1,
    "parallel": "off",
    "presolve": "off",  # keeps the basis of the last run and tells infeasible from unbounded
    "primal_feasibility_tolerance": SOLVER_TOLERANCE,
    "dual_feasibility_tolerance": SOLVER_TOLERANCE,
    "small_matrix_value": 2**14 * U,  # the least HiGHS allows is 1e-12
}


def _solve_highs(highs: object, c: np.ndarray) -> LpSolution:
    """Run HiGHS on min -c . x and read status, point, multipliers and tight rows."""
    import highspy

    d = len(c)
    highs.changeColsCost(d, np.arange(d, dtype=np.int32), -c)
    highs.run()
    status = highs.getModelStatus()
    known = highspy.HighsModelStatus
    if status == known.kUnbounded:
        return LpSolution("unbounded", np.inf)
    if status == known.kInfeasible:
        return LpSolution("infeasible", -np.inf)
    if status == known.kUnboundedOrInfeasible:
        return LpSolution("none", np.nan)
    if status != known.kOptimal:
        raise SolverError(
            f"HiGHS stopped with {highs.modelStatusToString(status)!r}. "
            "Likely cause: badly scaled rows; try method='cvxpy' or exact arithmetic."
        )
    solution = highs.getSolution()
    point = np.array(solution.col_value, dtype=np.float64).reshape(d)
    upper = highspy.HighsBasisStatus.kUpper
    basis = tuple(i for i, s in enumerate(highs.getBasis().row_status) if s == upper)
    return LpSolution("optimal", float(c @ point), point, None, -np.array(solution.row_dual), basis)


def _solve_with_cvxpy(c: np.ndarray, A: np.ndarray, b: np.ndarray) -> LpSolution:
    """Solve through cvxpy with an interior-point solver, as a second opinion independent of HiGHS."""
    import cvxpy

    if A.size == 0:
        return _trivial(c, b)
    x = cvxpy.Variable(len(c))
    rows = A @ x <= b
    problem = cvxpy.Problem(cvxpy.Maximize(c @ x), [rows])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": every answer is judged anyway
            problem.solve(solver=cvxpy.CLARABEL, max_threads=1)
    except (cvxpy.error.SolverError, cvxpy.error.DCPError, ValueError) as error:
        raise SolverError(f"cvxpy found no answer: {error}. Try method='highs'.") from None
    status = problem.status.removesuffix("_inaccurate")
    if status == "optimal":
        return LpSolution("optimal", float(problem.value), x.value, None, np.array(rows.dual_value))
    if status == "infeasible":
        return LpSolution("infeasible", -np.inf)
    if status == "unbounded":
        return LpSolution("unbounded", np.inf)
    if status == "infeasible_or_unbounded":
        return LpSolution("none", np.nan)
    raise SolverError(f"cvxpy stopped with {problem.status!r}. Try method='highs'.")


def _trivial(c: np.ndarray, b: np.ndarray) -> LpSolution:
    """Solve a program without rows or without columns: the rows read 0 <= b."""
    if (b < 0).any():
        return LpSolution("infeasible", -np.inf)
    if c.any():
        return LpSolution("unbounded", np.inf)
    return LpSolution("optimal", 0.0, np.zeros(len(c)), None, np.zeros(len(b)))
