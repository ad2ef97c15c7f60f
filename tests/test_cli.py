"""The command line: what it prints, its exit codes, and that no user error is a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import zipfile
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import polygeom as pg
from polygeom import data_folder
from polygeom.__main__ import main
from polygeom.cli.terminal import DIFFERENT, FINE, REFUSED
from polygeom.errors import DownloadError, InputError
from polygeom.models import caffemodel, fetch, inception, toy


def said(capsys, *arguments: object) -> tuple[int, str, str]:
    """Return the exit code, what was printed, and what was complained about."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


# -- inspect and enumerate -----------------------------------------------------------------------------------


def test_inspect_counts_layers_units_and_parameters(capsys):
    code, out, _ = said(capsys, "inspect", "toy:quick", "--json", "-")
    found, net = json.loads(out), toy.named("quick")
    assert code == FINE
    assert found["units"] == net.n_units == sum(layer["units"] for layer in found["layers"])
    dense = [step for step in net.steps if hasattr(step, "weight")]
    assert found["parameters"] == sum(s.weight.size + s.constant.size for s in dense)
    assert [layer["kind"] for layer in found["layers"]] == ["dense", "relu", "dense", "relu", "dense"]


def test_inspect_describes_the_region_at_a_point(capsys, tmp_path):
    x = np.array([0.3, -0.2])
    np.save(tmp_path / "x.npy", x)
    found = [
        json.loads(said(capsys, "inspect", "toy:quick", f"--at={at}", "--json", "-")[1])["region"]
        for at in ("0.3,-0.2", tmp_path / "x.npy")
    ]
    assert found[0] == found[1]
    P = pg.piece_at(toy.named("quick"), x).polyhedron
    assert found[0]["facets"] == len(pg.facets(P).facets)
    assert found[0]["bounded"] == pg.is_bounded(P)
    assert found[0]["contains_origin"] == bool(P.contains(np.zeros(2)))
    code, out, _ = said(capsys, "inspect", "toy:cones", "--at", "zeros", "--json", "-")
    tip = json.loads(out)["region"]
    assert (code, tip["dimension"], tip["bounded"], tip["touching"]) == (FINE, 0, True, 6)
    code, out, _ = said(capsys, "inspect", "toy:cones", "--at=1,0")
    assert code == FINE
    assert "nearest boundary" in out


def test_inspect_of_a_large_region_says_what_it_leaves_out(capsys, monkeypatch):
    monkeypatch.setattr("polygeom.cli.inspect.MOST_ENTRIES", 1)
    code, out, _ = said(capsys, "inspect", "toy:quick", "--at", "ones")
    assert code == FINE
    assert "too many" in " ".join(out.split())


def test_enumerate_counts_and_checks(capsys, tmp_path):
    K = pg.enumerate_regions(toy.named("quick"))
    out = tmp_path / "found.json"
    code, printed, _ = said(
        capsys, "enumerate", "toy:quick", "--check", "--json", out, "--save", tmp_path / "K.npz"
    )
    found = json.loads(out.read_text())
    assert code == FINE
    assert (found["regions"], found["bounded"], found["adjacencies"]) == (
        K.n_regions,
        K.n_bounded,
        len(K.edges),
    )
    assert found["complete"]
    assert "completeness: holds" in printed
    assert pg.PolyhedralComplex.load(tmp_path / "K.npz", toy.named("quick")).n_regions == K.n_regions


def test_enumerate_in_a_box_or_counting_only(capsys):
    box = pg.enumerate_regions(toy.named("quick"), pg.Polyhedron.box(-1, 1, dim=2))
    for arguments in (("--box", "-1", "1"), ("--box", "-1", "1", "--count")):
        code, out, _ = said(capsys, "enumerate", "toy:quick", *arguments, "--json", "-")
        assert code == FINE
        assert json.loads(out)["regions"] == box.n_regions


def test_an_enumeration_that_stopped_is_not_called_complete(capsys):
    code, out, _ = said(capsys, "enumerate", "toy:quick", "--most", "5")
    assert code == DIFFERENT
    lines = [line for line in out.splitlines() if "complete" in line]
    assert lines
    assert "no" in lines[0]


