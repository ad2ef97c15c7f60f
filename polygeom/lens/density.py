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

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

import numpy as np

from polygeom.arrays import as_array, as_points, freeze
from polygeom.budget import Budget
from polygeom.codes import SplineCodes
from polygeom.errors import InputError
from polygeom.lens.estimates import Estimate, bootstrapped
from polygeom.lens.pairing import partners
from polygeom.lens.places import Places
from polygeom.lens.saved import Saved
from polygeom.lines.density import density
from polygeom.lines.segments import line_crossings
from polygeom.models.toy.trained import Training
from polygeom.network import Network

__all__ = [
    "ClassDensity",
    "Segments",
    "TrainingDensity",
    "class_contrast",
    "class_density",
    "follow_segments",
    "sampled_class_density",
    "training_density",
]


# -- segments ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Segments(Saved):
    """All boundaries on S segments between inputs of a network.

    Attributes
    ----------
    pairs : (S, 2) integer array
        The inputs that each leads from and to.
    lengths : (S,) array
        Euclidean.
    gates : tuple of str
        Paths of the G gates.
    flips : (S, G) integer array
        Unit flips.
    t, gate : (F,) arrays
        Of every flip the place in (0, 1) and its gate, segment after segment.
    ends : (S + 1,) integer array
        Where the flips of each segment begin and end.
    class_t, class_ends : arrays
        Where the largest output changes, likewise; none if that was not asked for.
    undecided : (S,) integer array
        Bands that floats could not decide; all else is proved.
    stopped : str or None
        Why segments are missing ("seconds", "interrupt").
    """

    pairs: np.ndarray
    lengths: np.ndarray
    gates: tuple[str, ...]
    flips: np.ndarray
    t: np.ndarray
    gate: np.ndarray
    ends: np.ndarray
    class_t: np.ndarray
    class_ends: np.ndarray
    undecided: np.ndarray
    stopped: str | None

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        level = "exact" if not self.undecided.any() else f"{self.undecided.sum()} undecided bands"
        end = f", stopped ({self.stopped})" if self.stopped else ""
        counts = f"{len(self)} segments, {len(self.t)} flips, {len(self.class_t)} class changes"
        return f"Segments({counts}, {level}{end})"

    def density(self, gate: str | None = None) -> np.ndarray:
        """Return flips per length of every segment (S,), of all gates or of one (all its calls).

        Raises
        ------
        InputError
            If there is no such gate.
        """
        return self.flips[:, _columns(self.gates, gate)].sum(axis=1) / self.lengths

    def places(self, gate: str | None = None) -> Places:
        """Return where units flip, of all gates or of one, and where the class changes, segment by segment."""
        chosen = np.isin(self.gate, _columns(self.gates, gate))
        found = []
        for i in range(len(self)):
            part = slice(self.ends[i], self.ends[i + 1])
            changes = self.class_t[self.class_ends[i] : self.class_ends[i + 1]]
            found.append((self.t[part][chosen[part]], changes))
        return found


def _columns(gates: Sequence[str], gate: str | None) -> np.ndarray:
    columns = np.array([i for i, path in enumerate(gates) if gate in (None, path)], dtype=np.intp)
    if gate is not None and not len(columns):
        raise InputError(f"There is no gate {gate!r}; there are {', '.join(dict.fromkeys(gates))}.")
    return columns


def follow_segments(
    net: Network,
    inputs: object,
    pairs: object,
    *,
    classes: bool = False,
    budget: Budget | None = None,
    device: object = None,
    progress: bool = False,
) -> Segments:
    """Return all boundaries on segments between inputs, exactly.

    Parameters
    ----------
    inputs : (N, n) array
    pairs : (S, 2) integers
        Rows of the inputs, from and to.
    classes : bool
        Whether to find where the largest output changes, too.
    budget : Budget, optional
        Seconds after which no more segments are followed; what was finished is returned. So it is on Ctrl-C.
    device, progress
        As for `line_crossings`; the bar counts segments.

    Raises
    ------
    InputError
        If a pair joins equal inputs or names inputs that are not there, or not one segment was finished.

    Notes
    -----
    Cost: that of `line_crossings` per segment: milliseconds for toys, one to two minutes on one core from
    ``inception_5b`` to the logits (20 000 boundaries).
    """
    points = as_points(inputs, "inputs", net.dim_in)
    wanted = np.asarray(pairs)
    if wanted.ndim != 2 or wanted.shape[1] != 2 or wanted.dtype.kind not in "iu" or not len(wanted):
        raise InputError(f"pairs has shape {wanted.shape} and dtype {wanted.dtype}, wanted (S, 2) integers.")
    if wanted.min() < 0 or wanted.max() >= len(points):
        raise InputError(f"pairs names input {wanted.max()}, but there are {len(points)} (from 0).")
    began, stopped, found = monotonic(), None, []
    with _bar(len(wanted), progress) as advance:
        for a, b in wanted.tolist():
            spent = monotonic() - began
            left = None if budget is None or budget.seconds is None else budget.seconds - spent
            if left is not None and left <= 0:
                stopped = "seconds"
                break
            within = None if left is None else Budget(seconds=left)
            hits = line_crossings(net, points[a], points[b], classes=classes, budget=within, device=device)
            if hits.stopped:
                stopped = hits.stopped
                break
            found.append(hits)
            advance()
    if not found:
        raise InputError(f"Not one segment was finished ({stopped}). Give more seconds.")
    return _gathered(found, wanted[: len(found)], stopped)


