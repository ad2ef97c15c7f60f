"""The figures: their numbers against independent ones, their files, and what the pipeline remembers."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import re
import subprocess
import sys
from math import comb
from pathlib import Path
from types import ModuleType

import cvxpy
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

import polygeom as pg
from paper_figures import (
    fig_dual_graph,
    fig_lens_table,
    fig_statistics,
    fig_toy_partition,
    fig_training,
    lens_cells,
    lens_deep,
    pipeline,
    sources,
)
from paper_figures.__main__ import main
from paper_figures.contact_sheet import write_contact_sheet
from polygeom import plotting
from polygeom.errors import InputError
from polygeom.models import inception, toy

SEEDS = st.integers(0, 2**32 - 1)


def after_relu(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Return a random vector with zeros, but not only zeros."""
    x = np.maximum(rng.normal(size=dim), 0.0)
    assume(x.any())
    return x


# -- the numbers of the lens table ---------------------------------------------------------------------------


@given(seed=SEEDS, units=st.integers(1, 12))
def test_one_layer_is_crossed_by_scaling_as_often_as_letters_change(seed, units):
    """From x to 0 and from x to infinity every unit of one layer flips at most once."""
    rng = np.random.default_rng(seed)
    net, x = toy.he([4, units, 1], rng), after_relu(rng, 4)
    down, up, crossings = lens_cells.scaling(pg.piece_at(net, x).polyhedron, x)
    codes = pg.spline_codes(net, np.stack([0 * x, x, 2.0**40 * x])).letters.astype(int)
    assert down == np.abs(codes[0] - codes[1]).sum()
    assert up == np.abs(codes[1] - codes[2]).sum()
    assert ((crossings > 0) & (crossings < 1)).sum() == down
    assert (crossings > 1).sum() == up


@given(seed=SEEDS)
def test_cells_without_biases_are_cones_in_the_orthant_too(seed):
    rng = np.random.default_rng(seed)
    net, x = toy.bias_free([5, 8, 1], rng), after_relu(rng, 5)
    found = lens_cells.measure(net, x).cells
    for where in ("free", "orthant"):
        assert found[f"{where}_is_cone"] == found[f"{where}_has_apex"] == "True"
        assert found[f"{where}_bounded"] == "False"
        assert found[f"{where}_level"] == "exact"
    assert (found["crossed_down"], found["crossed_up"]) == (0, 0)
    assert found["orthant_through_origin"] == 8 + 5
    assert found["orthant_touching"] == found["zeros"]


@given(seed=SEEDS)
def test_fewer_units_than_channels_make_every_half_space_a_facet(seed):
    rng = np.random.default_rng(seed)
    net, x = toy.he([9, 6, 1], rng), after_relu(rng, 9)
    found = lens_cells.measure(net, x).cells
    code = np.unpackbits(np.frombuffer(bytes.fromhex(found["code"]), dtype=np.uint8), count=6)
    assert np.array_equal(code, pg.spline_codes(net, x).letters[0])
    assert (found["free_facets"], found["free_redundant"], found["free_undecided"]) == (6, 0, 0)
    assert (found["free_bounded"], found["free_has_apex"]) == ("False", "True")


@given(seed=SEEDS)
def test_the_distance_within_the_orthant_is_that_of_a_quadratic_program(seed):
    rng = np.random.default_rng(seed)
    net, x = toy.he([4, 3, 1], rng), after_relu(rng, 4)
    P = pg.piece_at(net, x).polyhedron
    distances = []
    for a, b in zip(P.A, P.b, strict=True):
        y = cvxpy.Variable(4)
        program = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(y - x)), [a @ y == b, y >= 0])
        program.solve(solver=cvxpy.CLARABEL)
        distances.append(np.sqrt(program.value))
    reach, gap = lens_cells.reach_in_orthant(P, x)
    assert np.isclose(reach, min(distances), rtol=1e-3, atol=1e-4)
    assert gap <= 1e-9 * (1 + reach) if np.isfinite(reach) else gap == 0
    near = pg.nearest_boundaries(net, x).bounds[0, 0]
    assert reach >= near or np.isclose(reach, near)


