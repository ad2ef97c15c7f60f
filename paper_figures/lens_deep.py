"""What the lens table says about one cell of a deep network, without forming the matrix of its half-spaces.

Slacks of all half-spaces at 0 and at x are two forward passes each; where a ray leaves is one Jacobian-vector
product more; the nearest boundaries are a few vector-Jacobian products. Everything is decided beyond rounding or
listed.
"""

from __future__ import annotations

import hashlib

import numpy as np

import polygeom as pg

__all__ = ["DEEP_COLUMNS", "DIRECTIONS", "NEAREST", "measure_deep"]

NEAREST = 3
"""How many of the nearest boundaries are listed."""

DIRECTIONS = {
    "down": "towards 0, in units of x: t = 1 is the origin",
    "up": "away from 0, in units of x",
    "other": "towards the next image's activation: t = 1 is there",
    "random": "in a random direction as long as x",
}

DEEP_COLUMNS = {
    "dim": "dimension of the input space",
    "units": "letters of the code",
    "code_sha256": "hash of the letters, one byte each",
    "undecided_letters": "letters that floats could not decide",
    "half_spaces": "half-spaces the units draw",
    "relus_on": "ReLUs whose letter is on",
    "contains_origin": "whether 0 lies in the closed cell",
    "is_cone": "whether the cell is a cone with apex 0 (it is not where 0 is outside)",
    "violated_at_origin": "half-spaces that 0 violates, proved",
    "through_origin": "hyperplanes that pass exactly through 0",
    "undecided_at_origin": "half-spaces whose sign at 0 is open",
    "touching": "hyperplanes x lies on exactly",
    "level": "the weakest level of all that is said here",
}
for _k in range(NEAREST):
    DEEP_COLUMNS[f"nearest_{_k}"] = f"distance to the nearest hyperplane but {_k} that x does not lie on"
    DEEP_COLUMNS[f"nearest_{_k}_unit"] = "the unit that draws it"
for _name, _text in DIRECTIONS.items():
    DEEP_COLUMNS[f"exit_{_name}"] = f"t at which the ray leaves the cell, {_text}"
    DEEP_COLUMNS[f"exit_{_name}_width"] = "width of the proved interval that holds it"
    DEEP_COLUMNS[f"exit_{_name}_unit"] = "the unit that stops it"


def measure_deep(
    net: pg.Network, x: np.ndarray, other: np.ndarray, rng: np.random.Generator
) -> dict[str, object]:
    """Return `DEEP_COLUMNS` for the cell of x."""
    piece = pg.piece_at(net, x)
    slack, error = (values[0] for values in piece.slacks(np.zeros(net.dim_in)))
    open_ = (np.abs(slack) <= error) & (error > 0)
    outside = bool((slack < -error).any())
    contains = False if outside else None if open_.any() else True
    near = pg.nearest_boundaries(net, x, k=NEAREST, piece=piece)
    relus = [gate.columns for gate in net.gates if getattr(gate, "name", "") == "relu"]
    random = rng.normal(size=net.dim_in)
    random *= np.linalg.norm(x) / np.linalg.norm(random)
    directions = {"down": -x, "up": x, "other": other - x, "random": random}
    exits = {name: pg.ray_exit(net, x, direction) for name, direction in directions.items()}
    levels = [near.level, *(hit.level for hit in exits.values())]
    found = {
        "dim": net.dim_in,
        "units": net.n_units,
        "code_sha256": hashlib.sha256(piece.code.tobytes()).hexdigest(),
        "undecided_letters": len(piece.undecided),
        "half_spaces": len(piece.labels),
        "relus_on": sum(int(piece.code[columns].sum()) for columns in relus),
        "contains_origin": str(contains),
        "is_cone": str(False if outside else None),
        "violated_at_origin": int((slack < -error).sum()),
        "through_origin": int(((slack == 0) & (error == 0)).sum()),
        "undecided_at_origin": int(open_.sum()),
        "touching": len(near.touching),
        "level": next((level.value for level in levels if level is not pg.Level.EXACT), pg.Level.EXACT.value),
    }
    for k in range(NEAREST):
        known = k < len(near.distances)
        found[f"nearest_{k}"] = float(near.distances[k]) if known else np.inf
        found[f"nearest_{k}_unit"] = name_of(net, near.units[k : k + 1])
    for name, hit in exits.items():
        found[f"exit_{name}"] = hit.t
        found[f"exit_{name}_width"] = hit.bounds[1] - hit.bounds[0] if np.isfinite(hit.t) else 0.0
        found[f"exit_{name}_unit"] = name_of(net, hit.units)
    return found


def name_of(net: pg.Network, units: np.ndarray) -> str:
    """Name a unit by its module, channel and position; say how many stop a ray together."""
    if not len(units):
        return ""
    unit = net.units[units[0]]
    where = f" at {unit.position}" if unit.position else ""
    more = f" and {len(units) - 1} more" if len(units) > 1 else ""
    return f"{unit.path} {unit.channel}{where}{more}"
