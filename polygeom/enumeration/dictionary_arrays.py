r"""The arrays that the recursion over dictionaries works on, filled for its first step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polygeom.enumeration.chain import DenseChain
from polygeom.enumeration.dictionary_ties import ExactDomain
from polygeom.exact import ScaledMatrix, nearest_float
from polygeom.rounding import TINY, dot_error, round_up

if TYPE_CHECKING:
    import flint

    from polygeom.kernels.dictionary_nodes import Control, Stack
    from polygeom.kernels.dictionary_proofs import Proof
    from polygeom.kernels.dictionary_rows import Chain, Rows, Weights

__all__ = ["Frame", "Start", "first_arrays"]

FIRST_ROOM = 48
"""Nodes that the stack has room for at the beginning."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What is known exactly of a chain and a domain before the first cell.

    Attributes
    ----------
    chain : DenseChain
    domain : ExactDomain or None
        Over the coordinates kept.
    columns : list of int
        The r coordinates y kept.
    leader, ratio : lists of (n,) arrays
        For every layer the first unit of which each unit is an exact multiple, and the factor.
    reference : list of int
        Numbers of r independent rows of the domain and of the first layer.
    """

    chain: DenseChain
    domain: ExactDomain | None
    columns: list[int]
    leader: list[np.ndarray]
    ratio: list[np.ndarray]
    reference: list[int]

    @property
    def n_domain(self) -> int:
        """Number of rows of the domain."""
        return 0 if self.domain is None else self.domain.A.nrows()


@dataclass(frozen=True, eq=False)
class Start:
    """The arrays of the recursion; the stack holds the whole domain, at the vertex of the references."""

    frame: Frame
    chain: Chain
    rows: Rows
    stack: Stack
    control: Control
    weights: Weights
    proof: Proof


def first_arrays(frame: Frame, references: tuple[flint.fmpq_mat, flint.fmpq_mat]) -> Start:
    """Return the arrays for a frame; `references` are the exact coefficients and constants of its references."""
    chain = _chain_arrays(frame)
    rows = _row_arrays(chain, frame)
    chain = _with_inverse(chain, rows, references)
    if _bound_box(rows, frame.domain):
        chain = _with_opposites(chain, rows)
    return Start(frame, chain, rows, _stack(chain, rows), _control(chain), _weights(chain), _proof(chain))


def _distance(floats: np.ndarray, exact: ScaledMatrix) -> np.ndarray:
    """Return upper bounds on the entrywise distance of floats from exact numbers."""
    given = ScaledMatrix.from_floats(floats)
    difference = given + -exact
    if not any(difference.numerators.entries()):
        return np.zeros(floats.shape)
    return round_up(np.abs(difference.to_floats()), 2)


def _chain_arrays(frame: Frame) -> Chain:
    """Return the padded arrays of a chain; `inverse` is filled in by `_with_inverse`."""
    from polygeom.kernels.dictionary_rows import Chain

    layers, r = frame.chain.layers, len(frame.columns)
    width = np.array([layer.width for layer in layers])
    first = frame.n_domain + np.concatenate([[0], np.cumsum(width)])
    L, N, R = len(layers), int(width.max()), int(first[-1])
    weight, bias = np.zeros((L, max(N, r, 1), N)), np.zeros((L, N))
    weight_error, bias_error, slopes = np.zeros((L, N)), np.zeros((L, N)), np.zeros((L, 2, N))
    layer_of, leaders, ratios = np.full(R, -1), np.arange(R), np.ones(R)
    passes, slot = np.zeros((2, R), bool), np.full(R, -1)
    slot[frame.reference] = np.arange(r)
    for k, (layer, (W, c)) in enumerate(zip(layers, frame.chain.exact_maps, strict=True)):
        n, here = layer.width, slice(first[k], first[k + 1])
        kept = layer.weight[:, frame.columns] if k == 0 else layer.weight
        weight[k, : kept.shape[1], :n], bias[k, :n], slopes[k, :, :n] = kept.T, layer.bias, layer.slopes
        weight_error[k, :n] = _distance(layer.weight, W).max(axis=1, initial=0.0)
        bias_error[k, :n] = _distance(layer.bias.reshape(-1, 1), c)[:, 0]
        layer_of[here], leaders[here], ratios[here] = k, first[k] + frame.leader[k], frame.ratio[k]
        for unit in range(n if k + 1 < L else 0):
            for side in range(2):
                own = side if frame.ratio[k][unit] > 0 else 1 - side
                passes[side, leaders[first[k] + unit]] |= layer.slopes[own, unit] != 0
    return Chain(
        weight,
        bias,
        weight_error,
        bias_error,
        slopes,
        width,
        first[:-1].copy(),
        np.array([layer.first_column for layer in layers]),
        layer_of,
        leaders,
        ratios,
        passes,
        np.array(frame.reference, dtype=np.int64),
        slot,
        np.zeros((r, r)),
        np.full(R, -1),
        np.full(R, np.inf),
        False,
    )


def _row_arrays(chain: Chain, frame: Frame) -> Rows:
    """Return room for all rows, with those of the domain and of the first layer written."""
    from polygeom.kernels.dictionary_rows import Rows

    L, R, r = len(chain.width), len(chain.layer), len(frame.columns)
    n_domain, n = int(chain.first[0]), int(chain.width[0])
    coef, const, errors = np.zeros((L, R, r)), np.zeros((L, R)), np.zeros((2, L, R))
    if frame.domain is not None:
        domain = frame.domain
        A, b = (
            ScaledMatrix.from_rationals(*_entries(domain.A)),
            ScaledMatrix.from_rationals(*_entries(domain.b)),
        )
        coef[0, :n_domain], const[0, :n_domain] = -A.to_floats(), b.to_floats()[:, 0]
        errors[0, 0, :n_domain] = _distance(-coef[0, :n_domain], A).sum(axis=1)
        errors[1, 0, :n_domain] = _distance(const[0, :n_domain].reshape(-1, 1), b)[:, 0]
    units = slice(n_domain, n_domain + n)
    coef[0, units], const[0, units] = chain.weight[0, :r, :n].T, chain.bias[0, :n]
    errors[0, 0, units] = round_up(chain.weight_error[0, :n] * r, 2) * (chain.weight_error[0, :n] > 0)
    errors[1, 0, units] = chain.bias_error[0, :n]
    largest = np.abs(coef[0, : n_domain + n]).max(axis=1, initial=0.0)
    scale = np.ones(R)
    scale[: n_domain + n] = np.where(
        largest > 0, 2.0 ** -np.floor(np.log2(np.where(largest > 0, largest, 1))), 1
    )
    coef[0] *= scale[:, None]
    const[0] *= scale
    # an inexact scaling is one that underflows
    errors[:, 0] *= scale
    errors[0, 0] += np.where(coef[0].any(axis=1), r * TINY, 0.0)
    errors[1, 0] += np.where(const[0] != 0, TINY, 0.0)
    size = round_up(np.abs(coef).sum(axis=2), r) * coef.any(axis=2)
    kept = np.full(L, -1)
    kept[0] = r
    return Rows(
        coef,
        const,
        size,
        errors[0],
        errors[1],
        scale,
        np.zeros((L, r), np.int64),
        kept,
        np.zeros(R, bool),
        np.tile([1.0, 0.0], (L, 1)),
    )


def _entries(matrix: flint.fmpq_mat) -> tuple[int, int, list[flint.fmpq]]:
    return matrix.nrows(), matrix.ncols(), matrix.entries()


def _with_inverse(chain: Chain, rows: Rows, references: tuple[flint.fmpq_mat, flint.fmpq_mat]) -> Chain:
    r"""Fill in the inverse of the reference rows, and the bounds kappa of level 0.

    With X close to B^{-1} and :math:`e = |I - X B|_\infty < 1` (rounding and the rows' errors included),
    :math:`B^{-1} = (I - E)^{-1} X` gives :math:`\max|B^{-1}| \le \max|X| / (1 - e)` and :math:`|B^{-1}
    c|_\infty \le |X c|_\infty / (1 - e)`. Where floats give no e < 1/2, the exact inverse is taken.
    """
    number = chain.reference
    B, c, r = rows.coef[0, number], rows.const[0, number], len(number)
    if r == 0:
        return chain
    try:
        X = np.linalg.inv(B)
    except np.linalg.LinAlgError:
        X = np.full((r, r), np.nan)
    spread = np.abs(X)
    E = np.abs(np.eye(r) - X @ B) + dot_error(spread @ np.abs(B) + 1.0, r + 1)
    gap = float(round_up(E.sum(axis=1).max() + (spread @ rows.error[0, number]).max(), 2 * r + 4))
    if gap < 0.5:
        offset = np.abs(X @ c) + dot_error(spread @ np.abs(c), r) + spread @ rows.const_error[0, number]
        kappa = round_up(np.array([spread.max(), offset.max()]), 2 * r + 4) / (1.0 - gap)
    else:
        scale = rows.scale[number]
        coef, const = references
        inverse = coef.inv()
        entries = [nearest_float(v) for v in inverse.entries()]
        X = np.array(entries).reshape(r, r) / scale
        kappa = np.array([np.abs(X).max(), max(abs(nearest_float(v)) for v in (inverse * const).entries())])
    rows.kappa[0] = round_up(kappa, 4)
    if not (c.any() or rows.const_error[0, number].any()):
        rows.kappa[0, 1] = 0.0  # no offsets, no rounding: cells of a central arrangement stay cones
    return chain._replace(inverse=X)


def _bound_box(rows: Rows, domain: ExactDomain | None) -> bool:
    """Where rows of the domain bound every coordinate from both sides, bound y by the box instead of by sigma."""
    if domain is None:
        return False
    k = domain.A.ncols()
    bounds = {}
    for i in range(domain.A.nrows()):
        used = [j for j in range(k) if domain.A[i, j] != 0]
        if len(used) == 1:
            j, slope = used[0], domain.A[i, used[0]]
            bounds[j, slope > 0] = abs(domain.b[i, 0] / slope)
    if len(bounds) == 2 * k:
        rows.kappa[0] = 0.0, float(round_up(max((nearest_float(v) for v in bounds.values()), default=0.0), 2))
    return len(bounds) == 2 * k


def _with_opposites(chain: Chain, rows: Rows) -> Chain:
    """Pair the rows of a box that are each other's negative up to the constant; their sum is the span."""
    n_domain = int(chain.first[0])
    opposite, span, first = np.full(len(chain.layer), -1), np.full(len(chain.layer), np.inf), {}
    for number in range(n_domain):
        row = rows.coef[0, number]
        other = first.pop((-row + 0.0).tobytes(), None)
        if other is None:
            first[(row + 0.0).tobytes()] = number
            continue
        opposite[number], opposite[other] = other, number
        span[[number, other]] = rows.const[0, number] + rows.const[0, other]
    return chain._replace(opposite=opposite, span=span, boxed=bool((opposite >= 0).any()))


# -- state and scratch -----------------------------------------------------------------------------------------


def _stack(chain: Chain, rows: Rows) -> Stack:
    """Return the stack with the whole domain on it, at the vertex of the references."""
    from polygeom.kernels.dictionary_nodes import Stack

    R, r = len(chain.layer), len(chain.reference)
    n_domain, n_first = int(chain.first[0]), int(chain.first[0] + chain.width[0])
    held = set(chain.reference.tolist())
    path = []
    for i in range(n_domain):
        if i not in held and chain.opposite[i] not in held:
            held.add(i)
            path.append(i)
    units = [i for i in range(n_domain, n_first) if chain.slot[i] < 0 and chain.leader[i] == i]
    basic = np.array(path + units, dtype=np.int64)
    stack = Stack(
        np.zeros((FIRST_ROOM, R - r + 1, r + 1)),
        np.zeros((FIRST_ROOM, R - r + 1), np.int64),
        np.zeros((FIRST_ROOM, r), np.int64),
        np.zeros((FIRST_ROOM, R), np.int8),
        np.zeros((FIRST_ROOM, 5), np.int64),
    )
    slopes = rows.coef[0, basic] @ chain.inverse
    stack.table[0, : len(basic), 1:] = slopes
    stack.table[0, : len(basic), 0] = rows.const[0, basic] - slopes @ rows.const[0, chain.reference]
    stack.basic[0, : len(basic)] = basic
    stack.nonbasic[0] = chain.reference
    stack.sign[0, :n_domain] = 1
    stack.head[0] = 0, len(path), len(basic), 0, 0
    return stack


def _control(chain: Chain) -> Control:
    """Return the state of the recursion before its first step."""
    from polygeom.kernels.dictionary_cells import NONE
    from polygeom.kernels.dictionary_nodes import ANSWER, PLACES, Control

    R, r = len(chain.layer), len(chain.reference)
    counts = np.zeros(PLACES, np.int64)
    counts[ANSWER] = NONE
    return Control(
        counts,
        np.zeros(1),
        np.zeros((r, r)),
        np.zeros((r, r)),
        np.zeros((2 * R + 4, 2 * R + r + 4)),
        np.zeros(r),
        np.zeros(r + 1),
        np.zeros(r),
    )


def _weights(chain: Chain) -> Weights:
    """Return room for the weights of a new layer."""
    from polygeom.kernels.dictionary_rows import Weights

    R, N = len(chain.layer), chain.bias.shape[1]
    factor, spread, doubt = np.zeros((3, N, N))
    return Weights(factor, spread, doubt, np.zeros(N, np.int64), np.zeros(R, np.int64))


def _proof(chain: Chain) -> Proof:
    """Return scratch for proofs."""
    from polygeom.kernels.dictionary_proofs import STALE, Proof

    r, N = len(chain.reference), chain.bias.shape[1]
    multiplier, total, residual = np.zeros((3, r + 1))
    value, reach, output, doubtful = np.zeros((4, N + r))
    return Proof(multiplier, total, residual, np.full(3, STALE), value, reach, output, doubtful)