@given(seed=SEEDS)
def test_a_deep_cell_ends_where_its_rays_leave_it(seed):
    rng = np.random.default_rng(seed)
    net = toy.he([3, 6, 6, 1], rng)
    x, other = rng.normal(size=(2, 3))
    found = lens_deep.measure_deep(net, x, other, rng)
    P = pg.piece_at(net, x).polyhedron
    for name, direction in (("down", -x), ("up", x), ("other", other - x)):
        t = found[f"exit_{name}"]
        assert P.contains(x + min(t, 100.0) * 0.999 * direction)
        assert not np.isfinite(t) or not P.contains(x + t * 1.001 * direction)
    assert (found["contains_origin"] == "True") == bool(P.contains(np.zeros(3)))
    assert found["level"] == "exact"


# -- the toy partition ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def partition() -> dict[str, np.ndarray]:
    return fig_toy_partition.compute(quick=True)


def test_the_toy_partition_is_complete(partition):
    assert partition["complete"].all()
    areas = [partition["area"][partition["panel"] == k].sum() for k in range(3)]
    assert np.allclose(areas, 36.0)
    assert all(fig_toy_partition.counted(partition, k).endswith("cells, proved") for k in range(3))


def test_the_first_layer_has_a_cell_per_line_and_crossing_in_the_box(partition):
    """Lines in general position: 1 + lines that meet the box + crossings inside it."""
    layer = fig_toy_partition.truncations()[0].steps[0]
    W, b, half = layer.weight, layer.constant, fig_toy_partition.HALF_WIDTH
    meeting = np.abs(b) < half * np.abs(W).sum(axis=1)
    pairs = [[i, j] for i in range(len(b)) for j in range(i)]
    crossings = np.array([np.linalg.solve(W[pair], -b[pair]) for pair in pairs])
    inside = (np.abs(crossings) < half).all(axis=1)
    n_cells = int((partition["panel"] == 0).sum())
    assert n_cells == 1 + meeting.sum() + inside.sum()
    assert n_cells <= 1 + len(b) + comb(len(b), 2)


def test_a_missing_cell_is_not_called_proved(partition):
    some = partition | {"complete": np.zeros(3, dtype=bool)}
    assert "not proved" in fig_toy_partition.counted(some, 0)
    assert "do not fill the box" in fig_toy_partition.report(some)


# -- training, statistics, graphs ------------------------------------------------------------------------------


def test_the_decision_line_is_where_both_logits_are_equal():
    net = toy.trained.two_spirals((8, 8), at=(100,)).networks[0]
    K = pg.enumerate_regions(net, pg.Polyhedron.box(-1, 1, dim=2), store="cells")
    logits = net(fig_training.decision_line(net, K).reshape(-1, 2))
    assert len(logits) > 4
    assert np.allclose(logits[:, 0], logits[:, 1], atol=1e-9)


def test_the_statistics_of_one_layer_are_those_of_the_theorems():
    rng = np.random.default_rng(1)
    regions, edges = fig_statistics._counts(toy.he((3, 7, 1), rng))
    assert regions == 1 + 7 + comb(7, 2) + comb(7, 3)
    assert np.isclose(2 * edges / regions, fig_statistics.mean_facets(7, 3))
    flat = fig_statistics._distances(toy.he((2, 9, 1), rng))
    assert flat.sum() == comb(regions_of_lines(9), 2)
    assert np.array_equal(flat, np.diag(np.diag(flat)))


def regions_of_lines(m: int) -> int:
    return 1 + m + comb(m, 2)


def test_one_layer_in_the_plane_has_a_tile_for_every_crossing():
    data = fig_dual_graph.compute(quick=True)
    lines = fig_dual_graph.LINES[1]
    assert int(data["crossings"][0]) == comb(lines, 2)
    steps = np.diff(data["tiling_nodes"][data["tiling_edges"]], axis=1)[:, 0]
    assert np.allclose(np.linalg.norm(steps, axis=1), 1)
    assert data["longer"][1] == 0
    assert data["diameter"].tolist()[1] == lines


# -- files ---------------------------------------------------------------------------------------------------


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def small(nothing_fetched, monkeypatch, tmp_path):
    """Make the lens table of toy networks, few of them, into a temporary folder."""
    monkeypatch.setattr(fig_lens_table, "N_IMAGES", (3, 3))
    monkeypatch.setattr(fig_lens_table, "N_DEEP", (2, 2))
    return tmp_path / "out"


