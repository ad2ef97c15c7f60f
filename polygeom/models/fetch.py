"""Models and images from where they are published, by hash, into a folder that the library reads.

A file whose hash is known is refused unless it has it. Images come as one archive of a pinned commit; no hash of
such an archive is published, so that of what came is recorded, and any later download has to have it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath

from polygeom.data_folder import RECORD, cache_folder
from polygeom.errors import DownloadError, InputError, MissingPackageError
from polygeom.models.caffemodel import read_caffemodel

__all__ = ["NAMES", "Fetched", "Remote", "fetch"]

HUB = "https://huggingface.co/openai-community/gpt2/resolve/607a30d783dfa663caf39e06633721c8d4cfcd7e"
IMAGES = "bc69043e2862758a1906c6a24a792bb28c6bb2ff"
"""The commit of EliSchwartz/imagenet-sample-images."""

TIMEOUT = 30
"""Seconds without an answer after which a place is given up."""


@dataclass(frozen=True)
class Remote:
    """A file somewhere else.

    Attributes
    ----------
    path : str
        Where it goes, below the folder.
    urls : tuple of str
        Where it may come from, in this order.
    hash : str or None
        ``ALGORITHM:HEX``, as published; None if nobody published one.
    size : int or None
        How many bytes, if that is known.
    """

    path: str
    urls: tuple[str, ...]
    hash: str | None
    size: int | None


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did.

    Attributes
    ----------
    folder : Path
        What POLYGEOM_DATA may name.
    files : tuple of Path
        What can be read now.
    notes : tuple of str
        What one should know, as hashes that could only be recorded.
    """

    folder: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...]


CAFFEMODEL = Remote(
    "downloads/bvlc_googlenet.caffemodel",
    (
        "http://dl.caffe.berkeleyvision.org/bvlc_googlenet.caffemodel",
        "https://www.deepdetect.com/downloads/platform/pretrained/caffe/googlenet/bvlc_googlenet.caffemodel",
    ),
    "sha1:405fc5acd08a3bb12de8ee5e23a96bec22f08204",
    53_533_754,
)
SYNSETS = Remote(
    "models/inceptionv1/synset_words.txt",
    ("https://raw.githubusercontent.com/opencv/opencv/3.3.1/samples/data/dnn/synset_words.txt",),
    "sha256:acf75ef0abe89694b19056e0796401068b459c457baa30335f240c7692857355",
    31_675,
)
ARCHIVE = Remote(
    f"downloads/imagenet-sample-images-{IMAGES[:8]}.zip",
    (f"https://codeload.github.com/EliSchwartz/imagenet-sample-images/zip/{IMAGES}",),
    None,
    None,
)
CIFAR10 = Remote(
    "models/onnx/cifar10_small.onnx",
    (
        "https://raw.githubusercontent.com/stanleybak/vnncomp2021/c48489a7e61be512d1a02b37d163d1ec8450934f"
        "/benchmarks/marabou-cifar10/nets/cifar10_small.onnx",
    ),
    "sha256:c8e3ce2a76c16244cf6d9b0cdefc13f2d380630d84e38916a93a85e45d74c3b5",
    343619,
)
GPT2 = tuple(
    Remote(f"models/gpt2/{name}", (f"{HUB}/{name}",), f"sha256:{digest}", size)
    for name, digest, size in (
        ("config.json", "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4", 665),
        ("vocab.json", "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783", 1_042_301),
        ("merges.txt", "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5", 456_318),
        (
            "model.safetensors",
            "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
            548_105_171,
        ),
    )
)


def fetch(name: str, into: str | Path | None = None, *, progress: bool = False) -> Fetched:
    """Fetch a model or images, unless they are there.

    Parameters
    ----------
    name : {"inceptionv1", "gpt2", "images", "cifar10"}
        GoogLeNet with the BVLC weights (54 MB, turned into safetensors), GPT2-small (549 MB), or one image of each
        of the 1000 ImageNet classes (for research), or a small convolutional network of VNN-COMP 2021.
    into : str or Path, optional
        By default `polygeom.data_folder.cache_folder`, where the library looks if POLYGEOM_DATA is not set.
    progress : bool
        Show bars.

    Raises
    ------
    InputError
        If the name is unknown, or a file has other contents than it should.
    DownloadError
        If a file cannot be fetched; the message says what to place where by hand.
    MissingPackageError
        If pooch or safetensors is not installed.

    Examples
    --------
    >>> fetch("alexnet")
    Traceback (most recent call last):
    polygeom.errors.InputError: There is no 'alexnet' to fetch; there are inceptionv1, gpt2, images, cifar10.
    """
    if name not in NAMES:
        raise InputError(f"There is no {name!r} to fetch; there are {', '.join(NAMES)}.")
    folder = cache_folder() if into is None else Path(into)
    remotes, unpack = NAMES[name]
    notes = [note for remote in remotes for note in _bring(name, remote, folder, progress)]
    files = unpack(folder)
    return Fetched(folder, tuple(files), tuple(notes))


# -- one file --------------------------------------------------------------------------------------------------


