"""All regions of a network: which engine finds them, how long it may run, what comes back.

The rule
--------
A network that is a dense chain (`polygeom.enumeration.chain`) is read by a compiled recursion; in the plane its
cells are polygons, up to five dimensions cones given by their extreme rays, from six on a vertex with its simplex
dictionary (there cells may have more rays than a search can carry). Every other network goes gate by gate
(`polygeom.enumeration.staged`), or, in a whole space where the first gates do not make cells with vertices to
begin with, from facet to facet (`polygeom.enumeration.traversal`).

Rays find facets and boundedness on the way; with dictionaries every facet is a search afterwards, which at
[5,10,10] takes a hundred times as long as the regions. Counting alone, rays win in four dimensions, up to twofold
at [4,16,16,16]; in five, dictionaries do, up to twofold at [5,10,10]: there ``method="lp"`` is for those who want
the number only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_choice
from polygeom.budget import Budget
from polygeom.certificates.feasibility import zero_rows
from polygeom.complexes import PolyhedralComplex
from polygeom.enumeration.arrays import Exactness, RegionArrays
from polygeom.enumeration.chain import dense_chain
from polygeom.enumeration.requests import STORES, check_request, is_same_place, refuse_thin
from polygeom.errors import BudgetError, InputError
from polygeom.network import Network
from polygeom.polyhedron import Polyhedron
from polygeom.rounding import TINY

__all__ = ["MOST_RAYS_DIM", "Frontier", "RegionCount", "enumerate_regions", "region_batches"]

MOST_RAYS_DIM = 5
"""Largest dimension in which cells are given by their vertices."""

FIRST_STEP, STEP = 1 << 11, 1 << 14
"""Regions asked of an engine at a time, at first and at most."""

PACE = 0.1
"""Seconds that one step is meant to take, so that limits and Ctrl-C are seen in time."""

METHODS = ("auto", "vertices", "lp")


class Engine(Protocol):
    """What finds regions, step by step."""

    n_regions: int
    n_bounded: int | None
    fraction: float
    exactness: Exactness
    finished: bool

    def run(self, regions: int) -> object:
        """Find at most this many more regions, or stop earlier."""

    def take(self) -> RegionArrays:
        """Return the regions found since the last call."""

    def copy(self) -> Engine:
        """Return an engine that goes on independently."""


@dataclass(frozen=True, eq=False)
class Frontier:
    """Where an unfinished enumeration goes on: cells still to be split.

    Attributes
    ----------
    fraction : float
        Share of the recursion that is done, every split halving it. A rough guess: subtrees differ in size.
    """

    engine: Engine
    store: str
    method: str
    fraction: float


@dataclass(frozen=True, eq=False)
class RegionCount:
    """How many regions there are (`enumerate_regions` with ``store="count"``).

    Attributes
    ----------
    n_regions : int
    n_bounded : int or None
        None where the engine does not see boundedness (six dimensions and more).
    exactness : Exactness
    finished : bool
        False if a budget or Ctrl-C stopped it; `frontier` then goes into ``resume=``.

    Examples
    --------
    >>> net = Network.from_layers([([[1, 0], [0, 1]], [0, 0]), ([[1, 1]], [0])])
    >>> enumerate_regions(net, store="count")
    RegionCount(4 regions, 0 bounded)
    """

    network: Network
    along: AffineMap | None
    domain: Polyhedron | None
    n_regions: int
    n_bounded: int | None
    exactness: Exactness
    finished: bool
    frontier: Frontier | None

    def __repr__(self) -> str:
        noun = "region" if self.n_regions == 1 else "regions"
        bounded = "" if self.n_bounded is None else f", {self.n_bounded} bounded"
        undecided = self.exactness.undecided
        unproved = f"; {undecided} signs undecided: not proved complete" if undecided else ""
        rest = f"; incomplete, about {self.frontier.fraction:.1%} done" if self.frontier is not None else ""
        return f"RegionCount({self.n_regions} {noun}{bounded}{unproved}{rest})"

    @property
    def complete(self) -> bool:
        """Whether these are all regions, proved: the enumeration was finished, and no sign is undecided."""
        return self.finished and not self.exactness.undecided


def enumerate_regions(
    net: Network,
    domain: Polyhedron | None = None,
    along: AffineMap | None = None,
    store: str = "regions",
    *,
    method: str = "auto",
    progress: bool = False,
    budget: Budget | None = None,
    resume: PolyhedralComplex | RegionCount | None = None,
) -> PolyhedralComplex | RegionCount:
    r"""Return all full-dimensional regions of a network, exactly.

    Parameters
    ----------
    net : Network
    domain : Polyhedron, optional
        The part of the space looked at, in slice coordinates with `along`; bounded or not, of full dimension.
        None: all of :math:`R^k`.
    along : AffineMap, optional
        A slice of the input space (injective): regions, witnesses and facets are then in its coordinates.
    store : {"regions", "cells", "count"}
        Codes, witnesses, facets; vertices and rays too (up to five dimensions); or only how many there are,
        in memory that does not grow with their number.
    method : {"auto", "vertices", "lp"}
        Which cells a dense chain is searched with: the module's rule, vertices (up to five dimensions), or
        a vertex with its simplex dictionary (any dimension, any number of facets). Other graphs have one way.
    progress : bool
        Show a bar.
    budget : Budget, optional
        Stop early. Without one, an enumeration that would fill the memory stops with `BudgetError`. With `resume`,
        regions and bytes count what was found before too, seconds those of this call.
    resume : PolyhedralComplex or RegionCount, optional
        What an unfinished enumeration of the same network, slice, domain, store and method returned; it goes on
        from there. A complex that was loaded from a file has no frontier to go on from.

    Returns
    -------
    PolyhedralComplex, or RegionCount with ``store="count"``
        After a budget or Ctrl-C a valid part, with ``complete`` False and its ``frontier``.

    Raises
    ------
    InputError
        If the domain is empty, flat or of another dimension, the slice not injective, or an option unknown.
    BudgetError
        If the memory is used up; its ``partial`` holds what was found, and can be resumed.

    Notes
    -----
    Regions are full-dimensional cells with distinct codes, letters on where z > 0. Every sign is decided by floats
    beyond their rounding bounds, by structure, or over the rationals (`exactness`), so degenerate networks are
    answered exactly. Cost: some microseconds a region and dimension; memory of the search O(depth).
    Sources: Rada, Cerny 2018 (recursion over sign vectors); Motzkin et al. 1953 (splitting cones).

    Examples
    --------
    >>> net = Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
    >>> K = enumerate_regions(net)
    >>> K.n_regions, K.n_bounded
    (7, 1)
    >>> enumerate_regions(net, Polyhedron.box(0, 1, dim=2), store="count").n_regions
    2
    """
    check_request(net, domain, along, store, budget)
    as_choice(method, METHODS, "method")
    _announce(progress)
    if resume is None:
        engine, parts = make_engine(net, domain, along, store, method), []
    else:
        engine, parts = _resumed(resume, net, (domain, along), store, method)
    limit = budget if budget is not None else Budget(bytes=_memory())
    spent = _run(engine, store, limit, progress, parts)
    if engine.finished and engine.n_regions == 0:
        refuse_thin(domain)
    frontier = None
    if not engine.finished:
        before = method if resume is None else resume.frontier.method
        frontier = Frontier(engine, store, before, engine.fraction)
    common = (engine.exactness, engine.finished, frontier)
    if store == "count":
        return RegionCount(net, along, domain, engine.n_regions, engine.n_bounded, *common)
    found = PolyhedralComplex(net, along, domain, RegionArrays.joined(parts), *common)
    if spent == "bytes" and budget is None:
        raise BudgetError(
            f"{found.n_regions} regions fill {sum(p.nbytes for p in parts) / 2**30:.1f} GiB, and about "
            f"{engine.fraction:.1%} of the recursion is done: some {_estimate(engine):.1g} regions in all. "
            'Count them with store="count", take a smaller domain or a slice, or set budget=Budget(bytes=...). '
            "What was found is in this error's .partial, and goes on with resume=.",
            found,
        )
    return found


def region_batches(
    net: Network, domain: Polyhedron | None = None, along: AffineMap | None = None, store: str = "regions"
) -> Iterator[RegionArrays]:
    """Yield all regions once, in batches of some thousands, without keeping them.

    Parameters as for `enumerate_regions`; ``store="cells"`` gives vertices too. Memory does not grow with the
    number of regions; leaving the loop ends the search.

    Raises
    ------
    InputError
        As `enumerate_regions`; and with ``store="count"``, which has nothing to yield.

    Examples
    --------
    The regions with the most facets, without a list of all:

    >>> net = Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
    >>> most = 0
    >>> for batch in region_batches(net):
    ...     most = max(most, np.diff(batch.facet_start).max())
    >>> int(most)
    3
    """
    check_request(net, domain, along, store, None)
    if store == "count":
        raise InputError(
            "region_batches has nothing to yield with store='count'; ask enumerate_regions for it."
        )
    _announce(False)
    engine = make_engine(net, domain, along, store)
    while not engine.finished:
        engine.run(STEP)
        batch = engine.take()
        if len(batch):
            yield batch
    if engine.n_regions == 0:
        refuse_thin(domain)


def make_engine(
    net: Network, domain: Polyhedron | None, along: AffineMap | None, store: str, method: str = "auto"
) -> Engine:
    """Return the engine for a network, by the rule of the module docstring."""
    from polygeom.enumeration.cell_engine import cell_engine
    from polygeom.enumeration.dictionary import DictionaryEngine

    if domain is not None:  # which is not empty: rows without a normal are true everywhere
        always = zero_rows(domain, np.arange(domain.n_rows))
        domain = domain.select(~always) if always.any() else domain
    chain = dense_chain(net, along)
    if chain is None:
        from polygeom.enumeration.staged import StagedEngine
        from polygeom.enumeration.staged_starts import has_start
        from polygeom.enumeration.traversal import TraversalEngine

        if domain is None and store != "cells" and net.gates and not has_start(net, along):
            return TraversalEngine(net, along)
        return StagedEngine(net, domain, along, STORES[store])
    if chain.dim <= MOST_RAYS_DIM and method != "lp":
        return cell_engine(chain, domain, STORES[store])
    if store == "cells" or method == "vertices":
        asked = (
            "store='cells' keeps vertices" if store == "cells" else "method='vertices' searches by vertices"
        )
        why = "method='lp' finds none" if chain.dim <= MOST_RAYS_DIM else f"the regions are in R^{chain.dim}"
        raise InputError(
            f"{asked}, which are found in up to {MOST_RAYS_DIM} dimensions, but {why}. Remedy: store='regions', "
            "method='auto' (K.vertices(i) then finds those of one region), or a slice of fewer dimensions, along=."
        )
    return DictionaryEngine(chain, domain, store=store != "count")


def _run(engine: Engine, store: str, budget: Budget, progress: bool, parts: list[RegionArrays]) -> str | None:
    """Run an engine into parts until it is finished or something stops it; return the name of what did."""
    started, used = time.monotonic(), sum(p.nbytes for p in parts)
    stopped, step = None, FIRST_STEP
    with _interrupts() as interrupted, _bar(progress) as show:
        while not engine.finished and stopped is None:
            left = step if budget.regions is None else max(min(step, budget.regions - engine.n_regions), 1)
            began = time.monotonic()
            engine.run(left)
            step = min(2 * step, STEP) if time.monotonic() - began < PACE else max(step // 2, 1)
            if store != "count":
                parts.append(engine.take())
                used += parts[-1].nbytes
            show(engine)
            seconds = time.monotonic() - started
            stopped = (
                "interrupt"
                if interrupted()
                else budget.spent(regions=engine.n_regions, seconds=seconds, bytes=2 * used)
            )
    if store != "count" and not parts:
        parts.append(engine.take())
    return None if engine.finished else stopped


def _announce(progress: bool) -> None:
    """Say, before the first engine of a process is loaded, that its kernels may have to be compiled."""
    import logging
    import sys

    if "polygeom.kernels.cell_recursion" in sys.modules or "polygeom.kernels.dictionary_cells" in sys.modules:
        return
    line = (
        "Loading the kernels. Where this installation has not used them yet, they compile once: 20 to 70 s."
    )
    logging.getLogger("polygeom").info(line)
    if progress:
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)


def _estimate(engine: Engine) -> float:
    """Return a rough guess of the number of regions in all."""
    return engine.n_regions / max(engine.fraction, TINY)


def _memory() -> int:
    """Return how many bytes may be filled without asking: half of the physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C instead of raising it, in the main thread; elsewhere it never arrives."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar(wanted: bool) -> Iterator[Callable[[Engine], None]]:
    """Show how much of the recursion is done, and how many regions were found."""
    if not wanted:
        yield lambda engine: None
        return
    from tqdm import tqdm

    with tqdm(
        total=1.0, desc="regions", bar_format="{desc} {percentage:5.1f}% |{bar}| {elapsed}{postfix}"
    ) as bar:

        def show(engine: Engine) -> None:
            bar.n = engine.fraction
            bar.set_postfix_str(f"{engine.n_regions} found")

        yield show


