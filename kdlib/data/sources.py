"""The data sets that are known from the start: scikit-learn's digits, and torchvision's through one adapter."""

import gzip
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from .. import paths
from ..errors import InputError
from . import registry
from .forms import Arrays, sha256
from .registry import Source

FASHION = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR = ("plane", "auto", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


# scikit-learn has the publisher's test part in the publisher's order: fourteen forms, each of the digits 0 to 9 thrice
# and then of a fixed sequence, one after the other. Here the eleventh begins, so that no form is on both sides.
DIGITS_TEST = 1287


def load_digits(root: Path) -> Arrays:
    """scikit-learn's 1797 digits of 8x8 pixels (embedded): the first 1287 for training, the last 510 for testing.

    A random split would have each writer's digits on both sides: the nearest neighbour is then right on 98.8% of the
    test digits, and on 96.1% of those of forms that it has not seen.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return images[:DIGITS_TEST], labels[:DIGITS_TEST], images[DIGITS_TEST:], labels[DIGITS_TEST:]


# Name in kdlib -> class in torchvision.datasets, its folder, its two splits' arguments.
TORCHVISION = {
    "mnist": ("MNIST", "MNIST", {"train": True}, {"train": False}),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST", {"train": True}, {"train": False}),
    "kmnist": ("KMNIST", "KMNIST", {"train": True}, {"train": False}),
    "cifar10": ("CIFAR10", "cifar-10-batches-py", {"train": True}, {"train": False}),
    "usps": ("USPS", "usps.bz2", {"train": True}, {"train": False}),
    "svhn": ("SVHN", "train_32x32.mat", {"split": "train"}, {"split": "test"}),
}


IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def torchvision_loader(name: str) -> Callable[[Path], Arrays]:
    """A loader over `torchvision.datasets`; it reads what lies in the data folder and never uses the network."""

    def load(root: Path) -> Arrays:
        if not _present(name, root):
            raise InputError(
                f"data set {name!r} was not found under {root}. `kdlib data {name} --from DIR` copies it from a folder "
                f"in torchvision's layout, `kdlib data {name} --download` fetches it; KDLIB_DATA names another folder."
            )
        arrays = _read(name, root)
        if name not in KNOWN and _packed(name) and not _archives_are_right(name, root):
            _compare_with_first_reading(name, root, arrays)
        return arrays

    return load


def fetch(name: str, root: Path, source: Path | None) -> None:
    """Put a torchvision data set into the data folder: copied from `source`, or downloaded.

    It is read and checked in a folder of its own first; what is in the data folder is replaced file by file after that,
    and left as it is where anything fails, with an `InputError`. Nothing is copied where `source` is the data folder.
    """
    from .dataset import read_arrays

    if name not in TORCHVISION:
        raise InputError(f"{name!r} needs no files, or brings its own; sets to fetch: {', '.join(TORCHVISION)}")
    if source is not None and not _present(name, source):
        raise InputError(
            f"{source} holds no {TORCHVISION[name][1]} (torchvision's layout for {name!r}): `--from` takes the folder "
            "that it lies in"
        )
    if source is not None and root.exists() and source.samefile(root):
        return
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as folder:  # beside it, to be renamed into place
        staged = Path(folder)
        if source is None:
            try:
                _download(name, staged)
            except Exception as error:
                raise InputError(f"data set {name!r} cannot be downloaded: {error}. `--from DIR` copies it.") from error
        else:
            for part in _files(name, source):
                (staged / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / part, staged / part)  # not its mode: a copy can be written
        try:
            read_arrays(name, replace(registry.find_source(name), load=partial(_read, name)), staged)
        except InputError as error:
            where, said = source or "the publisher", str(error).replace(str(staged), str(source or staged))
            raise InputError(f"what {where} has of {name!r} is not taken, {root} is as it was: {said}") from error
        unpack(name, staged)
        for part in sorted(_files(name, staged)):
            (root / part).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged / part, root / part)
    if _packed(name):
        _record(name).unlink(missing_ok=True)  # of the files that were there before


def _present(name: str, root: Path) -> bool:
    return (root / TORCHVISION[name][1]).exists()


def _files(name: str, root: Path) -> list[Path]:
    """What belongs to a set, relative to the folder that it lies in."""
    item = root / TORCHVISION[name][1]
    if _packed(name):
        found = [path for file in IDX for path in _variants(item / "raw", file)]
    elif item.is_dir():
        found = [path for path in item.iterdir() if path.is_file()]
    else:
        found = [path for path in root.glob("usps*.bz2" if name == "usps" else "*_32x32.mat") if path.is_file()]
    return [path.relative_to(root) for path in found]


def _packed(name: str) -> bool:
    """Whether a set is one of MNIST's relatives: four files in the IDX format."""
    return name in ("mnist", "fashion_mnist", "kmnist")


def _variants(raw: Path, file: str) -> list[Path]:
    """What is there of an IDX file, archives first; some programs unpack a dot where the publishers have a dash."""
    names = file, file.replace("-idx", ".idx")
    return [raw / f"{name}{end}" for end in (".gz", "") for name in names if (raw / f"{name}{end}").is_file()]


def _theirs(name: str) -> type:
    from torchvision import datasets

    return getattr(datasets, TORCHVISION[name][0])


def _download(name: str, root: Path) -> None:
    for split in TORCHVISION[name][2:]:
        _theirs(name)(str(root), download=True, **split)


def _again(name: str) -> str:
    return f"`kdlib data {name} --from DIR` or `kdlib data {name} --download` puts a whole one in its place"


def _check_md5(path: Path, md5: str, name: str) -> bytes:
    """A file's content. Raises `InputError` where it is not what the publisher published."""
    content = path.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise InputError(f"{path} is damaged or altered (its md5 is not the publisher's, {md5}): {_again(name)}")
    return content


def _read(name: str, root: Path) -> Arrays:
    return _read_idx(name, root) if _packed(name) else _read_with_torchvision(name, root)


def _read_with_torchvision(name: str, root: Path) -> Arrays:
    """Its class checks CIFAR-10's files by their md5, and SVHN's; USPS' it checks when they are fetched alone."""
    if name == "usps":
        for _, file, md5 in _theirs(name).split_list.values():
            _check_md5(root / file, md5, name)
    arrays = []
    for split in TORCHVISION[name][2:]:
        part = _theirs(name)(str(root), **split)
        images = np.asarray(part.data)
        if images.ndim == 4 and images.shape[-1] == 3:
            images = images.transpose(0, 3, 1, 2)
        labels = part.labels if hasattr(part, "labels") else part.targets
        arrays += [images, np.asarray(labels, dtype=np.int64)]
    return tuple(arrays)


def _read_idx(name: str, root: Path) -> Arrays:
    """MNIST's relatives, from their raw files alone: whatever else lies in the folder, such as `processed/`, is older.

    Nothing is written into the folder: it may be others', or shared.
    """
    train_x, train_y, test_x, test_y = (_parse_idx(_idx_content(name, root, file)) for file in IDX)
    return train_x, train_y.astype(np.int64), test_x, test_y.astype(np.int64)


def _idx_content(name: str, root: Path, file: str) -> bytes:
    """The bytes of a file: the archive's where its md5 is the publisher's, else the unpacked file's."""
    raw, damaged = root / TORCHVISION[name][1] / "raw", None
    for path in _variants(raw, file):
        if path.suffix != ".gz":
            return path.read_bytes()
        try:
            return gzip.decompress(_check_md5(path, _archive_md5(name, file), name))
        except InputError as error:
            damaged = error
    raise damaged or FileNotFoundError(f"{raw} holds neither {file} nor {file}.gz")


def _archive_md5(name: str, file: str) -> str:
    return dict(_theirs(name).resources)[f"{file}.gz"]


def _archives_are_right(name: str, root: Path) -> bool:
    """Whether the publisher's checksums, which are those of the archives, say that a set is right."""
    try:
        for file in IDX:
            _check_md5(_variants(root / TORCHVISION[name][1] / "raw", file)[0], _archive_md5(name, file), name)
    except InputError:
        return False
    return True


def unpack(name: str, root: Path) -> None:
    """Write what torchvision itself reads of a set: the unpacked files beside the archives, under torchvision's names.

    kdlib's own reading does not need them.
    """
    for file in IDX if _packed(name) else ():
        if not (path := root / TORCHVISION[name][1] / "raw" / file).exists():
            paths.write_whole(path, _idx_content(name, root, file))


def _parse_idx(content: bytes) -> np.ndarray:
    """An array of bytes from Lush's IDX format: two zeros, the type (8: unsigned bytes), the axes, their big-endian
    lengths, and the values (http://yann.lecun.com/exdb/mnist/).
    """
    kind, axes = content[2], content[3]
    shape = np.frombuffer(content, ">u4", axes, 4).astype(int)
    if content[:2] != bytes(2) or kind != 8 or not 1 <= axes <= 3:
        raise ValueError("not a file of unsigned bytes in the IDX format")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _compare_with_first_reading(name: str, root: Path, arrays: Arrays) -> None:
    """Files without a publisher's checksum: what was read first is recorded in the store, and must not change."""
    found, record = sha256(*arrays), _record(name)
    if not record.exists():
        paths.write_whole(record, found.encode())
    elif record.read_text().strip() != found:
        raise InputError(
            f"data set {name!r} under {root} is not what was read first (its sha256 is recorded in {record}): "
            f"{_again(name)}"
        )


def _record(name: str) -> Path:
    return paths.store_dir() / "first_readings" / f"{name}.sha256"


def checked_by(name: str, root: Path) -> str:
    """By what the content of a set is known to be right, once it was read: for `kdlib data`."""
    if registry.find_source(name).sha256:
        return "its sha256 is the known one"
    if name in ("usps", "svhn"):
        return "the md5 of its files are the publisher's"
    if name not in TORCHVISION:
        return "its form was checked; no checksum of it is known"
    if _archives_are_right(name, root):
        return "the md5 of its archives are the publisher's"
    return "equal to what was read first; no publisher's checksum of unpacked files is known"


# Digests of the four arrays, computed from files whose md5 are the publishers', and from scikit-learn 1.9's digits.
KNOWN = {
    "digits": "5b05232ae614dc24fe6c72ea617efcc90f6c8b55bb6e19b1e271c02592c6b15e",
    "mnist": "0f471e2dba70314a622ee4b35ccaebb6b9e9e1039139ea4103e4d4d9e6ce8134",
    "fashion_mnist": "cac48439c9dd11c5e6e8d56495d50486f274a4da06f4d2e8f7f10a0471dc9cec",
    "cifar10": "5a078a53cc8236424f6c8ea3f1078ac49430b2eb71bc0548a50be48f18ca8a6e",
}

registry._sources["digits"] = Source(
    load_digits, "mnist", title="scikit-learn digits", sha256=KNOWN["digits"], known=True
)
for _name, _family, _classes, _title in (
    ("mnist", "mnist", None, "MNIST"),
    ("fashion_mnist", "fashion_mnist", FASHION, "Fashion-MNIST"),
    ("cifar10", "cifar10", CIFAR, "CIFAR-10"),
    ("kmnist", "mnist", None, "KMNIST"),
    ("usps", "mnist", None, "USPS"),
    ("svhn", "cifar10", None, "SVHN"),
):
    registry._sources[_name] = Source(
        torchvision_loader(_name), _family, _classes, _title, KNOWN.get(_name), known=True
    )