def _bring(name: str, remote: Remote, folder: Path, progress: bool) -> list[str]:
    """Bring a file to its place, and return what is to be said about it."""
    try:
        import pooch
    except ImportError:
        raise MissingPackageError("Fetching models", "pooch", extra="fetch") from None
    record, place = _read_record(folder), folder / remote.path
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {place.parent} cannot be made: {error.strerror}.") from error
    known = remote.hash or record.get(remote.path, {}).get("sha256")
    pooch.get_logger().setLevel("ERROR")
    if known and place.is_file() and not pooch.hashes.hash_matches(place, known):
        raise InputError(
            f"{place} has other contents than it should: wanted {known}. Likely cause: it was cut short, or is "
            "another release. Delete it, and it is fetched again."
        )
    failures = []
    for url in remote.urls:
        load = pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT)
        try:
            # a file that is there is only read, whatever the address
            pooch.retrieve(url, known, fname=place.name, path=place.parent, downloader=load)
        except (OSError, ValueError) as error:
            failures.append(f"{url}: {_reason(error)}")
        else:
            return _recorded(remote, url, folder)
    raise DownloadError(_by_hand(name, folder, failures))


def _recorded(remote: Remote, url: str, folder: Path) -> list[str]:
    """Record where a file came from and its hash; return a note if there was none to compare it with."""
    record, place = _read_record(folder), folder / remote.path
    with place.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    new = remote.path not in record
    record[remote.path] = {"url": url, "sha256": digest, "published": remote.hash}
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if remote.hash or not new:
        return []
    return [f"Nobody published a hash of {place.name}; that of what came is recorded: sha256 {digest}."]


def _read_record(folder: Path) -> dict[str, dict]:
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:
        record = None
    if not isinstance(record, dict) or not all(isinstance(entry, dict) for entry in record.values()):
        raise InputError(
            f"{path} is no record of what was fetched. Likely cause: it was cut short. Delete it; files that are "
            "there are kept."
        )
    return record


def _reason(error: BaseException) -> str:
    """Return one short line: what the innermost cause says, without the objects that requests spells out."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].removesuffix(".")[:200]


def _by_hand(name: str, folder: Path, failures: list[str]) -> str:
    """Say what failed, and what to place where."""
    places = [
        f"  {remote.urls[0]}\n    -> {folder / remote.path}\n"
        f"       ({_size(remote)}{remote.hash or 'no published hash'})"
        for remote in NAMES[name][0]
    ]
    tried = "\n".join(f"  {failure}" for failure in failures)
    return (
        f"{name} could not be fetched:\n{tried}\n"
        "Without a connection, place these files by hand and run the same command again:\n"
        + "\n".join(places)
    )


def _size(remote: Remote) -> str:
    return "" if remote.size is None else f"{remote.size:,} bytes, "


# -- what becomes of them --------------------------------------------------------------------------------------


def _googlenet(folder: Path) -> list[Path]:
    """Turn Caffe's weights into safetensors, with the tensors named as in Caffe."""
    try:
        from safetensors.numpy import save_file
    except ImportError:
        raise MissingPackageError("The weights of InceptionV1", "safetensors", extra="lens") from None
    from polygeom.models import inception

    target = folder / "models" / "inceptionv1" / "googlenet.safetensors"
    if not target.is_file():
        blobs = read_caffemodel(folder / CAFFEMODEL.path)
        wanted = inception.tensor_shapes()
        lacking = sorted({name.rpartition(".")[0] for name in wanted} - blobs.keys())
        if lacking:
            raise InputError(f"{folder / CAFFEMODEL.path} lacks layers of GoogLeNet: {', '.join(lacking)}.")
        tensors = {}
        for name, shape in wanted.items():
            layer, _, kind = name.rpartition(".")
            arrays = dict(zip(("weight", "bias"), blobs[layer], strict=False))
            if kind not in arrays or arrays[kind].size != prod(shape):
                raise InputError(
                    f"{name} in {folder / CAFFEMODEL.path} has not the shape {shape} of GoogLeNet's."
                )
            tensors[name] = arrays[kind].reshape(shape)
        partial = target.with_suffix(".partial")
        save_file(tensors, partial)
        partial.replace(target)
    return [target, folder / SYNSETS.path]


def _images(folder: Path) -> list[Path]:
    """Unpack the images, each under its own name."""
    target = folder / "data" / "images"
    target.mkdir(parents=True, exist_ok=True)
    if not zipfile.is_zipfile(folder / ARCHIVE.path):
        raise InputError(f"{folder / ARCHIVE.path} is no zip archive. Delete it, and it is fetched again.")
    with zipfile.ZipFile(folder / ARCHIVE.path) as archive:
        members = [m for m in archive.namelist() if PurePosixPath(m).suffix.lower() in (".jpeg", ".jpg")]
        if not members:
            raise InputError(f"There is no image in {folder / ARCHIVE.path}.")
        try:
            for member in members:
                (target / f"{PurePosixPath(member).stem}.jpg").write_bytes(archive.read(member))
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise InputError(
                f"{folder / ARCHIVE.path} is damaged ({error}). Delete it, and it is fetched again."
            ) from error
    return sorted(target.glob("*.jpg"))


def _as_they_are(*remotes: Remote) -> Callable[[Path], list[Path]]:
    return lambda folder: [folder / remote.path for remote in remotes]


NAMES: dict[str, tuple[tuple[Remote, ...], Callable[[Path], list[Path]]]] = {
    "inceptionv1": ((CAFFEMODEL, SYNSETS), _googlenet),
    "gpt2": (GPT2, _as_they_are(*GPT2)),
    "images": ((ARCHIVE,), _images),
    "cifar10": ((CIFAR10,), _as_they_are(CIFAR10)),
}
"""What can be fetched: its files, and what is done with them."""
