"""Whatever is made wrong on purpose is caught: enumerations, certificates, claims.

Every mutant stands in a table beside the guards that catch it, and one that survives fails its test.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest

import polygeom as pg
from polygeom import certificates, testing
from polygeom.certificates.check import PROVED
from polygeom.certificates.facets import CoincidentRow, FacetWitness, RedundantRow
from polygeom.certificates.feasibility import Outlier
from polygeom.certificates.origin import Escape
from polygeom.claims import Outcome, Verdict, Witness, holds
from polygeom.complexes import PolyhedralComplex
from polygeom.models import toy
from polygeom.testing import FAMILIES
from tests import mutants
from tests.mutants import MUTANTS

# -- enumerations ------------------------------------------------------------------------------------------------

PLACES: dict[str, Callable[[], PolyhedralComplex]] = {
    "the plane": lambda: pg.enumerate_regions(FAMILIES["generic"]((2, 4, 3, 1), 6)),
    "a box": lambda: pg.enumerate_regions(
        FAMILIES["generic"]((2, 4, 3, 1), 6), pg.Polyhedron.box(-1, 1, dim=2), store="cells"
    ),
    "copies": lambda: pg.enumerate_regions(FAMILIES["duplicate unit"]((2, 4, 3, 1), 0)),
    "maxima": lambda: pg.enumerate_regions(toy.named("maxima"), store="cells"),
    "three letters": lambda: pg.enumerate_regions(toy.he((2, 2, 2, 1), np.random.default_rng(0), "hardtanh")),
    "space": lambda: pg.enumerate_regions(FAMILIES["generic"]((3, 4, 1), 0), store="cells"),
}
"""Where the mutants are made."""


@pytest.fixture(scope="module", params=PLACES)
def right(request: pytest.FixtureRequest) -> PolyhedralComplex:
    K = PLACES[request.param]()
    testing.assert_partition(K)
    return K


def test_no_wrong_enumeration_passes_the_checker(right: PolyhedralComplex):
    """One seed here; where the checker is silent, what survived is named."""
    missed = []
    for mutant, guards in MUTANTS.items():
        wrong = mutant(right, np.random.default_rng(1))
        if wrong is None:
            continue
        report = pg.check_complex(wrong, sample=None)
        refuted = {item.name for item in report.refuted}
        if report or not guards & refuted:
            missed.append(f"{mutant.__name__}: refuted by {sorted(refuted)}, wanted {sorted(guards)}")
    assert not missed, "\n".join(missed)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_wrong_enumeration_is_caught_by_the_claim_and_the_law(mutant, monkeypatch: pytest.MonkeyPatch):
    """Both see the mutant because the enumeration itself returns it."""
    made = ((place, mutant(make(), np.random.default_rng(0))) for place, make in PLACES.items())
    wrong = next(K for _, K in made if K is not None)
    for module in ("polygeom.claims.instance", "polygeom.testing.laws"):
        monkeypatch.setattr(f"{module}.enumerate_regions", lambda *a, **k: wrong)
    verdict = pg.verify("partition", net=wrong.network)
    assert verdict.outcome is Outcome.FAILS, verdict
    testing.assert_witnessed(verdict)
    with pytest.raises(AssertionError, match="no partition"):
        testing.assert_partition(wrong.network)


def test_every_mutant_stands_in_the_table():
    made = {
        f
        for name, f in vars(mutants).items()
        if inspect.isfunction(f) and list(inspect.signature(f).parameters) == ["K", "rng"]
        if not name.startswith("_")
    }
    assert made == set(MUTANTS)


# -- certificates ------------------------------------------------------------------------------------------------

SQUARE = pg.Polyhedron.box(0, 1, dim=2)
LARGER = pg.Polyhedron.box(-1, 2, dim=2)
SEGMENT = pg.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [1, -1, 0.5, 0.5])
GAP = pg.Polyhedron([[1, 0], [-1, 0], [0, 1]], [0, -1, 1])
STRIP = pg.Polyhedron([[1, 0], [-1, 0], [0, -1]], [1, 1, 1])
CONE = pg.Polyhedron([[-1, 0], [0, -1], [-1, -1]], [0, 0, 1])
TWICE = pg.Polyhedron([[1, 0], [2, 0], [0, 1], [1, 1]], [1, 2, 1, 3])
CUBES = np.stack([np.vstack([np.eye(2), -np.eye(2)])] * 2), np.array([[1.0, 1, 1, 1], [2, 1, 0, 1]])

GENUINE: dict[str, tuple] = {
    "FeasiblePoint": (pg.feasibility(SEGMENT).certificate, SEGMENT),
    "InteriorPoint": (pg.feasibility(SQUARE).certificate, SQUARE),
    "Farkas": (pg.feasibility(GAP).certificate, GAP),
    "ImplicitEquality": (pg.feasibility(SEGMENT).equalities[0], SEGMENT),
    "Feasibility": (pg.feasibility(SEGMENT), SEGMENT),
    "ImpliedRow": (pg.inclusion(SQUARE, LARGER).certificates[0], SQUARE, LARGER),
    "Outlier": (Outlier(0, np.array([1.5, 0.5])), pg.Polyhedron.box([-1, 0], [2, 1]), SQUARE),
    "Inclusion": (pg.inclusion(SQUARE, LARGER), SQUARE, LARGER),
    "PositiveSpan": (pg.boundedness(SQUARE).certificate, SQUARE),
    "RecessionRay": (pg.boundedness(STRIP).certificate, STRIP),
    "Boundedness": (pg.boundedness(STRIP), STRIP),
    "RecessionCone": (pg.recession_cone(STRIP), STRIP),
    "FacetWitness": (FacetWitness(0, np.array([2.0, 0.5])), SQUARE),
    "RedundantRow": (RedundantRow(3, np.array([0, 2]), np.array([1.0, 1.0])), TWICE),
    "CoincidentRow": (CoincidentRow(1, 0), TWICE),
    "FacetReport": (pg.facets(TWICE), TWICE),
    "FacetBatch": (pg.facets_batch(*CUBES), *CUBES),
    "Vertices": (pg.vertices(STRIP), STRIP),
    "ChebyshevBall": (pg.chebyshev_ball(SQUARE), SQUARE),
    "Projection": (pg.predicates.project(SQUARE, [3.0, 0.5]), SQUARE),
    "InscribedEllipsoid": (pg.predicates.inscribed_ellipsoid(SQUARE), SQUARE),
    "Escape": (Escape(np.array([1.0, 0.0]), 0), SQUARE),
    "OriginTest": (pg.origin_test(CONE), CONE),
    "Apex": (pg.apex(CONE), CONE),
}
"""One certificate of every class, and what it is about."""


def certificate_classes() -> set[str]:
    """Return every public class of `polygeom.certificates` that re-checks itself."""
    found = set()
    for info in pkgutil.iter_modules(certificates.__path__):
        module = importlib.import_module(f"polygeom.certificates.{info.name}")
        found |= {
            name
            for name, kind in vars(module).items()
            if inspect.isclass(kind) and kind.__module__ == module.__name__ and hasattr(kind, "holds")
        }
    return found - {"Check"}


def test_every_class_of_certificates_is_tampered_with():
    assert set(GENUINE) == certificate_classes()


@pytest.mark.parametrize("name", GENUINE)
def test_the_genuine_certificate_holds(name: str):
    certificate, *about = GENUINE[name]
    assert type(certificate).__name__ == name
    assert certificate.holds(*about)


@pytest.mark.parametrize("name", sorted(set(GENUINE) - {"FacetBatch"}))
def test_no_forgery_passes(name: str):
    certificate, *about = GENUINE[name]
    passed = [change for change, forged in testing.forgeries(certificate) if forged.holds(*about)]
    assert not passed


def numbers(certificate: object) -> Iterator[tuple[str, Callable[[Callable], object]]]:
    """Yield every number of a certificate: its name, and a function that makes the certificate with it changed."""
    for field in fields(certificate):
        value = getattr(certificate, field.name)
        if isinstance(value, float) and np.isfinite(value):
            yield field.name, lambda change, f=field.name, v=value: replace(certificate, **{f: change(v)})
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fO":
            continue
        for k in range(value.size):

            def changed(
                change: Callable, name: str = field.name, array: np.ndarray = value, k: int = k
            ) -> object:
                other = array.copy()
                other.flat[k] = change(other.flat[k])
                return replace(certificate, **{name: other})

            yield f"{field.name}[{k}]", changed


CHANGES = {
    "more": lambda v: v + 1,
    "less": lambda v: v - 1,
    "negated": lambda v: -v if v else v + 1,
}


@pytest.mark.parametrize("name", GENUINE)
def test_every_number_matters(name: str):
    """Of each number some change is refused; what is accepted beside it proves the same statement otherwise."""
    certificate, *about = GENUINE[name]
    idle = [
        place
        for place, changed in numbers(certificate)
        if all(changed(change).holds(*about) for change in CHANGES.values())
    ]
    assert not idle


EQUATIONS = ("Farkas", "ImplicitEquality", "ImpliedRow", "PositiveSpan", "RedundantRow")
"""Certificates whose multipliers solve equations: any change of one number breaks them."""


@pytest.mark.parametrize("name", EQUATIONS)
def test_no_multiplier_can_be_changed(name: str):
    certificate, *about = GENUINE[name]
    for k, value in enumerate(certificate.multipliers):
        for change in (value + 1, value + Fraction(1, 10**6), -value if value else value - 1):
            multipliers = np.array([Fraction(v) for v in certificate.multipliers], dtype=object)
            multipliers[k] = Fraction(change)
            assert not replace(certificate, multipliers=multipliers).holds(*about)


ABOUT_ROWS = {
    "ImplicitEquality": {0, 1},
    "ImpliedRow": {0},
    "Outlier": {0},
    "FacetWitness": {0},
    "RedundantRow": {3},
    "CoincidentRow": {1},
    "Escape": {0},
}
"""Certificates about one row, and the rows that the same numbers are a proof about."""


@pytest.mark.parametrize("name", ABOUT_ROWS)
def test_a_proof_about_one_row_is_none_about_another(name: str):
    certificate, *about = GENUINE[name]
    rows = range(-1, about[-1].n_rows + 1)
    assert {row for row in rows if replace(certificate, row=row).holds(*about)} == ABOUT_ROWS[name]


FALSE: dict[str, tuple] = {
    "an equality of a row beside it": (
        "Feasibility",
        {"equalities": pg.feasibility(SEGMENT).equalities[:0], "dim": 2},
    ),
    "a line where there is none": ("RecessionCone", {"lineality": np.array([[Fraction(0), Fraction(1)]])}),
    "another support": ("PositiveSpan", {"support": np.array([0, 1, 2, 2])}),
    "a support that leaves a row out": (
        "PositiveSpan",
        {"support": np.array([0, 2]), "multipliers": np.ones(2)},
    ),
    "implicit rows that are none": ("RecessionCone", {"implicit": np.array([0, 2])}),
    "a vertex left out": ("Vertices", {"exact": pg.vertices(STRIP).exact[1:], "tight_rows": ((0, 2),)}),
    "a ray left out": ("Vertices", {"rays": pg.vertices(STRIP).rays[:0]}),
    "a tight row that is loose": ("Vertices", {"tight_rows": ((0, 1), (1, 2))}),
    "a larger ball": ("ChebyshevBall", {"radius": 0.75}),
    "a tighter bound": ("ChebyshevBall", {"upper": 0.25}),
    "a nearest point that is not near": ("Projection", {"point": np.array([0.5, 0.5])}),
    "a support that coincides": ("RedundantRow", {"row": 1, "support": np.array([0]), "multipliers": [2.0]}),
    "an escape that stays": ("Escape", {"direction": np.array([-1.0, 0.0])}),
    "no rows through the origin": ("OriginTest", {"through_origin": np.array([0])}),
    "other distances": ("OriginTest", {"distances": np.array([0.0, 0.5, 1.0])}),
    "no cone": ("OriginTest", {"is_cone": False}),
    "another apex": ("Apex", {"point": np.array([Fraction(1), Fraction(0)], dtype=object)}),
    "no apex": ("Apex", {"exists": False}),
}
"""Statements that are false, each made from a genuine certificate."""


@pytest.mark.parametrize("change", FALSE)
def test_a_false_statement_is_refused(change: str):
    name, fields_changed = FALSE[change]
    certificate, *about = GENUINE[name]
    assert not replace(certificate, **fields_changed).holds(*about)


@pytest.mark.parametrize("cell", [0, 1])
@pytest.mark.parametrize("row", range(4))
def test_no_status_of_a_batch_can_be_changed(cell: int, row: int):
    batch, *about = GENUINE["FacetBatch"]
    status = batch.proofs.status.copy()
    status[cell, row] = 3 - status[cell, row]  # facets become redundant, redundant rows facets
    assert not replace(batch, proofs=replace(batch.proofs, status=status)).holds(*about)


# -- claims ------------------------------------------------------------------------------------------------------


def three(root: object) -> pg.Check:
    """Check that the square of a number is 9."""
    return PROVED if root * root == 9 else pg.Check(False, pg.Level.EXACT, 0.0)


def about_three(root: object) -> pg.Check:
    """Check the same up to a rounding."""
    return pg.Check(abs(root * root - 9) < 1, pg.Level.CERTIFIED, 0.5)


EXACT = pg.Level.EXACT
WRONG_CLAIMS: dict[str, Callable[[object], Verdict]] = {
    "no witness": lambda instance: holds(EXACT, "It holds."),
    "a witness that does not hold": lambda instance: holds(EXACT, "", Witness({"root": 2}, three)),
    "a rule that reads nothing": lambda instance: holds(EXACT, "", Witness({"root": 2}, lambda root: PROVED)),
    "a level not earned": lambda instance: holds(EXACT, "", Witness({"root": 3.0}, about_three)),
    "the witness of the opposite": lambda instance: holds(EXACT, "", Witness({"root": 3}, three).opposite),
}


@pytest.mark.parametrize("name", WRONG_CLAIMS)
def test_a_wrong_claim_is_caught(name: str):
    made = pg.claims.Claim(name, "Nothing.", "none", "nowhere", "", WRONG_CLAIMS[name])
    verdict = pg.verify(made, net=toy.named("xor"))
    with pytest.raises(AssertionError, match=r"witness|level"):
        testing.assert_witnessed(verdict)


def more(value: object) -> object:
    """Return a number, or the first number of a list, one larger."""
    if isinstance(value, np.ndarray):
        other = value.copy()
        other.flat[0] += 1
        return other
    if isinstance(value, dict):
        first = next(iter(value))
        return {**value, first: more(value[first])}
    return type(value)([more(value[0]), *value[1:]]) if isinstance(value, list | tuple) else value + 1


def shorter(value: object) -> object:
    """Return a list without its last entry."""
    return value[:-1]


def of(mutant: mutants.Mutant) -> Callable[[PolyhedralComplex], PolyhedralComplex]:
    """Return what a mutant makes of a complex."""
    return lambda K: mutant(K, np.random.default_rng(0))


WRONG_WITNESSES: dict[str, dict[str, tuple[Callable, ...]]] = {
    "partition": {"K": tuple(of(m) for m in (mutants.region_dropped, mutants.edge_added))},
    "affine": {"codes": (more, shorter), "simplices": (shorter,)},
    "continuity": {"K": (of(mutants.edge_added),)},
    "one-flip": {"K": (of(mutants.edge_added),)},
    "count-one-layer": {"regions": (more,), "bounded": (more,)},
    "count-general-position": {"regions": (more,), "bounded": (more,)},
    "count-bounds": {"widths": (more, shorter), "tents": (more,), "stack": (more,)},
    "euler": {"K": (of(mutants.region_dropped),), "wanted": (more,)},
    "cones-iff": {"K": (of(mutants.weight_negated),)},
    "converse": {"K": (of(mutants.weight_negated),)},
    "fan-at-infinity": {
        "K": (of(mutants.region_dropped), of(mutants.bounded_mislabelled)),
        "fan": (of(mutants.region_dropped),),
        "cones": (shorter,),
        "partners": (more,),
        "bound": (more,),
    },
    "facets-small": {
        "K": (of(mutants.region_dropped), of(mutants.facet_invented)),
        "mean": (more,),
        "bound": (more,),
    },
    "partial-cube": {"triple": (more,)},
    "symmetries": {"K": (of(mutants.region_dropped), of(mutants.sign_flipped)), "columns": (more, shorter)},
    "power-diagram": {"K": (of(mutants.edge_added),)},
    "leverage": {"K": (of(mutants.region_dropped),), "claimed": (more,)},
    "bias-free-cones": {"rays": (shorter,), "codes": (shorter,)},
}
"""For each claim the data of its witness, and changes after which it proves nothing."""

TRUE_OF_ANYTHING = {"composition", "ln-rays"}
"""Theorems about any network and any points: another number in the witness is another instance that holds."""

STATISTICAL = {
    "crossings-init", "density-classes", "permuted-labels", "scaling-range", "class-changes",
    "polysemantic-neurons",
}  # fmt: skip
"""Claims about samples, tested with their family."""


def test_the_witness_of_every_claim_is_tampered_with():
    assert set(WRONG_WITNESSES) | TRUE_OF_ANYTHING | STATISTICAL >= set(pg.claims.registry)


@pytest.mark.parametrize("name", WRONG_WITNESSES)
def test_a_wrong_witness_is_refused(name: str):
    net = toy.named("cones") if name == "bias-free-cones" else toy.he((2, 4, 3, 1), np.random.default_rng(0))
    verdict = pg.verify(name, net=net)
    testing.assert_witnessed(verdict)
    for key, changes in WRONG_WITNESSES[name].items():
        for change in changes:
            data = {**verdict.witness.data, key: change(verdict.witness.data[key])}
            wrong = replace(verdict, witness=replace(verdict.witness, data=data))
            with pytest.raises(AssertionError, match="does not hold"):
                testing.assert_witnessed(wrong)
