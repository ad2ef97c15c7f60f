"""Activations of images: what is read, what is skipped, what is kept on disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from polygeom.errors import InputError
from polygeom.lens import kept_rows
from polygeom.lens.activations import ImageActivations, behind_layer, image_activations, image_files
from polygeom.lens.wordnet import GROUPS, wordnet_groups
from polygeom.models import inception

LAYERS = ("conv2_reduce", "relu2_reduce", "inception_3a")


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return inception.architecture()


@pytest.fixture
def folder(tmp_path):
    """Four colored images, a grey one, a broken one."""
    place, rng = tmp_path / "images", np.random.default_rng(0)
    place.mkdir()
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (230, 240, 3), dtype=np.uint8)).save(place / f"{i}.png")
    Image.fromarray(rng.integers(0, 256, (230, 240), dtype=np.uint8)).save(place / "grey.png")
    (place / "broken.jpg").write_bytes(b"no image")
    (place / "notes.txt").write_text("not an image either")
    return place


def test_vectors_and_letters_are_those_of_the_forward_pass(model, folder):
    found = image_activations(model, image_files(folder), LAYERS, cache=False, position=(0.25, 0.75))
    seen = inception.entering(
        model, inception.preprocess(list(found.files)), ["relu2_reduce", "conv2", "inception_3b"]
    )
    for layer, name in (("conv2_reduce", "relu2_reduce"), ("relu2_reduce", "conv2"), (LAYERS[-1], BEHIND)):
        whole = seen[name]
        there = whole[:, :, int(0.25 * whole.shape[2]), int(0.75 * whole.shape[3])]
        assert np.allclose(found.at(layer), there, rtol=1e-4, atol=1e-4 * abs(there).max())
    one, three, five, pool = 64, 128, 32, 32
    letters = found.codes("inception_3a").letters
    outputs = np.r_[0:one, one + 96 : one + 96 + three, -five - pool : 0]  # the reductions left out
    assert (letters[:, outputs] == (found.at("inception_3a") > 0)).all()
    assert found.codes("conv2_reduce").letters.shape == (5, 0)
    assert found.codes().letters.shape == (5, 64 + 368)


BEHIND = "inception_3b"


def test_grey_images_are_converted_and_unreadable_ones_skipped_and_both_named(model, folder):
    files = [*image_files(folder), folder / "absent.png"]
    found = image_activations(model, files, "relu1", cache=False)
    assert [file.rsplit("/", 1)[-1] for file in found.files] == [
        "0.png",
        "1.png",
        "2.png",
        "3.png",
        "grey.png",
    ]
    assert found.grey.tolist() == [False] * 4 + [True]
    assert {name.rsplit("/", 1)[-1] for name, _ in found.skipped} == {"broken.jpg", "absent.png"}
    assert all(why for _, why in found.skipped)
    assert "1 grey, 2 skipped" in repr(found)


def test_what_was_computed_is_not_computed_again(model, folder, tmp_path):
    files = image_files(folder)
    first = image_activations(model, files[:3], LAYERS, cache=tmp_path, batch=2)
    again = image_activations(model, files, LAYERS, cache=tmp_path, batch=2)
    fresh = image_activations(model, files, LAYERS, cache=False, batch=2)
    assert (first.computed, again.computed, fresh.computed) == (3, 2, 5)
    assert (again.letters == fresh.letters).all()
    assert np.allclose(again.vectors, fresh.vectors, rtol=1e-4, atol=1e-4)
    assert image_activations(model, files, "relu1", cache=tmp_path).computed == 5


def test_an_image_is_known_by_its_bytes_not_by_its_name(model, folder, tmp_path):
    image_activations(model, [folder / "0.png"], "relu1", cache=tmp_path)
    (folder / "0.png").rename(folder / "moved.png")
    (folder / "1.png").rename(folder / "0.png")
    both = image_activations(model, [folder / "moved.png", folder / "0.png"], "relu1", cache=tmp_path)
    assert both.computed == 1
    assert not np.array_equal(*both.vectors)


def test_other_weights_are_another_network(model, folder, tmp_path):
    image_activations(model, [folder / "0.png"], "relu1", cache=tmp_path)
    torch.manual_seed(1)
    other = image_activations(inception.architecture(), [folder / "0.png"], "relu1", cache=tmp_path)
    assert other.computed == 1


def test_an_interrupted_run_goes_on_where_it_was(model, folder, tmp_path, monkeypatch):
    write, calls = kept_rows.KeptRows.write, []

    def interrupted(self, rows):
        if calls:
            raise KeyboardInterrupt
        calls.append(len(rows))
        write(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(kept_rows.KeptRows, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            image_activations(model, image_files(folder), "relu1", cache=tmp_path, batch=2)
    assert image_activations(model, image_files(folder), "relu1", cache=tmp_path, batch=2).computed == 3


def test_a_broken_file_of_the_cache_counts_as_absent(model, folder, tmp_path):
    image_activations(model, image_files(folder), "relu1", cache=tmp_path, batch=2)
    for file in sorted((tmp_path / "activations").rglob("*.npz"))[:1]:
        file.write_bytes(file.read_bytes()[:100])
    found = image_activations(model, image_files(folder), "relu1", cache=tmp_path, batch=2)
    assert 0 < found.computed < len(found)


def test_results_come_back_from_a_file(model, folder, tmp_path):
    found = image_activations(model, image_files(folder), LAYERS, cache=False)
    found.save(tmp_path / "found.npz")
    back = ImageActivations.load(tmp_path / "found.npz")
    assert np.array_equal(back.vectors, found.vectors)
    assert (back.channels, back.gates, back.skipped) == (found.channels, found.gates, found.skipped)


def test_the_cache_folder_follows_the_platform(monkeypatch, tmp_path):
    monkeypatch.setattr(kept_rows.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept_rows.cache_folder() == tmp_path / "polygeom"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kept_rows.cache_folder().parts[-2:] == (".cache", "polygeom")
    monkeypatch.setattr(kept_rows.sys, "platform", "darwin")
    assert kept_rows.cache_folder().parts[-3:] == ("Library", "Caches", "polygeom")
    monkeypatch.setattr(kept_rows.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert kept_rows.cache_folder() == tmp_path / "polygeom" / "Cache"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"layers": "inception_6a"}, "inception_6a"),
        ({"layers": ()}, "no layers"),
        ({"files": []}, "no files"),
        ({"files": ["absent.png"]}, "None of 1"),
        ({"position": (0.5, 1.0)}, "position"),
        ({"position": 0.5}, "position"),
        ({"batch": 0}, "batch"),
        ({"batch": 2.5}, "batch"),
        ({"layers": 3}, "no layers"),
        ({"files": None}, "files is None"),
        ({"files": "0.png"}, "image_files"),
        ({"files": [3]}, "wanted a path"),
        ({"model": torch.nn.Linear(1, 1)}, "Linear"),
    ],
)
def test_bad_arguments_are_named(model, folder, change, word):
    given = {"model": model, "files": [folder / "0.png"], "layers": "relu1"} | change
    with pytest.raises(InputError, match=word):
        image_activations(**given, cache=False)


def test_absent_folders_are_named(nothing_fetched, tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        image_files(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no image in"):
        image_files(tmp_path)
    with pytest.raises(InputError, match="POLYGEOM_DATA"):
        image_files()


def test_an_unknown_layer_of_a_result_is_named(model, folder):
    found = image_activations(model, [folder / "0.png"], "relu1", cache=False)
    for ask in (found.at, found.codes):
        with pytest.raises(InputError, match="relu2"):
            ask("relu2")


def test_behind_a_layer_the_network_goes_on_as_before(model, folder):
    files = [folder / "0.png", folder / "1.png"]
    net, entering = behind_layer(model, files, start="average")
    with torch.no_grad():
        logits = model(inception.preprocess(files)).numpy()
    assert net.dim_in == 1024 * 7 * 7
    assert np.allclose(net(entering), logits, rtol=1e-3, atol=1e-3 * np.abs(logits).max())
    with pytest.raises(InputError, match="broken"):
        behind_layer(model, [folder / "broken.jpg"], start="average")


# -- groups ------------------------------------------------------------------------------------------------------


def test_ranges_of_ids_ascend():
    firsts = [first for first, _ in GROUPS]
    assert firsts == sorted(set(firsts))


def test_all_classes_have_a_group(data):
    names = inception.class_names(data / "models" / "inceptionv1" / "synset_words.txt")
    groups = dict(zip(names, wordnet_groups(names), strict=True))
    assert (wordnet_groups(names) == "dog").sum() == 118  # the breeds of ILSVRC 2012
    known = {
        "goldfish": "fish",
        "tabby": "cat",
        "tarantula": "arachnid",
        "monarch": "insect",
        "king penguin": "bird",
    }
    for word, group in known.items():
        (found,) = [groups[i] for i, words in names.items() if words.split(",")[0] == word]
        assert found == group


@pytest.mark.parametrize("name", ["dog.jpg", "n00000001_entity.jpg", ""])
def test_what_has_no_id_of_imagenet_is_refused(name):
    with pytest.raises(InputError, match="WordNet"):
        wordnet_groups([name])


def test_the_trained_network_on_real_images(data, tmp_path):
    real = inception.load(data / "models" / "inceptionv1" / "googlenet.safetensors")
    files = image_files(data / "data" / "images")[::250]
    found = image_activations(real, files, ["inception_4c", "inception_5b"], cache=tmp_path)
    assert found.at("inception_4c").shape == (4, 512)
    assert found.codes("inception_4c").letters.shape == (4, 664)
    assert 0.2 < (found.at("inception_5b") == 0).mean() < 1


def test_every_copy_of_an_unreadable_file_is_named(model, folder):
    for name in ("first.jpg", "second.jpg"):
        (folder / name).write_bytes(b"the same bytes")
    found = image_activations(model, [*image_files(folder)], "relu1", cache=False)
    skipped = {name.rsplit("/", 1)[-1] for name, _ in found.skipped}
    assert {"first.jpg", "second.jpg"} <= skipped
    assert len(found) + len(skipped) == len(image_files(folder))


def test_a_cache_that_cannot_be_written_is_named(model, folder, monkeypatch, tmp_path):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="cache is a int"):
        image_activations(model, [folder / "0.png"], "relu1", cache=3)
    monkeypatch.setattr(kept_rows.np, "savez", full)
    with pytest.raises(InputError, match=r"cannot be written to.*No space"):
        image_activations(model, [folder / "0.png"], "relu1", cache=tmp_path)
