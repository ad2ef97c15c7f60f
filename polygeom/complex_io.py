"""Complexes on disk: one npz file of plain arrays, no pickles.

The network is not stored. A fingerprint of its parameters is, and is compared when the file is read: codes mean
nothing without the network they belong to. Rationals are stored as hexadecimal numerators and denominators.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from fractions import Fraction
from os import PathLike
from pathlib import Path

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import UNREADABLE, freeze
from polygeom.enumeration.arrays import Exactness, RegionArrays
from polygeom.errors import InputError
from polygeom.network import Network
from polygeom.polyhedron import Polyhedron

__all__ = ["FORMAT", "read_complex", "write_complex"]

FORMAT = 1
"""Version of the layout of the file."""

_WANTED = {"fingerprint", "finished", "exactness", "exact_regions", "exact_values", "packed", "witnesses"}
"""What every file holds besides its format."""

_ARRAYS = tuple(f.name for f in fields(RegionArrays) if f.name != "exact_witnesses")


# -- writing ---------------------------------------------------------------------------------------------------


def write_complex(path: str | PathLike, parts: Mapping[str, object]) -> None:
    """Write the parts of a complex: network, along, domain, arrays, exactness, finished.

    Raises
    ------
    InputError
        If the domain's rows are known only up to rounding: they have no finite description.
    """
    domain, along, regions = parts["domain"], parts["along"], parts["arrays"]
    if domain is not None and domain.is_rounded:
        raise InputError(
            "The domain has rounded rows, so it cannot be stored exactly. Likely cause: it is the cell of a piece "
            "or a pullback. Remedy: enumerate over a Polyhedron of given numbers, or store domain.A and domain.b."
        )
    stored = {name: getattr(regions, name) for name in _ARRAYS if getattr(regions, name) is not None}
    stored |= {"format": FORMAT, "fingerprint": parts["network"].fingerprint, "finished": parts["finished"]}
    stored["exactness"] = np.array(list(asdict(parts["exactness"]).values()), dtype=np.int64)
    stored["exact_regions"] = np.array(sorted(regions.exact_witnesses), dtype=np.int64)
    exact = [v for region in sorted(regions.exact_witnesses) for v in regions.exact_witnesses[region]]
    stored["exact_values"] = np.array([_to_text(v) for v in exact], dtype=bytes)
    if domain is not None:
        stored |= {"domain_A": domain.A, "domain_b": domain.b}
    if along is not None:
        stored |= {"along_matrix": along.matrix, "along_offset": along.offset}
    with Path(path).open("wb") as file:
        np.savez(file, allow_pickle=False, **stored)


def _to_text(value: Fraction) -> str:
    return f"{value.numerator:x}/{value.denominator:x}"


def _from_text(text: bytes) -> Fraction:
    numerator, denominator = text.split(b"/")
    return Fraction(int(numerator, 16), int(denominator, 16))


# -- reading ---------------------------------------------------------------------------------------------------


def read_complex(path: str | PathLike, network: Network) -> dict[str, object]:
    """Read what `write_complex` wrote, as keyword arguments of the complex.

    Raises
    ------
    InputError
        If the file is no complex, of another version, or of another network.
    """
    if not isinstance(network, Network):
        raise InputError(
            f"load got a {type(network).__name__} for the network, wanted the Network the complex was made with: "
            "files hold codes and points, not the network they belong to."
        )
    stored = _arrays_of(path)
    if int(stored["format"]) != FORMAT:
        raise InputError(
            f"{path} has format {int(stored['format'])}, this version of polygeom reads {FORMAT}. Remedy: read it "
            "with the version that wrote it, or enumerate again."
        )
    if str(stored["fingerprint"]) != network.fingerprint:
        raise InputError(
            f"{path} belongs to another network than {network}: the fingerprints of the parameters differ. Likely "
            "cause: the network was trained on, or converted by another version."
        )
    return {
        "network": network,
        "along": AffineMap(stored["along_matrix"], stored["along_offset"])
        if "along_matrix" in stored
        else None,
        "domain": Polyhedron(stored["domain_A"], stored["domain_b"]) if "domain_A" in stored else None,
        "arrays": _regions(stored),
        "exactness": Exactness(*(int(v) for v in stored["exactness"])),
        "finished": bool(stored["finished"]),
    }


def _arrays_of(path: str | PathLike) -> dict[str, np.ndarray]:
    """Return the arrays of a file, by name."""
    if not os.path.isfile(path):
        raise InputError(f"There is no file {os.fspath(path)!r}; wanted the path that K.save wrote.")
    try:
        file = np.load(path, allow_pickle=False)
        stored = {} if isinstance(file, np.ndarray) else {name: file[name] for name in file.files}
    except UNREADABLE:
        raise InputError(
            f"{path} is no stored complex: it does not read as an npz archive of plain arrays. Likely cause: "
            "another kind of file, or one that was cut off. Remedy: give the path that K.save wrote."
        ) from None
    version = stored.get("format")
    if version is None or "packed" not in stored or version.shape or version.dtype.kind not in "iu":
        raise InputError(f"{path} holds other arrays than a complex. Likely cause: the wrong file.")
    missing = sorted(_WANTED - stored.keys())
    if missing and int(version) == FORMAT:
        lacking = ", ".join(missing)
        raise InputError(f"{path} lacks {lacking}. Likely cause: it was written by another program.")
    return stored


def _regions(stored: Mapping[str, np.ndarray]) -> RegionArrays:
    """Return the region arrays of a file."""
    regions, dim = stored["exact_regions"].tolist(), stored["witnesses"].shape[1]
    values = [_from_text(v) for v in stored["exact_values"].tolist()]
    exact = {region: tuple(values[n * dim : (n + 1) * dim]) for n, region in enumerate(regions)}
    arrays = {name: freeze(stored[name]) for name in _ARRAYS if name in stored}
    return RegionArrays(**arrays, exact_witnesses=exact)
