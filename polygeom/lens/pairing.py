"""Which inputs are joined: of every input, one of its class and one of another."""

from __future__ import annotations

import numpy as np

from polygeom.arrays import as_array, as_count, as_generator
from polygeom.errors import InputError

__all__ = ["matched_partners", "partners"]


def partners(classes: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """Return rows (input, another one of its class, one of another class), (n, 3); no first input twice.

    First inputs are those that have company in their class.

    Raises
    ------
    InputError
        If there are fewer than two classes, or fewer than n inputs with company.

    Examples
    --------
    >>> a, same, other = partners(np.array([0, 0, 1, 1]), np.random.default_rng(0), 4).T
    >>> a // 2 == same // 2, a // 2 == other // 2
    (array([ True,  True,  True,  True]), array([False, False, False, False]))
    """
    as_generator(rng)
    which, first = _with_company(classes, n)
    everyone, rows = np.arange(len(which)), []
    for a in rng.choice(first, n, replace=False):
        alike = which == which[a]
        rows.append([a, rng.choice(everyone[alike & (everyone != a)]), rng.choice(everyone[~alike])])
    return np.array(rows)


def matched_partners(
    classes: np.ndarray, distances: np.ndarray, rng: np.random.Generator, n: int
) -> np.ndarray:
    """Return rows as `partners` does, whose input of another class is about as far as the one of its own.

    Inputs of one class are nearer to each other, and densities may depend on the distance alone. Here the third of
    a row is the one of another class whose distance from the first is nearest to that of the second.

    Parameters
    ----------
    distances : (N, N) array
        Between the inputs.

    Raises
    ------
    InputError
        As `partners`; or if the distances are not those of the inputs.

    Examples
    --------
    >>> line = np.array([0.0, 3, 1, 3.5])
    >>> rows = matched_partners([0, 0, 1, 1], np.abs(line[:, None] - line), np.random.default_rng(0), 4)
    >>> rows[np.argsort(rows[:, 0])].tolist()
    [[0, 1, 3], [1, 0, 2], [2, 3, 1], [3, 2, 0]]
    """
    as_generator(rng)
    which, first = _with_company(classes, n)
    if np.shape(distances) != (len(which), len(which)):
        raise InputError(
            f"distances has shape {np.shape(distances)}, wanted one for each pair of {len(which)}."
        )
    apart = as_array(distances, "distances")
    everyone, rows = np.arange(len(which)), []
    for a in rng.choice(first, n, replace=False):
        alike = which == which[a]
        same = rng.choice(everyone[alike & (everyone != a)])
        others = everyone[~alike]
        rows.append([a, same, others[np.abs(apart[a, others] - apart[a, same]).argmin()]])
    return np.array(rows)


def _with_company(classes: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the class of every input, and the inputs that are not alone in theirs."""
    as_count(n, "n", 1)
    known, which, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    first = np.flatnonzero(sizes[which] > 1)
    if len(known) < 2 or len(first) < n:
        raise InputError(
            f"There are {len(first)} inputs with another of their class, in {len(known)} classes; wanted {n}, in "
            "at least 2."
        )
    return which, first
