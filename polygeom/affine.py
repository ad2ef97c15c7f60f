"""Affine maps w -> M w + c between real spaces: the identity, segments, planes through points.

An `AffineMap` is how a slice is named: ``along=AffineMap.through(a, b, c)`` is the plane through three inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.arrays import as_array, as_matrix, as_points, as_vector
from polygeom.errors import InputError
from polygeom.rounding import dot_error, round_up, unbounded_where_overflown

__all__ = ["AffineMap", "as_slice"]


@dataclass(frozen=True, eq=False)
class AffineMap:
    """The affine map R^k -> R^n, w -> matrix w + offset.

    Parameters
    ----------
    matrix : (n, k) array
    offset : (n,) array

    Examples
    --------
    >>> line = AffineMap.segment([0, 0], [2, 4])
    >>> line(0.5)
    array([1., 2.])
    """

    matrix: np.ndarray
    offset: np.ndarray

    def __post_init__(self) -> None:
        matrix = as_matrix(self.matrix, "matrix")
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "offset", as_vector(self.offset, "offset", matrix.shape[0]))

    def __repr__(self) -> str:
        return f"AffineMap(R^{self.dim_in} -> R^{self.dim_out})"

    @property
    def dim_in(self) -> int:
        """Dimension k of the source."""
        return self.matrix.shape[1]

    @property
    def dim_out(self) -> int:
        """Dimension n of the target."""
        return self.matrix.shape[0]

    @classmethod
    def identity(cls, dim: int) -> AffineMap:
        """Return the identity of R^dim.

        Raises
        ------
        InputError
            If dim is not a non-negative integer.
        """
        if not isinstance(dim, int | np.integer) or dim < 0:
            raise InputError(f"identity got the dimension {dim!r}, wanted a non-negative integer.")
        return cls(np.eye(dim), np.zeros(dim))

    @classmethod
    def segment(cls, start: object, stop: object) -> AffineMap:
        """Return t -> start + t (stop - start), with t in R; inputs of any shape are flattened.

        The difference is rounded once; the map is then taken as exact, so t = 1 may miss `stop` by a rounding.
        """
        a, b = as_array(start, "start").ravel(), as_array(stop, "stop").ravel()
        if a.shape != b.shape:
            raise InputError(f"start and stop have {a.size} and {b.size} entries; they must agree.")
        with np.errstate(over="ignore"):  # an infinite difference is refused as an entry of the matrix
            return cls((b - a)[:, None], a)

    @classmethod
    def through(cls, *points: object) -> AffineMap:
        """Return the map sending 0 to the first point and the k-th unit vector to the (k+1)-th point.

        Raises
        ------
        InputError
            If fewer than two points are given, their sizes differ, or a difference overflows.
        """
        flat = [as_array(p, "points").ravel() for p in points]
        if len(flat) < 2 or len({p.size for p in flat}) != 1:
            raise InputError(
                f"through needs at least two points of one size, got sizes {[p.size for p in flat]}."
            )
        with np.errstate(over="ignore"):
            return cls(np.stack([p - flat[0] for p in flat[1:]], axis=1), flat[0])

    def __call__(self, w: object) -> np.ndarray:
        """Return the ambient points of slice coordinates: (k,) -> (n,), (N, k) -> (N, n); a scalar if k = 1.

        Raises
        ------
        InputError
            If the coordinates have another shape, or a point overflows.
        """
        array = as_array(w, "w")
        if array.ndim == 0 and self.dim_in == 1:
            array = array.reshape(1)
        with np.errstate(over="ignore", invalid="ignore"):
            points = as_points(array, "w", self.dim_in) @ self.matrix.T + self.offset
        if not np.isfinite(points).all():
            raise InputError("The point of these coordinates overflows float64; give smaller coordinates.")
        return points[0] if array.ndim == 1 else points

    @property
    def linear_part(self) -> AffineMap:
        """The map w -> matrix w, which carries directions."""
        return AffineMap(self.matrix, np.zeros_like(self.offset))

    def enclose(self, points: np.ndarray, error: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the ambient points of coordinates (N, k), and bounds on their errors.

        `error` bounds the errors of the coordinates themselves. Sums of k products and the offset: `dot_error`
        with n = k + 1. What overflows has an infinite bound.

        Examples
        --------
        >>> value, error = AffineMap.segment([0.0], [0.1]).enclose(np.array([[3.0]]))
        >>> bool(abs(value[0, 0] - 0.3) <= error[0, 0] < 2.0**-40)
        True
        """
        spread = np.abs(self.matrix.T)
        with np.errstate(over="ignore", invalid="ignore"):
            ambient = points @ self.matrix.T + self.offset
            rounding = dot_error(np.abs(points) @ spread + np.abs(self.offset), self.dim_in + 1)
            # the offset itself is not rounded: at 0, and where no coordinate matters
            is_offset = ~points.any(axis=-1, keepdims=True) | ~spread.any(axis=0)
            rounding = np.where(is_offset, 0.0, rounding)
            if error is not None:
                moved = round_up(rounding + error @ spread, 2 * self.dim_in + 2)
                rounding = np.where(spread.any(axis=0), moved, rounding)
        return unbounded_where_overflown(ambient, rounding)

    def compose(self, inner: AffineMap) -> AffineMap:
        """Return self after inner, w -> self(inner(w)), with one rounding per product sum.

        Raises
        ------
        InputError
            If inner is not an AffineMap into the space this one starts from, or the result overflows.
        """
        if not isinstance(inner, AffineMap):
            raise InputError(f"compose got a {type(inner).__name__}, wanted the AffineMap to apply first.")
        if inner.dim_out != self.dim_in:
            raise InputError(
                f"Cannot compose: inner ends in R^{inner.dim_out}, outer starts in R^{self.dim_in}."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            return AffineMap(self.matrix @ inner.matrix, self.matrix @ inner.offset + self.offset)


def as_slice(value: object, dim: int) -> AffineMap:
    """Return the map of a slice into R^dim.

    Raises
    ------
    InputError
        If it is no `AffineMap`, or ends in another space.
    """
    if not isinstance(value, AffineMap):
        raise InputError(f"along is a {type(value).__name__}, wanted an AffineMap into R^{dim}.")
    if value.dim_out != dim:
        raise InputError(
            f"along ends in R^{value.dim_out}, wanted R^{dim}. Likely cause: the slice was made for another layer."
        )
    return value
