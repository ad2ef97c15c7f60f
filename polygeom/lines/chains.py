"""Lines through chains of dense ReLU layers in general position: the compiled way, for the commonest networks.

It takes networks of dense layers with ReLUs between them whose pieces fit into the memory cap, and gives up (None)
where any sign or order is not certain in floats, where several units flip at one place, or where a unit is
constant: the general sweep takes all that. What it returns is proved by bounds of the same kind
(`polygeom.kernels.line_chain`).
"""

from __future__ import annotations

import numpy as np

from polygeom.affine import AffineMap
from polygeom.gates import Elementwise
from polygeom.lines.events import Events, Swept
from polygeom.lines.nodes import Nodes
from polygeom.lines.states import SPARSE_SHARE
from polygeom.network import Network
from polygeom.rounding import gamma, round_up, underflow
from polygeom.steps import Dense
from polygeom.threads import one_blas_thread

__all__ = ["relu_layers", "sweep_chain"]


def relu_layers(net: Network) -> list[Dense] | None:
    """Return the dense steps in front of the ReLUs of a chain, None if the network is no such chain."""
    steps, layers = net.steps, []
    if any(step.inputs != (k,) for k, step in enumerate(steps)):
        return None
    for step, after in zip(steps[::2], [*steps[1::2], None], strict=False):
        if not isinstance(step, Dense) or len(step.shape) != 1:
            return None
        if after is not None:
            if not (isinstance(after, Elementwise) and after.name == "relu"):
                return None
            layers.append(step)
    return layers


def sweep_chain(
    layers: list[Dense], line: AffineMap, reach: tuple[float, float], memory: int, dtype: np.dtype
) -> Swept | None:
    """Find all flips of a chain on ``line(t)``, t in `reach`; None where this takes the general sweep."""
    walk = _ChainSweep(line, reach, memory)
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # nothing is certain of an overflow: the sweep refuses it
        return walk.swept(dtype) if all(walk.passes(layer) for layer in layers) else None


class _ChainSweep:
    """The nodes of a line so far, in order, and what jumps at each.

    Attributes
    ----------
    places : (n, 3) array
        Place of every node, and an interval that holds it.
    unit : (n,) array
        The unit (a column of the code) that flips there.
    letters : list of bool arrays
        The letters of every layer on the first piece.
    """

    def __init__(self, line: AffineMap, reach: tuple[float, float], memory: int) -> None:
        self._reach, self._memory = reach, memory
        self._first = np.stack([line.offset, line.matrix[:, 0]])
        self._errors = np.zeros_like(self._first)
        self._old = np.zeros((0, line.dim_out))  # columns of the nodes that are not of the last layer
        self._is_old = np.zeros(0, dtype=bool)
        self._loose = np.zeros(line.dim_out)
        self._jumps = np.zeros((4, 0))
        self._passed = 0
        self.places = np.zeros((0, 3))
        self.unit = np.zeros(0, dtype=np.intp)
        self.letters: list[np.ndarray] = []

    def passes(self, layer: Dense) -> bool:
        """Carry everything through a dense layer and its ReLUs; False where floats are not enough."""
        from polygeom.kernels.line_chain import chain_layer

        n, E = len(self.places), layer.shape[0]
        room = n + E + 8
        if 8 * (2 * (n + room) * E + n * layer.shapes[0][0]) > self._memory:
            return False
        image, errors = self._image(layer)
        columns = self._columns(layer)
        low = np.concatenate([self._reach[:1], self.places[:, 1], self._reach[1:]])
        high = np.concatenate([self._reach[:1], self.places[:, 2], self._reach[1:]])
        letters = np.empty(E, dtype=bool)
        scratch = np.empty((5, E))
        roots, found, owners = np.empty((room, 3)), np.empty((4, room)), np.empty((room, 2), dtype=np.intp)
        count = chain_layer(
            image, errors, columns, self._loose, self._jumps, low, high, letters,
            scratch[:2], scratch[2:4], scratch[4], np.empty(E, dtype=bool), roots, found, owners,
        )  # fmt: skip
        if count < 0:
            return False
        self._first, self._errors, self._old = image * letters, errors * letters, columns
        self.letters.append(letters)
        piece, unit = owners[:count].T
        self._insert(piece, unit + self._passed, roots[:count], found[:, :count])
        self._passed += E
        return True

    def _image(self, layer: Dense) -> tuple[np.ndarray, np.ndarray]:
        """Return the first piece behind a dense layer, and bounds on its errors."""
        from polygeom.kernels.line_products import dense_line

        g = gamma(2 * layer.terms + 8)
        sizes = np.ones((3, layer.terms))
        np.abs(self._first, out=sizes[:2])
        sizes[:2] *= g
        sizes[:2] += self._errors
        image, sums = np.empty((2, layer.shape[0])), np.empty((3, layer.shape[0]))
        dense_line(layer.weight, self._first, sizes, image, sums)
        if layer.constant is not None:
            image[0] += layer.constant
            sums[0] += g * layer.magnitude.constant
        return image, round_up(sums[:2], layer.terms + 4) + underflow(layer.terms)

    def _columns(self, layer: Dense) -> np.ndarray:
        """Return the columns of all nodes behind a dense layer; `_loose` becomes the bound on their errors."""
        columns = np.empty((len(self.places), layer.shape[0]))
        fresh = ~self._is_old
        columns[fresh] = layer.weight.take(self.unit[fresh] - (self._passed - layer.terms), axis=1).T
        if fresh.all():
            self._loose = np.zeros(layer.shape[0])
            return columns
        largest = np.maximum(self._old.max(axis=0), -self._old.min(axis=0))
        live = np.flatnonzero(largest)
        rows, weight = self._old, layer.weight
        with one_blas_thread(rows.size):
            if len(live) < SPARSE_SHARE * rows.shape[1]:
                rows, weight = rows.take(live, axis=1), weight.take(live, axis=1)
            columns[self._is_old] = rows @ weight.T
        sums = layer.magnitude.weight @ (self._loose + gamma(2 * layer.terms + 8) * largest)
        self._loose = round_up(sums, layer.terms + 4) + underflow(layer.terms)
        return columns

    def _insert(self, piece: np.ndarray, unit: np.ndarray, roots: np.ndarray, jumps: np.ndarray) -> None:
        """Put the nodes of a layer, given by pieces from left to right, among the others."""
        n, m = len(self.places), len(piece)
        new = piece + np.arange(m)
        is_old = np.ones(n + m, dtype=bool)
        is_old[new] = False
        places, units, all_jumps = np.empty((n + m, 3)), np.empty(n + m, dtype=np.intp), np.empty((4, n + m))
        places[is_old], units[is_old], all_jumps[:, is_old] = self.places, self.unit, self._jumps
        places[new], units[new], all_jumps[:, new] = roots, unit, jumps
        self.places, self.unit, self._jumps, self._is_old = places, units, all_jumps, is_old

    def swept(self, dtype: np.dtype) -> Swept:
        """Return everything found; the letters of a unit take turns."""
        nodes = Nodes(*self._reach)
        numbers = nodes.add(self.places)
        letters = np.concatenate([np.zeros(0, dtype=bool), *self.letters]).astype(dtype)
        order = np.argsort(self.unit, kind="stable")
        ranked = self.unit[order]
        starts = np.searchsorted(ranked, ranked)
        before = np.empty(len(ranked), dtype=np.intp)
        before[order] = (letters[ranked] + np.arange(len(ranked)) - starts) % 2
        return Swept(nodes, letters, Events(numbers, self.unit, before, 1 - before), [], 1, 1, None)
