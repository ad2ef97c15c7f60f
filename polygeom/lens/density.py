r"""Density of boundaries within and between classes: exact crossings on segments between inputs.

The prediction: segments between inputs of different classes cross more boundaries per length than segments within
a class. It is measured by the contrast

.. math:: \log \frac{\text{mean density between classes}}{\text{mean density within classes}},

for all boundaries and for those of every gate. Counts are exact (`line_crossings`); random is only which inputs
are joined. Every input leads to one of its class and to one of another, so that both kinds begin in the same
places.

Source: Black, Sharkey et al. 2022, Interpreting neural networks through the polytope lens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from polygeom.arrays import as_matrix, freeze
from polygeom.budget import Budget
from polygeom.codes import as_codes
from polygeom.errors import InputError
from polygeom.lens.estimates import Estimate, bootstrapped
from polygeom.lens.pairing import partners
from polygeom.lens.saved import Saved
from polygeom.lens.segments import Segments, checked_reach, follow_segments, gate_columns
from polygeom.models.toy.trained import Training
from polygeom.network import Network

__all__ = [
    "ClassDensity",
    "TrainingDensity",
    "class_contrast",
    "class_density",
    "sampled_class_density",
    "training_density",
]


# -- classes ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ClassDensity(Saved):
    """Densities of boundaries within and between classes.

    Attributes
    ----------
    rows : (P, 3) integer array
        As `partners` returns them; those whose two segments were followed.
    segments : Segments
        2 P of them: of every row the one within its class, then the one between classes.
    """

    rows: np.ndarray
    segments: Segments

    def __repr__(self) -> str:
        return f"ClassDensity({len(self.rows)} rows, {self.segments!r})"

    def density(self, gate: str | None = None) -> np.ndarray:
        """Return flips per length within and between classes, (P, 2), of all gates or of one."""
        return self.segments.density(gate).reshape(-1, 2)

    def contrast(self, gate: str | None = None) -> float:
        """Return log(mean density between classes / mean density within), of all gates or of one."""
        within, between = self.density(gate).mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.log(between / within))

    def effect(self, gate: str | None = None) -> Estimate:
        """Return the mean over rows of log(density between / density within), with its interval.

        The interval is about other rows from the same inputs, for this network; it says nothing on others.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return bootstrapped(np.log(self.density(gate)) @ np.array([-1.0, 1.0]))


def class_density(
    net: Network,
    inputs: object,
    rows: np.ndarray,
    *,
    classes: bool = False,
    reach: object = (0.0, 1.0),
    cache: bool | str | PathLike[str] = False,
    budget: Budget | None = None,
    device: object = None,
    progress: bool = False,
) -> ClassDensity:
    """Return the densities of boundaries on segments within and between classes, exactly.

    Parameters
    ----------
    rows : (P, 3) integers
        From `partners`.
    inputs, classes, cache, budget, device, progress
        As for `follow_segments`.
    reach : (2,) or (P, 2) array
        Likewise; both segments of a row have the same. Rows of which one segment is missing are dropped.

    Raises
    ------
    InputError
        If not one row was finished, or as `follow_segments` does.

    Examples
    --------
    >>> from polygeom.lens.pairing import partners
    >>> from polygeom.models.toy.trained import digits
    >>> training = digits((8,), at=(0, 60), images=100)
    >>> rows = partners(training.classes, np.random.default_rng(0), 20)
    >>> found = class_density(training.networks[-1], training.inputs, rows)
    >>> found.density().shape, found.segments.undecided.any()
    ((20, 2), np.False_)
    """
    pairs = _as_rows(rows)[:, [0, 1, 0, 2]].reshape(-1, 2)
    how = {"classes": classes, "reach": np.repeat(checked_reach(reach, len(rows)), 2, axis=0), "cache": cache}
    found = follow_segments(net, inputs, pairs, **how, budget=budget, device=device, progress=progress)
    whole = len(found) // 2
    if not whole:
        raise InputError(f"Not one row was finished ({found.stopped}). Give more seconds.")
    return ClassDensity(freeze(np.array(rows[:whole])), found.first(2 * whole))


