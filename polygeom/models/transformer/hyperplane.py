r"""Coordinates of the hyperplane orthogonal to the ones vector, where the image of LayerNorm lies.

LayerNorm's image spans :math:`1^\perp`, so gate cells are polyhedra there: in R^d their rows, orthogonal to 1,
leave the line R1 free and nothing is ever bounded. u in R^{d-1} stands for y = M u,

.. math:: y_k = u_k - \alpha S \;(k < d), \qquad y_d = -\omega S, \qquad S = \sum u_k,\;
          \omega = 1 - (d - 1) \alpha.

The columns of M sum to 0 for every :math:`\alpha`, so M maps onto :math:`1^\perp`, and
:math:`M'M = I + \delta 11'` with :math:`\delta = \omega^2 + (d - 1) \alpha^2 - 2 \alpha`, which vanishes for
:math:`\alpha = (1 - d^{-1/2}) / (d - 1)`: the coordinates of a Householder reflection. :math:`\alpha` is that
number rounded to a multiple of :math:`2^{-50}`; then :math:`\alpha`, :math:`1 - \alpha` and :math:`\omega` are
floats and M is exact. The eigenvalues of M'M lie within :math:`|\delta| d` of 1 (`distortion`,
:math:`2 \cdot 10^{-11}` for d = 768), so with that number t at most 1/2

.. math:: |M u| \le (1 + t) |u|, \qquad |\omega| \le (1 + t) |M'\omega| \;\text{ for } \omega \perp 1,

since :math:`\omega = M (M'M)^{-1} M'\omega` and the least singular value of M is at least :math:`\sqrt{1 - t}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import sqrt

import numpy as np

from polygeom.affine import AffineMap
from polygeom.exact import nearest_float
from polygeom.rounding import round_up

__all__ = ["Hyperplane"]

BITS = 50
"""Bits of alpha behind the point."""


@dataclass(frozen=True)
class Hyperplane:
    """The hyperplane orthogonal to the ones vector of R^d, with nearly orthonormal coordinates in R^{d-1}.

    Examples
    --------
    >>> plane = Hyperplane(4)
    >>> plane.along(np.array([[1.0, 2.0, 3.0]])).sum()
    np.float64(0.0)
    >>> y = np.array([3.0, -1.0, -1.0, -1.0])
    >>> bool(np.allclose(plane.along(plane.coordinates(y)), y))
    True
    """

    d: int

    @cached_property
    def alpha(self) -> float:
        """The number of the module docstring, a multiple of 2^-50."""
        d = self.d
        return round((1.0 - 1.0 / sqrt(d)) / (d - 1) * 2.0**BITS) / 2.0**BITS

    @cached_property
    def omega(self) -> float:
        """1 - (d - 1) alpha, exactly."""
        return 1.0 - (self.d - 1) * self.alpha

    @cached_property
    def distortion(self) -> float:
        """An upper bound on |delta| d, by which lengths over u and in the hyperplane may differ, relatively."""
        alpha, omega = Fraction(self.alpha), Fraction(self.omega)
        delta = omega * omega + (self.d - 1) * alpha * alpha - 2 * alpha
        return float(round_up(abs(nearest_float(delta)) * self.d, 2))

    @cached_property
    def along(self) -> AffineMap:
        """The map u -> y = M u, (d, d - 1), exact in floats."""
        inner = np.full((self.d - 1, self.d - 1), -self.alpha)
        inner[np.diag_indices(self.d - 1)] = 1.0 - self.alpha
        return AffineMap(np.vstack([inner, np.full((1, self.d - 1), -self.omega)]), np.zeros(self.d))

    def coordinates(self, y: np.ndarray) -> np.ndarray:
        """Return u with M u = y for points (..., d) of the hyperplane, rounded: S is -y_d / omega."""
        return y[..., :-1] - (self.alpha / self.omega) * y[..., -1:]
