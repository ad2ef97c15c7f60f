"""What an enumeration is asked for: checked before anything is done."""

from __future__ import annotations

import numpy as np

from polygeom.affine import as_slice
from polygeom.arrays import as_choice
from polygeom.budget import Budget
from polygeom.certificates.feasibility import zero_rows
from polygeom.errors import InputError
from polygeom.network import as_network
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import feasibility
from polygeom.ranks import rank

__all__ = ["STORES", "check_request", "is_same_place", "refuse_thin"]

STORES = {"count": 0, "regions": 1, "cells": 2}


def check_request(net: object, domain: object, along: object, store: object, budget: object) -> None:
    """Refuse what cannot be enumerated."""
    net = as_network(net)
    if along is not None and rank(as_slice(along, net.dim_in).matrix) < along.dim_in:
        raise InputError(
            f"The slice map has rank {rank(along.matrix)}, below its {along.dim_in} coordinates: different "
            "coordinates name the same point. Give independent directions."
        )
    as_choice(store, STORES, "store")
    if not isinstance(budget, Budget | None):
        raise InputError(f"budget is {budget!r}, wanted a Budget(regions=..., seconds=..., bytes=...).")
    _check_domain(domain, net.dim_in if along is None else along.dim_in)


def _check_domain(domain: object, dim: int) -> None:
    """Refuse a domain of another space, an empty one and a flat one."""
    if domain is None:
        return
    if not isinstance(domain, Polyhedron):
        raise InputError(
            f"domain is a {type(domain).__name__}, wanted a Polyhedron (Polyhedron.box makes one)."
        )
    if domain.dim != dim:
        raise InputError(f"The domain lies in R^{domain.dim}, the regions in R^{dim}; they must agree.")
    impossible = zero_rows(domain, np.arange(domain.n_rows)) & (domain.b < 0)
    if impossible.any():
        row = int(impossible.argmax())
        raise InputError(f"The domain is empty: row {row} says 0 <= {domain.b[row]}.")


def refuse_thin(domain: Polyhedron) -> None:
    """Say why a domain holds no region: it has no interior."""
    found = feasibility(domain)
    if found.feasible is False:
        raise InputError("The domain is empty: there is nothing to enumerate.")
    raise InputError(
        f"The domain has dimension {found.dim} in R^{domain.dim}: it has no interior. Enumerate along= its affine "
        "hull instead."
    )


def is_same_place(before: tuple, now: tuple) -> bool:
    """Tell whether two pairs of domain and slice are the same objects, or hold the same numbers."""
    for old, new, names in zip(before, now, (("A", "b"), ("matrix", "offset")), strict=True):
        if old is new:
            continue
        if old is None or new is None or any(getattr(thing, "is_rounded", False) for thing in (old, new)):
            return False
        if not all(np.array_equal(getattr(old, name), getattr(new, name)) for name in names):
            return False
    return True
