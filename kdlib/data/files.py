"""The files of the data sets that torchvision knows: read and checked where they lie, fetched into the data folder."""

import gzip
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import paths
from ..errors import InputError
from . import registry
from .registry import Arrays

if TYPE_CHECKING:
    from numpy import ndarray

# Name in kdlib -> class in torchvision.datasets, its folder, its two splits' arguments.
TORCHVISION = {
    "mnist": ("MNIST", "MNIST", {"train": True}, {"train": False}),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST", {"train": True}, {"train": False}),
    "kmnist": ("KMNIST", "KMNIST", {"train": True}, {"train": False}),
    "cifar10": ("CIFAR10", "cifar-10-batches-py", {"train": True}, {"train": False}),
    "usps": ("USPS", "usps.bz2", {"train": True}, {"train": False}),
    "svhn": ("SVHN", "train_32x32.mat", {"split": "train"}, {"split": "test"}),
}
_IDX = tuple(f"raw/{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
_PICKLES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
IN_IDX = ("mnist", "fashion_mnist", "kmnist")  # MNIST's relatives: four files, unpacked or packed (.gz)
# The publishers' md5 of the archives, in the order of `_IDX`; torchvision has the same, and is not needed to read them.
ARCHIVE_MD5 = {
    "mnist": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    "fashion_mnist": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "kmnist": (
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
}
# What each must have in the data folder.
FILES = {
    **{name: tuple(f"{TORCHVISION[name][1]}/{file}" for file in _IDX) for name in IN_IDX},
    "cifar10": tuple(f"{TORCHVISION['cifar10'][1]}/{file}" for file in _PICKLES),
    "usps": ("usps.bz2", "usps.t.bz2"),
    "svhn": ("train_32x32.mat", "test_32x32.mat"),
}


def torchvision_loader(name: str) -> Callable[[Path], Arrays]:
    """A loader that reads what lies in the data folder, and writes nothing into it: it may be others', or shared."""

    def load(root: Path) -> Arrays:
        arrays = _read(name, root)
        if name in IN_IDX and not registry.find_source(name).sha256 and not _archives_are_right(name, root):
            _compare_with_first_reading(name, root, arrays)
        return arrays

    return load


def fetch(name: str, root: Path, source: Path | None) -> None:
    """Put a torchvision data set into the data folder: copied from `source`, or downloaded.

    It is read and checked in a folder of its own first; what is in the data folder is replaced file by file after that,
    and left as it is where anything fails, with an `InputError`. Nothing is copied where `source` is the data folder.
    """
    if name not in TORCHVISION:
        raise InputError(f"{name!r} needs no files, or brings its own; sets to fetch: {', '.join(TORCHVISION)}")
    if source is not None and (lacking := registry.lacking_files(name, source)):
        raise InputError(
            f"{source} holds no {TORCHVISION[name][1]} (torchvision's layout for {name!r}), it lacks "
            f"{', '.join(lacking)}. `--from` takes the folder that holds it"
        )
    if source is not None and root.exists() and source.samefile(root):
        return
    from .dataset import read_arrays

    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as folder:  # beside it, to be renamed into place
        staged = Path(folder)
        if source is None:
            try:
                _download(name, staged)
            except Exception as error:
                said = " ".join(str(error).split())
                raise InputError(
                    f"data set {name!r} cannot be downloaded: {said}. `kdlib data {name} --from DIR` copies it."
                ) from error
        else:
            for part in _parts(name, source):
                (staged / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / part, staged / part)  # not its mode: a copy can be written
        try:
            read_arrays(name, replace(registry.find_source(name), load=partial(_read, name)), staged)
        except InputError as error:
            where, said = source or "the publisher", str(error).replace(str(staged), str(source or staged))
            raise InputError(f"what {where} has of {name!r} is not taken, {root} is as it was: {said}") from error
        unpack(name, staged)
        for part in _parts(name, staged):
            (root / part).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged / part, root / part)
    if name in IN_IDX:
        _record(name).unlink(missing_ok=True)  # of the files that were there before


def unpack(name: str, root: Path) -> None:
    """Write what torchvision itself reads of a set: the unpacked files beside the archives, under torchvision's names.

    kdlib's own reading does not need them.
    """
    for file in FILES[name] if name in IN_IDX else ():
        if not (root / file).exists():
            paths.write_whole(root / file, _content(name, root, file))


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


def _parts(name: str, root: Path) -> list[Path]:
    """What is there of a set, relative to the folder that it lies in."""
    return [path.relative_to(root) for file in FILES[name] for path in registry.variants(root, file)]


def _theirs(name: str) -> type:
    from torchvision import datasets

    return getattr(datasets, TORCHVISION[name][0])


def _download(name: str, root: Path) -> None:
    for split in TORCHVISION[name][2:]:
        _theirs(name)(str(root), download=True, **split)


def _again(name: str) -> str:
    return f"`kdlib data {name} --from DIR` or `kdlib data {name} --download` puts a whole one in its place"


def _checked(path: Path, md5: str, name: str) -> bytes:
    """A file's content. Raises `InputError` where it is not what the publisher published."""
    content = path.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise InputError(f"{path} is damaged or altered (its md5 is not the publisher's, {md5}): {_again(name)}")
    return content


def _read(name: str, root: Path) -> Arrays:
    return _read_idx(name, root) if name in IN_IDX else _read_with_torchvision(name, root)


def _read_with_torchvision(name: str, root: Path) -> Arrays:
    """Its classes check the md5 of CIFAR-10's and SVHN's files themselves, and USPS' only when they fetch them."""
    import numpy as np

    if name == "usps":
        for _, file, md5 in _theirs(name).split_list.values():
            _checked(root / file, md5, name)
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
    """MNIST's relatives from these files alone: whatever else lies there, such as `processed/`, is older."""
    train_x, train_y, test_x, test_y = (parse_idx(_content(name, root, file)) for file in FILES[name])
    return train_x, train_y.astype("int64"), test_x, test_y.astype("int64")


def _content(name: str, root: Path, file: str) -> bytes:
    """The bytes of an IDX file: the archive's where its md5 is the publisher's, else the unpacked file's."""
    damaged: InputError | None = None
    for path in registry.variants(root, file):
        if path.suffix != ".gz":
            return path.read_bytes()
        try:
            return gzip.decompress(_checked(path, _archive_md5(name, file), name))
        except InputError as error:
            damaged = error
    raise damaged or FileNotFoundError(f"{root} holds neither {file} nor {file}.gz")


def _archive_md5(name: str, file: str) -> str:
    return ARCHIVE_MD5[name][FILES[name].index(file)]


def _archives_are_right(name: str, root: Path) -> bool:
    """Whether the publisher's checksums, which are those of the archives, say that a set is right."""
    try:
        for file in FILES[name]:
            _checked(registry.variants(root, file)[0], _archive_md5(name, file), name)
    except InputError:
        return False
    return True


def parse_idx(content: bytes) -> "ndarray":
    """The array of bytes that a file in Lush's IDX format holds (http://yann.lecun.com/exdb/mnist/).

    That is two zeros, the type (8: unsigned bytes), the number of axes, their lengths (big-endian), and the values.
    Raises `ValueError` for a file of another kind or length.
    """
    import numpy as np

    if content[:3] != b"\0\0\x08" or content[3:4] not in (b"\1", b"\2", b"\3"):
        raise ValueError("not a file of unsigned bytes in the IDX format")
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, 4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _compare_with_first_reading(name: str, root: Path, arrays: Arrays) -> None:
    """Files without a publisher's checksum: what was read first is recorded in the store, and must not change."""
    from .forms import sha256

    found, record = sha256(*arrays), _record(name)
    if not record.exists():
        paths.write_whole(record, found.encode())
    elif record.read_bytes().strip() != found.encode():
        raise InputError(
            f"data set {name!r} under {root} is not what was read first (its sha256 is recorded in {record}): "
            f"{_again(name)}"
        )


def _record(name: str) -> Path:
    return paths.store_dir() / "first_readings" / f"{name}.sha256"