# -- going on ----------------------------------------------------------------------------------------------


def _resumed(
    before: object, net: Network, where: tuple[Polyhedron | None, AffineMap | None], store: str, method: str
) -> tuple[Engine, list[RegionArrays]]:
    """Return a copy of the engine that an unfinished enumeration left, and what it had found."""
    if not isinstance(before, PolyhedralComplex | RegionCount):
        raise InputError(f"resume is a {type(before).__name__}, wanted what enumerate_regions returned.")
    if before.finished:
        raise InputError(f"resume is finished, there is nothing to go on from: {before!r}.")
    frontier = before.frontier
    if not isinstance(frontier, Frontier):
        raise InputError(
            "resume has no frontier: files hold the regions, but not the stack of the compiled search that found "
            "them. Likely cause: it was loaded. Remedy: resume the complex that save was called on, or enumerate "
            "again, over one part of the domain after the other."
        )
    same = before.network.is_same(net) and is_same_place((before.domain, before.along), where)
    if not same or frontier.store != store:
        raise InputError(
            "resume belongs to another network, domain, slice or store; give the same again "
            f"(store={frontier.store!r})."
        )
    if method not in ("auto", frontier.method):
        raise InputError(
            f"resume began with method={frontier.method!r}, which cannot change to {method!r} on the way. Leave "
            "method away, or enumerate from the start."
        )
    return frontier.engine.copy(), [before.arrays] if store != "count" else []
