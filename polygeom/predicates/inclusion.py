r"""Decide inclusion :math:`P \subseteq Q`, row by row of Q.

A row :math:`q \cdot x \le \beta` of Q holds on P if and only if P is empty or multipliers
:math:`\lambda \ge 0` give :math:`A'\lambda = q`, :math:`b \cdot \lambda \le \beta` (affine form of Farkas'
lemma, Schrijver 1986, Corollary 7.1h); otherwise some point of P lies outside. A warm linear program for each
row proposes one or the other; certificates judge, and rationals decide what they leave open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.certificates.feasibility import ImpliedRow, Inclusion, Outlier
from polygeom.errors import InputError, SolverError, UndecidedError
from polygeom.exact import fraction, fractions_array
from polygeom.lp import LpSolution, WarmLp, maximize
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import rational
from polygeom.predicates.feasibility import feasibility
from polygeom.predicates.proposals import EXACT_DIM, exact_multipliers, proves
from polygeom.predicates.subject import check_method, polyhedron_of
from polygeom.rounding import dot_error

__all__ = ["inclusion", "is_equal", "is_subset"]


def inclusion(P: Polyhedron, Q: Polyhedron, method: str = "auto") -> Inclusion:
    """Decide whether P is a subset of Q, row by row of Q: multipliers of P, or a point of P outside.

    Parameters
    ----------
    P, Q : Polyhedron
    method : {"auto", "lp"}
        "lp" asks a new float program for each row, with no shortcut and no exact simplex: a slow second opinion.

    Returns
    -------
    Inclusion
        A certificate for every row of Q, or one point of P outside Q; rows that nothing decided are listed.

    Notes
    -----
    Cost: one warm LP for each row of Q, judged in floats (repair lemma), else in rationals:
    0.5 ms a row at (m, d) = (50, 10), 2-20 ms at (200, 50); a row tied to the last digit may take seconds there.

    Raises
    ------
    InputError
        On anything but polyhedra or pieces, those of different dimensions, or another method.

    Examples
    --------
    >>> small, large = Polyhedron.box(0, 1, dim=2), Polyhedron.box(0, 2, dim=2)
    >>> inclusion(small, large).included, inclusion(large, small).included
    (True, False)
    """
    check_method(method)
    P, Q = polyhedron_of(P), polyhedron_of(Q, "Q")
    if P.dim != Q.dim:
        raise InputError(f"P lives in R^{P.dim} and Q in R^{Q.dim}; inclusion needs one space.")
    found = feasibility(P, method)
    if found.feasible is False:
        return Inclusion(True, (found.certificate,))
    exact = None
    if method == "auto" and P.has_exact_rows and Q.has_exact_rows and P.dim <= EXACT_DIM:
        exact = rational.RationalLp(*P.exact_rows(np.arange(P.n_rows)))
    start = _Start(P, found.point, WarmLp(P.A, P.b) if method == "auto" else None, exact)
    proofs, undecided = [], []
    for row in range(Q.n_rows):
        proof = _decide_row(start, Q, row)
        if isinstance(proof, Outlier):
            return Inclusion(False, (proof,))
        if proof is None:
            undecided.append(row)
        else:
            proofs.append(proof)
    return Inclusion(None if undecided else True, tuple(proofs), tuple(undecided))


def is_subset(P: Polyhedron, Q: Polyhedron, method: str = "auto") -> bool:
    """Tell whether every point of P lies in Q; see `inclusion`.

    Raises
    ------
    UndecidedError
        If neither was proved.

    Examples
    --------
    >>> is_subset(Polyhedron.box(0, 1, dim=2), Polyhedron.orthant(2))
    True
    """
    found = inclusion(P, Q, method)
    if found.included is None:
        raise UndecidedError(f"Rows {found.undecided[:5]} of Q were neither proved nor refuted on P.")
    return found.included


def is_equal(P: Polyhedron, Q: Polyhedron, method: str = "auto") -> bool:
    """Tell whether P and Q are the same set of points, whatever rows describe them; see `inclusion`.

    Raises
    ------
    UndecidedError
        If neither was proved.

    Examples
    --------
    >>> is_equal(Polyhedron([[1.0]], [2.0]), Polyhedron([[2.0], [0.0]], [4.0, 1.0]))
    True
    """
    P, Q = polyhedron_of(P), polyhedron_of(Q, "Q")
    return is_subset(P, Q, method) and is_subset(Q, P, method)


@dataclass(frozen=True, eq=False)
class _Start:
    """What deciding a row of Q needs to know about P: a point of it, and its programs."""

    P: Polyhedron
    point: np.ndarray | None
    warm: WarmLp | None
    exact: rational.RationalLp | None

    def highest(self, objective: np.ndarray) -> LpSolution:
        """Propose the maximum of an objective over P."""
        try:
            if self.warm is None:
                return maximize(objective, self.P.A, self.P.b)
            return self.warm.maximize(objective)
        except SolverError:
            return LpSolution("none", np.nan)


def _decide_row(start: _Start, Q: Polyhedron, row: int) -> ImpliedRow | Outlier | None:
    """Decide one row of Q on P."""
    P = start.P
    implied = _implied_by_one_row(P, Q, row) if start.warm is not None else None
    if implied is not None:
        return implied
    proposal, found = start.highest(Q.A[row]), None
    if proposal.status == "optimal":
        found = _implied_by(P, Q, row, proposal.multipliers)
        # Towards the interior from the float vertex: 1 - 2^-k of the way out.
        steps = 1.0 - np.ldexp(1.0, -np.arange(1, 53))
        found = found or _outlier(start, Q, row, (steps, proposal.point))
    elif proposal.status == "unbounded":
        found = _outlier(start, Q, row, (np.ldexp(1.0, np.arange(64)), proposal.ray))
    if found is not None or start.exact is None:
        return found
    return _decide_row_exactly(start.exact, Q, row, proposal.basis)


def _implied_by(P: Polyhedron, Q: Polyhedron, row: int, multipliers: np.ndarray) -> ImpliedRow | None:
    """Return the proof of a row from float multipliers, or from exact ones near them."""
    implied = ImpliedRow(row, multipliers)
    if proves(implied.holds(P, Q)):
        return implied
    if not Q.has_exact_rows:
        return None
    target = fractions_array(Q.exact_rows(np.array([row]))[0].entries())
    exact = exact_multipliers(P, multipliers, target)
    implied = None if exact is None else ImpliedRow(row, exact)
    return implied if implied is not None and proves(implied.holds(P, Q)) else None


def _implied_by_one_row(P: Polyhedron, Q: Polyhedron, row: int) -> ImpliedRow | None:
    """Return the proof where the row of Q is exactly a positive multiple of a row of P, no tighter.

    Then the vertex is degenerate and the repair lemma silent, however large the dimension.
    """
    if not (P.has_exact_rows and Q.has_exact_rows and Q.A[row].any()):
        return None
    entry = int(np.argmax(np.abs(Q.A[row])))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratios = Q.A[row, entry] / P.A[:, entry]
        gaps = np.abs(ratios[:, None] * P.A - Q.A[row]).max(axis=1)
    near = np.flatnonzero((ratios > 0) & (gaps <= dot_error(abs(Q.A[row, entry]), P.dim)))
    for candidate in near:
        mine, theirs = P.exact_rows(np.array([candidate]))[0], Q.exact_rows(np.array([row]))[0]
        if mine[0, entry] != 0:
            multipliers = fractions_array([0] * P.n_rows)
            multipliers[candidate] = fraction(theirs[0, entry] / mine[0, entry])
            implied = ImpliedRow(row, multipliers)
            if proves(implied.holds(P, Q)):
                return implied
    return None


def _outlier(start: _Start, Q: Polyhedron, row: int, path: tuple[np.ndarray, np.ndarray]) -> Outlier | None:
    """Return the first point of a path from the known point that is proved in P and outside the row of Q.

    The path is x + s (end - x) for a vertex, whose s end below 1, and x + s ray for a ray.
    """
    steps, end = path
    if start.point is None or start.point.dtype == object:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        direction = end - start.point if steps[-1] < 1.0 else end
        points = start.point + steps[:, None] * direction
    points = points[np.isfinite(points).all(axis=1)]
    outside = Q.select([row]).slack_signs(points)[:, 0] == -1
    for point in points[outside]:
        outlier = Outlier(row, point)
        if proves(outlier.holds(start.P, Q)):
            return outlier
    return None


def _decide_row_exactly(
    program: rational.RationalLp, Q: Polyhedron, row: int, basis: tuple[int, ...]
) -> ImpliedRow | Outlier | None:
    """Decide one row of Q by an exact program: its maximum against its bound."""
    normal, bound = Q.exact_rows(np.array([row]))
    found = program.maximize(normal.transpose(), basis)
    if found.status == "unbounded":
        target = fractions_array(normal.entries())
        missing = fraction(bound[0, 0]) - target @ found.point
        step = max(missing / (target @ found.ray), 0) + 1
        return Outlier(row, found.point + step * found.ray)
    if found.status == "infeasible":
        # Reached only where the emptiness of P was left undecided by `feasibility`.
        return None
    if found.value <= fraction(bound[0, 0]):
        return ImpliedRow(row, found.multipliers)
    return Outlier(row, found.point)
