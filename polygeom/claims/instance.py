"""What a claim is judged on: a network, a domain, a source of randomness, and how much work may be done."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from zlib import crc32

import numpy as np

from polygeom.budget import Budget
from polygeom.complex_checks import ComplexCheck, check_complex
from polygeom.complexes import PolyhedralComplex
from polygeom.enumeration.regions import enumerate_regions
from polygeom.errors import InputError, UndecidedError
from polygeom.gates import Elementwise, Gate
from polygeom.network import Network
from polygeom.polyhedron import Polyhedron

__all__ = ["ENOUGH", "Instance"]

ENOUGH = Budget(regions=200_000, seconds=600)
"""Regions and seconds a claim may spend on finding all regions, unless told otherwise."""


@dataclass(frozen=True)
class Instance:
    """A network and what is shared by all claims that are judged on it.

    Parameters
    ----------
    net : Network
    domain : Polyhedron, optional
        The part of the input space looked at; None: all of it.
    seed : int
        From which every claim draws its own stream of random numbers.
    budget : Budget
        How far regions are enumerated.

    Examples
    --------
    >>> net = Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
    >>> Instance(net).complex.n_regions
    7
    """

    net: Network
    domain: Polyhedron | None = None
    seed: int = 0
    budget: Budget = field(default=ENOUGH)

    def rng(self, purpose: str) -> np.random.Generator:
        """Return a generator that depends on the seed and the purpose alone, not on what ran before."""
        return np.random.default_rng([self.seed, crc32(purpose.encode())])

    @cached_property
    def complex(self) -> PolyhedralComplex:
        """All regions, found once for all claims.

        Raises
        ------
        UndecidedError
            If the budget is spent before all regions are found, signs stay undecided, or the enumeration refuses
            the network.
        """
        try:
            K = enumerate_regions(self.net, self.domain, budget=self.budget)
        except InputError as error:
            raise UndecidedError(
                f"This needs all regions, which cannot be enumerated here: {error}"
            ) from error
        if not K.finished:
            raise UndecidedError(
                f"This needs all regions; {K.n_regions} were found within the budget ({self.budget}). Give a "
                "larger budget=, a bounded domain= or a smaller network."
            )
        if not K.complete:
            raise UndecidedError(
                f"This needs all regions, and {len(K.undecided)} signs are undecided: {K!r}."
            )
        return K

    @cached_property
    def first_layer(self) -> Instance | None:
        """The first layer alone, up to its units, if these are elementwise: its regions are an arrangement's."""
        steps = self.net.steps
        gate = next((k for k, step in enumerate(steps) if isinstance(step, Gate)), None)
        if gate is None or not isinstance(steps[gate], Elementwise):
            return None
        if gate + 1 == len(steps):
            return self
        return replace(self, net=Network(steps[: gate + 1], self.net.input_shape))

    @property
    def is_homogeneous(self) -> bool:
        """Whether all gates are positively homogeneous: gate(t z) = t gate(z) for t > 0."""
        return all(gate.is_homogeneous for gate in self.net.gates)

    @cached_property
    def report(self) -> ComplexCheck:
        """All regions proved again, found once for all claims: `polygeom.check_complex` without sampling."""
        return check_complex(self.complex, sample=None)

    def some_regions(self, purpose: str, most: int) -> list[int]:
        """Return all regions, or `most` of them drawn at random, ascending."""
        n = self.complex.n_regions
        return (
            list(range(n)) if n <= most else sorted(self.rng(purpose).choice(n, most, replace=False).tolist())
        )