def test_the_lens_table_is_made_without_data_and_says_so(small, capsys):
    assert run("lens_table", "--quick", "--out", small) == 0
    printed = capsys.readouterr().out
    assert "not a real model" in " ".join(printed.split())
    with (small / "lens_table.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * len(fig_lens_table.TOYS)
    assert {line["free_level"] for line in lines} == {"exact"}
    assert set(lines[0]) == {"image", "block", *lens_cells.COLUMNS}
    entry = json.loads((small / "manifest.json").read_text())["figures"]["lens_table"]
    ends = (".png", ".pdf", ".csv", "_deep.csv", ".npz", ".txt")
    assert set(entry["outputs"]) == {f"lens_table{end}" for end in ends}
    assert "not a real model" in entry["caption"]
    for name, digest in entry["outputs"].items():
        assert hashlib.sha256((small / name).read_bytes()).hexdigest() == digest


def test_two_at_a_time_are_the_same_as_one_by_one(tmp_path):
    names = ("dual_graph", "facets_small")
    assert run(*names, "--quick", "--out", tmp_path / "1") == 0
    # as make does: from a python of its own, whose __main__ is that of the package
    command = [
        sys.executable,
        "-m",
        "paper_figures",
        *names,
        "--quick",
        "--jobs",
        "2",
        "--out",
        tmp_path / "2",
    ]
    root = Path(pipeline.__file__).parent.parent
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=True)
    assert all(f"[{k}/2]" in ended.stdout for k in (1, 2))
    for name in names:
        one, two = (np.load(tmp_path / jobs / f"{name}.npz") for jobs in "12")
        assert one.files == two.files
        assert all(np.array_equal(one[key], two[key]) for key in one.files)


def test_a_folder_without_models_gives_toys_and_the_reason(small, monkeypatch, tmp_path):
    monkeypatch.setenv("POLYGEOM_DATA", str(tmp_path))
    assert "no weights" in fig_lens_table.source(quick=True).text


@pytest.fixture
def script(tmp_path) -> pipeline.Script:
    """Return a figure that counts how often it is computed."""
    module = ModuleType("fig_counted", "Counted.\n\nMore.")
    module.__file__ = str(tmp_path / "fig_counted.py")
    (tmp_path / "fig_counted.py").write_text("# first")
    module.calls = 0

    def compute(quick):
        module.calls += 1
        return {"quick": np.array(quick)}

    def draw(data):
        module.drawings += 1
        return plt.figure()

    module.compute, module.draw = compute, draw
    module.FIGURE, module.drawings = "F2", 0
    module.tables = lambda data: {"counted": {"quick": [bool(data["quick"])]}}
    module.caption = lambda data: f"Quick: {bool(data['quick'])} < 1."
    return pipeline.Script("counted", module)


def made(script: pipeline.Script, out: Path, quick: bool = True) -> dict[str, object]:
    """Make a figure as the command line does, and record it."""
    entry = pipeline.make(script, out, quick)
    write_contact_sheet(pipeline.read_manifest(pipeline.record({script.name: entry}, out).parent), out)
    return entry


COUNTED = """
LIMIT = 3
COLOR = "red"

def compute(quick):
    return {"quick": LIMIT}

def draw(data):
    return COLOR
"""


def write(script: pipeline.Script, *change: str) -> None:
    Path(script.module.__file__).write_text(COUNTED.replace(*change) if change else COUNTED)


def test_a_figure_is_computed_again_only_if_something_changed(script, tmp_path):
    write(script)
    first, again = (made(script, tmp_path) for _ in range(2))
    assert (first["state"], again["state"], script.module.calls) == ("computed", "unchanged", 1)
    assert first["outputs"] == again["outputs"]
    assert made(script, tmp_path, quick=False)["state"] == "computed"
    write(script, "LIMIT = 3", "LIMIT = 4")
    assert made(script, tmp_path, quick=False)["state"] == "computed"
    assert script.module.calls == 3


