"""Segments between inputs with all boundaries on them, exactly; what was finished can be kept on disk.

An interrupt loses one segment at most: what was finished is returned, and with ``cache`` it is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from time import monotonic

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_array, as_points, freeze
from polygeom.budget import Budget
from polygeom.errors import InputError
from polygeom.lens.kept_results import KeptResults
from polygeom.lens.places import Places
from polygeom.lens.saved import Saved
from polygeom.lines.crossings import LineCrossings
from polygeom.lines.density import density
from polygeom.lines.segments import crossings_on
from polygeom.network import Network, as_network

__all__ = ["Segments", "checked_reach", "follow_segments", "gate_columns", "joined_ends"]


@dataclass(frozen=True, eq=False)
class Segments(Saved):
    """All boundaries on S segments between inputs of a network.

    Attributes
    ----------
    pairs : (S, 2) integer array
        The inputs that each leads from and to.
    lengths : (S,) array
        Euclidean, of the part that was followed.
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
        return self.flips[:, gate_columns(self.gates, gate)].sum(axis=1) / self.lengths

    def places(self, gate: str | None = None) -> Places:
        """Return where units flip, of all gates or of one, and where the class changes, segment by segment."""
        chosen = np.isin(self.gate, gate_columns(self.gates, gate))
        found = []
        for i in range(len(self)):
            part = slice(self.ends[i], self.ends[i + 1])
            changes = self.class_t[self.class_ends[i] : self.class_ends[i + 1]]
            found.append((self.t[part][chosen[part]], changes))
        return found

    def first(self, n: int) -> Segments:
        """Return the first n segments."""
        if n == len(self):
            return self
        end, class_end = self.ends[n], self.class_ends[n]
        return replace(
            self,
            pairs=self.pairs[:n],
            lengths=self.lengths[:n],
            flips=self.flips[:n],
            t=self.t[:end],
            gate=self.gate[:end],
            ends=self.ends[: n + 1],
            class_t=self.class_t[:class_end],
            class_ends=self.class_ends[: n + 1],
            undecided=self.undecided[:n],
        )