def test_an_onnx_file_is_read(capsys, data):
    code, out, _ = said(capsys, "inspect", data / "models" / "onnx" / "acasxu_1_1.onnx", "--json", "-")
    assert code == FINE
    assert json.loads(out)["units"] == 300


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("inspect", "nowhere.onnx"), "no file nowhere.onnx"),
        (("inspect", "toy:nowhere"), "nowhere"),
        (("inspect", "toy:quick", "--at", "1,2,3"), r"shape (3,)"),
        (("inspect", "toy:quick", "--at", "one,two"), "wanted 2 numbers"),
        (("inspect", "toy:quick", "--at", "nan,1"), "holds nan"),
        (("inspect", "toy:quick", "--at", "nowhere.npy"), "no file nowhere.npy"),
        (("inspect", "toy:quick", "--json", "/nowhere/out.json"), "cannot be written"),
        (("enumerate", "toy:quick", "--box", "1", "-1"), "smaller first"),
        (("enumerate", "toy:quick", "--most", "0"), "positive"),
        (("enumerate", "toy:quick", "--count", "--check"), "leave one of them out"),
        (("enumerate", "toy:quick", "--save", "/nowhere/K.npz"), "cannot be written"),
        (("fetch", "alexnet"), "there are inceptionv1, gpt2, images, cifar10"),
        (("verify", "no-such-claim"), "no-such-claim"),
    ],
)
def test_a_user_error_is_one_message_and_exit_code_2(capsys, arguments, words):
    code, out, err = said(capsys, *arguments)
    assert code == REFUSED
    assert words in err
    assert err.startswith("polygeom: ")
    assert "Traceback" not in err + out


def test_a_file_that_is_no_network_is_refused(capsys, tmp_path):
    (tmp_path / "odd.onnx").write_bytes(b"this is not a model")
    code, _, err = said(capsys, "inspect", tmp_path / "odd.onnx")
    assert code == REFUSED
    assert "odd.onnx" in err


