"""Laws of local exploration, against the rational oracle, arrangements of hyperplanes and themselves."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import comb
from unittest import mock

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from polygeom.affine import AffineMap
from polygeom.budget import Budget
from polygeom.certificates.check import Level
from polygeom.enumeration.regions import enumerate_regions
from polygeom.errors import InputError, UndecidedError
from polygeom.exploration import search
from polygeom.exploration.explored import Exploration
from polygeom.exploration.neighbours import Neighbours, neighbours
from polygeom.exploration.paths import shortest_path
from polygeom.exploration.search import explore
from polygeom.network import Network
from polygeom.pieces import piece_at, spline_codes
from polygeom.testing import FAMILIES, any_networks, degenerate_networks, generic, graph_networks, points
from tests.region_oracle import PLANE, SPACE, adjacent_codes, oracle_regions

NO_RATIONALS = "polygeom.rational_network.BUDGET"
seeds = st.integers(0, 2**32 - 1)
orders = st.sampled_from(search.ORDERS)


def somewhere(dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(dim)


def codes_of(found: Exploration) -> list[tuple[int, ...]]:
    return [tuple(code) for code in found.codes.letters.tolist()]


def assert_is_everything(found: Exploration, along: AffineMap | None = None) -> None:
    """Check codes, edges and numbers of facets against the oracle, and the witnesses exactly."""
    regions = oracle_regions(found.network, along=along)
    codes = codes_of(found)
    assert found.complete
    assert found.stopped_by is None
    assert len(set(codes)) == len(codes)
    assert set(codes) == set(regions)
    assert {frozenset((codes[i], codes[j])) for i, j in found.edges.tolist()} == adjacent_codes(regions)
    assert found.n_facets.tolist() == [len(regions[code].facets) for code in codes]
    for i in range(len(found)):
        exact = found.arrays.exact_witnesses.get(i)
        point = found.witnesses[i] if exact is None else np.array(exact)
        assert (found.piece(i).polyhedron.slack_signs(point[None]) == 1).all()


def drawn(found: Neighbours, rows: np.ndarray) -> list[tuple[int, int]]:
    """Name rows by unit and side: more of them may vanish exactly where rationals tell."""
    labels = found.piece.labels[rows]
    return list(zip(labels.units.tolist(), labels.sides.tolist(), strict=True))


def same(left: Exploration, right: Exploration) -> bool:
    """Tell whether two explorations found the same, in the same order."""
    pairs = [
        (left.codes.letters, right.codes.letters),
        (left.witnesses, right.witnesses),
        (left.edges, right.edges),
        (left.arrays.facet_start, right.arrays.facet_start),
        (left.arrays.facet_units, right.arrays.facet_units),
        (left.frontier.codes.letters, right.frontier.codes.letters),
        (left.frontier.points, right.frontier.points),
        (left.frontier.priorities, right.frontier.priorities),
    ]
    exact = left.arrays.exact_witnesses == right.arrays.exact_witnesses
    return exact and all(np.array_equal(a, b) for a, b in pairs)


# -- neighbours ------------------------------------------------------------------------------------------------


@given(st.data())
def test_a_neighbour_has_the_piece_as_neighbour(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    piece = piece_at(net, data.draw(points(net.dim_in)), toward=somewhere(net.dim_in, data.draw(seeds)))
    found = neighbours(net, piece)
    assert not len(found.undecided)
    assert len({tuple(code) for code in found.codes.letters.tolist()}) == len(found.report.facets)
    for neighbour in list(found)[:4]:
        assert np.array_equal(neighbour.units, np.flatnonzero(neighbour.code != piece.code))
        assert (neighbour.piece.polyhedron.slack_signs(neighbour.interior[None]) == 1).all()
        back = neighbours(net, neighbour.piece)
        assert (back.codes.letters == piece.code).all(axis=1).sum() == 1


@given(st.data())
def test_floats_list_what_they_cannot_decide_and_agree_with_rationals(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    exact = neighbours(net, piece_at(net, x, toward=somewhere(net.dim_in)))
    across = dict(zip(drawn(exact, exact.rows), exact.codes.letters.tolist(), strict=True))
    with mock.patch(NO_RATIONALS, 0):
        piece = piece_at(net, x, toward=somewhere(net.dim_in))
        try:
            found = neighbours(net, piece)
        except UndecidedError:
            assume(False)
    for name, code in zip(drawn(found, found.rows), found.codes.letters.tolist(), strict=True):
        assert code == across[name]
    assert {*drawn(found, found.rows), *drawn(found, found.undecided)} >= set(across)


@pytest.mark.parametrize("widths", [(5, 12, 12, 12, 2), (30, 100, 40, 3)])
def test_floats_decide_all_codes_across_ordinary_cells(widths: tuple[int, ...]) -> None:
    net = generic(widths, 5)
    x = somewhere(net.dim_in)
    exact = neighbours(net, piece_at(net, x))
    with mock.patch(NO_RATIONALS, 0):
        found = neighbours(net, piece_at(net, x))
    assert not len(found.undecided)
    assert np.array_equal(found.codes.letters, exact.codes.letters)
    assert all(len(units) for units in found.units)


def test_units_without_a_row_flip_too() -> None:
    # unit 2 is relu(x): it vanishes where unit 0 is off, and draws no row there
    net = Network.from_layers([([[1, 0], [0, 1]], [0, 0]), ([[1, 0], [1, 1]], [0, 0]), ([[1, 1]], [0])])
    piece = piece_at(net, [-1, 1])
    assert 2 not in piece.units
    across = {tuple(neighbour.code): neighbour.units.tolist() for neighbour in neighbours(net, piece)}
    assert across[1, 1, 1, 1] == [0, 2]
    found = explore(net, [-1, 1])
    i, j = codes_of(found).index((0, 1, 0, 1)), codes_of(found).index((1, 1, 1, 1))
    assert found.graph.edges[i, j]["units"] == (0, 2)


def test_units_that_vanish_on_a_facet_need_not_flip() -> None:
    # unit 1 is -relu(x): it vanishes on the facet of unit 0, and is off on both sides
    net = Network.from_layers([([[1.0]], [0]), ([[-1.0]], [0]), ([[1.0]], [0])])
    (neighbour,) = neighbours(net, piece_at(net, [1.0]))
    assert neighbour.units.tolist() == [0]


@pytest.mark.parametrize("seed", range(4))
def test_flips_without_rows_are_met_where_biases_are_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = np.abs(rng.standard_normal((4, 2))), rng.standard_normal((4, 4))
    net = Network.from_layers([(first, np.zeros(4)), (second, np.zeros(4)), (np.ones((1, 4)), [0])])
    found = explore(net, [-1.0, -1.0])  # where the first layer is off, the second draws nothing
    assert found.piece(0).units.tolist() == [0, 1, 2, 3]
    flips = [units for *_, units in found.graph.edges(0, data="units")]
    assert any(max(units) >= 4 for units in flips)
    assert_is_everything(found)


# -- to the end ------------------------------------------------------------------------------------------------


@given(degenerate_networks(dims=(1, 2)), seeds, orders)
def test_explored_to_the_end_it_is_the_whole_partition(net: Network, seed: int, order: str) -> None:
    assert_is_everything(explore(net, somewhere(net.dim_in, seed), order=order))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_degenerate_family_is_explored_to_the_end(family: str) -> None:
    assert_is_everything(explore(FAMILIES[family](PLANE, 3), somewhere(2)))


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_degenerate_family_is_explored_to_the_end_in_space(family: str) -> None:
    assert_is_everything(explore(FAMILIES[family](SPACE, 4), somewhere(3)))


@given(graph_networks(), seeds)
def test_slices_of_graphs_with_sums_and_maxima_are_explored_to_the_end(net: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    along = AffineMap(rng.integers(-3, 4, (net.dim_in, 1)) + 0.0, rng.standard_normal(net.dim_in))
    assert_is_everything(explore(net, rng.standard_normal(1), along=along), along)


def convolutional() -> tuple[Network, AffineMap]:
    """Return a convolutional network with overlapping max-pooling windows, and a plane."""
    import torch

    from polygeom.models.convert import from_torch

    torch.manual_seed(2)
    layers = [
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2, 1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 3),
        torch.nn.ReLU(),
    ]
    module = torch.nn.Sequential(*layers).double().eval()
    rng = np.random.default_rng(3)
    plane = AffineMap.through(*rng.standard_normal((3, 25)))
    return from_torch(module, torch.zeros(1, 1, 5, 5, dtype=torch.float64)), plane


def test_planes_through_convolutions_and_max_pooling() -> None:
    net, plane = convolutional()
    assert_is_everything(explore(net, [0.3, 0.2], along=plane), plane)


def test_planes_without_rationals_find_nothing_false_and_list_the_rest() -> None:
    net, plane = convolutional()
    truth = explore(net, [0.3, 0.2], along=plane)
    with mock.patch(NO_RATIONALS, 0):
        found = explore(net, [0.3, 0.2], along=plane)
    edges = [{frozenset((codes_of(e)[i], codes_of(e)[j])) for i, j in e.edges} for e in (found, truth)]
    assert edges[0] <= edges[1]
    assert set(codes_of(found)) == set(codes_of(truth))
    # a row that touches its cell in a corner is beyond floats; all others are decided
    assert not found.complete
    assert len(found.undecided) < 0.02 * found.n_facets.sum()


@pytest.mark.parametrize(("dim", "units"), [(1, 9), (2, 8), (3, 7), (4, 6), (6, 6)])
def test_generic_arrangements_have_zaslavskys_number_of_regions(dim: int, units: int) -> None:
    net = generic((dim, units, 1), 1)
    assert len(explore(net, somewhere(dim))) == sum(comb(units, k) for k in range(dim + 1))


# -- one layer ---------------------------------------------------------------------------------------------------


@st.composite
def arrangements(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Hyperplanes of small integers, some drawn again with other signs and scales."""
    d, m = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    rows = draw(
        st.lists(st.lists(st.integers(-2, 2), min_size=d + 1, max_size=d + 1), min_size=m, max_size=m)
    )
    again = draw(st.lists(st.tuples(st.integers(0, m - 1), st.sampled_from([-2, -1, 1, 3])), max_size=3))
    rows = np.array(rows + [[factor * v for v in rows[i]] for i, factor in again], dtype=float)
    return rows[:, :-1], rows[:, -1]


