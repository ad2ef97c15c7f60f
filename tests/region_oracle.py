"""All regions of a small network by a recursion that is obviously right: every number is a rational.

A cell is a cone {(y, t) : form . (y, t) >= 0, t >= 0} over the slice coordinates y, kept as its lines and extreme
rays (double description, Motzkin et al. 1953). Unit by unit, every cell is cut along the unit's breakpoints or
rivals; parts without interior are dropped. Nothing here is shared with the engines of the library, or with its
rational network: steps are walked entry by entry.

It answers for any network of linear steps, elementwise gates and max gates, over all of R^k or a polyhedral domain
(with interior), along any slice. Cost: some hundred regions a second in the plane, and no more than a few
dozen units should be asked of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from polygeom.affine import AffineMap
from polygeom.enumeration.arrays import RegionArrays
from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.network import Network
from polygeom.polyhedron import Polyhedron
from polygeom.steps import LinearStep

PLANE, SPACE = (2, 5, 4, 1), (3, 4, 3, 1)
"""Widths of networks on which this takes a tenth of a second."""

CLASSIC = (2, 12, 12, 1)
"""Widths other tools were tried on."""

Vector = tuple[int, ...]
Point = tuple[Fraction, ...]
Code = tuple[int, ...]
Rows = list[list[Fraction]]

DOMAIN, INFINITY = -1, -2
"""Owners of half-spaces that no unit draws."""


@dataclass(frozen=True)
class OracleFacet:
    """A facet that units draw.

    ``units`` are all units with a row of the cell's own affine map that vanishes on the facet (lowest first; none
    of them is identically 0), ``tied`` tells whether another pre-activation than that of ``units[0]`` sits on one
    of its breakpoints all over the facet (identically vanishing ones included), ``point`` lies in the relative
    interior, ``outward`` is a normal, and ``neighbor`` is the code of the region on the other side.
    """

    units: tuple[int, ...]
    tied: bool
    point: Point
    outward: Point
    neighbor: Code


@dataclass(frozen=True)
class OracleRegion:
    """A region: code, an interior point, all vertices, extreme rays and lines, facets; everything exact."""

    code: Code
    interior: Point
    points: tuple[Point, ...]
    rays: tuple[Vector, ...]
    lines: tuple[Vector, ...]
    facets: tuple[OracleFacet, ...]
    domain_facets: int

    @property
    def bounded(self) -> bool:
        return not self.rays and not self.lines


def oracle_regions(
    net: Network, domain: Polyhedron | None = None, along: AffineMap | None = None
) -> dict[Code, OracleRegion]:
    """Return all full-dimensional regions of a network, by code.

    Parameters
    ----------
    net : Network
        Any graph of linear steps and gates, small.
    domain : Polyhedron, optional
        In slice coordinates, with interior; None is all of R^k.
    along : AffineMap, optional
        The slice; None is the input space.
    """
    dim = net.dim_in if along is None else along.dim_in
    everything = _domain_cone(domain, dim)
    matrix = np.eye(net.dim_in) if along is None else along.matrix
    offset = np.zeros(net.dim_in) if along is None else along.offset
    start = [[*map(_exact, row), _exact(c)] for row, c in zip(matrix, offset, strict=True)]
    found = {}
    for cone, code, arrivals in _leaves(net, [start], everything, (), []):
        assert code not in found
        found[code] = _region(net, along, cone, code, arrivals)
    return found


def region_arrays(net: Network, regions: Mapping[Code, OracleRegion], *, cells: bool = True) -> RegionArrays:
    """Return oracle regions as the arrays an engine would make; with `cells`, vertices and rays too.

    Points are rounded, the exact witnesses kept beside them; lines become two rays. A point beyond the largest
    float is an OverflowError.
    """
    listed = list(regions.values())
    letters = np.array([r.code for r in listed], dtype=np.uint8).reshape(len(listed), net.n_units)
    two_letters = all(g.n_letters <= 2 for g in net.gates)
    facets = [f for r in listed for f in r.facets]
    tied = [f for f in facets if f.tied]
    dim = len(listed[0].interior)
    witnesses = np.array([[float(v) for v in r.interior] for r in listed]).reshape(len(listed), dim)
    generators = [
        [(*p, 1) for p in r.points]
        + [(*_of_size_one(v), 0) for v in r.rays]
        + [(*(s * x for x in _of_size_one(v)), 0) for v in r.lines for s in (1, -1)]
        for r in listed
    ]
    return RegionArrays(
        packed=np.packbits(letters.astype(bool), axis=1) if two_letters else letters,
        witnesses=witnesses,
        exact_witnesses={i: r.interior for i, r in enumerate(listed)},
        bounded=np.array([r.bounded for r in listed]),
        facet_start=_starts([len(r.facets) for r in listed]),
        facet_units=np.array([f.units[0] for f in facets], dtype=np.int32),
        facet_tied=np.array([f.tied for f in facets], dtype=bool),
        tied_points=np.array([[*map(float, f.point), 1.0] for f in tied]).reshape(len(tied), dim + 1),
        domain_facets=np.array([r.domain_facets for r in listed], dtype=np.int32),
        vertex_start=_starts([len(g) for g in generators]) if cells else None,
        vertices=np.array([[float(x) for x in v] for g in generators for v in g]).reshape(-1, dim + 1)
        if cells
        else None,
    )


def adjacent_codes(regions: Mapping[Code, OracleRegion]) -> set[frozenset[Code]]:
    """Return the pairs of codes that share a facet."""
    return {frozenset((r.code, f.neighbor)) for r in regions.values() for f in r.facets}


def _starts(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


# -- cones -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cone:
    """A full-dimensional cone: lines, extreme rays modulo them (and the half-spaces each lies on), half-spaces."""

    lines: tuple[Vector, ...]
    rays: tuple[tuple[Vector, frozenset[int]], ...]
    half_spaces: tuple[tuple[Vector, int], ...]

    def cut(self, form: Vector, owner: int) -> Cone | None:
        """Return the part where form >= 0, or None if it has no interior."""
        new = len(self.half_spaces)
        half_spaces = (*self.half_spaces, (form, owner))
        moving = [line for line in self.lines if _dot(form, line)]
        if moving:
            pivot = moving[0] if _dot(form, moving[0]) > 0 else tuple(-v for v in moving[0])

            def level(v: Vector) -> Vector:
                return _coprime(
                    [_dot(form, pivot) * a - _dot(form, v) * b for a, b in zip(v, pivot, strict=True)]
                )

            lines = tuple(level(line) for line in self.lines if line is not moving[0])
            rays = tuple((level(ray), zero | {new}) for ray, zero in self.rays)
            return Cone(lines, (*rays, (pivot, frozenset(range(new)))), half_spaces)
        values = [_dot(form, ray) for ray, _ in self.rays]
        if not any(v > 0 for v in values):
            return None
        if not any(v < 0 for v in values):
            return self
        kept = [
            (ray, zero | {new} if v == 0 else zero)
            for (ray, zero), v in zip(self.rays, values, strict=True)
            if v >= 0
        ]
        for (up, up_zero), u in zip(self.rays, values, strict=True):
            for (down, down_zero), d in zip(self.rays, values, strict=True):
                common = up_zero & down_zero
                if u > 0 > d and sum(common <= zero for _, zero in self.rays) == 2:
                    made = _coprime([u * b - d * a for a, b in zip(up, down, strict=True)])
                    kept.append((made, common | {new}))
        return Cone(self.lines, tuple(kept), half_spaces)


def _domain_cone(domain: Polyhedron | None, dim: int) -> Cone:
    """Return the cone over the domain: all of R^k, cut by its rows."""
    unit = [tuple(int(i == j) for j in range(dim + 1)) for i in range(dim + 1)]
    cone = Cone(tuple(unit[:dim]), ((unit[dim], frozenset()),), ((unit[dim], INFINITY),))
    for a, b in zip(domain.A, domain.b, strict=True) if domain is not None else ():
        form = _integers([*(-_exact(v) for v in a), _exact(b)])
        if not any(form[:-1]) and form[-1] >= 0:
            continue
        cone = cone.cut(form, DOMAIN)
        if cone is None:
            raise ValueError("the domain has no interior")
    return cone


# -- the recursion ---------------------------------------------------------------------------------------------


def _leaves(
    net: Network, values: list[Rows], cone: Cone, code: Code, arrivals: list[Rows]
) -> Iterator[tuple[Cone, Code, list[Rows]]]:
    """Yield (cone, code, what arrives at each gate as forms) of every region, walking on from some values."""
    values = list(values)
    for step in net.steps[len(values) - 1 :]:
        if isinstance(step, LinearStep):
            values.append(_linear(step, values, constant_column=-1))
            continue
        arriving = values[step.inputs[0]]
        for part, letters in _parts(step, arriving, cone):
            output = _opened(step, letters, arriving, constant_column=-1)
            yield from _leaves(net, [*values, output], part, code + letters, [*arrivals, arriving])
        return
    yield cone, code, arrivals


def _parts(gate: Gate, arriving: Rows, cone: Cone) -> list[tuple[Cone, Code]]:
    """Return all parts of a cone on which the letters of a gate are constant."""
    parts: list[tuple[Cone, Code]] = [(cone, ())]
    for unit in range(gate.size):
        parts = [
            (piece, (*letters, letter))
            for part, letters in parts
            for piece, letter in _unit_parts(gate, unit, arriving, part)
        ]
    return parts


def _unit_parts(gate: Gate, unit: int, arriving: Rows, cone: Cone) -> Iterator[tuple[Cone, int]]:
    """Yield the parts of a cone on which one unit has one letter."""
    owner = gate.first_column + unit
    if isinstance(gate, MaxGate):
        window = [(p, i) for p, i in enumerate(gate.index[unit]) if i >= 0]
        for position, winner in window:
            part: Cone | None = cone
            for rival_position, rival in window:
                form = _integers([a - b for a, b in zip(arriving[winner], arriving[rival], strict=True)])
                if not any(form):
                    part = None if rival_position < position else part
                elif part is not None:
                    part = part.cut(form, owner)
                if part is None:
                    break
            if part is not None:
                yield part, position
        return
    below: Cone | None = cone
    above = [cone]
    for letter, level in enumerate(_levels(gate, unit)):
        form = _integers([*arriving[unit][:-1], arriving[unit][-1] - level])
        part = above.pop()
        below = part.cut(tuple(-v for v in form), owner) if any(form) else part
        if below is not None:
            yield below, letter
        rest = part.cut(form, owner) if any(form) else None
        if rest is None:
            return
        above.append(rest)
    yield above[0], gate.n_letters - 1


def _levels(gate: Elementwise, unit: int) -> list[Fraction]:
    """Return the breakpoints of one unit."""
    return [_exact(v) for v in gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)[:, unit]]


# -- one region ------------------------------------------------------------------------------------------------


def _region(
    net: Network, along: AffineMap | None, cone: Cone, code: Code, arrivals: list[Rows]
) -> OracleRegion:
    """Read a region off its cone."""
    rays = [ray for ray, _ in cone.rays]
    forms = [(unit, _integers(form)) for unit, form in _breakpoint_forms(net, code, arrivals)]
    facets: dict[frozenset[Vector], OracleFacet] = {}
    on_domain: set[frozenset[Vector]] = set()
    for number, (form, owner) in enumerate(cone.half_spaces):
        on_it = [ray for ray, zero in cone.rays if number in zero]
        if owner == INFINITY or _rank([*on_it, *cone.lines]) < len(form) - 1:
            continue
        if owner == DOMAIN:
            on_domain.add(frozenset(on_it))
        elif frozenset(on_it) not in facets:
            facets[frozenset(on_it)] = _facet(net, along, form, on_it, forms)
    return OracleRegion(
        code,
        _center(rays),
        tuple(_center([ray]) for ray in rays if ray[-1]),
        tuple(ray[:-1] for ray in rays if not ray[-1]),
        tuple(line[:-1] for line in cone.lines),
        tuple(f for rays, f in facets.items() if rays not in on_domain),
        len(on_domain),
    )


def _facet(
    net: Network, along: AffineMap | None, form: Vector, rays: list[Vector], forms: list[tuple[int, Vector]]
) -> OracleFacet:
    """Return the facet on which a form vanishes."""
    # A form vanishes on the facet exactly if it is a multiple of the facet's own; both have coprime entries.
    negative, zero = tuple(-v for v in form), tuple(0 for _ in form)
    units = sorted({unit for unit, other in forms if other in (form, negative)})
    tied = {unit for unit, other in forms if other in (form, negative, zero)} != {units[0]}
    point, outward = _center(rays), tuple(Fraction(-v) for v in form[:-1])
    return OracleFacet(tuple(units), tied, point, outward, letters_toward(net, along, point, outward))


def _breakpoint_forms(net: Network, code: Code, arrivals: list[Rows]) -> Iterator[tuple[int, list]]:
    """Yield (unit, form) for all breakpoints and rivals of all units, on one region."""
    for gate, arriving in zip(net.gates, arrivals, strict=True):
        for unit in range(gate.size):
            if isinstance(gate, MaxGate):
                winner = gate.index[unit, code[gate.first_column + unit]]
                for rival in {int(i) for i in gate.index[unit] if i >= 0} - {int(winner)}:
                    yield (
                        gate.first_column + unit,
                        [a - b for a, b in zip(arriving[winner], arriving[rival], strict=True)],
                    )
                continue
            for level in _levels(gate, unit):
                yield gate.first_column + unit, [*arriving[unit][:-1], arriving[unit][-1] - level]


def letters_toward(
    net: Network, along: AffineMap | None, point: Point, direction: Point | None = None
) -> Code:
    """Return the letters at a point, or of the cell entered from it: ties are decided by one-sided derivatives.

    Values are pairs (value, derivative along the direction), compared lexicographically.
    """
    rates = direction if direction is not None else [Fraction(0)] * len(point)
    start = [[p, r] for p, r in zip(point, rates, strict=True)]
    if along is not None:
        rows = [[_exact(v) for v in row] for row in along.matrix]
        start = [
            [
                _exact(c) + sum(a * p for a, (p, _) in zip(row, start, strict=True)),
                sum(a * r for a, (_, r) in zip(row, start, strict=True)),
            ]
            for row, c in zip(rows, along.offset, strict=True)
        ]
    values, code = [start], ()
    for step in net.steps:
        if isinstance(step, LinearStep):
            values.append(_linear(step, values, constant_column=0))
            continue
        arriving = values[step.inputs[0]]
        letters: Code = ()
        for unit in range(step.size):
            if isinstance(step, MaxGate):
                best = max(arriving[i] for i in step.index[unit] if i >= 0)
                letter = next(p for p, i in enumerate(step.index[unit]) if i >= 0 and arriving[i] == best)
            else:
                letter = sum(arriving[unit] > [level, Fraction(0)] for level in _levels(step, unit))
            letters = (*letters, letter)
        values.append(_opened(step, letters, arriving, constant_column=0))
        code += letters
    return code


# -- steps, entry by entry -------------------------------------------------------------------------------------


def _linear(step: LinearStep, values: list[Rows], constant_column: int) -> Rows:
    """Apply a linear step to rows of numbers; its constant joins one column."""
    width = len(values[0][0]) if values[0] else 1
    out = [[Fraction(0)] * width for _ in range(step.size)]
    for i, matrix in zip(step.inputs, step.matrices(), strict=True):
        for row, target in zip(matrix, out, strict=True):
            for weight, entry in zip(row, values[i], strict=True):
                if weight:
                    exact = _exact(weight)
                    target[:] = [a + exact * v for a, v in zip(target, entry, strict=True)]
    divisors = step.divisors()
    if divisors is not None:
        out = [[v / int(q) for v in row] for row, q in zip(out, divisors, strict=True)]
    if step.constant is not None:
        for row, c in zip(out, np.broadcast_to(step.constant, step.shape).ravel(), strict=True):
            row[constant_column] += _exact(c)
    return out


def _opened(gate: Gate, letters: Code, arriving: Rows, constant_column: int) -> Rows:
    """Apply the affine piece of a gate that letters choose."""
    if isinstance(gate, MaxGate):
        return [arriving[gate.index[unit, letter]] for unit, letter in enumerate(letters)]
    slopes, offsets = (gate.table(a).reshape(len(a), -1) for a in (gate.slopes, gate.offsets))
    out = []
    for unit, letter in enumerate(letters):
        row = [_exact(slopes[letter, unit]) * v for v in arriving[unit]]
        row[constant_column] += _exact(offsets[letter, unit])
        out.append(row)
    return out


# -- numbers ---------------------------------------------------------------------------------------------------


def _exact(value: object) -> Fraction:
    return Fraction(float(value))


def _dot(a: Vector, b: Vector) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _coprime(vector: list[int]) -> Vector:
    divisor = gcd(*vector) or 1
    return tuple(v // divisor for v in vector)


def _integers(vector: list[Fraction]) -> Vector:
    """Return the positive multiple with coprime integer entries."""
    scale = lcm(*(v.denominator for v in vector))
    return _coprime([int(v * scale) for v in vector])


def _center(rays: list[Vector]) -> Point:
    """Return the finite point in the middle of some rays (y, t)."""
    finite = [[Fraction(v, ray[-1]) for v in ray[:-1]] for ray in rays if ray[-1]]
    mean = [sum(column) / len(finite) for column in zip(*finite, strict=True)]
    at_infinity = [ray for ray in rays if not ray[-1]]
    for ray in at_infinity:
        mean = [m + v for m, v in zip(mean, _of_size_one(ray[:-1]), strict=True)]
    return tuple(mean)


def _of_size_one(ray: Vector) -> Point:
    """Return the positive multiple whose largest entry is 1 or -1."""
    size = max(map(abs, ray))
    return tuple(Fraction(v, size) for v in ray)


def _rank(vectors: list[Vector]) -> int:
    """Return the rank, by elimination in Fractions."""
    rows = [[Fraction(v) for v in vector] for vector in vectors]
    rank = 0
    for column in range(len(vectors[0]) if vectors else 0):
        pivot = next((r for r in rows[rank:] if r[column]), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        rows = [
            *rows[:rank],
            pivot,
            *(
                [a - r[column] / pivot[column] * b for a, b in zip(r, pivot, strict=True)]
                for r in rows[rank:]
            ),
        ]
        rank += 1
    return rank