@pytest.mark.parametrize("option", ["--json", "--save"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(capsys, monkeypatch, tmp_path, option):
    def never(*_, **__):
        raise AssertionError("regions were enumerated")

    monkeypatch.setattr("polygeom.cli.enumerate.enumerate_regions", never)
    for where in (tmp_path, tmp_path / "no" / "folder"):
        assert said(capsys, "enumerate", "toy:quick", option, where)[0] == REFUSED


def test_a_request_that_is_refused_leaves_files_as_they_are(capsys, tmp_path):
    (tmp_path / "old.json").write_text("old")
    for name in ("old.json", "new.json"):
        assert said(capsys, "inspect", "toy:quick", "--at=1", "--json", tmp_path / name)[0] == REFUSED
    assert (tmp_path / "old.json").read_text() == "old"
    assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize("arguments", [("--list",), ("--all", "--net", "toy:xor")])
def test_the_table_of_claims_can_be_read_in_80_columns(capsys, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = said(capsys, "verify", *arguments)
    assert code == FINE
    assert max(map(len, out.splitlines())) <= 80
    rows = [line.split("│")[1:-1] for line in out.splitlines() if line.startswith("│")]
    assert any("regions" in cell for row in rows for cell in row)  # a word fits into a line of its cell
    assert len(rows) < 400


def test_claims_are_listed_as_json(capsys):
    listed = json.loads(said(capsys, "verify", "--list", "--json", "-")[1])
    assert [one["id"] for one in listed] == list(pg.claims.registry)
    assert all(one["statement"] and one["source"] for one in listed)


def test_all_claims_and_some_of_them_are_not_asked_at_once(capsys):
    code, _, complaint = said(capsys, "verify", "--all", "facets-small")
    assert code == REFUSED
    assert "facets-small" in complaint


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk without space")
@pytest.mark.parametrize("arguments", [(), ("--json", "-")])
def test_a_full_disk_is_one_message(arguments):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "polygeom", "inspect", "toy:xor", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert ended.returncode == REFUSED
    assert ended.stderr == "polygeom: No space left on device\n"


@pytest.mark.parametrize("command", [(), ("inspect",), ("enumerate",), ("verify",), ("fetch",)])
def test_help_says_what_a_command_is_for(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0
    assert "usage: polygeom" in capsys.readouterr().out


# -- fetch -----------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    """Serve a folder on this machine; yield the folder and its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def offer(monkeypatch, name: str, remotes: tuple[fetch.Remote, ...], unpack=lambda folder: []) -> None:
    monkeypatch.setitem(fetch.NAMES, name, (remotes, unpack))


def test_a_file_comes_by_its_hash_and_is_found_afterwards(server, nothing_fetched, monkeypatch):
    folder, address = server
    (folder / "a.bin").write_bytes(b"weights")
    known = f"sha256:{sha256(b'weights').hexdigest()}"
    # the first address has nothing
    remote = fetch.Remote("models/a.bin", (f"{address}/gone.bin", f"{address}/a.bin"), known, 7)
    offer(monkeypatch, "gpt2", (remote,), lambda base: [base / "models" / "a.bin"])
    assert data_folder.data_folder() is None
    found = fetch.fetch("gpt2")
    assert found.files[0].read_bytes() == b"weights"
    assert found.folder == data_folder.data_folder() == nothing_fetched
    assert not found.notes
    (folder / "a.bin").unlink()
    assert fetch.fetch("gpt2").files == found.files  # nothing is fetched again


def test_another_content_is_refused_and_not_kept(server, nothing_fetched, monkeypatch):
    folder, address = server
    (folder / "a.bin").write_bytes(b"something else")
    remote = fetch.Remote("a.bin", (f"{address}/a.bin",), f"sha256:{sha256(b'weights').hexdigest()}", 7)
    offer(monkeypatch, "gpt2", (remote,))
    with pytest.raises(DownloadError, match="hash"):
        fetch.fetch("gpt2")
    assert not (nothing_fetched / "a.bin").exists()
    nothing_fetched.mkdir(parents=True, exist_ok=True)
    (nothing_fetched / "a.bin").write_bytes(b"cut sho")
    with pytest.raises(InputError, match="Delete it"):
        fetch.fetch("gpt2")


def test_an_unpublished_hash_is_recorded_said_and_held_to(server, nothing_fetched, monkeypatch):
    folder, address = server
    (folder / "a.zip").write_bytes(b"first")
    offer(monkeypatch, "images", (fetch.Remote("a.zip", (f"{address}/a.zip",), None, None),))
    (note,) = fetch.fetch("images").notes
    assert sha256(b"first").hexdigest() in note
    assert json.loads((nothing_fetched / data_folder.RECORD).read_text())["a.zip"]["published"] is None
    (nothing_fetched / "a.zip").unlink()
    (folder / "a.zip").write_bytes(b"second")
    with pytest.raises(DownloadError, match="hash"):
        fetch.fetch("images")


def test_without_a_connection_the_message_says_what_to_place_where(capsys, nothing_fetched, monkeypatch):
    for name, (remotes, unpack) in list(fetch.NAMES.items()):
        here = [fetch.Remote(r.path, ("http://127.0.0.1:9/file",), r.hash, r.size) for r in remotes]
        offer(monkeypatch, name, tuple(here), unpack)
        code, _, err = said(capsys, "fetch", name)
        assert code == REFUSED
        assert "place these files by hand" in err
        for remote in remotes:
            assert str(nothing_fetched / remote.path) in err
            assert (remote.hash or "no published hash") in err
        assert "Traceback" not in err


def test_a_folder_that_cannot_be_made_is_not_called_a_lost_connection(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = said(capsys, "fetch", "images", "--into", tmp_path / "file")
    assert code == REFUSED
    assert "cannot be made" in err
    assert "connection" not in err


def test_a_damaged_record_is_explained(capsys, nothing_fetched):
    nothing_fetched.mkdir(parents=True)
    (nothing_fetched / data_folder.RECORD).write_text('{"a":')
    code, _, err = said(capsys, "fetch", "images")
    assert code == REFUSED
    assert "cut short" in err


def test_images_are_unpacked_from_wherever_they_lie_in_the_archive(nothing_fetched):
    archive = nothing_fetched / fetch.ARCHIVE.path
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("repository-bc69043e/n01440764_tench.JPEG", b"one")
        file.writestr("repository-bc69043e/README.md", b"no image")
        file.writestr("../../outside.JPEG", b"two")
    found = fetch.fetch("images")  # placed by hand: nothing is fetched
    assert [path.name for path in found.files] == ["n01440764_tench.jpg", "outside.jpg"]
    assert {path.parent for path in found.files} == {nothing_fetched / "data" / "images"}


# -- Caffe's format ----------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    low = value & 127
    return bytes([low]) if value < 128 else bytes([low | 128]) + varint(value >> 7)


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def written(layers: dict[str, list[np.ndarray]], old: bool) -> bytes:
    """Write a caffemodel as Caffe does now, or did before."""
    layer, name, blobs = (2, 4, 6) if old else (100, 1, 7)
    parts = [field(1, b"GoogleNet")]
    for title, arrays in layers.items():
        inside = field(name, title.encode())
        for array in arrays:
            if old:
                sizes = (1,) * (4 - array.ndim) + array.shape
                shape = b"".join(varint(k << 3) + varint(size) for k, size in enumerate(sizes, start=1))
            else:
                shape = field(7, field(1, b"".join(map(varint, array.shape))))
            inside += field(blobs, shape + field(5, array.astype("<f4").tobytes()))
        parts.append(field(layer, inside))
    return b"".join(parts)


@pytest.mark.parametrize("old", [True, False])
def test_blobs_come_back_as_they_were_written(old, tmp_path):
    rng = np.random.default_rng(0)
    layers = {"conv1/7x7": [rng.normal(size=(3, 2, 7, 7)), rng.normal(size=3)], "pool": []}
    (tmp_path / "one.caffemodel").write_bytes(written(layers, old))
    found = caffemodel.read_caffemodel(tmp_path / "one.caffemodel")
    assert list(found) == ["conv1/7x7"]
    for got, wanted in zip(found["conv1/7x7"], layers["conv1/7x7"], strict=True):
        assert np.array_equal(got.reshape(wanted.shape), wanted.astype(np.float32))
        assert got.ndim == (4 if old else wanted.ndim)


def test_a_file_cut_short_is_refused(tmp_path):
    whole = written({"ip": [np.ones((2, 3))]}, old=False)
    for content in (whole[:-5], b"", b"\xff\xff\xff"):
        (tmp_path / "cut.caffemodel").write_bytes(content)
        with pytest.raises(InputError, match="no caffemodel"):
            caffemodel.read_caffemodel(tmp_path / "cut.caffemodel")


@pytest.mark.parametrize("old", [True, False])
def test_googlenets_caffemodel_becomes_what_inception_loads(old, nothing_fetched, monkeypatch):
    import torch

    rng = np.random.default_rng(0)
    layers: dict[str, list[np.ndarray]] = {"loss1/conv": [np.zeros((1, 1, 1, 1)), np.zeros(1)]}
    for name, shape in inception.tensor_shapes().items():
        layers.setdefault(name.rpartition(".")[0], []).append(rng.normal(size=shape).astype(np.float32))
    content = written(layers, old)
    caffe = fetch.Remote(
        fetch.CAFFEMODEL.path, ("http://127.0.0.1:9/file",), f"sha256:{sha256(content).hexdigest()}", None
    )
    monkeypatch.setattr(fetch, "CAFFEMODEL", caffe)
    offer(monkeypatch, "inceptionv1", (caffe,), fetch.NAMES["inceptionv1"][1])
    (nothing_fetched / caffe.path).parent.mkdir(parents=True)
    (nothing_fetched / "models" / "inceptionv1").mkdir(parents=True)
    (nothing_fetched / caffe.path).write_bytes(content)
    fetch.fetch("inceptionv1")
    model = inception.load()
    assert torch.equal(model.conv1.weight, torch.from_numpy(layers["conv1/7x7_s2"][0]))
    assert torch.equal(model.logits.bias, torch.from_numpy(layers["loss3/classifier"][1]))
