"""Slow, obvious answers in Fractions, written without the code they check."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.network import Network


def exact_product(A: np.ndarray, x: list[Fraction]) -> list[Fraction]:
    """Return A x in Fractions."""
    return [sum((Fraction(float(a)) * v for a, v in zip(row, x, strict=True)), Fraction(0)) for row in A]


def within(value: float, error: float, exact: Fraction) -> bool:
    """Tell whether a float value is as near to the exact one as its bound says; an infinite bound says nothing."""
    return bool(np.isinf(error)) or abs(Fraction(float(value)) - exact) <= Fraction(float(error))


def exact_walk(net: Network, x: object) -> tuple[list[Fraction], np.ndarray]:
    """Return the exact output and letters at a flat point, entry by entry."""
    values = [[Fraction(v) if isinstance(v, Fraction) else Fraction(float(v)) for v in x]]
    letters = np.zeros(net.n_units, dtype=int)
    for step in net.steps:
        if isinstance(step, Gate):
            out, read = _gate(step, values[step.inputs[0]])
            letters[step.columns] = read
        else:
            out = [Fraction(0)] * step.size
            divisors = step.divisors()
            for i, matrix in zip(step.inputs, step.matrices(), strict=True):
                out = [a + v for a, v in zip(out, exact_product(matrix, values[i]), strict=True)]
            if divisors is not None:
                out = [v / int(q) for v, q in zip(out, divisors, strict=True)]
            if step.constant is not None:
                constant = np.broadcast_to(step.constant, step.shape).ravel()
                out = [v + Fraction(float(c)) for v, c in zip(out, constant, strict=True)]
        values.append(out)
    return values[net.output], letters


def _gate(gate: Gate, z: list[Fraction]) -> tuple[list[Fraction], list[int]]:
    if isinstance(gate, MaxGate):
        read = []
        for window in gate.index:
            best = max(z[i] for i in window if i >= 0)
            read.append(next(p for p, i in enumerate(window) if i >= 0 and z[i] == best))
        return [z[gate.index[k, p]] for k, p in enumerate(read)], read
    assert isinstance(gate, Elementwise)
    levels, slopes, offsets = (
        gate.table(a).reshape(len(a), -1) for a in (gate.breakpoints, gate.slopes, gate.offsets)
    )
    read = [sum(v > Fraction(float(t)) for t in levels[:, k]) for k, v in enumerate(z)]
    return [
        Fraction(float(slopes[j, k])) * z[k] + Fraction(float(offsets[j, k])) for k, j in enumerate(read)
    ], read
