r"""What the polytope lens table says about one vector: the cell it lies in, in R^d and in the orthant.

A stack of units reads x in R^d with pre-activations :math:`w_i \cdot x + c_i`; its cell at x is
:math:`P = \{y : A y \le b\}`. After a ReLU only :math:`y \ge 0` occurs, and hundreds of coordinates of x are
exactly 0: x lies on that many facets of P with the orthant added. Closed cells, as everywhere: x belongs to both.

*Scaling.* Row i is met by t x at :math:`t_i = b_i / (a_i \cdot x)`. It lies in (0, 1) iff the slack at 0,
:math:`b_i`, is negative and the slack at x positive; it lies beyond 1 iff the slack at x and
:math:`a_i \cdot x` are positive. These signs are exact, so the counts are. The orthant, a cone with apex 0,
changes none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import polygeom as pg

__all__ = ["COLUMNS", "Vector", "measure"]

BISECTIONS = 200
"""Halvings in `reach_in_orthant`: more than a float has room for."""

COLUMNS = {
    "code": "letters of the units in hexadecimal digits, four a digit, the first unit first",
    "units_on": "units whose letter is on",
    "zeros": "coordinates of x that are exactly 0",
    "norm": "Euclidean norm of x",
    "crossed_down": "hyperplanes t x meets for t in (0, 1): exact count",
    "crossed_up": "hyperplanes t x meets for t > 1: exact count",
    "stays_from": "smallest t with t x in the closed cell",
    "stays_to": "largest t with t x in the closed cell",
    "nearest": "distance from x to the nearest hyperplane it does not lie on",
    "nearest_low": "proved lower bound on it",
    "nearest_high": "proved upper bound on it",
    "nearest_unit": "the unit that draws it",
    "nearest_level": "whether code and distance are proved (exact)",
    "nearest_in_orthant": "distance from x to the nearest of these hyperplanes within y >= 0 (certified)",
    "nearest_in_orthant_gap": "duality gap of that distance, in floats",
}
"""What each column of a vector says, besides the verdicts on its cells (`VERDICTS`)."""

VERDICTS = {
    "bounded": "whether the closed cell is bounded",
    "bounded_proof": "its certificate",
    "facets": "half-spaces of units that are facets",
    "redundant": "half-spaces of units that are not",
    "coordinate_facets": "half-spaces y_k >= 0 that are facets",
    "undecided": "half-spaces that are neither proved to be facets nor proved redundant",
    "contains_origin": "whether 0 lies in the closed cell",
    "through_origin": "hyperplanes that pass exactly through 0",
    "is_cone": "whether the cell is a cone with apex 0",
    "has_apex": "whether it is a cone with some apex",
    "touching": "hyperplanes x lies on exactly",
    "level": "the weakest level among the proofs, each re-checked without a solver",
}
COLUMNS |= {
    f"{where}_{name}": f"{text}, {where}" for where in ("free", "orthant") for name, text in VERDICTS.items()
}


@dataclass(frozen=True, eq=False)
class Vector:
    """One row of the table: a vector, the stack that reads it, and what was found.

    Attributes
    ----------
    cells : dict
        Values of `COLUMNS`.
    crossings : (m,) array
        t at which the line through 0 and x meets each hyperplane; nan where they are parallel.
    origin_distances : (m,) array
        Distance of 0 to each hyperplane.
    """

    cells: dict[str, object]
    crossings: np.ndarray
    origin_distances: np.ndarray


def measure(net: pg.Network, x: np.ndarray) -> Vector:
    """Return everything the table says about one vector entering one stack."""
    piece = pg.piece_at(net, x)
    P = piece.polyhedron
    stays = P.ray_interval(x)
    near = pg.nearest_boundaries(net, x, piece=piece)
    reach, gap = reach_in_orthant(P, x)
    down, up, crossings = scaling(P, x)
    found = {
        "code": np.packbits(piece.code.astype(bool)).tobytes().hex(),
        "units_on": int(piece.code.sum()),
        "zeros": int((x == 0).sum()),
        "norm": float(np.linalg.norm(x)),
        "crossed_down": down,
        "crossed_up": up,
        "stays_from": float(stays.lower),
        "stays_to": float(stays.upper),
        "nearest": float(near.distances[0]),
        "nearest_low": float(near.bounds[0, 0]),
        "nearest_high": float(near.bounds[0, 1]),
        "nearest_unit": int(near.units[0]),
        "nearest_level": near.level.value,
        "nearest_in_orthant": reach,
        "nearest_in_orthant_gap": gap,
    }
    free = verdicts(P, x, P.n_rows)
    orthant = verdicts(P.intersect(pg.Polyhedron.orthant(P.dim)), x, P.n_rows)
    found |= {f"free_{name}": value for name, value in free.items()}
    found |= {f"orthant_{name}": value for name, value in orthant.items()}
    return Vector(found, crossings, np.abs(P.b) / np.linalg.norm(P.A, axis=1))


def verdicts(P: pg.Polyhedron, x: np.ndarray, n_units: int) -> dict[str, object]:
    """Ask everything about one closed cell, re-check every proof, and name the weakest level met."""
    signs = P.slack_signs(x[None])[0]
    bounded, origin = pg.boundedness(P, point=x), pg.origin_test(P, point=x)
    report = pg.facets(P, interior=x if (signs == 1).all() else None)
    tip = pg.apex(P, report=report)
    checks = [proof.holds(P) for proof in (bounded, report, origin, tip)]
    levels = [check.level for check in checks]
    wrong = [check for check in checks if not check.holds and check.level is pg.Level.EXACT]
    if wrong:
        raise pg.PolygeomError(f"A proof about {P} does not hold: {wrong[0]}.")
    facets = np.asarray(report.facets)
    return {
        "bounded": str(bounded.bounded),
        "bounded_proof": type(bounded.certificate).__name__,
        "facets": int((facets < n_units).sum()),
        "redundant": int((np.asarray(report.redundant) < n_units).sum()),
        "coordinate_facets": int((facets >= n_units).sum()),
        "undecided": len(report.undecided),
        "contains_origin": str(origin.contains_origin),
        "through_origin": len(origin.through_origin),
        "is_cone": str(origin.is_cone),
        "has_apex": str(tip.exists),
        "touching": int((signs == 0).sum()),
        "level": next((level.value for level in levels if level is not pg.Level.EXACT), pg.Level.EXACT.value),
    }


def scaling(P: pg.Polyhedron, x: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Return how many rows t x meets for t in (0, 1) and t > 1, exactly, and every t in floats."""
    at_zero, at_x = P.slack_signs(np.stack([0 * x, x]))
    rates = -P.homogeneous().slack_signs(x[None])[0]
    down = int(((at_zero < 0) & (at_x > 0)).sum())
    up = int(((at_x > 0) & (rates > 0)).sum())
    products = P.A @ x
    return down, up, np.divide(P.b, products, out=np.full(P.n_rows, np.nan), where=rates != 0)