def _gathered(found: list, pairs: np.ndarray, stopped: str | None) -> Segments:
    dense = [density(hits) for hits in found]
    flips = [hits.flips for hits in found]
    t = [hits.t[boundary] for hits, (boundary, *_) in zip(found, flips, strict=True)]
    gate = [hits.network.units.gate_of(unit) for hits, (_, unit, *_) in zip(found, flips, strict=True)]
    changes = [np.zeros(0) if hits.class_t is None else hits.class_t for hits in found]
    return Segments(
        freeze(pairs.astype(np.intp)),
        freeze(np.array([one.length for one in dense])),
        dense[0].gates,
        freeze(np.stack([one.flips for one in dense])),
        freeze(np.concatenate(t)),
        freeze(np.concatenate(gate).astype(np.int16)),
        freeze(np.cumsum([0, *map(len, t)])),
        freeze(np.concatenate(changes)),
        freeze(np.cumsum([0, *map(len, changes)])),
        freeze(np.array([len(hits.undecided) for hits in found])),
        stopped,
    )


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[], object]]:
    if not shown:
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(desc="segments", total=total, unit="segment") as bar:
        yield bar.update


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
    budget: Budget | None = None,
    device: object = None,
    progress: bool = False,
) -> ClassDensity:
    """Return the densities of boundaries on segments within and between classes, exactly.

    Parameters
    ----------
    rows : (P, 3) integers
        From `partners`.
    inputs, classes, budget, device, progress
        As for `follow_segments`. Rows of which one segment is missing are dropped.

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
    pairs = np.asarray(rows)[:, [0, 1, 0, 2]].reshape(-1, 2)
    how = {"classes": classes, "budget": budget, "device": device, "progress": progress}
    found = follow_segments(net, inputs, pairs, **how)
    whole = len(found) // 2
    if not whole:
        raise InputError(f"Not one row was finished ({found.stopped}). Give more seconds.")
    return ClassDensity(freeze(np.array(rows[:whole])), _first(found, 2 * whole))


def _first(found: Segments, n: int) -> Segments:
    """Return the first n segments."""
    if n == len(found):
        return found
    end, class_end = found.ends[n], found.class_ends[n]
    return Segments(
        found.pairs[:n],
        found.lengths[:n],
        found.gates,
        found.flips[:n],
        found.t[:end],
        found.gate[:end],
        found.ends[: n + 1],
        found.class_t[:class_end],
        found.class_ends[: n + 1],
        found.undecided[:n],
        found.stopped,
    )


def sampled_class_density(points: object, codes: SplineCodes, rows: np.ndarray) -> np.ndarray:
    """Return the densities within and between classes as the paper samples them, (P, 2).

    Hamming distance of the codes over Euclidean distance: never above the exact density, and at once for many
    points. Where a code is read at the points themselves no network is needed.

    Parameters
    ----------
    points : (N, n) array
    codes : SplineCodes
        Of the same points.
    rows : (P, 3) integers
        From `partners`.

    Raises
    ------
    InputError
        If points and codes differ in number.

    Examples
    --------
    >>> codes = SplineCodes(np.array([[0, 0], [0, 1], [1, 1]], dtype=np.uint8))
    >>> sampled_class_density([[0.0], [2.0], [4.0]], codes, [[0, 1, 2]])
    array([[0.5, 0.5]])
    """
    X, letters = as_array(points, "points"), codes.letters
    if len(X) != len(letters):
        raise InputError(f"There are {len(X)} points and {len(letters)} codes, wanted as many.")
    first, *others = np.asarray(rows).T
    densities = [
        (letters[first] != letters[other]).sum(axis=1) / np.linalg.norm(X[first] - X[other], axis=1)
        for other in others
    ]
    return np.column_stack(densities)


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
        both = self.densities[:, :, _columns(self.gates, gate)].sum(axis=2)
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
    """
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
