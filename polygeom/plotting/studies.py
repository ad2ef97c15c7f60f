"""Pictures of what the lens finds: estimates with intervals, profiles of density, scalings, interactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from polygeom.errors import InputError
from polygeom.lens.estimates import Estimate
from polygeom.lens.interaction import Interactions
from polygeom.lens.places import Profile
from polygeom.lens.scaling import Scaling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.patches import StepPatch

__all__ = ["draw_estimates", "draw_interactions", "draw_profile", "draw_scaling"]


def draw_estimates(
    at: object,
    estimates: Sequence[Estimate],
    *,
    ax: Axes,
    ratios: bool = False,
    across: bool = False,
    **style: object,
) -> ErrorbarContainer:
    """Draw means with their intervals; a mean without interval is a mark alone.

    Parameters
    ----------
    at : (k,) array
        Where each stands on the other axis.
    estimates : sequence of k `Estimate`
    ax : matplotlib axes
    ratios : bool
        The estimates are logarithms: draw the ratios.
    across : bool
        Intervals lie instead of standing.
    **style
        For `matplotlib.axes.Axes.errorbar`: color, label, fmt, ...

    Raises
    ------
    InputError
        If there are not as many places as estimates.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from polygeom.lens import Estimate
    >>> drawn = draw_estimates([0], [Estimate(0.5, 0.25, 1.0, 9)], ax=Figure().subplots())
    >>> drawn.lines[0].get_ydata()
    array([0.5])
    """
    places = np.asarray(at, dtype=float)
    if places.shape != (len(estimates),):
        raise InputError(
            f"at has shape {places.shape}, wanted a place for each of {len(estimates)} estimates."
        )
    numbers = np.array([(one.mean, one.low, one.high) for one in estimates]).reshape(-1, 3).T
    mean, low, high = np.exp(numbers) if ratios else numbers
    error = np.nan_to_num([mean - low, high - mean])
    how = {"fmt": "o", "markersize": 3, "linewidth": 0.9} | style
    if across:
        return ax.errorbar(mean, places, xerr=error, **how)
    return ax.errorbar(places, mean, yerr=error, **how)


def draw_profile(found: Profile, *, ax: Axes, around: bool = False) -> list[StepPatch]:
    """Draw the density of boundaries along lines; or around class changes, beside the same places elsewhere.

    Parameters
    ----------
    found : Profile
    ax : matplotlib axes
    around : bool
        Around class changes.

    Raises
    ------
    InputError
        If `around` is asked for and no class changes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from polygeom.lens import profile
    >>> lines = [(np.array([0.2, 0.5]), np.array([0.5])), (np.array([0.1, 0.8]), np.array([0.1]))]
    >>> (steps,) = draw_profile(profile(lines, bins=2), ax=Figure().subplots())
    >>> steps.get_data().values
    array([2., 2.])
    """
    if not around:
        drawn = [ax.stairs(found.flips, found.edges, baseline=None, label=f"{found.lines} lines")]
        ax.set(xlabel="place $t$ on the line", xlim=found.edges[[0, -1]])
    else:
        if not np.isfinite(found.near).any():
            raise InputError("The class changes on none of these lines: there is nothing around such places.")
        series = {"these lines": found.near, "others, same places": found.elsewhere}
        drawn = [
            ax.stairs(np.nan_to_num(values), found.offsets, baseline=None, label=name, color=f"C{k}")
            for k, (name, values) in enumerate(series.items())
        ]
        ax.axvline(0, color="0.3", linewidth=0.8, linestyle="--")
        ax.set(xlabel="$t$ from a class change", xlim=found.offsets[[0, -1]])
    ax.set(ylabel="boundaries per unit of $t$", ylim=(0, None))
    return drawn


def draw_scaling(found: Scaling, *, ax: Axes) -> list[Line2D]:
    """Draw how many boundaries lie between scale 1 and others, for every ray, with a dot where a class changes.

    Parameters
    ----------
    found : Scaling
    ax : matplotlib axes
        Its x axis shows octaves: base-2 logarithms of the scale.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import polygeom as pg
    >>> net = pg.Network.from_layers([([[1, 0], [0, 1]], [-1, -2]), ([[1, 0], [0, 3]], [0, 0])])
    >>> found = pg.lens.scale_activations(net, [[1.5, 1.5]], octaves=2, samples=5)
    >>> ray, changes = draw_scaling(found, ax=Figure().subplots())
    >>> ray.get_ydata(), len(changes.get_xdata())
    (array([1, 1, 0, 1, 1]), 1)
    """
    drawn = []
    for i, crossings in enumerate(found.crossings):
        drawn += ax.plot(found.octaves, crossings, color="C0", linewidth=0.8)
        changes = found.change_u[found.change_ends[i] : found.change_ends[i + 1]]
        heights = np.interp(changes, found.octaves, crossings)
        drawn += ax.plot(changes, heights, "o", color="C1", markersize=3)
    ax.axvline(0, color="0.3", linewidth=0.8)
    ax.set(xlabel="octaves of the scale", ylabel="boundaries from scale 1 on", xlim=found.octaves[[0, -1]])
    return drawn


def draw_interactions(found: Interactions, *, ax: Axes) -> AxesImage:
    """Draw the strength of the interaction of every pair of directions as shades; pairs without any stay white.

    Parameters
    ----------
    found : Interactions
    ax : matplotlib axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import polygeom as pg
    >>> net = pg.Network.from_layers([([[1], [-1]], [0, 0]), ([[2, 1]], [1]), ([[3]], [0])])
    >>> found = pg.lens.interactions(net, [[0, 0, 1]], pg.lens.unit_flips(net))
    >>> draw_interactions(found, ax=Figure().subplots()).get_array().shape
    (3, 3)
    """
    image = ax.imshow(found.strength, cmap="Blues", vmin=0, interpolation="nearest")
    ticks = np.arange(len(found))
    ax.set_xticks(ticks, found.names, rotation=90)
    ax.set_yticks(ticks, found.names)
    ax.get_figure().colorbar(image, ax=ax, label="mean relative second difference")
    return image
