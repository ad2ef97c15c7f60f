"""Every exception polygeom raises on purpose.

Each message says what was got, what was wanted, the likely cause and the remedy.
"""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "ClaimError",
    "ConversionError",
    "DownloadError",
    "InputError",
    "MissingPackageError",
    "NotPiecewiseAffineError",
    "PolygeomError",
    "SolverError",
    "TooLargeError",
    "UndecidedError",
]


class PolygeomError(Exception):
    """Base class of polygeom's own exceptions."""


class InputError(PolygeomError, ValueError):
    """An argument has the wrong type, shape or values (NaN, infinities)."""


class MissingPackageError(PolygeomError, ImportError):
    """An optional package is needed that is not installed.

    Parameters
    ----------
    purpose, package : str
        What needs it, at the head of a sentence, and its name.
    extra : str
        The extra of polygeom that installs it.

    Examples
    --------
    >>> print(MissingPackageError("from_onnx", "onnx", extra="onnx"))
    from_onnx needs the package onnx, which is not installed: pip install 'polygeom[onnx]'.
    """

    def __init__(self, purpose: str, package: str, *, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed: pip install 'polygeom[{extra}]'."
        )


class NotPiecewiseAffineError(PolygeomError):
    """A piecewise-affine object was asked of something that is not piecewise affine.

    Parameters
    ----------
    operation : str
        The offending operation, as the framework calls it (``"gelu"``).
    path : str
        Where it stands: the dotted module path (``"encoder.0.act"``), empty for the top level.
    reason : str, optional
        Why it is refused, where the name alone does not tell.
    """

    def __init__(self, operation: str, path: str, reason: str = "") -> None:
        self.operation, self.path = operation, path
        where = f"in module '{path}'" if path else "at the top level of the module"
        why = reason or "it is not a piecewise-affine function of the input"
        super().__init__(
            f"{operation} {where} cannot be part of a piecewise-affine network: {why}. "
            "Cut the network around it with start=/stop=, or replace it by a piecewise-linear unit."
        )


class ConversionError(PolygeomError):
    """A module or file could not be turned into a Network, or the Network disagrees with it."""


class DownloadError(PolygeomError):
    """A file could not be fetched; the message says what to place where by hand."""


class UndecidedError(PolygeomError):
    """A question was neither proved nor refuted, and a plain bool was asked for."""


class TooLargeError(PolygeomError):
    """Materializing the requested object would exceed the byte budget; the message gives the size."""


class BudgetError(TooLargeError):
    """A search would exceed memory.

    Attributes
    ----------
    partial : object
        What was found until then; valid and marked as incomplete.
    """

    def __init__(self, message: str, partial: object) -> None:
        super().__init__(message)
        self.partial = partial


class SolverError(PolygeomError):
    """An external solver stopped without an answer; its status is in the message."""


class ClaimError(PolygeomError):
    """The function of a claim raised, or returned something else than a verdict."""