def test_what_the_numbers_do_not_come_from_is_drawn_again_but_not_computed(script, tmp_path):
    write(script)
    made(script, tmp_path)
    write(script, "red", "blue")
    assert made(script, tmp_path)["state"] == "redrawn"
    (tmp_path / "counted.png").unlink()
    assert made(script, tmp_path)["state"] == "redrawn"
    (tmp_path / "counted.txt").write_text("Somebody else's words.")
    assert made(script, tmp_path)["state"] == "redrawn"
    assert (script.module.calls, script.module.drawings) == (1, 4)
    assert (tmp_path / "counted.txt").read_text() == "Figure F2. Counted.\n\nQuick: True < 1.\n"


def test_data_that_changed_is_read_again_even_at_the_same_size(script, tmp_path, monkeypatch):
    write(script)
    monkeypatch.setenv("POLYGEOM_DATA", str(tmp_path))
    script.module.DATA = ("*.bin",)
    (tmp_path / "one.bin").write_bytes(b"abc")
    key = script.key(quick=True)
    assert script.key(quick=True) == key
    (tmp_path / "one.bin").write_bytes(b"abd")
    assert script.key(quick=True) != key
    (tmp_path / "one.bin").write_bytes(b"abc")
    assert script.key(quick=True) == key


def test_half_written_data_are_computed_again(script, tmp_path):
    write(script)
    made(script, tmp_path)
    (tmp_path / "counted.npz").write_bytes((tmp_path / "counted.npz").read_bytes()[:50])
    assert made(script, tmp_path)["state"] == "computed"


def test_damaged_data_are_computed_again(script, tmp_path):
    write(script)
    made(script, tmp_path)
    cache, key = tmp_path / "counted.npz", script.key(quick=True)
    whole, data = cache.read_bytes(), pipeline.kept(cache, key)
    refused = 0
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        cache.write_bytes(damaged)
        found = pipeline.kept(cache, key)
        refused += found is None
        assert found is None or all(np.array_equal(found[name], data[name]) for name in data)
    assert refused > len(whole) // 2


