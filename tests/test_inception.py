"""InceptionV1: its shapes and tensors, what happens to images, and the stacks of 1x1 convolutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from polygeom.errors import InputError
from polygeom.models import inception
from polygeom.pieces import spline_codes


@pytest.fixture(scope="module")
def random_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return inception.architecture()


@pytest.fixture(scope="module")
def model(data) -> torch.nn.Module:
    return inception.load(data / "models" / "inceptionv1" / "googlenet.safetensors")


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, size=(2, 300, 280, 3), dtype=np.uint8)
    return inception.preprocess(list(pixels))


def test_the_sizes_are_those_of_the_paper(random_model, noise):
    """Szegedy et al. 2015, table 1."""
    seen = inception.entering(random_model, noise, [*inception.BLOCKS, "average", "logits"])
    channels = {name: array.shape[1] for name, array in seen.items()}
    sides = {name: array.shape[-1] for name, array in seen.items() if array.ndim == 4}
    assert {name: channels[name] for name in inception.BLOCKS} == {
        name: numbers[0] for name, numbers in inception.CHANNELS.items()
    }
    assert [sides[name] for name in (*inception.BLOCKS, "average")] == [28] * 2 + [14] * 5 + [7] * 3
    assert channels["logits"] == 1024
    assert random_model(noise).shape == (2, 1000)


def test_what_enters_comes_in_batches_as_float64(random_model, noise):
    both = inception.entering(random_model, noise, "inception_4a")["inception_4a"]
    single = inception.entering(random_model, noise[1:], ["inception_4a"], batch=1)["inception_4a"]
    assert both.dtype == np.float64
    assert np.allclose(both[1:], single, rtol=1e-4)
    assert not random_model.inception_4a._forward_pre_hooks


@pytest.mark.parametrize(("block", "size"), [("3b", 288), ("4a", 304), ("4e", 448), ("5b", 624)])
def test_the_stack_is_what_the_1x1_convolutions_compute(random_model, noise, block, size):
    name = f"inception_{block}"
    stack = inception.channel_stack(random_model, name)
    entering = inception.entering(random_model, noise, [name, f"{name}.b3x3.conv"])
    i = entering[name].shape[-1] // 2
    own = stack(entering[name][:, :, i, i])
    channels, one, reduce = inception.CHANNELS[name][:3]
    assert (stack.dim_in, stack.n_units) == (channels, size)
    theirs = entering[f"{name}.b3x3.conv"][:, :, i, i]
    assert np.allclose(own[:, one : one + reduce], theirs, rtol=1e-3, atol=1e-3 * theirs.max())
    assert stack.units[one].path == f"{name}.b3x3.reduce_relu"


def test_the_rows_of_a_stack_are_the_stored_weights(random_model):
    name = "inception_3b"
    stack = inception.channel_stack(random_model, name)
    point = np.random.default_rng(0).normal(size=stack.dim_in)
    weight = np.concatenate([step.weight for step in stack.steps if hasattr(step, "weight")])
    bias = np.concatenate([step.constant for step in stack.steps if hasattr(step, "weight")])
    assert (spline_codes(stack, point[None]).letters[0] == (weight @ point + bias > 0)).all()


# -- images ----------------------------------------------------------------------------------------------------


def test_images_come_out_blue_green_red_and_centered():
    pixels = np.zeros((256, 512, 3), dtype=np.uint8)
    pixels[:, :144] = 255  # the crop begins at column 144
    pixels[:, 144:] = (10, 20, 30)
    (image,) = inception.preprocess(pixels).numpy()
    assert image.shape == (3, 224, 224)
    assert [float(channel) for channel in image[:, 5, 5]] == [30 - 104, 20 - 117, 10 - 123]


def test_grey_palette_and_transparent_images_are_converted(tmp_path):
    grey = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    pictures = [grey, Image.fromarray(grey), tmp_path / "grey.png", str(tmp_path / "grey.png")]
    colored = inception.preprocess(np.stack([grey] * 3, axis=-1))
    for picture in pictures:
        assert torch.equal(inception.preprocess(picture), colored)
    alpha = Image.fromarray(grey).convert("RGBA")
    assert torch.equal(inception.preprocess([alpha, alpha.convert("P")])[0], colored[0])


def test_small_and_narrow_images_are_scaled_up():
    assert inception.preprocess(np.zeros((1, 7), dtype=np.uint8)).shape == (1, 3, 224, 224)


def test_an_unreadable_image_is_named(tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    for path in (broken, tmp_path / "absent.jpg"):
        with pytest.raises(InputError, match=path.name):
            inception.preprocess([path])
    Image.fromarray(np.zeros((64, 64, 3), dtype=np.uint8)).save(tmp_path / "half.jpg")
    whole = (tmp_path / "half.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"half\.jpg"):
        inception.preprocess([tmp_path / "half.jpg"])


@pytest.mark.parametrize(
    ("images", "word"),
    [
        (np.zeros((8, 8, 3)), "float64"),
        (np.zeros((8, 8, 4), dtype=np.uint8), "shape"),
        (np.zeros((0, 8, 3), dtype=np.uint8), "shape"),
        (Image.fromarray(np.zeros((8, 8), dtype=np.uint16)), "8 bits"),
        ([3], "int"),
        ([], "no images"),
    ],
)
def test_what_is_no_image_is_refused(images, word):
    with pytest.raises(InputError, match=word):
        inception.preprocess(images)


# -- files -----------------------------------------------------------------------------------------------------


def test_absent_weights_are_named(nothing_fetched, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"nothing\.safetensors"):
        inception.load(tmp_path / "nothing.safetensors")
    for ask in (inception.load, inception.class_names):
        with pytest.raises(InputError, match="POLYGEOM_DATA"):
            ask()
    monkeypatch.setenv("POLYGEOM_DATA", str(tmp_path))
    for ask in (inception.load, inception.class_names):
        with pytest.raises(InputError, match="inceptionv1"):
            ask()


def test_other_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    (tmp_path / "text.safetensors").write_text("not tensors")
    with pytest.raises(InputError, match="readable"):
        inception.load(tmp_path / "text.safetensors")
    save_file({"odd": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(InputError, match="odd"):
        inception.load(tmp_path / "odd.safetensors")


def test_an_unknown_block_is_named(random_model, noise):
    with pytest.raises(InputError, match="inception_6a"):
        inception.entering(random_model, noise, ["inception_6a"])
    with pytest.raises(InputError, match="inception_6a"):
        inception.channel_stack(random_model, "inception_6a")


@pytest.mark.slow
def test_the_weights_recognize_the_images(model, data):
    """74.7 % of all 1000 images are recognized; of 100, three standard deviations are 13 %."""
    names = list(inception.class_names(data / "models" / "inceptionv1" / "synset_words.txt"))
    files = sorted((data / "data" / "images").glob("*.jpg"))[::10]
    wanted = [names.index(file.name.split("_")[0]) for file in files]
    with torch.no_grad():
        top = model(inception.preprocess(files)).argmax(dim=1).numpy()
    assert abs(np.mean(top == wanted) - 0.747) < 3 * np.sqrt(0.747 * 0.253 / len(files))


def test_activations_after_a_relu_have_exact_zeros(model, data):
    files = sorted((data / "data" / "images").glob("*.jpg"))[:2]
    seen = inception.entering(model, inception.preprocess(files), ["inception_5b"])["inception_5b"]
    assert (seen >= 0).all()
    assert (seen == 0).mean() > 0.5
