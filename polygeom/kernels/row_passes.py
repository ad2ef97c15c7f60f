"""Single passes over the rows of many entries: gates opened, sums of absolute coefficients.

Rows are (n, D, E) with errors (n, 1 or 2, E), for all coefficients or for slopes and offset (`carried_rows`).
"""

from __future__ import annotations

import numpy as np

from polygeom.kernels.cells import compiled

__all__ = ["open_units", "open_windows", "spreads"]


@compiled
def open_units(
    value: np.ndarray,
    error: np.ndarray,
    index: np.ndarray,
    letters: np.ndarray,
    slopes: np.ndarray,
    offsets: np.ndarray,
    constants: np.ndarray,
    opened: np.ndarray,
    bound: np.ndarray,
) -> None:
    """Write the rows of units that letters (N, E) open, and bounds on their errors.

    Slopes 0, 1 and -1 without offset are exact; else ``constants`` hold the relative roundings of product
    and sum, the factor and the summand that round the bound up.
    """
    D, parts = value.shape[1], error.shape[1]
    for m in range(len(index)):
        at = index[m]
        for part in range(parts):
            first = 0 if part == 0 else D - 1
            last = D - 1 if parts == 2 and part == 0 else D
            for e in range(value.shape[2]):
                slope, offset = slopes[letters[m, e], e], offsets[letters[m, e], e]
                steepness, size = abs(slope), 0.0
                for c in range(first, last):
                    z = slope * value[at, c, e]
                    size += abs(z)
                    opened[m, c, e] = z + offset if c == D - 1 else z
                if last == D:
                    size += abs(offset)
                else:
                    offset = 0.0
                if steepness == 0.0:
                    bound[m, part, e] = 0.0
                elif steepness == 1.0 and offset == 0.0:
                    bound[m, part, e] = error[at, part, e]
                else:
                    total = steepness * error[at, part, e] + constants[0] * size
                    bound[m, part, e] = total * constants[1] + constants[2]


@compiled
def open_windows(
    value: np.ndarray,
    error: np.ndarray,
    index: np.ndarray,
    winners: np.ndarray,
    opened: np.ndarray,
    bound: np.ndarray,
) -> None:
    """Write the rows of the winners (N, W) of windows, and bounds on their errors."""
    for m in range(len(index)):
        at = index[m]
        for c in range(value.shape[1]):
            for w in range(winners.shape[1]):
                opened[m, c, w] = value[at, c, winners[m, w]]
        for part in range(error.shape[1]):
            for w in range(winners.shape[1]):
                bound[m, part, w] = error[at, part, winners[m, w]]


@compiled
def spreads(value: np.ndarray, error: np.ndarray, relative: float, out: np.ndarray) -> tuple[float, float]:
    """Write errors plus relative roundings; return the smallest non-zero coefficient and error."""
    D, parts = value.shape[1], error.shape[1]
    least, least_error = np.inf, np.inf
    for i in range(len(value)):
        for part in range(parts):
            first = 0 if part == 0 else D - 1
            last = D - 1 if parts == 2 and part == 0 else D
            for e in range(value.shape[2]):
                size = 0.0
                for c in range(first, last):
                    z = abs(value[i, c, e])
                    size += z
                    least = min(least, z if z > 0.0 else np.inf)
                wrong = error[i, part, e]
                least_error = min(least_error, wrong if wrong > 0.0 else np.inf)
                out[i, part, e] = wrong + relative * size
    return least, least_error