@pytest.mark.parametrize("text", ["", '{"figures": {"coun', "[]", "{}", '{"figures": {"counted": 3}}'])
def test_a_damaged_manifest_is_written_anew(script, tmp_path, text):
    write(script)
    made(script, tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    assert made(script, tmp_path)["state"] == "redrawn"
    assert set(pipeline.read_manifest(tmp_path)["figures"]) == {"counted"}


def test_a_skipped_figure_says_why_and_leaves_no_files(script, tmp_path):
    def compute(quick):
        raise pipeline.SkippedError("no weights here: polygeom fetch them & see")

    script.module.compute = compute
    entry = made(script, tmp_path)
    assert entry["skipped"] == "no weights here: polygeom fetch them & see"
    assert not list(tmp_path.glob("*.png"))
    page = (tmp_path / "index.html").read_text()
    assert "no weights here: polygeom fetch them &amp; see" in page
    assert made(script, tmp_path)["state"] == "skipped"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("inception_density", "polygeom fetch inceptionv1 images"),
        ("inception_scaling", "polygeom fetch inceptionv1 images"),
        ("inception_clusters", "polygeom fetch inceptionv1 images"),
        ("slices", "polygeom fetch cifar10 inceptionv1 images"),
        ("text_clusters", "place some there by hand"),
        ("layernorm", "place some there by hand"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_without_its_data_a_figure_names_the_command_that_brings_them(
    name, command, named, nothing_fetched, tmp_path, monkeypatch
):
    empty = tmp_path / "an empty folder"
    empty.mkdir()
    if named:
        monkeypatch.setenv("POLYGEOM_DATA", str(empty))
    entry = pipeline.make(pipeline.scripts([name])[name], tmp_path, quick=True)
    assert entry["state"] == "skipped"
    assert command in entry["skipped"]
    if named and "fetch" in command:
        assert f"--into '{empty}'" in entry["skipped"]  # what is fetched elsewhere would not be read


def test_the_contact_sheet_shows_pictures_with_captions_in_order(script, tmp_path):
    write(script)
    made(script, tmp_path)
    other = ModuleType("fig_last", "Last.")
    other.__dict__.update({**script.module.__dict__, "__doc__": "Last.", "FIGURE": "F10"})
    made(pipeline.Script("a_last", other), tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert re.findall(r'<img src="(.*?)"', page) == ["counted.png", "a_last.png"]
    assert "Quick: True &lt; 1." in page
    for linked in re.findall(r'(?:href|src)="([^#"]*)"', page):
        assert (tmp_path / linked).is_file()


def test_numbers_sort_as_numbers():
    given = ["S1", "F10", "F5b", "", "F2", "F5", "S2"]
    assert sorted(given, key=pipeline.place) == ["F2", "F5", "F5b", "F10", "S1", "S2", ""]


def test_every_script_keeps_the_contract():
    found = pipeline.scripts()
    numbers = [script.number for script in found.values()]
    assert len(set(numbers)) == len(numbers)
    for script in found.values():
        assert pipeline.place(script.number)[0] < 2
        missing = {"compute", "draw", "tables", "caption"} - vars(script.module).keys()
        assert not missing, script.name
        assert sources.reached(ast.parse(Path(script.module.__file__).read_text()), "compute")


def test_only_what_compute_names_belongs_to_the_numbers():
    source = COUNTED + "\nLATER = 2\ndef helper():\n    return LATER\nclass Unused:\n    pass\n"
    tree = ast.parse(source.replace("return {", "helper()\n    return {"))
    kept = "\n".join(map(ast.unparse, sources.reached(tree, "compute")))
    assert all(text in kept for text in ("LIMIT = 3", "LATER = 2", "def helper", "def compute"))
    assert not any(text in kept for text in ("COLOR", "def draw", "Unused"))


def test_the_list_names_every_script_with_its_title(capsys):
    assert run("--list") == 0
    printed = capsys.readouterr().out
    for name, script in pipeline.scripts().items():
        assert name in printed
        assert script.title.endswith(".")


def test_an_unknown_figure_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("no_such_figure", "--out", tmp_path)
    assert "toy_partition" in capsys.readouterr().err


# -- plotting ------------------------------------------------------------------------------------------------


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_what_is_drawn_is_what_was_given(ax):
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    cells = plotting.draw_cells([square, square[:3]], ax=ax, colors=["red", "blue"])
    assert [len(path.vertices) for path in cells.get_paths()] == [5, 4]  # closed
    lines = plotting.draw_facets([[[0, 0], [1, 1]]], ax=ax)
    assert lines.get_segments()[0].tolist() == [[0, 0], [1, 1]]
    rows = plotting.draw_halfspaces(pg.Polyhedron([[3, 4], [0, 0]], [5, 1]), ax=ax)
    (row,) = rows
    assert np.allclose([3, 4] @ np.transpose([row.get_xy1(), row.get_xy2()]), 5)
    texts = plotting.draw_table([["a", "b"], ["1", "$x$"]], ax=ax)
    assert [text.get_text() for text in texts] == ["a", "b", "1", "$x$"]


def test_what_does_not_lie_in_the_plane_is_refused(ax):
    with pytest.raises(InputError, match=r"polygons\[0\]"):
        plotting.draw_cells([np.zeros((3, 3))], ax=ax)
    with pytest.raises(InputError, match="segments"):
        plotting.draw_facets(np.zeros((2, 2)), ax=ax)
    with pytest.raises(InputError, match=r"R\^3"):
        plotting.draw_halfspaces(pg.Polyhedron.orthant(3), ax=ax)
    with pytest.raises(InputError, match="equally long"):
        plotting.draw_table([["a"], ["b", "c"]], ax=ax)


@pytest.mark.slow
def test_real_cells_have_the_facets_that_rank_demands(data):
    """Fewer half-spaces than channels, of full rank: all are facets, and the cell has an apex; not so in 3b."""
    model = inception.load(data / "models" / "inceptionv1" / "googlenet.safetensors")
    files = sorted((data / "data" / "images").glob("*.jpg"))[:1]
    seen = inception.entering(model, inception.preprocess(files), ["inception_3b", "inception_4a"])
    for block, apex in (("inception_3b", "False"), ("inception_4a", "True")):
        x = seen[block][0][:, seen[block].shape[2] // 2, seen[block].shape[3] // 2]
        net = inception.channel_stack(model, block)
        found = lens_cells.measure(net, x).cells
        assert found["free_facets"] + found["free_redundant"] == net.n_units
        assert (found["free_has_apex"], found["free_level"], found["orthant_level"]) == (
            apex,
            "exact",
            "exact",
        )
        assert found["orthant_touching"] == found["zeros"] == (x == 0).sum()
