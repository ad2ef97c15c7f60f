"""All questions about one polyhedron, and certificates tampered with: every answer re-checks, no forgery does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from polygeom.certificates.facet_stack import FACET, REDUNDANT, UNDECIDED
from polygeom.certificates.facets import FacetReport
from polygeom.certificates.origin import Apex
from polygeom.errors import InputError
from polygeom.exact import fractions_array
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.boundedness import boundedness, recession_cone
from polygeom.predicates.chebyshev import chebyshev_ball
from polygeom.predicates.convex import inscribed_ellipsoid, project
from polygeom.predicates.facets import facets
from polygeom.predicates.feasibility import feasibility
from polygeom.predicates.inclusion import inclusion
from polygeom.predicates.origin import apex, origin_test
from polygeom.predicates.volumes import vertices
from polygeom.testing.wording import broken

__all__ = ["answers", "assert_certified", "forgeries"]

MOST_DIMENSIONS = 4
"""Up to here vertices are asked for."""


def answers(P: Polyhedron) -> Iterator[tuple[str, object, tuple[Polyhedron, ...]]]:
    """Yield name, certificate and what it is about for every question that can be asked of a polyhedron.

    Examples
    --------
    >>> [name for name, _, _ in answers(Polyhedron([[1], [-1]], [0, -1]))]
    ['feasibility', 'recession_cone', 'boundedness', 'inclusion', 'origin_test', 'vertices']
    """
    found = feasibility(P)
    yield "feasibility", found, (P,)
    yield "recession_cone", recession_cone(P), (P,)
    bounded = boundedness(P)
    yield "boundedness", bounded, (P,)
    larger = Polyhedron(P.A, P.b + 1.0)
    yield "inclusion", inclusion(P, larger), (P, larger)
    if found.feasible and P.A.any():
        yield "inclusion", inclusion(larger, P), (larger, P)
    yield "origin_test", origin_test(P), (P,)
    if P.dim <= MOST_DIMENSIONS:
        yield "vertices", vertices(P), (P,)
    if not found.feasible:
        return
    yield "chebyshev_ball", chebyshev_ball(P), (P,)
    yield "project", project(P, np.arange(1.0, P.dim + 1.0)), (P,)
    if found.dim != P.dim:
        return
    report = facets(P)
    yield "facets", report, (P,)
    for certificate in report.certificates.values():
        yield "facets", certificate, (P,)
    yield "apex", apex(P, report), (P,)
    if bounded.bounded:
        yield "inscribed_ellipsoid", inscribed_ellipsoid(P), (P,)


def assert_certified(P: Polyhedron) -> None:
    """Assert that every answer about a polyhedron is decided and proved, and that no forgery of a proof passes.

    Emptiness, dimension, boundedness, recession cone, facets and redundant rows, inclusion, the origin, apex,
    vertices, largest ball and ellipsoid, nearest point. Each certificate is re-checked without a solver, then
    tampered with (`forgeries`).

    Parameters
    ----------
    P : Polyhedron
        Of numbers, not rounded; of a piece, in a form that has exact rows.

    Raises
    ------
    AssertionError
        If a certificate does not hold, or a forged one does.

    Notes
    -----
    Cost: some 10 ms in the plane, a second for 100 rows.

    Examples
    --------
    >>> assert_certified(Polyhedron.box(-1, 1, dim=2))
    """
    if not isinstance(P, Polyhedron):
        raise InputError(f"assert_certified got a {type(P).__name__}, wanted a Polyhedron: piece.polyhedron.")
    for name, certificate, about in answers(P):
        check = certificate.holds(*about)
        if not check:
            raise broken(f"{name} is not proved", f"{certificate!r} gave {check}", *about)
        for change, forged in forgeries(certificate):
            if forged.holds(*about):
                text = f"with {change}, this {type(forged).__name__} still holds:\n  {forged!r}"
                raise broken(f"A forgery of {name} passes", text, *about)


# -- tampering -------------------------------------------------------------------------------------------------

NO_ROW = 10**6
"""No polyhedron here has so many rows."""


def forgeries(certificate: Any) -> Iterator[tuple[str, object]]:
    """Yield certificates that prove nothing, each with what was changed: one field at a time, nested ones too.

    An answer turned into its opposite (whatever proves the one cannot prove the other), a dimension one higher, a
    number that is none, an entry too many, multipliers of the other sign, a row that does not exist, a part left
    out.

    Examples
    --------
    >>> from polygeom.certificates.feasibility import Farkas
    >>> [change for change, _ in forgeries(Farkas(np.array([1.0, 1.0])))]
    ['multipliers[0] not a number', 'multipliers with an entry too many', 'multipliers negated']
    """
    if isinstance(certificate, FacetReport):
        yield from _forged_reports(certificate)
        return
    if isinstance(certificate, Apex) and len(certificate.report.certificates):
        open_report = _without_decisions(certificate.report)
        origin = fractions_array([0] * len(certificate.report.interior))
        yield "no facets decided", Apex(True, origin, open_report)
    for field in fields(certificate):
        value = getattr(certificate, field.name)
        for change, forged in _forged(field.name, value):
            yield change, replace(certificate, **{field.name: forged})


def _forged(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield values that a field cannot have."""
    if isinstance(value, bool | np.bool_):
        yield f"{name} turned round", not value
    elif isinstance(value, int | np.integer):
        yield (f"{name} one higher", value + 1) if name == "dim" else (f"{name} of no row", NO_ROW)
    elif isinstance(value, np.ndarray) and value.size:
        yield from _forged_arrays(name, value)
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        yield f"a part of {name} left out", value[1:]
        for change, forged in forgeries(value[0]):
            yield f"{name}[0]: {change}", (forged, *value[1:])
    elif is_dataclass(value):
        for change, forged in forgeries(value):
            yield f"{name}: {change}", forged


def _forged_arrays(name: str, value: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    spoilt = value.copy()
    if value.dtype.kind in "iu":
        spoilt.flat[0] = NO_ROW
        yield f"{name}[0] of no row", spoilt
    else:
        spoilt.flat[0] = np.nan
        yield f"{name}[0] not a number", spoilt
    yield f"{name} with an entry too many", np.append(value.ravel(), value.ravel()[:1])
    if name == "multipliers" and any(v != 0 for v in value.ravel()):
        yield f"{name} negated", -value


def _without_decisions(report: FacetReport) -> FacetReport:
    """Return a report that says nothing about any row."""
    status = np.full_like(report.proofs.status, UNDECIDED)
    return replace(report, proofs=replace(report.proofs, status=status), exact={})


def _forged_reports(report: FacetReport) -> Iterator[tuple[str, FacetReport]]:
    """Yield reports that call a facet redundant or a redundant row a facet, or whose interior point is none."""
    for row in report.certificates:
        status = report.proofs.status.copy()
        is_facet = status[0, row] == FACET
        status[0, row] = REDUNDANT if is_facet else FACET
        yield (
            f"row {row} {'redundant' if is_facet else 'a facet'}",
            replace(report, proofs=replace(report.proofs, status=status)),
        )
    for change, interior in _forged_arrays("interior", report.interior):
        yield change, replace(report, center=interior)