def reach_in_orthant(P: pg.Polyhedron, x: np.ndarray) -> tuple[float, float]:
    r"""Return the distance from x to the nearest hyperplane of P within the orthant, and its duality gap.

    The nearest point of row i is :math:`y = \max(x + \mu a_i, 0)` with :math:`\mu \ge 0` such that
    :math:`a_i \cdot y = b_i`, where the left side grows with :math:`\mu`: bisection, all rows at once. For every
    :math:`\mu`, :math:`|y - x|^2 + 2 \mu (b_i - a_i \cdot y)` bounds the squared distance from below (weak
    duality). A row that is nowhere met in the orthant is at distance inf. Floats: CERTIFIED, not EXACT.
    """
    A, b = P.A, P.b

    def moved(mu: np.ndarray) -> np.ndarray:
        return np.maximum(x + mu[:, None] * A, 0.0)

    def reached(mu: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ij->i", A, moved(mu)) >= b

    low, high = np.zeros(len(b)), np.ones(len(b))
    for _ in range(BISECTIONS):
        short = ~reached(high)
        if not short.any():
            break
        high[short] *= 2.0
    met = reached(high)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        beyond = reached(middle)
        if ((middle == low) | (middle == high)).all():
            break
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    points = moved(high)
    distances = np.where(met, np.linalg.norm(points - x, axis=1), np.inf)
    nearest = int(np.argmin(distances))
    below = moved(low)
    gaps = 2 * low * (b - np.einsum("ij,ij->i", A, below))
    bounds = np.sqrt(np.maximum(np.einsum("ij,ij->i", below - x, below - x) + gaps, 0.0))
    distance, bound = float(distances[nearest]), float(np.where(met, bounds, np.inf).min())
    return distance, abs(distance - bound) if met.any() else 0.0
