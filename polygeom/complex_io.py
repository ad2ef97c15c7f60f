"""Complexes on disk: one npz file of plain arrays, no pickles.

The network is not stored. A fingerprint of its parameters is, and is compared when the file is read: codes mean
nothing without the network they belong to. Rationals are stored as hexadecimal numerators and denominators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from fractions import Fraction
from hashlib import sha256
from os import PathLike
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import freeze
from polygeom.enumeration.arrays import Exactness, RegionArrays
from polygeom.errors import InputError
from polygeom.network import Network
from polygeom.polyhedron import Polyhedron

__all__ = ["FORMAT", "fingerprint", "read_complex", "write_complex"]

FORMAT = 1
"""Version of the layout of the file."""

_NAMES_ONLY = {"path", "call", "first_column", "name"}
"""What a step is called, which does not change the function."""

_ARRAYS = tuple(f.name for f in fields(RegionArrays) if f.name != "exact_witnesses")


def fingerprint(network: Network) -> str:
    """Return a hash of the network's structure and parameters, the same for equal functions of equal steps.

    Examples
    --------
    >>> net = Network.from_layers([([[1, -1]], [0]), ([[2]], None)])
    >>> again = Network.from_layers([([[1, -1]], [0]), ([[2]], None)])
    >>> other = Network.from_layers([([[1, -1]], [0]), ([[3]], None)])
    >>> fingerprint(net) == fingerprint(again), fingerprint(net) == fingerprint(other)
    (True, False)
    """
    digest = sha256(repr((network.input_shape, network.output)).encode())
    for step in network.steps:
        for part in _described(step):
            digest.update(part)
    return digest.hexdigest()


def _described(value: object) -> Iterator[bytes]:
    """Yield bytes that tell a step, an array or a number apart from others."""
    if is_dataclass(value):
        yield type(value).__name__.encode()
        for f in fields(value):
            if f.name not in _NAMES_ONLY:
                yield f.name.encode()
                yield from _described(getattr(value, f.name))
    elif hasattr(value, "indptr"):  # a sparse matrix
        for part in (value.data, value.indices, value.indptr):
            yield from _described(part)
    elif isinstance(value, np.ndarray):
        plain = value.astype(np.float64) if value.dtype.kind == "f" else value.astype(np.int64)
        yield repr(plain.shape).encode() + np.ascontiguousarray(plain).tobytes()
    else:
        yield repr(value).encode()


# -- writing ---------------------------------------------------------------------------------------------------


def write_complex(path: str | PathLike, parts: Mapping[str, object]) -> None:
    """Write the parts of a complex: network, along, domain, arrays, exactness, complete.

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
    stored |= {"format": FORMAT, "fingerprint": fingerprint(parts["network"]), "complete": parts["complete"]}
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
    try:
        file = np.load(path, allow_pickle=False)
        stored = {} if isinstance(file, np.ndarray) else {name: file[name] for name in file.files}
    except (ValueError, BadZipFile, EOFError) as error:
        raise InputError(
            f"{path} is no stored complex ({error}). Likely cause: a broken download or another kind of file."
        ) from None
    if "format" not in stored or "packed" not in stored:
        raise InputError(f"{path} holds other arrays than a complex. Likely cause: the wrong file.")
    if int(stored["format"]) != FORMAT:
        raise InputError(
            f"{path} has format {int(stored['format'])}, this version of polygeom reads {FORMAT}. Remedy: read it "
            "with the version that wrote it, or enumerate again."
        )
    if str(stored["fingerprint"]) != fingerprint(network):
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
        "complete": bool(stored["complete"]),
    }


def _regions(stored: Mapping[str, np.ndarray]) -> RegionArrays:
    """Return the region arrays of a file."""
    regions, dim = stored["exact_regions"].tolist(), stored["witnesses"].shape[1]
    values = [_from_text(v) for v in stored["exact_values"].tolist()]
    exact = {region: tuple(values[n * dim : (n + 1) * dim]) for n, region in enumerate(regions)}
    arrays = {name: freeze(stored[name]) for name in _ARRAYS if name in stored}
    return RegionArrays(**arrays, exact_witnesses=exact)
