r"""Second differences of a network on parallelograms: what is missing when two changes are added up, exactly.

Write :math:`\Delta g = g(x+u+v) - g(x+u) - g(x+v) + g(x)`. Let z be what arrives at a layer of units
:math:`\sigma` with slopes of absolute value at most s. If every unit meets two equal pre-activations on one side
of the parallelogram, or four equal letters, and :math:`\Delta z = 0`, then :math:`\Delta \sigma(z) = 0`; so by
induction the second difference of the network vanishes. Always

.. math:: |\Delta \sigma(z)| \le s |\Delta z| + k, \quad
    k = |\sigma(z_{10} + z_{01} - z_{00}) - \sigma(z_{10}) - \sigma(z_{01}) + \sigma(z_{00})|,

as :math:`z_{11}` differs from the parallelogram's own corner by :math:`\Delta z`. (docs/claims.md)
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from polygeom.exact import fraction
from polygeom.gates import Elementwise, Gate
from polygeom.network import Network
from polygeom.steps import LinearStep

__all__ = ["SecondDifference"]

Exact = list[Fraction]


class SecondDifference:
    """What a network does on the corners x, x+u, x+v, x+u+v of a parallelogram, in rationals.

    Attributes
    ----------
    value, bound : list of Fraction
        The second difference of every output, and the bound on its absolute value.
    composes : bool
        Whether every unit meets the hypothesis under which the second difference vanishes.

    Examples
    --------
    >>> from polygeom.models.toy import cone
    >>> corner = SecondDifference(cone(2), [0.0, 0.0], [1.0, 0.0], [0.0, 1.0])  # each moves a unit of its own
    >>> corner.composes, corner.value == [0], corner.bound == [0]
    (True, True, True)
    >>> shared = SecondDifference(cone(2), [-1.0, 0.0], [1.0, 0.0], [1.0, 0.0])  # both move one unit across 0
    >>> shared.composes, [str(v) for v in shared.value], [str(v) for v in shared.bound]
    (False, ['1'], ['1'])
    """

    def __init__(self, net: Network, x: object, u: object, v: object) -> None:
        x, u, v = ([fraction(float(c)) for c in point] for point in (x, u, v))
        corners = [
            [a + i * b + j * c for a, b, c in zip(x, u, v, strict=True)] for i in (0, 1) for j in (0, 1)
        ]
        self._net, exact = net, net.exact()
        points = [exact.point(corner) for corner in corners]
        letters = [exact.letters(point) for point in points]
        arrivals = [exact.arrivals(point, code) for point, code in zip(points, letters, strict=True)]
        self._arrivals = {
            gate.first_column: [[fraction(v) for v in a[g].to_rational().entries()] for a in arrivals]
            for g, gate in enumerate(net.gates)
        }
        outputs = [exact(corner) for corner in corners]
        self.value = [d - c - b + a for a, b, c, d in zip(*outputs, strict=True)]
        agree = np.logical_and.reduce([code == letters[0] for code in letters[1:]])
        self.composes = all(self._splits(gate, agree[gate.columns]) for gate in net.gates)
        self.bound = net.fold([Fraction(0)] * net.dim_in, self._through, self._behind)

    def _splits(self, gate: Gate, agree: np.ndarray) -> bool:
        """Tell whether at every unit four letters agree, or one of the directions moves nothing."""
        a, b, c, _ = self._arrivals[gate.first_column]
        still = [p in (q, r) for p, q, r in zip(a, b, c, strict=True)]
        if isinstance(gate, Elementwise):
            return all(one or same for one, same in zip(still, agree, strict=True))
        moved = ([p != q for p, q in zip(a, other, strict=True)] for other in (b, c))
        by_u, by_v = (np.array(m)[np.maximum(gate.index, 0)] & gate.valid for m in moved)
        return bool((agree | ~by_u.any(axis=1) | ~by_v.any(axis=1)).all())

    def _through(self, step: LinearStep, *bounds: Exact) -> Exact:
        """Carry bounds through a linear step by its absolute weights."""
        matrices, _ = self._net.exact().matrices(step)
        total = [Fraction(0)] * step.size
        for matrix, bound in zip(matrices, bounds, strict=True):
            for k, row in enumerate(matrix.to_rational().table()):
                total[k] += sum(
                    (abs(fraction(w)) * e for w, e in zip(row, bound, strict=True) if w and e), Fraction(0)
                )
        return total

    def _behind(self, gate: Gate, bound: Exact) -> Exact:
        """Return slope times bound, plus the units' own second difference on the additive parallelogram."""
        a, b, c, _ = self._arrivals[gate.first_column]
        corner = [q + r - p for p, q, r in zip(a, b, c, strict=True)]
        opened = [_opened(gate, z) for z in (corner, b, c, a)]
        own = [abs(s - q - r + p) for s, q, r, p in zip(*opened, strict=True)]
        if isinstance(gate, Elementwise):
            steepest = np.abs(gate.table(gate.slopes)).max(axis=0).ravel().tolist()
            return [fraction(s) * e + k for s, e, k in zip(steepest, bound, own, strict=True)]
        widest = [max(bound[i] for i in window if i >= 0) for window in gate.index]
        return [e + k for e, k in zip(widest, own, strict=True)]


def _opened(gate: Gate, z: Exact) -> Exact:
    """Return the units' exact outputs."""
    if not isinstance(gate, Elementwise):
        return [max(z[i] for i in window if i >= 0) for window in gate.index]
    tables = (
        gate.table(t).reshape(len(t), -1).T.tolist() for t in (gate.breakpoints, gate.slopes, gate.offsets)
    )
    result = []
    for value, breakpoints, slopes, offsets in zip(z, *tables, strict=True):
        letter = sum(value > fraction(t) for t in breakpoints)
        result.append(fraction(slopes[letter]) * value + fraction(offsets[letter]))
    return result