def sampled_class_density(points: object, codes: object, rows: np.ndarray) -> np.ndarray:
    """Return the densities within and between classes as the paper samples them, (P, 2).

    Hamming distance of the codes over Euclidean distance: never above the exact density, and at once for many
    points. Where a code is read at the points themselves no network is needed.

    Parameters
    ----------
    points : (N, n) array
    codes : SplineCodes or (N, n_units) integer array
        Of the same points.
    rows : (P, 3) integers
        From `partners`.

    Raises
    ------
    InputError
        If points and codes differ in number, rows name points that are not there, or join equal points.

    Examples
    --------
    >>> codes = np.array([[0, 0], [0, 1], [1, 1]])
    >>> sampled_class_density([[0.0], [2.0], [4.0]], codes, [[0, 1, 2]])
    array([[0.5, 0.5]])
    """
    X, letters = as_matrix(points, "points"), as_codes(codes).letters
    if len(X) != len(letters):
        raise InputError(f"There are {len(X)} points and {len(letters)} codes, wanted as many.")
    found = _as_rows(rows)
    if found.size and not 0 <= found.min() <= found.max() < len(X):
        raise InputError(f"rows name points {found.min()} to {found.max()}, there are {len(X)} (from 0).")
    first, *others = found.T
    lengths = np.column_stack([np.linalg.norm(X[first] - X[other], axis=1) for other in others])
    if not lengths.all():
        row, k = np.argwhere(lengths == 0)[0].tolist()
        raise InputError(
            f"Points {first[row]} and {others[k][row]} are the same: there is no segment between them."
        )
    return np.column_stack([(letters[first] != letters[other]).sum(axis=1) for other in others]) / lengths


def _as_rows(rows: object) -> np.ndarray:
    found = np.asarray(rows)
    if found.ndim != 2 or found.shape[1] != 3 or found.dtype.kind not in "iu":
        raise InputError(
            f"rows are {found.dtype} {found.shape}, wanted integers (P, 3): an input, another of its class, one "
            "of another class, as lens.partners returns them."
        )
    return found


def class_contrast(net: Network, inputs: np.ndarray, rows: np.ndarray) -> float:
    """Return log(mean density between classes / mean density within classes), over rows of `partners`."""
    return class_density(net, inputs, rows).contrast()


# -- training ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TrainingDensity(Saved):
    """Mean densities within and between classes of N networks at K steps of their training.

    Attributes
    ----------
    steps : (K,) integer array
    gates : tuple of str
        Paths of the G gates.
    densities : (N, K, G, 2) array
        Flips per length of every gate, within and between classes.
    """

    steps: np.ndarray
    gates: tuple[str, ...]
    densities: np.ndarray

    def contrasts(self, gate: str | None = None) -> np.ndarray:
        """Return log(density between / density within) of every network at every step (N, K)."""
        both = self.densities[:, :, gate_columns(self.gates, gate)].sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(both[..., 1] / both[..., 0])

    def effects(self, gate: str | None = None) -> tuple[Estimate, ...]:
        """Return the contrast at every step, with its interval over networks."""
        return tuple(bootstrapped(column) for column in self.contrasts(gate).T)

    def growth(self, gate: str | None = None) -> Estimate:
        """Return by how much the contrast grew from the first step to the last."""
        found = self.contrasts(gate)
        return bootstrapped(found[:, -1] - found[:, 0])


def training_density(
    trainings: Sequence[Training], rng: np.random.Generator, n: int, labels: str = "classes"
) -> TrainingDensity:
    """Return densities within and between classes along trainings, by gate, exactly.

    Parameters
    ----------
    trainings : sequence of Training
        With the same steps and widths (`polygeom.models.toy.trained`).
    n : int
        Rows per training; they are the same at all of its steps.
    labels : str
        ``"classes"`` for the true ones, ``"labels"`` for those trained on.

    Raises
    ------
    InputError
        If there are no trainings, or their steps or gates differ.

    Examples
    --------
    >>> from polygeom.models.toy.trained import digits
    >>> trainings = [digits((8,), at=(0, 60), images=100, seed=seed) for seed in range(2)]
    >>> found = training_density(trainings, np.random.default_rng(0), 20)
    >>> found.densities.shape, found.growth().n
    ((2, 2, 1, 2), 2)
    """
    trainings = list(trainings) if isinstance(trainings, Iterable) else [trainings]
    odd = [type(one).__name__ for one in trainings if not isinstance(one, Training)]
    if odd:
        raise InputError(f"There is a {odd[0]} among trainings, wanted what models.toy.trained makes.")
    kinds = {(tuple(one.steps.tolist()), tuple(g.path for g in one.networks[0].gates)) for one in trainings}
    if len(kinds) != 1:
        raise InputError(
            f"The {len(trainings)} trainings have {len(kinds)} kinds of steps and gates, wanted one."
        )
    if labels not in ("classes", "labels"):
        raise InputError(f"labels is {labels!r}, wanted 'classes' or 'labels'.")
    densities = []
    for one in trainings:
        rows = partners(getattr(one, labels), rng, n)
        found = [class_density(net, one.inputs, rows).segments for net in one.networks]
        rates = [(each.flips / each.lengths[:, None]).reshape(n, 2, -1).mean(axis=0).T for each in found]
        densities.append(rates)
    (steps, gates) = kinds.pop()
    return TrainingDensity(freeze(np.array(steps)), gates, freeze(np.array(densities)))
