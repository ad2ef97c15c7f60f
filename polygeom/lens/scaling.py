r"""Scaling an activation: what changes along the ray from 0 through it, and where the class stays.

The prediction: scaled within a range an activation keeps its meaning, and that changes where many boundaries are
crossed. Followed are, against the scale :math:`2^u`: the boundaries crossed, exactly; the share of letters that
differ from those at scale 1; the cosine between the output and that at scale 1; and the class, whose changes are
exact, too. Scales are octaves, so that halving and doubling count alike.

Source: Black, Sharkey et al. 2022, Interpreting neural networks through the polytope lens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from time import monotonic

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_count, as_points, as_positive, freeze
from polygeom.budget import Budget
from polygeom.errors import InputError
from polygeom.gates import Gate
from polygeom.lens.kept_results import KeptResults
from polygeom.lens.places import Places
from polygeom.lens.saved import Saved
from polygeom.lens.segments import joined_ends
from polygeom.lines.crossings import LineCrossings
from polygeom.lines.segments import crossings_on
from polygeom.network import Network, as_network

__all__ = ["MOST_OCTAVES", "Scaling", "behind_first_layer", "nearest_changes", "scale_activations"]

MOST_OCTAVES = 1000
"""Powers of two beyond leave the floats."""


def behind_first_layer(net: Network, inputs: np.ndarray) -> tuple[Network, np.ndarray]:
    """Return the rest of a network behind its first gate, and the activations that arrive there.

    Parameters
    ----------
    net : Network
    inputs : (N, dim_in) array

    Returns
    -------
    Network, (N, n) array

    Raises
    ------
    InputError
        If nothing comes behind the first gate, or a later step reads what came before it, as a skip connection.

    Examples
    --------
    >>> net = Network.from_layers([([[1], [-1]], [0, 0]), ([[2, 1]], [1]), ([[3]], [0])])
    >>> behind_first_layer(net, [[4], [-5]])
    (Network(R^2 -> R^1, 1 units (relu), 3 steps), array([[4., 0.],
           [0., 5.]]))
    """
    as_network(net)
    points = as_points(inputs, "inputs", net.dim_in)
    until = next((k for k, step in enumerate(net.steps, start=1) if isinstance(step, Gate)), len(net.steps))
    before, after = net.steps[:until], net.steps[until:]
    if not after:
        raise InputError(f"{net} has nothing behind its first gate.")
    if min(i for step in after for i in step.inputs) < until or net.output <= until:
        raise InputError(
            f"{net} has a path around its first gate: what leaves the gate does not tell the output."
        )
    shifted = tuple(replace(step, inputs=tuple(i - until for i in step.inputs)) for step in after)
    rest = Network(shifted, before[-1].shape, net.output - until)
    return rest, freeze(Network(before, net.input_shape)(points).reshape(len(points), -1))


def nearest_changes(places: np.ndarray, octaves: float) -> tuple[float, float]:
    """Return the octaves nearest to scale 1 on either side among places; the ends of scaling where there are none.

    Examples
    --------
    >>> nearest_changes(np.array([-2.0, -0.5, 3.0]), 4)
    (-0.5, 3.0)
    """
    low, high = places[places < 0].max(initial=-octaves), places[places >= 0].min(initial=octaves)
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Scaling(Saved):
    """What scaling does to N activations.

    Attributes
    ----------
    octaves : (B,) array
        Base-2 logarithms of the scales looked at; 0 is among them.
    crossings : (N, B) integer array
        Unit flips between scale 1 and this scale.
    code_change : (N, B) array
        Share of the letters that differ from those at scale 1.
    cosine : (N, B) array
        Between the output and that at scale 1; NaN where one is 0.
    classes : (N, B) integer array
        The largest output. Between scales looked at it may change and change back; `class_range` is exact.
    class_range, code_range : (N, 2) arrays
        Octaves between which the class, and the code, stay what they are at scale 1; cut at the ends.
    flip_u, flip_ends, change_u, change_ends : arrays
        In octaves: all flips, and all class changes, activation after activation, and where each one's begin.
    undecided : (N,) integer array
        Bands of each ray that floats could not decide; all else is proved.
    stopped : str or None
        Why activations are missing ("seconds", "interrupt").
    """

    octaves: np.ndarray
    crossings: np.ndarray
    code_change: np.ndarray
    cosine: np.ndarray
    classes: np.ndarray
    class_range: np.ndarray
    code_range: np.ndarray
    flip_u: np.ndarray
    flip_ends: np.ndarray
    change_u: np.ndarray
    change_ends: np.ndarray
    undecided: np.ndarray
    stopped: str | None

    def __len__(self) -> int:
        return len(self.crossings)

    def __repr__(self) -> str:
        low, high = (f"2^{u:g}" for u in self.octaves[[0, -1]])
        end = f", stopped ({self.stopped})" if self.stopped else ""
        level = "exact" if not self.undecided.any() else f"{self.undecided.sum()} undecided bands"
        return (
            f"Scaling({len(self)} activations from {low} to {high}, {len(self.flip_u)} flips, {level}{end})"
        )

    def kept(self, octaves: float = 1.0) -> np.ndarray:
        """Tell which activations keep their class from 2^-octaves to 2^octaves, (N,)."""
        return (self.class_range[:, 0] < -octaves) & (self.class_range[:, 1] > octaves)

    def places(self) -> Places:
        """Return where units flip and where the class changes, in octaves, activation by activation."""
        return list(
            zip(
                np.split(self.flip_u, self.flip_ends[1:-1]),
                np.split(self.change_u, self.change_ends[1:-1]),
                strict=True,
            )
        )


def scale_activations(
    net: Network,
    activations: object,
    octaves: float = 4.0,
    samples: int = 65,
    *,
    cache: bool | str | PathLike[str] = False,
    budget: Budget | None = None,
    device: object = None,
    progress: bool = False,
) -> Scaling:
    r"""Follow the rays from 0 through activations, from scale :math:`2^{-octaves}` to :math:`2^{octaves}`.

    Parameters
    ----------
    net : Network
        From the layer of the activations on; its largest output is the class.
    activations : (N, n) array
    octaves : float
        How far to scale up and down.
    samples : int
        Scales at which codes, cosines and classes are compared, odd so that 1 is one of them. Flips and class
        changes are exact whatever it is.
    cache, budget, device, progress
        As for `follow_segments`; the budget is that of all rays together.

    Raises
    ------
    InputError
        If an activation is 0, on an even number of samples, octaves that are not positive or too many, or if not
        one ray was finished.

    Notes
    -----
    The sweep begins at :math:`2^{-octaves}`, as nearer to 0 there may be as many boundaries again. Cost: that of a
    line with as many boundaries (`follow_segments`), and a forward pass per sample.

    Examples
    --------
    >>> net = Network.from_layers([([[1, 0], [0, 1]], [-1, -2]), ([[1, 0], [0, 3]], [0, 0])])
    >>> found = scale_activations(net, [[1.5, 1.5]], octaves=2, samples=5)
    >>> found.crossings[0], found.classes[0], found.class_range[0].round(3)
    (array([1, 1, 0, 1, 1]), array([0, 0, 0, 1, 1]), array([-2.   ,  0.737]))
    """
    as_network(net)
    points = as_points(activations, "activations", net.dim_in)
    if not len(points):
        raise InputError("There are no activations to scale: activations has no rows.")
    if as_count(samples, "samples", 3) % 2 == 0:
        raise InputError(f"samples is {samples!r}, wanted an odd number: scale 1 is one of them.")
    octaves = as_positive(octaves, "octaves", MOST_OCTAVES)
    if not points.any(axis=1).all():
        still = int(np.flatnonzero(~points.any(axis=1))[0])
        raise InputError(f"Activation {still} is 0: scaling does not move it. Give others than 0.")
    u = np.linspace(-octaves, octaves, samples)
    began, stopped, rays, kept = monotonic(), None, [], KeptResults.of(cache, net)
    with _bar(len(points), progress) as bar:
        for x in points:
            file = kept.file(Scaling, x, u)
            one = kept.read(file, Scaling)
            if one is None:
                spent = monotonic() - began
                left = None if budget is None or budget.seconds is None else budget.seconds - spent
                if left is not None and left <= 0:
                    stopped = "seconds"
                    break
                within, line = None if left is None else Budget(seconds=left), AffineMap(x[:, None], 0 * x)
                reach = (float(2.0 ** u[0]), float(2.0 ** u[-1]))
                hits = crossings_on(net, line, reach, classes=True, budget=within, device=device)
                if hits.stopped:
                    stopped = hits.stopped
                    break
                one = _single(hits, u)
                kept.write(file, one)
            rays.append(one)
            bar.update()
    if not rays:
        raise InputError(f"Not one ray was finished ({stopped}). Give more seconds.")
    return _joined(rays, stopped)


def _single(hits: LineCrossings, u: np.ndarray) -> Scaling:
    """Return what is known of one activation, from its ray between the first and the last scale."""
    octaves = float(u[-1])
    flips, changes = np.log2(hits.t[hits.flips[0]]), np.log2(hits.class_t)
    crossings, differing, cosines, classes = (freeze(part[None]) for part in _along(hits, 2.0**u))
    return Scaling(
        freeze(u),
        crossings,
        differing,
        cosines,
        classes,
        freeze(np.array([nearest_changes(changes, octaves)])),
        freeze(np.array([nearest_changes(flips, octaves)])),
        freeze(flips),
        freeze(np.array([0, len(flips)])),
        freeze(changes),
        freeze(np.array([0, len(changes)])),
        freeze(np.array([len(hits.undecided)])),
        None,
    )


def _joined(rays: list[Scaling], stopped: str | None) -> Scaling:
    """Return all activations together."""
    rows = (
        "crossings",
        "code_change",
        "cosine",
        "classes",
        "class_range",
        "code_range",
        "flip_u",
        "change_u",
        "undecided",
    )
    return Scaling(
        octaves=rays[0].octaves,
        flip_ends=joined_ends([one.flip_ends for one in rays]),
        change_ends=joined_ends([one.change_ends for one in rays]),
        stopped=stopped,
        **{name: freeze(np.concatenate([getattr(one, name) for one in rays])) for name in rows},
    )


def _along(hits: LineCrossings, t: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return flips from 1, share of letters changed, cosine to the output at 1, and class, at scales t."""
    here = len(t) // 2
    passed = np.searchsorted(hits.t[hits.flips[0]], t)
    pieces = np.searchsorted(hits.t, t)
    distinct, which = np.unique(pieces, return_inverse=True)
    letters = hits.codes(distinct.tolist()).letters
    differing = (letters != letters[which[here]]).mean(axis=1)[which] if hits.network.n_units else 0 * t
    outputs = hits.output(t)
    lengths = np.linalg.norm(outputs, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = outputs @ outputs[here] / (lengths * lengths[here])
    return np.abs(passed - passed[here]), differing, cosine, hits.classes[np.searchsorted(hits.class_t, t)]


def _bar(total: int, shown: bool) -> object:
    from tqdm import tqdm

    return tqdm(desc="rays", total=total, unit="ray", disable=not shown)
