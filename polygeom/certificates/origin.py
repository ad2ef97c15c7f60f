r"""Proofs that tie a polyhedron to the origin: does it contain 0, is it a cone, with which apex.

A closed polyhedron P that contains 0 (:math:`b \ge 0`) is a cone with apex 0 if and only if it equals its
recession cone. With L the rows with :math:`b_i = 0`, near the origin P looks like
:math:`C = \{v : A_L v \le 0\}`, so P is a cone if and only if every other row is satisfied on all of C,
:math:`a_i \cdot v \le 0`: proved by multipliers of the rows in L, refuted by an escape, a v in C with
:math:`a_i \cdot v > 0`, along which small multiples of v lie in P and large ones do not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from polygeom.certificates.boundedness import recession_signs
from polygeom.certificates.check import PROVED, Check, Level
from polygeom.certificates.feasibility import Inclusion
from polygeom.polyhedron import UNKNOWN, Polyhedron

__all__ = ["Apex", "Escape", "OriginTest", "level_cone", "offset_signs"]

OPEN = Check(False, Level.CERTIFIED, float("inf"))
REFUTED = Check(False, Level.EXACT, float("inf"))


def offset_signs(P: Polyhedron) -> np.ndarray:
    """Return the exact signs of b, (m,) int8: 1 where 0 is strictly inside, UNKNOWN where undecided."""
    if P.b_error is None:
        return np.sign(P.b).astype(np.int8)
    return P.slack_signs(np.zeros((1, P.dim)))[0]


def level_cone(P: Polyhedron, signs: np.ndarray) -> tuple[Polyhedron, Polyhedron]:
    """Return the cone C of the rows through 0 and the cone of the other rows (module docstring)."""
    cone = P.homogeneous()
    return cone.select(signs == 0), cone.select(signs == 1)


@dataclass(frozen=True, eq=False)
class Escape:
    """A direction that stays in P for small multiples and leaves it for large ones: P is no cone with apex 0.

    Attributes
    ----------
    direction : (d,) array
    row : int
        A row with b > 0 that it leaves through.
    """

    direction: np.ndarray
    row: int

    def holds(self, P: Polyhedron) -> Check:
        """Check b >= 0, A_L v <= 0 on the rows with b = 0, and a_row . v > 0 with b_row > 0, exactly."""
        offsets, rates = offset_signs(P), recession_signs(P, self.direction)
        if (offsets == UNKNOWN).any() or (rates[offsets == 0] == UNKNOWN).any():
            return OPEN
        stays = (offsets >= 0).all() and (rates[offsets == 0] <= 0).all()
        return PROVED if stays and offsets[self.row] == 1 and rates[self.row] == 1 else REFUTED


@dataclass(frozen=True, eq=False)
class OriginTest:
    """How a polyhedron lies to the origin; made by `polygeom.origin_test`.

    Attributes
    ----------
    contains_origin : bool or None
        Whether 0 is in the closed polyhedron, b >= 0.
    is_cone : bool or None
        Whether it is a cone with apex 0.
    through_origin : array of int
        Rows whose hyperplane passes exactly through 0 (b = 0; zero rows draw no hyperplane).
    distances : (m,) array or None
        Signed distance b / |a| of 0 to every hyperplane, positive when 0 is inside that half-space; inf for a
        zero row. Floats; the signs are exact where `undecided` is empty. None for a piece too large for its
        rows to be written down (`polygeom.nearest_boundaries` measures the nearest).
    undecided : array of int
        Rows whose sign of b is unknown (rounded rows without exact source).
    violated : int or None
        A row with b < 0, where 0 is outside.
    cone : Inclusion, Escape or None
        The proof that it is, or is not, a cone with apex 0, where 0 is inside.
    """

    contains_origin: bool | None
    is_cone: bool | None
    through_origin: np.ndarray
    distances: np.ndarray | None
    undecided: np.ndarray
    violated: int | None = None
    cone: Inclusion | Escape | None = field(default=None, repr=False)

    def holds(self, P: Polyhedron) -> Check:
        """Re-check every decided statement without a solver; fails if something is undecided."""
        signs = offset_signs(P)
        moving = P.A.any(axis=1)
        if not np.array_equal(self.through_origin, np.flatnonzero((signs == 0) & moving)):
            return REFUTED
        if self.contains_origin is False:
            return PROVED if signs[self.violated] == -1 and self.is_cone is False else REFUTED
        if self.contains_origin is None or self.is_cone is None:
            return OPEN
        if (signs < 0).any() or (signs == UNKNOWN).any():
            return REFUTED
        if self.is_cone:
            cone, others = level_cone(P, signs)
            return self.cone.holds(cone, others) if isinstance(self.cone, Inclusion) else REFUTED
        return self.cone.holds(P) if isinstance(self.cone, Escape) else REFUTED


@dataclass(frozen=True, eq=False)
class Apex:
    """Whether a full-dimensional polyhedron is a cone with some apex: do all facet hyperplanes share a point?

    Attributes
    ----------
    exists : bool or None
    point : (d,) array or None
        An apex: Fractions where rationals gave it, floats otherwise (then near a true apex).
    facets : array of int
        The facet rows whose hyperplanes were tested.
    level : Level
        EXACT if existence is proved by ranks or rationals.
    """

    exists: bool | None
    point: np.ndarray | None
    facets: np.ndarray
    level: Level
