"""Lines through chains of dense ReLU layers in general position: the compiled way, for the commonest networks.

It takes networks of dense layers with ReLUs between them whose pieces fit into the memory cap, and gives up (None)
where any sign or order is not certain in floats, where several units flip at one place, or where a unit is
constant: the general sweep takes all that. What it returns is proved by bounds of the same kind
(`polygeom.kernels.line_chain`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from polygeom.affine import AffineMap
from polygeom.gates import Elementwise
from polygeom.lines.events import Events, Swept
from polygeom.lines.nodes import Nodes
from polygeom.lines.states import SPARSE_SHARE
from polygeom.network import Network
from polygeom.rounding import TINY, gamma, round_up, underflow
from polygeom.steps import Dense, LinearStep
from polygeom.threads import one_blas_thread

__all__ = ["Chain", "sweep_chain"]


@dataclass(frozen=True, eq=False)
class Chain:
    """Dense layers in front of ReLUs, behind steps that only move the entries of the input around."""

    moves: tuple[LinearStep, ...]
    layers: tuple[Dense, ...]

    @classmethod
    def of(cls, net: Network) -> Chain | None:
        """Return the chain that a network is, None if it is none; what follows the last ReLU plays no part."""
        steps = net.steps
        if any(step.inputs != (k,) for k, step in enumerate(steps)):
            return None
        moves = tuple(takewhile(lambda step: isinstance(step, LinearStep) and _only_moves(step), steps))
        rest = steps[len(moves) :]
        dense, gates = rest[::2], rest[1::2]
        fits = all(isinstance(step, Dense) and len(step.shape) == 1 for step in dense) and all(
            isinstance(gate, Elementwise) and gate.name == "relu" for gate in gates
        )
        return cls(moves, dense[: len(gates)]) if fits else None


def _only_moves(step: LinearStep) -> bool:
    return step.moves_only and step.constant is None


def sweep_chain(
    chain: Chain, net: Network, line: AffineMap, reach: tuple[float, float], memory: int
) -> Swept | None:
    """Find all flips of a chain on ``line(t)``, t in `reach`; None where this takes the general sweep."""
    first = np.stack([line.offset, line.matrix[:, 0]])
    for move in chain.moves:
        first = move.linear(first.reshape(2, *move.shapes[0]))
    walk = _ChainSweep(first.reshape(2, -1), reach, memory)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is certain of nothing: None
        return walk.swept(net.letter_dtype) if all(map(walk.passes, chain.layers)) else None


class _ChainSweep:
    """The nodes of a line so far, in order, and what jumps at each.

    Attributes
    ----------
    nodes : (n + 2, 7) array
        Table of nodes (`polygeom.kernels.line_chain`), the two ends included.
    unit : (n,) array
        The unit (a column of the code) that flips at each.
    letters : list of bool arrays
        The letters of every layer on the first piece.
    """

    def __init__(self, first: np.ndarray, reach: tuple[float, float], memory: int) -> None:
        self._memory = memory
        self._first, self._errors = np.ascontiguousarray(first), np.zeros_like(first)
        self._old = np.zeros((0, first.shape[1]))  # columns of the nodes that are not of the last layer
        self._is_old = np.zeros(0, dtype=bool)
        self._loose = np.zeros(first.shape[1])
        self._passed = 0
        self.nodes = np.array([[end, end, end, 0.0, 0.0, 0.0, 0.0] for end in reach])
        self.unit = np.zeros(0, dtype=np.intp)
        self.letters: list[np.ndarray] = []

    def passes(self, layer: Dense) -> bool:
        """Carry everything through a dense layer and its ReLUs; False where floats are not enough."""
        from polygeom.kernels.line_chain import chain_layer

        n, E = len(self.unit), layer.shape[0]
        room = n + E + 8
        if 8 * (2 * (n + room) * E + n * layer.terms) > self._memory:
            return False
        image, errors = self._image(layer)
        columns = self._columns(layer)
        letters, undecided = np.empty((2, E), dtype=bool)
        found, owners = np.empty((room, 7)), np.empty((2, room), dtype=np.intp)
        scratch = np.empty((5, E))
        state = image, errors, columns, self._loose, self.nodes
        count = chain_layer(*state, scratch, letters, undecided, found, owners)
        if count < 0:
            return False
        self._first, self._errors, self._old = image * letters, errors * letters, columns
        self.letters.append(letters)
        piece, unit = owners[:, :count]
        self._insert(piece, unit + self._passed, found[:count])
        self._passed += E
        return True

    def _image(self, layer: Dense) -> tuple[np.ndarray, np.ndarray]:
        r"""Return the first piece behind a dense layer, and bounds on its errors.

        Sums :math:`\sum_j |W_{ij}| s_j` are bounded by :math:`|W_i|_2 |s|_2`, which takes no second pass over the
        weights and is hardly larger where neither varies wildly.
        """
        from polygeom.kernels.line_products import dense_image

        image = np.empty((2, layer.shape[0]))
        dense_image(layer.weight, self._first, image)
        g = gamma(2 * layer.terms + 8)
        errors = _norms(self._errors + g * np.abs(self._first))[:, None] * layer.row_norms
        if layer.constant is not None:
            image[0] += layer.constant
            errors[0] += g * layer.magnitude.constant
        return image, round_up(errors, layer.terms + 8) + underflow(layer.terms)

    def _columns(self, layer: Dense) -> np.ndarray:
        """Return the columns of all nodes behind a dense layer; `_loose` becomes the bound on their errors."""
        columns = np.empty((len(self.unit), layer.shape[0]))
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
        size = _norms((self._loose + gamma(2 * layer.terms + 8) * largest)[None])
        self._loose = round_up(size * layer.row_norms, layer.terms + 8) + underflow(layer.terms)
        return columns

    def _insert(self, piece: np.ndarray, unit: np.ndarray, found: np.ndarray) -> None:
        """Put the nodes of a layer, given by pieces from left to right, among the others."""
        total = len(self.unit) + len(unit)
        new = piece + np.arange(len(unit))
        self._is_old = np.ones(total, dtype=bool)
        self._is_old[new] = False
        old = np.flatnonzero(self._is_old)
        nodes, units = np.empty((total + 2, 7)), np.empty(total, dtype=np.intp)
        nodes[0], nodes[-1], nodes[new + 1], units[new] = self.nodes[0], self.nodes[-1], found, unit
        if len(old):
            nodes[old + 1], units[old] = self.nodes[1:-1], self.unit
        self.nodes, self.unit = nodes, units

    def swept(self, dtype: np.dtype) -> Swept:
        """Return everything found; the letters of a unit take turns."""
        from polygeom.kernels.line_chain import HIGH, LOW, PLACE

        nodes = Nodes(*self.nodes[[0, -1], PLACE].tolist())
        numbers = nodes.add(self.nodes[1:-1, [PLACE, LOW, HIGH]])
        letters = np.concatenate([np.zeros(0, dtype=bool), *self.letters]).astype(dtype)
        order = np.argsort(self.unit, kind="stable")
        ranked = self.unit[order]
        starts = np.searchsorted(ranked, ranked)
        before = np.empty(len(ranked), dtype=np.intp)
        before[order] = (letters[ranked] + np.arange(len(ranked)) - starts) % 2
        return Swept(nodes, letters, Events(numbers, self.unit, before, 1 - before), [], 1, 1, None)


def _norms(rows: np.ndarray) -> np.ndarray:
    """Return upper bounds, up to a rounding per entry, on the Euclidean norms of non-negative rows."""
    largest = rows.max(axis=1, initial=0.0) + TINY
    scaled = rows / largest[:, None]
    return largest * np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