def hyperplanes(W: np.ndarray, b: np.ndarray) -> dict[tuple[Fraction, ...], list[int]]:
    """Return the units on each hyperplane, by its equation with leading coefficient 1."""
    found: dict[tuple[Fraction, ...], list[int]] = {}
    for unit, row in enumerate(np.column_stack([W, b]).tolist()):
        lead = next((v for v in row[:-1] if v), None)
        if lead is not None:
            found.setdefault(tuple(Fraction(v) / Fraction(lead) for v in row), []).append(unit)
    return found


@given(arrangements(), seeds)
@example((np.array([[1.0], [-1.0], [2.0]]), np.array([1.0, -1.0, 2.0])), 0)
def test_graph_distance_is_the_number_of_separating_hyperplanes(
    arrangement: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    W, b = arrangement
    net = Network.from_layers([(W, b), (np.ones((1, len(W))), [0.0])])
    found = explore(net, somewhere(net.dim_in, seed))
    drawn = hyperplanes(W, b)
    # which side of each hyperplane a region is on; one letter tells, and all units of a hyperplane flip together
    sides = found.codes.letters[:, [units[0] for units in drawn.values()]].astype(int)
    apart = np.abs(sides[:, None] - sides[None]).sum(axis=2)
    distances = dict(nx.all_pairs_shortest_path_length(found.graph))
    assert all(distances[i][j] == apart[i, j] for i in range(len(found)) for j in range(len(found)))
    assert {units for *_, units in found.graph.edges.data("units")} <= {tuple(u) for u in drawn.values()}


@given(arrangements(), seeds)
def test_shortest_paths_cross_separating_hyperplanes_once(
    arrangement: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    W, b = arrangement
    net = Network.from_layers([(W, b), (np.ones((1, len(W))), [0.0])])
    x, y = somewhere(net.dim_in, seed), somewhere(net.dim_in, seed + 1)
    path = shortest_path(explore(net, x), x, y)
    differing = np.flatnonzero(np.diff(spline_codes(net, [x, y]).letters.astype(int), axis=0)[0])
    assert sorted(np.concatenate([[], *path.units])) == differing.tolist()
    assert len(path) == sum(units[0] in differing for units in hyperplanes(W, b).values())


# -- paths and places --------------------------------------------------------------------------------------------


@given(degenerate_networks(dims=(2,)), seeds)
def test_shortest_paths_are_those_of_networkx(net: Network, seed: int) -> None:
    found = explore(net, somewhere(2, seed))
    x, y = somewhere(2, seed + 1), somewhere(2, seed + 2)
    path = shortest_path(found, x, y)
    assert path.regions[0] in found.locate(x)
    assert path.regions[-1] in found.locate(y)
    assert len(path) == nx.shortest_path_length(found.graph, path.regions[0], path.regions[-1])
    assert [found.graph.edges[e]["units"] for e in zip(path.regions, path.regions[1:], strict=False)] == [
        tuple(units) for units in path.units
    ]


@given(st.data())
def test_a_point_is_in_all_regions_whose_closure_contains_it(data: st.DataObject) -> None:
    net = data.draw(degenerate_networks(dims=(1, 2)))
    found = explore(net, somewhere(net.dim_in))
    x = data.draw(points(net.dim_in))
    contains = [i for i in range(len(found)) if found.piece(i).polyhedron.contains(x)]
    assert found.locate(x).tolist() == contains
    assert contains


def test_paths_from_boundaries_take_the_nearest_region_around() -> None:
    net = Network.from_layers([([[1.0, 0], [0, 1]], [0, 0]), ([[1.0, 1]], [0])])
    found = explore(net, [1, 1])
    assert len(shortest_path(found, [0, 0], [-1, -1])) == 0
    assert len(shortest_path(found, [0, 1], [-1, -1])) == 1


def test_a_region_that_is_not_listed_has_no_path() -> None:
    net = generic((2, 12, 1), 0)
    found = explore(net, [0, 0], Budget(regions=3))
    with pytest.raises(InputError, match="region of y is not among"):
        shortest_path(found, [0, 0], [1e6, 1e6])


# -- budgets, interruptions, resuming ----------------------------------------------------------------------------


@given(degenerate_networks(dims=(2,)), seeds, orders, st.lists(st.integers(1, 9), max_size=4))
def test_runs_with_budgets_find_what_one_run_finds(
    net: Network, seed: int, order: str, parts: list[int]
) -> None:
    x = somewhere(2, seed)
    whole = explore(net, x, order=order)
    found = None
    for regions in np.cumsum([1, *parts]).tolist():
        found = explore(net, x, Budget(regions=regions), order=order, resume=found)
        assert len(found) == min(regions, len(whole))
        assert found.complete == (len(found) == len(whole))
        assert same(found, explore(net, x, Budget(regions=regions), order=order))
    assert same(explore(net, x, order=order, resume=found), whole)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["_next", "_see", "_explore"])
@pytest.mark.parametrize("calls", [2, 7, 20])
def test_interrupts_lose_nothing(monkeypatch: pytest.MonkeyPatch, step: str, calls: int, after: bool) -> None:
    net = generic((2, 6, 4, 1), 2)
    whole = explore(net, [0.1, 0.2])
    left, inner = [calls], getattr(search.Search, step)

    def interrupted(self: object, *arguments: object) -> object:
        left[0] -= 1
        if left[0] == 0 and not after:
            raise KeyboardInterrupt
        found = inner(self, *arguments)
        if left[0] == 0:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(search.Search, step, interrupted)
    found = explore(net, [0.1, 0.2])
    assert found.stopped_by == "interrupt"
    assert not found.complete
    assert "stopped by interrupt" in repr(found)
    again = explore(net, [0.1, 0.2], resume=found)
    assert again.complete
    edges = [{frozenset((codes_of(e)[i], codes_of(e)[j])) for i, j in e.edges} for e in (again, whole)]
    assert edges[0] == edges[1]


def test_time_and_memory_stop_a_search() -> None:
    net = generic((3, 40, 1), 0)
    slow = explore(net, somewhere(3), Budget(seconds=0.05))
    small = explore(net, somewhere(3), Budget(bytes=10_000))
    assert (slow.stopped_by, small.stopped_by) == ("seconds", "bytes")
    assert 1 <= len(small) < 200
    assert not slow.complete


def test_the_explored_regions_come_in_order_of_their_entry_points() -> None:
    net = generic((4, 30, 1), 0)
    x = somewhere(4)
    near, wide = explore(net, x, Budget(regions=60)), explore(net, x, Budget(regions=60), order="breadth")
    depths = nx.single_source_shortest_path_length(wide.graph, 0)
    assert [depths[i] for i in range(60)] == sorted(depths.values())
    assert (
        np.linalg.norm(near.witnesses - x, axis=1).mean() < np.linalg.norm(wide.witnesses - x, axis=1).mean()
    )
    assert near.frontier.priorities.min() > 0


def test_a_bar_shows_progress(capsys: pytest.CaptureFixture[str]) -> None:
    explore(generic((2, 5, 1), 0), [0, 0], progress=True)
    assert "explore" in capsys.readouterr().err
    explore(generic((2, 5, 1), 0), [0, 0])
    assert not capsys.readouterr().err


@pytest.mark.slow
def test_a_layer_of_the_size_of_a_transformers() -> None:
    net = generic((768, 3072, 768), 0)
    x = somewhere(768)
    found = explore(net, x, Budget(regions=2))
    assert found.n_facets.min() > 3000
    assert len(found.edges) == found.n_facets.sum() - 1
    assert np.array_equal(spline_codes(net, found.witnesses).letters, found.codes.letters)
    assert len(found.graph.edges[0, 1]["units"]) == 1
    around = neighbours(net, found.piece(1))
    assert around.report.holds(around.walls.polyhedron).level is Level.EXACT


# -- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        *(("regions", v) for v in (0, -1, 1.5, True)),
        *(("seconds", v) for v in (0, np.nan, "1")),
        *(("bytes", v) for v in (np.inf, -1)),
    ],
)
def test_nonsense_budgets_are_refused(limit: str, value: object) -> None:
    with pytest.raises(InputError, match=limit):
        Budget(**{limit: value})


