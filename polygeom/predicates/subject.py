"""What a predicate is asked about, a polyhedron or the closed cell of an affine piece, and by which method."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from polygeom.arrays import as_choice
from polygeom.errors import InputError
from polygeom.pieces import AffinePiece
from polygeom.polyhedron import Polyhedron

__all__ = ["about_polyhedra", "check_method", "polyhedron_of"]

Predicate = TypeVar("Predicate", bound=Callable)


def about_polyhedra(predicate: Predicate) -> Predicate:
    """Let a predicate whose first argument is a polyhedron take an affine piece as well (`polyhedron_of`)."""

    @wraps(predicate)
    def ask(P: Polyhedron | AffinePiece, *arguments: object, **options: object) -> object:
        return predicate(polyhedron_of(P), *arguments, **options)

    return ask


def polyhedron_of(subject: object, name: str = "P") -> Polyhedron:
    """Return the polyhedron itself, or the closed cell of a piece (its rows stand for the network's true rows).

    Raises
    ------
    InputError
        If it is neither.
    TooLargeError
        If the piece is too large to be materialized.

    Examples
    --------
    >>> polyhedron_of(Polyhedron.orthant(2))
    Polyhedron(2 half-spaces in R^2)
    """
    if isinstance(subject, Polyhedron):
        return subject
    if isinstance(subject, AffinePiece):
        return subject.polyhedron
    raise InputError(
        f"{name} is a {type(subject).__name__}, wanted a Polyhedron or an AffinePiece. "
        "Likely cause: bare arrays; write Polyhedron(A, b)."
    )


def check_method(method: object) -> None:
    """Refuse a `method` other than "auto" and "lp".

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> check_method("lp")
    """
    as_choice(method, ("auto", "lp"), "method")
