"""How much work a search may do before it stops with what it has: regions, seconds, bytes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite
from numbers import Integral, Real

from polygeom.errors import InputError

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """Limits of a search over regions; it stops at whichever is reached first.

    Parameters
    ----------
    regions : int, optional
        Regions whose facets are known.
    seconds : float, optional
        Wall-clock time of this run.
    bytes : int, optional
        Memory of the arrays kept, not of the work in between.

    Raises
    ------
    InputError
        If a limit is not a positive, finite number (a whole one for regions and bytes).

    Notes
    -----
    None stands for no limit. A limit is looked at between regions: the last one may run over it.

    Examples
    --------
    >>> Budget(regions=1000).spent(regions=1000, seconds=2.5)
    'regions'
    >>> Budget(seconds=60).spent(regions=1000, seconds=2.5) is None
    True
    """

    regions: int | None = None
    seconds: float | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        for limit in fields(self):
            value, kind = getattr(self, limit.name), Real if limit.name == "seconds" else Integral
            if value is None:
                continue
            if not isinstance(value, kind) or isinstance(value, bool) or not (isfinite(value) and value > 0):
                whole = "" if kind is Real else "whole "
                raise InputError(
                    f"Budget got {limit.name}={value!r}, wanted a positive, finite {whole}number, or None for "
                    "no limit."
                )

    def spent(self, *, regions: int = 0, seconds: float = 0.0, bytes: int = 0) -> str | None:
        """Return the name of a limit that has been reached, or None."""
        used = {"regions": regions, "seconds": seconds, "bytes": bytes}
        limits = {name: getattr(self, name) for name in used}
        return next((n for n, limit in limits.items() if limit is not None and used[n] >= limit), None)
