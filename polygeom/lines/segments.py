"""Sweeps of segments, and of any line: the functions that users call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import freeze
from polygeom.budget import Budget
from polygeom.enclosures import EnclosedPass, enclose_pass
from polygeom.errors import InputError
from polygeom.gates import Gate, MaxGate
from polygeom.lines.crossings import LineCrossings, UndecidedBand
from polygeom.lines.devices import Device
from polygeom.lines.events import Swept
from polygeom.lines.sweep import sweep
from polygeom.network import Network, as_network
from polygeom.pieces import BYTE_BUDGET
from polygeom.steps import LinearStep

__all__ = ["crossings_on", "line_crossings"]


def line_crossings(
    net: Network,
    start: object,
    stop: object,
    *,
    classes: bool = False,
    memory: int = BYTE_BUDGET,
    budget: Budget | None = None,
    device: object = None,
    progress: bool = False,
) -> LineCrossings:
    r"""Return all boundaries that the segment between two inputs crosses, exactly.

    Points are :math:`x(t) = a + t (b - a)`, 0 < t < 1, the difference rounded once (`AffineMap.segment`). A
    boundary is a t where the codes on the two sides differ; touching one without a change is none, and what
    happens at the two ends is `LineCrossings.at_ends`.

    Parameters
    ----------
    start, stop : arrays
        Inputs, flat or in the input's own shape.
    classes : bool
        Whether to find where the largest output changes, too.
    memory : int
        Bytes that the sweep may take; longer lines are swept in parts.
    budget : Budget, optional
        Seconds after which the sweep ends where it is, between two parts; so does Ctrl-C
        (`LineCrossings.stopped`).
    device : str or torch.device, optional
        Where convolutions and matrix products are computed, in float64; the bounds hold wherever sums are formed
        from products. By default numpy, and torch on the processor for convolutions.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    InputError
        If start equals stop, on wrong shapes, NaN or infinities, values that overflow, or a memory cap that does
        not hold two pieces.

    Notes
    -----
    Affine functions of t are pushed through the network, one per piece; each root of a pre-activation, and each
    overtaking in a max-pooling window, splits a piece. Floats decide beyond derived rounding bounds, rationals
    decide ties where the network is small enough, else the tie is reported in `undecided`. Cost: two products
    per layer and piece of the layers before the last gate, so a fraction of two forward passes per boundary.

    Examples
    --------
    >>> net = Network.from_layers([([[1], [1], [-1]], [-1, -1, 2]), ([[1, 1, 1]], [0])])
    >>> hits = line_crossings(net, [0], [3])
    >>> [(t, units.tolist()) for t, units in hits]
    [(0.3333333333333333, [0, 1]), (0.6666666666666666, [2])]
    """
    _check_request(net, budget)
    a, b = net.flat_point(start, "start"), net.flat_point(stop, "stop")
    if np.array_equal(a, b):
        raise InputError("start and stop are the same point: there is no line between them. Give two points.")
    line = AffineMap.segment(a, b)
    how = {"memory": memory, "budget": budget, "device": device, "progress": progress}
    return crossings_on(net, line, (0.0, 1.0), classes=classes, **how)


def _check_request(net: object, budget: object) -> None:
    """Refuse what is no network, and what is no budget of seconds."""
    as_network(net)
    if budget is not None and not isinstance(budget, Budget):
        raise InputError(f"budget is {budget!r}, wanted polygeom.Budget(seconds=...), or None for no limit.")


def crossings_on(
    net: Network,
    line: AffineMap,
    reach: tuple[float, float],
    *,
    classes: bool = False,
    memory: int = BYTE_BUDGET,
    budget: Budget | None = None,
    device: object = None,
    progress: bool = False,
) -> LineCrossings:
    """Return all boundaries on ``line(t)`` for t in an interval (`line_crossings`)."""
    walked = _with_classes(net) if classes else net
    place = None if device is None else _checked(device)
    with _bar(reach, progress) as report:
        swept = sweep(walked, line, reach, memory, budget or Budget(), report, place)
    events, nodes = swept.events.merged(), swept.nodes
    class_t = winners = None
    if classes:
        is_class = events.unit >= net.n_units
        class_t = nodes.t[events.node[is_class]]
        winners = np.concatenate([swept.letters[-1:].astype(np.intp), events.after[is_class]])
        events = events[~is_class]
    node = events.node
    starts = (
        np.append(np.flatnonzero(np.append(True, node[1:] != node[:-1])), len(node))
        if len(node)
        else np.zeros(1, int)
    )
    places = node[starts[:-1]]
    return LineCrossings(
        net,
        line,
        (float(reach[0]), float(nodes.t[swept.last])),
        freeze(nodes.t[places]),
        freeze(np.stack([nodes.low[places], nodes.high[places]], axis=1)),
        freeze(swept.letters[: net.n_units].astype(net.letter_dtype)),
        _bands(walked, line, swept),
        swept.parts,
        swept.stopped,
        class_t,
        winners,
        events,
        starts,
    )


def _checked(device: object) -> Device:
    """Return a torch device, if it is here and knows float64."""
    import torch

    try:
        place = torch.device(device)
        torch.zeros(1, dtype=torch.float64, device=place).cpu()
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"device={device!r} cannot be used: {str(error).splitlines()[0]}. Give a torch device with float64, "
            "such as 'cpu' or 'cuda', or leave it out."
        ) from None
    return Device(place)


@contextmanager
def _bar(reach: tuple[float, float], shown: bool) -> Iterator[Callable[[float], None]]:
    """Show how far along the line a sweep is, if wanted."""
    if not shown:
        yield lambda t: None
        return
    from tqdm import tqdm

    with tqdm(
        desc="line", total=reach[1] - reach[0], bar_format="{l_bar}{bar}| {elapsed}<{remaining}"
    ) as bar:

        def report(t: float) -> None:
            bar.update(t - reach[0] - bar.n)

        yield report


def _with_classes(net: Network) -> Network:
    """Return the network with one more unit, the position of its largest output."""
    index = np.arange(net.dim_out)[None]
    unit = MaxGate(index=index, inputs=(net.output,), shapes=(net.output_shape,), shape=(1,), path="classes")
    return Network((*net.steps, unit), net.input_shape)


def _bands(net: Network, line: AffineMap, swept: Swept) -> tuple[UndecidedBand, ...]:
    """Return what is undecided: bands, with the units that an enclosure of the whole band leaves open.

    A unit to which no path of non-zero slopes leads is constant there, whatever an enclosure of values says.
    """
    nodes, events = swept.nodes, swept.events
    if not (nodes.bands or swept.undecided):
        return ()
    found = _joined(swept.undecided)
    for band in np.unique(nodes.named(np.array(sorted(nodes.bands), dtype=np.intp))).tolist():
        low, high = float(nodes.low[band]), float(nodes.high[band])
        middle = low + 0.5 * (high - low)
        point, error = line.enclose(np.array([[middle]]), np.array([[max(high - middle, middle - low)]]))
        passed = enclose_pass(net, point, error=error)
        open_ = np.flatnonzero(passed.undecided[0] & _moving(net, line, passed))
        units = np.union1d(open_, events.unit[events.node == band])
        found.append(UndecidedBand(low, high, tuple(units.tolist())))
    return tuple(sorted(found, key=lambda b: (b.low, b.high)))


def _joined(undecided: list[tuple[float, float, int]]) -> list[UndecidedBand]:
    """Return intervals of single units as bands: those of a unit that overlap joined, equal ones made one."""
    bands: dict[tuple[float, float], list[int]] = {}
    for unit, parts in groupby(sorted((unit, low, high) for low, high, unit in undecided), key=itemgetter(0)):
        joined: list[tuple[float, float]] = []
        for _, low, high in parts:
            if joined and low <= joined[-1][1]:
                low, high = joined[-1][0], max(high, joined.pop()[1])
            joined.append((low, high))
        for band in joined:
            bands.setdefault(band, []).append(unit)
    return [UndecidedBand(low, high, tuple(units)) for (low, high), units in bands.items()]


def _moving(net: Network, line: AffineMap, passed: EnclosedPass) -> np.ndarray:
    """Return for every unit whether a path of non-zero slopes leads to it, through any letter that is open."""
    found = np.zeros(net.n_units, dtype=bool)

    def linear(step: LinearStep, *moves: np.ndarray) -> np.ndarray:
        return step.magnitude.linear(*(m.astype(np.float64) for m in moves)) > 0

    def gate(step: Gate, moves: np.ndarray) -> np.ndarray:
        letters, open_ = (
            a[:, step.columns].reshape(1, *step.shape) for a in (passed.letters, passed.undecided)
        )
        if isinstance(step, MaxGate):
            window = step.window(moves, False).any(axis=2).reshape(step.shape)
            found[step.columns] = window.ravel()
            won = np.take_along_axis(moves.reshape(1, -1), step.winners(letters), axis=1)
            return np.where(open_, window, won.reshape(1, *step.shape))
        found[step.columns] = moves.ravel()
        return moves & ((step.chosen(step.slopes, letters) != 0) | open_)

    net.fold((line.matrix[:, 0] != 0).reshape(1, *net.input_shape), linear, gate)
    return found
