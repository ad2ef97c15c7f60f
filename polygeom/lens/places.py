"""Where units flip and where the class changes on lines: profiles, and contrasts around the changes.

Two comparisons tell whether boundaries gather where the class changes: with the rest of the same lines, and with
the same places on the other lines. Where all lines have many boundaries in one place (near the middle of segments,
say) only the second tells a crowded change from a crowded place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.arrays import as_count, as_positive, freeze
from polygeom.errors import InputError
from polygeom.lens.saved import Saved

__all__ = ["Places", "Profile", "around_changes", "line_contrasts", "profile"]

Places = list[tuple[np.ndarray, np.ndarray]]
"""Of every line where units flip, and where the class changes."""


def around_changes(places: Places, half: float, reach: tuple[float, float]) -> tuple[float, float]:
    """Return two contrasts of the density of flips within `half` of class changes.

    Parameters
    ----------
    places : list of (flips, changes)
        On lines that all have the same reach.
    half : float
        Half the width of a window; windows are cut where lines end.
    reach : (float, float)
        Where lines begin and end.

    Returns
    -------
    own : float
        log(density in windows / mean density of the lines, weighted as the windows are). Above 0: flips gather
        where the class changes.
    specific : float
        log(density in windows / density in the same windows on the other lines). Above 0: they gather because
        the class changes there, not because all lines have many flips in that place. 0 if they are as many.
        Minus infinity, or NaN, where there is nothing to compare.

    Raises
    ------
    InputError
        If there are no lines, half is not positive, or reach is not ascending.

    Examples
    --------
    >>> lines = [(np.array([0.2, 0.5]), np.array([0.5])), (np.array([0.1, 0.8]), np.array([0.1]))]
    >>> [round(float(np.exp(contrast)), 1) for contrast in around_changes(lines, 0.125, (0.0, 1.0))]
    [2.1, 2.0]
    """
    inside, mean, elsewhere = _windows(places, half, reach).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log(inside / mean)), float(np.log(inside / elsewhere))


def line_contrasts(places: Places, half: float, reach: tuple[float, float]) -> np.ndarray:
    """Return the two contrasts of `around_changes` for every line on which the class changes, (L, 2).

    With many flips on each line these are a sample, whose mean has an interval (`estimates.bootstrapped`).
    Parameters and errors are those of `around_changes`.

    Examples
    --------
    >>> lines = [(np.array([0.2, 0.5]), np.array([0.5])), (np.array([0.1, 0.8]), np.array([]))]
    >>> np.exp(line_contrasts(lines, 0.125, (0.0, 1.0)))  # one flip in a quarter, none there on the other line
    array([[ 2., inf]])
    """
    inside, mean, elsewhere = _windows([p for p in places if len(p[1])], half, reach, places).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(inside[:, None] / np.column_stack([mean, elsewhere]))


def _windows(
    places: Places, half: float, reach: tuple[float, float], everyone: Places | None = None
) -> np.ndarray:
    """Return per line the flips in windows around changes; what its mean density, and other lines, have there."""
    if not len(places if everyone is None else everyone):
        raise InputError("There are no lines: places is empty.")
    half = as_positive(half, "half")
    if not -np.inf < reach[0] < reach[1] < np.inf:
        raise InputError(f"reach is {reach!r}, wanted two ascending numbers: where lines begin and end.")
    among = places if everyone is None else everyone
    pooled = np.sort(np.concatenate([flips for flips, _ in among]))
    low, high = reach
    rows = []
    for flips, changes in places:
        a, b = np.maximum(changes - half, low), np.minimum(changes + half, high)
        own = _between(np.sort(flips), a, b)
        elsewhere = (_between(pooled, a, b) - own) / (len(among) - 1) if len(among) > 1 else np.nan
        rows.append((own, (b - a).sum() * len(flips) / (high - low), elsewhere))
    return np.array(rows).reshape(-1, 3)


def _between(values: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Return how many of ascending values lie in closed intervals, added up over the intervals."""
    return float((np.searchsorted(values, b, "right") - np.searchsorted(values, a, "left")).sum())


# -- profiles ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Profile(Saved):
    """How many flips there are along lines, and how many at a distance from class changes.

    Attributes
    ----------
    edges : (B + 1,) array
        Ends of the bins along the lines.
    flips, changes : (B,) arrays
        Flips, and class changes, per line and unit of t.
    offsets : (K + 1,) array
        Ends of the bins around class changes.
    near : (K,) array
        Flips per unit of t at these offsets from class changes, on the lines themselves.
    elsewhere : (K,) array
        The same places on the other lines: what `near` would be if it did not matter whose class changes.
    lines : int
    """

    edges: np.ndarray
    flips: np.ndarray
    changes: np.ndarray
    offsets: np.ndarray
    near: np.ndarray
    elsewhere: np.ndarray
    lines: int


def profile(
    places: Places, reach: tuple[float, float] = (0.0, 1.0), bins: int = 40, half: float = 0.25
) -> Profile:
    """Return the density of flips along lines, and around the exact places where the class changes.

    Parameters
    ----------
    places : list of (flips, changes)
        On lines that all have the same reach.
    reach : (float, float)
        Where lines begin and end.
    bins : int
        Along the lines; and around changes.
    half : float
        How far to look to either side of a change. Only the part within reach counts.

    Raises
    ------
    InputError
        If there are no lines or no bins, half is not positive, or reach is not ascending.

    Examples
    --------
    >>> lines = [(np.array([0.2, 0.5]), np.array([0.5])), (np.array([0.1, 0.8]), np.array([0.1]))]
    >>> found = profile(lines, bins=2)
    >>> found.flips, found.near.round(1)
    (array([2., 2.]), array([0., 4.]))
    """
    as_count(bins, "bins", 1)
    half = as_positive(half, "half")
    if not len(places):
        raise InputError("There are no lines: places is empty.")
    if not -np.inf < reach[0] < reach[1] < np.inf:
        raise InputError(f"reach is {reach!r}, wanted two ascending numbers: where lines begin and end.")
    edges, offsets = np.linspace(*reach, bins + 1), np.linspace(-half, half, bins + 1)
    flips, changes = (np.concatenate([one[k] for one in places]) for k in (0, 1))
    per_line = len(places) * np.diff(edges)
    pooled = np.sort(flips)
    exposure, own, everyone = np.zeros((3, bins))
    for mine, places_of_change in places:
        ascending = np.sort(mine)
        for change in places_of_change:
            ends = np.clip(change + offsets, *reach)
            exposure += np.diff(ends)
            own += np.diff(np.searchsorted(ascending, ends))
            everyone += np.diff(np.searchsorted(pooled, ends))
    with np.errstate(divide="ignore", invalid="ignore"):
        elsewhere = (everyone - own) / (exposure * (len(places) - 1))
        near = own / exposure
    return Profile(
        edges=freeze(edges),
        flips=freeze(np.histogram(flips, edges)[0] / per_line),
        changes=freeze(np.histogram(changes, edges)[0] / per_line),
        offsets=freeze(offsets),
        near=freeze(near),
        elsewhere=freeze(elsewhere),
        lines=len(places),
    )
