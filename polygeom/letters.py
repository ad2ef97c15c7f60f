"""Letters at points: in floats with bounds, then over the rationals, or doubled where those are out of reach.

Points and directions may be given in the coordinates of a slice.
"""

from __future__ import annotations

import numpy as np

from polygeom.affine import AffineMap
from polygeom.doubled import BITS, double_pass
from polygeom.enclosures import EnclosedPass, enclose_pass
from polygeom.exact import ScaledMatrix
from polygeom.network import Network
from polygeom.one_sided import doubled_one_sided_pass, enclose_toward

__all__ = ["ambient_directions", "ambient_points", "decided_letters", "letters_at"]


def ambient_points(along: AffineMap | None, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ambient points and bounds on their rounding errors (0 without a slice)."""
    return (points, np.zeros_like(points)) if along is None else along.enclose(points)


def ambient_directions(along: AffineMap | None, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ambient directions and bounds on their rounding errors."""
    return ambient_points(None if along is None else along.linear_part, vectors)


def decided_letters(net: Network, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the letters (n_units,) at a flat point, and which stay open, where floats with bounds do not tell."""
    if net.exact().is_feasible:
        return net.exact().letters(net.exact().point(point)), np.zeros(net.n_units, dtype=bool)
    seen = double_pass(net, point[None])
    return seen.letters[0], seen.undecided[0]


def letters_at(
    net: Network, witness: np.ndarray, along: AffineMap | None, direction: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, EnclosedPass]:
    """Return the letters at a point or entered from it, units left undecided, and a pass with these letters."""
    point = ambient_points(along, witness[None])
    seen = enclose_pass(net, point[0], error=point[1], keep=True)
    code, open_ = seen.letters[0], seen.undecided[0]
    if net.exact().is_feasible:
        if direction is not None and along is None:
            ahead = ambient_directions(along, direction[None])
            code, open_ = (a[0] for a in enclose_toward(net, point, ahead))
        if open_.any() or not (along is None or direction is None):
            code, open_ = _exact_letters(net, witness, along, direction), np.zeros_like(open_)
    elif direction is not None:
        ahead = ambient_directions(along, direction[None])
        code, open_ = (a[0] for a in enclose_toward(net, point, ahead))
        if open_.any():
            fine = doubled_one_sided_pass(net, point, ahead, (BITS, BITS))
            code, open_ = fine.letters, fine.undecided
    elif open_.any():
        finer = double_pass(net, point[0], error=point[1])
        code, open_ = finer.letters[0], finer.undecided[0]
    if seen.undecided.any() or not np.array_equal(code, seen.letters[0]):
        seen = enclose_pass(net, point[0], error=point[1], letters=code, keep=True)
    return code, np.flatnonzero(open_), seen


def _exact_letters(
    net: Network, witness: np.ndarray, along: AffineMap | None, direction: np.ndarray | None
) -> np.ndarray:
    """Return the exact letters at a point of the input space or of a slice."""
    rational = net.exact()
    point = ScaledMatrix.from_floats(witness.reshape(-1, 1))
    toward = None if direction is None else ScaledMatrix.from_floats(direction.reshape(-1, 1))
    if along is not None:
        matrix = ScaledMatrix.from_floats(along.matrix)
        point = matrix @ point + ScaledMatrix.from_floats(along.offset.reshape(-1, 1))
        toward = None if toward is None else matrix @ toward
    return rational.letters(point, toward)