def test_networks_are_compared_by_their_parameters() -> None:
    """A network made twice is the same network."""
    net, twin = generic((2, 3, 1), 0), generic((2, 3, 1), 0)
    assert net is not twin
    found = neighbours(net, piece_at(twin, [1, 1]))
    assert [n.units.tolist() for n in found] == [
        n.units.tolist() for n in neighbours(net, piece_at(net, [1, 1]))
    ]
    whole, part = explore(net, piece_at(twin, [1, 1])), explore(net, [1, 1], Budget(regions=2))
    assert sorted(codes_of(explore(twin, [1, 1], resume=part))) == sorted(codes_of(whole))


@pytest.mark.parametrize("index", [-1, 100, True, 0.0, "0"])
def test_neighbours_are_numbered_from_0(index: object) -> None:
    net = generic((2, 3, 1), 0)
    with pytest.raises(InputError, match="no neighbour"):
        neighbours(net, piece_at(net, [1, 1]))[index]


def test_counts_have_no_paths() -> None:
    net = generic((2, 3, 1), 0)
    with pytest.raises(InputError, match=r"RegionCount.*store='count'"):
        shortest_path(enumerate_regions(net, store="count"), [0, 0], [1, 1])


def test_pieces_of_other_networks_are_refused() -> None:
    net, other = generic((2, 3, 1), 0), generic((2, 3, 1), 1)
    with pytest.raises(InputError, match="wanted a Network"):
        neighbours(None, piece_at(net, [0, 0]))
    with pytest.raises(InputError, match="another network"):
        neighbours(net, piece_at(other, [0, 0]))
    with pytest.raises(InputError, match="of this network"):
        explore(net, piece_at(other, [0, 0]))
    with pytest.raises(InputError, match="AffinePiece"):
        neighbours(net, [0, 0])


