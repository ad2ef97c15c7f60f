"""Scaling an input: all boundaries on the ray from the origin through it, and what holds beyond the last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_positive
from polygeom.budget import Budget
from polygeom.certificates.check import OPEN, PROVED, REFUTED, Check
from polygeom.errors import InputError, UndecidedError
from polygeom.lines.crossings import LineCrossings
from polygeom.lines.segments import crossings_on
from polygeom.network import Network, as_network
from polygeom.pieces import BYTE_BUDGET, AffinePiece, piece_at

__all__ = ["ScalingCrossings", "scaling_crossings"]

FARTHEST = 2.0**200
"""Where the search for the last boundary gives up, in multiples of x."""

STRIDE = 2.0**4
"""How much farther the next sweep reaches, where the last one did not end in a cell that holds the rest."""


@dataclass(frozen=True, eq=False)
class ScalingCrossings:
    """All boundaries on a ray t x, t > 0.

    Attributes
    ----------
    hits : LineCrossings
        The boundaries, for 0 < t < t_max.
    is_forever : bool or None
        Whether the last cell holds the rest of the ray: its recession cone contains x, so there is no boundary
        beyond `last`. None if floats could not tell.
    """

    hits: LineCrossings
    is_forever: bool | None

    def __repr__(self) -> str:
        beyond = {True: "none beyond", False: "more beyond", None: "beyond: undecided"}[self.is_forever]
        span = f", t from {self.first:.4g} to {self.last:.4g}" if len(self.hits) else ""
        return f"ScalingCrossings({len(self.hits)} boundaries{span}, {beyond} t = {self.hits.reach[1]:.4g})"

    @property
    def first(self) -> float:
        """The first t where the code changes; inf if there is none."""
        return float(self.hits.t[0]) if len(self.hits) else float("inf")

    @property
    def last(self) -> float:
        """The last t where the code changes; 0 if there is none."""
        return float(self.hits.t[-1]) if len(self.hits) else 0.0

    @property
    def around(self) -> tuple[float, float]:
        """The factors nearest to 1 on either side between which x keeps its code: its range in scale."""
        t = self.hits.t
        below, above = t[t < 1.0], t[t > 1.0]
        return float(below.max(initial=0.0)), float(
            above.min(initial=np.inf if self.is_forever else self.hits.reach[1])
        )

    @property
    def terminal(self) -> AffinePiece:
        """The piece where the ray ends, in the coordinate t."""
        return self.hits.piece(len(self.hits))

    def check(self) -> Check:
        """Re-check from the network alone that the ray never leaves the last cell.

        The code is read afresh between the last boundary and the end, and all half-spaces are computed from it:
        none may fall along the ray. The boundaries before are checked by ``hits.check()``.

        Returns
        -------
        Check
            REFUTED if the ray leaves the cell; OPEN where floats cannot tell and rationals are out of reach.
        """
        hits, last = self.hits, len(self.hits)
        there = piece_at(hits.network, np.array([hits.middle(last)]), along=hits.line)
        decided = np.setdiff1d(np.arange(hits.network.n_units), there.undecided)
        if (there.code[decided] != hits.code(last)[decided]).any():
            return REFUTED
        stays = _recedes(there)
        return OPEN if stays is None or len(there.undecided) else PROVED if stays else REFUTED


def scaling_crossings(
    net: Network,
    x: object,
    t_max: float | None = None,
    *,
    classes: bool = False,
    memory: int = BYTE_BUDGET,
    budget: Budget | None = None,
    device: object = None,
    progress: bool = False,
) -> ScalingCrossings:
    """Return all boundaries that t x crosses while t grows from 0 to t_max.

    Scaling an activation is the experiment that tells on- from off-distribution: what a direction means holds for
    a range of t (`ScalingCrossings.around`, with `classes` the stretch of one class), and changes beyond.

    Parameters
    ----------
    x : array
        An input of the network, not 0; for activations of a layer convert the part that starts there.
    t_max : float, optional
        How far; by default as far as there are boundaries: sweeps reach ever farther until the last cell is proved
        to hold the rest of the ray.
    classes, memory, budget, device, progress
        As for `line_crossings`; the budget is one sweep's.

    Raises
    ------
    InputError
        If x is 0, on wrong shapes, NaN or infinities, a t_max that is no positive number, or boundaries beyond
        2**200.

    Examples
    --------
    >>> net = Network.from_layers([([[1, 0], [0, 1]], [-1, -2]), ([[1, 1]], [0])])
    >>> ray = scaling_crossings(net, [1, 1])
    >>> ray.hits.t, ray.is_forever
    (array([1., 2.]), True)
    >>> scaling_crossings(net, [1, 1], t_max=1.5)
    ScalingCrossings(1 boundaries, t from 1 to 1, more beyond t = 1.5)
    """
    as_network(net)
    direction = net.flat_point(x)
    if not direction.any():
        raise InputError("x is 0: scaling does not move it. Give an input other than 0.")
    line = AffineMap(direction[:, None], np.zeros_like(direction))
    reach = STRIDE if t_max is None else as_positive(t_max, "t_max")
    how = {"classes": classes, "memory": memory, "budget": budget, "device": device, "progress": progress}
    while True:
        hits = crossings_on(net, line, (0.0, reach), **how)
        forever = _recedes(hits.piece(len(hits)))
        if t_max is not None or hits.stopped or forever is not False:
            return ScalingCrossings(hits, forever)
        if reach > FARTHEST:
            raise InputError(
                f"The ray still crosses boundaries beyond t = {reach:.3g}: they are nearly parallel to x. Give "
                "t_max."
            )
        reach *= STRIDE


def _recedes(piece: AffinePiece) -> bool | None:
    """Tell whether a piece in the coordinate t holds the rest of the line; None if that is undecided."""
    try:
        return piece.polyhedron.recedes(np.array([1.0]))
    except UndecidedError:
        return None