def gate_columns(gates: Sequence[str], gate: str | None) -> np.ndarray:
    """Return the positions of a gate (all its calls), of all gates for None.

    Raises
    ------
    InputError
        If there is no such gate.
    """
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
    reach: object = (0.0, 1.0),
    cache: bool | str | PathLike[str] = False,
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
    reach : (2,) or (S, 2) array
        Between which t boundaries are sought, on all segments or on each: where the whole would take too long.
    cache : bool or path
        Where to keep each segment once it is finished: True for this user's folder of caches, False for nowhere,
        or a folder. Asked again the same is read from there.
    budget : Budget, optional
        Seconds after which no more segments are followed; what was finished is returned. So it is on Ctrl-C.
    device, progress
        As for `line_crossings`; the bar counts segments.

    Raises
    ------
    InputError
        If a pair joins equal inputs or names inputs that are not there, on a reach outside [0, 1], or if not one
        segment was finished.

    Notes
    -----
    Cost: that of `line_crossings` per segment: milliseconds for toys, one to two minutes on one core from
    ``inception_5b`` to the logits (20 000 boundaries).

    Examples
    --------
    >>> net = Network.from_layers([([[1], [1]], [-1, -3]), ([[1, 1]], [0])])
    >>> follow_segments(net, [[0.0], [4.0]], [[0, 1]]).density(), follow_segments(
    ...     net, [[0.0], [4.0]], [[0, 1]], reach=(0.0, 0.5)
    ... ).density()
    (array([0.5]), array([0.5]))
    """
    as_network(net)
    points = as_points(inputs, "inputs", net.dim_in)
    wanted = _checked_pairs(pairs, points)
    reaches = checked_reach(reach, len(wanted)).tolist()
    began, stopped, found, kept = monotonic(), None, [], KeptResults.of(cache, net)
    with _bar(len(wanted), progress) as advance:
        for pair, (low, high) in zip(wanted, reaches, strict=True):
            ends = points[pair]
            file = kept.file(Segments, ends, low, high, bool(classes))
            one = kept.read(file, Segments)
            if one is None:
                spent = monotonic() - began
                left = None if budget is None or budget.seconds is None else budget.seconds - spent
                if left is not None and left <= 0:
                    stopped = "seconds"
                    break
                within, line = None if left is None else Budget(seconds=left), AffineMap.segment(*ends)
                hits = crossings_on(net, line, (low, high), classes=classes, budget=within, device=device)
                if hits.stopped:
                    stopped = hits.stopped
                    break
                one = _single(hits)
                kept.write(file, one)
            found.append(one)
            advance()
    if not found:
        raise InputError(f"Not one segment was finished ({stopped}). Give more seconds.")
    return _joined(found, wanted[: len(found)], stopped)


def checked_reach(reach: object, n: int) -> np.ndarray:
    """Return the parts (n, 2) of n segments between which boundaries are sought.

    Raises
    ------
    InputError
        If they are not two ascending numbers between 0 and 1, for all or for each.
    """
    parts = as_array(reach, "reach")
    if (
        parts.shape not in ((2,), (n, 2))
        or not ((parts >= 0) & (parts <= 1) & (np.diff(parts, axis=-1) > 0)).all()
    ):
        raise InputError(
            f"reach is {reach!r}, wanted two ascending numbers between 0 and 1, or {n} such pairs."
        )
    return np.broadcast_to(parts, (n, 2))


def _checked_pairs(pairs: object, points: np.ndarray) -> np.ndarray:
    wanted = np.asarray(pairs)
    if wanted.ndim != 2 or wanted.shape[1] != 2 or wanted.dtype.kind not in "iu" or not len(wanted):
        raise InputError(f"pairs has shape {wanted.shape} and dtype {wanted.dtype}, wanted (S, 2) integers.")
    if wanted.min() < 0 or wanted.max() >= len(points):
        odd = wanted[(wanted < 0) | (wanted >= len(points))][0]
        raise InputError(f"pairs names input {odd}, but there are {len(points)} (from 0).")
    for a, b in wanted.tolist():
        if np.array_equal(points[a], points[b]):
            raise InputError(f"Inputs {a} and {b} are the same point: there is no segment between them.")
    return wanted


def _single(hits: LineCrossings) -> Segments:
    """Return one segment; its pair is 0, 1."""
    dense, (boundary, unit, *_) = density(hits), hits.flips
    changes = np.zeros(0) if hits.class_t is None else hits.class_t
    return Segments(
        freeze(np.array([[0, 1]])),
        freeze(np.array([dense.length])),
        dense.gates,
        freeze(dense.flips[None]),
        freeze(hits.t[boundary]),
        freeze(hits.network.units.gate_of(unit).astype(np.int16)),
        freeze(np.array([0, len(unit)])),
        freeze(changes),
        freeze(np.array([0, len(changes)])),
        freeze(np.array([len(hits.undecided)])),
        None,
    )


def _joined(parts: list[Segments], pairs: np.ndarray, stopped: str | None) -> Segments:
    """Return segments of one network side by side, under the names of their pairs."""
    every = {
        name: freeze(np.concatenate([getattr(one, name) for one in parts]))
        for name in ("lengths", "flips", "t", "gate", "class_t", "undecided")
    }
    return Segments(
        pairs=freeze(pairs.astype(np.intp)),
        gates=parts[0].gates,
        ends=joined_ends([one.ends for one in parts]),
        class_ends=joined_ends([one.class_ends for one in parts]),
        stopped=stopped,
        **every,
    )


def joined_ends(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return where rows begin and end in arrays put after each other, from where they do in each.

    Examples
    --------
    >>> joined_ends([np.array([0, 2, 3]), np.array([0, 4])])
    array([0, 2, 3, 7])
    """
    return freeze(np.cumsum(np.concatenate([[0], *(np.diff(one) for one in parts)])))


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[], object]]:
    if not shown:
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(desc="segments", total=total, unit="segment") as bar:
        yield bar.update