def test_points_on_boundaries_begin_where_they_are_told() -> None:
    # a line and its opposite: where both are off, the cell is the line itself
    net = Network.from_layers([([[1.0, 0], [-1, 0]], [0, 0]), ([[1.0, 1]], [0])])
    with pytest.raises(InputError, match=r"dimension 1 in R\^2.*toward"):
        explore(net, [0, 1])
    found = explore(net, piece_at(net, [0, 1], toward=[1, 0]))
    assert codes_of(found)[0] == (1, 0)
    assert len(found) == 2
    # one line alone: its points belong to the cell on the off side, which is full-dimensional
    one = Network.from_layers([([[1.0, 0]], [0]), ([[1.0]], [0])])
    assert codes_of(explore(one, [0, 1])) == [(0,), (1,)]


def test_undecided_letters_are_not_guessed() -> None:
    net = Network.from_layers([([[0.1, 0.2]], [0.0]), ([[1.0]], [0])])
    on_it = [2.0, -1.0]  # a tie, which no precision tells from a near miss
    with mock.patch(NO_RATIONALS, 0):
        piece = piece_at(net, on_it)
        assert len(piece.undecided)
        for ask in (lambda: neighbours(net, piece), lambda: explore(net, on_it)):
            with pytest.raises(UndecidedError, match="off the boundary"):
                ask()


@pytest.mark.parametrize(
    "change",
    [
        lambda net, x: {"net": generic((2, 5, 1), 1), "x": x},
        lambda net, x: {"net": net, "x": x + 1},
        lambda net, x: {"net": net, "x": x, "order": "breadth"},
        lambda net, x: {"net": net, "x": x, "along": AffineMap.identity(2)},
    ],
)
def test_other_searches_are_not_resumed(change: Callable[..., dict[str, object]]) -> None:
    net, x = generic((2, 5, 1), 0), np.ones(2)
    with pytest.raises(InputError, match="resume= began with another"):
        explore(**change(net, x), resume=explore(net, x, Budget(regions=1)))


def test_choices_are_checked() -> None:
    net = generic((2, 5, 1), 0)
    with pytest.raises(InputError, match="order"):
        explore(net, [0, 0], order="depth")
    with pytest.raises(InputError, match="Budget"):
        explore(net, [0, 0], 1000)
    with pytest.raises(InputError, match="earlier Exploration"):
        explore(net, [0, 0], resume=3)
    found = explore(net, [0, 0])
    for region in (-1, len(found), 0.5, True):
        with pytest.raises(InputError, match="no region"):
            found.piece(region)
