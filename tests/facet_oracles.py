"""Facets by definition, in rationals: is the strict system "beyond row i, inside the others" solvable?"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.spatial import HalfspaceIntersection

from polygeom.predicates.rational import maximize

Row = tuple[Fraction, ...]


def solvable(rows: list[Row]) -> bool:
    """Tell whether a . y < b has a solution, rows (*a, b), by Fourier-Motzkin elimination."""
    rows = [r for r in dict.fromkeys(map(_reduced, rows)) if any(r[:-1]) or r[-1] <= 0]
    if any(not any(r[:-1]) for r in rows):
        return False
    if not rows:
        return True
    counts = [(sum(r[k] > 0 for r in rows) * sum(r[k] < 0 for r in rows), k) for k in range(len(rows[0]) - 1)]
    _, k = min(counts)
    above, below = [r for r in rows if r[k] > 0], [r for r in rows if r[k] < 0]
    rest = [r[:k] + r[k + 1 :] for r in rows if r[k] == 0]
    for p in above:
        for q in below:
            mixed = tuple(v / p[k] - w / q[k] for v, w in zip(p, q, strict=True))
            rest.append(mixed[:k] + mixed[k + 1 :])
    if not rest:
        return True
    return solvable(rest)


def _reduced(row: Row) -> Row:
    scale = next((abs(v) for v in row[:-1] if v), None)
    return row if scale is None else tuple(v / scale for v in row)


def rational_rows(A: np.ndarray, b: np.ndarray) -> list[Row]:
    """Return the rows (*a, b) as Fractions."""
    return [(*map(Fraction, a), Fraction(s)) for a, s in zip(A.tolist(), b.tolist(), strict=True)]


def has_interior(A: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether some point satisfies every non-zero row strictly and every zero row weakly."""
    rows = rational_rows(A, b)
    return all(r[-1] >= 0 for r in rows if not any(r[:-1])) and solvable([r for r in rows if any(r[:-1])])


def facets_by_definition(A: np.ndarray, b: np.ndarray) -> list[int]:
    """Return the facets of a polyhedron with an interior point; of coincident rows the lowest."""
    rows = [_reduced(r) for r in rational_rows(A, b)]
    found = []
    for i, row in enumerate(rows):
        if not any(row[:-1]) or row in rows[:i]:
            continue
        beyond = tuple(-v for v in row)
        if solvable([beyond] + [r for r in rows if r != row and any(r[:-1])]):
            found.append(i)
    return found


def facets_by_programs(A: np.ndarray, b: np.ndarray) -> list[int]:
    """Return the facets of a polyhedron without coincident rows: what the others let pass, exactly."""
    found = []
    for i in range(len(b)):
        others = np.delete(np.arange(len(b)), i)
        solution = maximize(A[i], A[others], b[others])
        if solution.status == "unbounded" or solution.value > Fraction(b[i]):
            found.append(i)
    return found


def facets_by_qhull(A: np.ndarray, b: np.ndarray, interior: np.ndarray) -> list[int]:
    """Return the facets of a bounded simple polyhedron as the vertices of its polar dual."""
    return sorted(HalfspaceIntersection(np.column_stack([A, -b]), interior).dual_vertices.tolist())
