"""The data sets that kdlib brings: scikit-learn's digits, and torchvision's through one adapter."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from . import registry
from .registry import Arrays, Source

FASHION = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR = ("plane", "auto", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_digits(root: Path) -> Arrays:
    """Read scikit-learn's 1797 embedded digits of 8x8 pixels: 1300 for training and 497 for testing, stratified."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, train_size=1300, test_size=497, stratify=labels, random_state=0
    )
    return train_x, train_y, test_x, test_y


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
# What each must have in the data folder.
FILES = {
    **{name: tuple(f"{TORCHVISION[name][1]}/{file}" for file in _IDX) for name in ("mnist", "fashion_mnist", "kmnist")},
    "cifar10": tuple(f"{TORCHVISION['cifar10'][1]}/{file}" for file in _PICKLES),
    "usps": ("usps.bz2", "usps.t.bz2"),
    "svhn": ("train_32x32.mat", "test_32x32.mat"),
}


def torchvision_loader(name: str) -> Callable[[Path], Arrays]:
    """Make a loader over `torchvision.datasets` that reads the data folder and never uses the network."""

    def load(root: Path) -> Arrays:
        _unpack_raw(name, root)
        return _open(name, root, download=False)

    return load


def fetch(name: str, root: Path, source: Path | None) -> None:
    """Put a torchvision data set into the data folder `root`, and check it.

    It is copied from `source`, a folder in torchvision's layout, or downloaded where that is None. Raises `InputError`
    if torchvision has no such set, if it cannot be found or downloaded, or if it is damaged.
    """
    if name not in TORCHVISION:
        raise InputError(f"{name!r} needs no files, or brings its own; sets to fetch: {', '.join(TORCHVISION)}")
    if source is None:
        root.mkdir(parents=True, exist_ok=True)
        try:
            _open(name, root, download=True)
        except Exception as error:
            raise InputError(f"data set {name!r} cannot be downloaded: {error}. `--from DIR` copies it.") from error
    else:
        item = source / TORCHVISION[name][1]
        if not item.exists():
            raise InputError(f"{source} holds no {TORCHVISION[name][1]} (torchvision's layout for {name!r})")
        root.mkdir(parents=True, exist_ok=True)
        if item.is_dir():
            shutil.copytree(item, root / item.name, dirs_exist_ok=True)
        else:
            for part in source.glob("usps*.bz2" if name == "usps" else "*_32x32.mat"):
                shutil.copy2(part, root / part.name)
    from .dataset import load_dataset

    load_dataset(name, root=root)


def _open(name: str, root: Path, download: bool) -> Arrays:
    import numpy as np

    from ._torchvision import datasets

    kind, _, *splits = TORCHVISION[name]
    arrays = []
    for split in splits:
        part = getattr(datasets, kind)(str(root), download=download, **split)
        images = np.asarray(part.data)
        if images.ndim == 4 and images.shape[-1] == 3:
            images = images.transpose(0, 3, 1, 2)
        labels = part.labels if hasattr(part, "labels") else part.targets
        arrays += [images, np.asarray(labels, dtype=np.int64)]
    return tuple(arrays)


def _unpack_raw(name: str, root: Path) -> None:
    """Unpack checked .gz files of MNIST and its relatives, which torchvision does only when it may download."""
    from ._torchvision import datasets, utils

    for file, md5 in getattr(getattr(datasets, TORCHVISION[name][0]), "resources", ()):
        raw = root / TORCHVISION[name][1] / "raw"
        packed = raw / file
        if (raw / file.removesuffix(".gz")).exists() or not packed.exists():
            continue
        if not utils.check_integrity(str(packed), md5):
            raise InputError(
                f"{packed} is damaged (its md5 is not {md5}): remove it and get it again with "
                f"`kdlib data {name} --from DIR` or `kdlib data {name} --download`"
            )
        with tempfile.TemporaryDirectory(dir=raw) as folder:  # beside it, so that the file appears whole
            utils.extract_archive(str(packed), folder)
            os.replace(Path(folder) / file.removesuffix(".gz"), raw / file.removesuffix(".gz"))


# Digests of the four arrays (dataset._sha256), computed from files whose md5 are the publishers'.
SHA256 = {
    "mnist": "0f471e2dba70314a622ee4b35ccaebb6b9e9e1039139ea4103e4d4d9e6ce8134",
    "fashion_mnist": "cac48439c9dd11c5e6e8d56495d50486f274a4da06f4d2e8f7f10a0471dc9cec",
    "cifar10": "5a078a53cc8236424f6c8ea3f1078ac49430b2eb71bc0548a50be48f18ca8a6e",
}

registry._sources["digits"] = Source(load_digits, "mnist", title="scikit-learn digits", builtin=True)
for _name, _family, _classes, _title in (
    ("mnist", "mnist", None, "MNIST"),
    ("fashion_mnist", "fashion_mnist", FASHION, "Fashion-MNIST"),
    ("cifar10", "cifar10", CIFAR, "CIFAR-10"),
    ("kmnist", "mnist", None, "KMNIST"),
    ("usps", "mnist", None, "USPS"),
    ("svhn", "cifar10", None, "SVHN"),
):
    registry._sources[_name] = Source(
        torchvision_loader(_name), _family, _classes, _title, SHA256.get(_name), builtin=True, files=FILES[_name]
    )
