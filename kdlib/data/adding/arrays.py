"""Files of arrays: NumPy's .npz as Keras and others name their arrays, MATLAB's .mat as SVHN has it, IDX as MNIST."""

import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..files import parse_idx
from .parts import Found, Part, listed, numeric_labels, settled

# Names of images and labels in an .npz file, by part: Keras' and MedMNIST's; and those of a file of one part.
DIVIDED = (
    {"train": ("x_train", "y_train"), "validation": ("x_val", "y_val"), "test": ("x_test", "y_test")},
    {
        "train": ("train_images", "train_labels"),
        "validation": ("val_images", "val_labels"),
        "test": ("test_images", "test_labels"),
    },
)
WHOLE = (("x", "y"), ("X", "y"), ("images", "labels"), ("data", "labels"), ("arr_0", "arr_1"))
IDX = re.compile(r"(?P<set>.*?)(?P<part>train|t10k|test)[-_.](?P<what>images|labels)[-.]idx[13][-.]ubyte(\.gz)?$")


def read_npz(path: Path) -> Found:
    """Read the images and labels of a NumPy archive, as Keras or MedMNIST name them, divided or not.

    Raises `InputError` where it is damaged, holds pickled objects, or names nothing known.
    """
    try:
        with path.open("rb") as file:
            if (start := file.read(2)) and start != b"PK":  # of a zip archive
                raise InputError(f"{path} is no .npz file, whatever its name says")
        with np.load(path, allow_pickle=False) as file:
            return _named({name: _member(file, name, path) for name in file.files}, path)
    except InputError:
        raise
    except Exception as error:  # of zipfile, zlib, numpy: it depends on where the file is spoiled
        raise damaged(path, error) from error


def _member(file: "np.lib.npyio.NpzFile", name: str, path: Path) -> np.ndarray:
    try:
        return file[name]
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise InputError(
            f"{path}: {name} holds Python objects (pickled), which could run any code and are not read: save arrays of "
            "numbers"
        ) from error


def _named(arrays: dict[str, np.ndarray], path: Path) -> Found:
    for names in DIVIDED:
        there = {split: pair for split, pair in names.items() if pair[0] in arrays and pair[1] in arrays}
        if "train" not in there:
            continue
        parts = {split: _part(arrays[x], arrays[y], path, x) for split, (x, y) in there.items()}
        taken = ", ".join(name for pair in there.values() for name in pair)
        return Found(f"an .npz file of {taken}", *settled(parts))
    for x, y in WHOLE:
        if x in arrays and y in arrays:
            return Found(f"an .npz file of {x}, {y}", _part(arrays[x], arrays[y], path, x))
    raise InputError(
        f"{path} holds {listed(list(arrays)) or 'no array'}; allowed: x_train, y_train, x_test, y_test as Keras has "
        "them, train_images, train_labels, test_images, test_labels, or x and y alone"
    )


def read_mat(path: Path) -> tuple[Part, list[str]]:
    """Read MATLAB's file of X [H, W, C, N] and y [N, 1], as SVHN has it; of labels from 1 to 10, 10 is read as 0."""
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except NotImplementedError as error:
        raise InputError(
            f"{path} is a MATLAB file of version 7.3 (HDF5), which is not read: save it with `save(..., '-v7')`"
        ) from error
    except Exception as error:  # of zlib, scipy: it depends on where the file is spoiled
        raise damaged(path, error) from error
    arrays = {name: value for name, value in content.items() if not name.startswith("__")}
    if not {"X", "y"} <= set(arrays):
        raise InputError(
            f"{path} holds {listed(list(arrays)) or 'nothing'}; needed are X [H, W, C, N] and y, as in SVHN"
        )
    images, labels = arrays["X"], numeric_labels(_words(np.asarray(arrays["y"]).reshape(-1), path), "labels")
    if images.ndim not in (3, 4) or images.shape[-1] != len(labels):
        raise InputError(
            f"{path}: X is {list(images.shape)} and y has {len(labels)} labels; needed is X [H, W, C, N], N being the "
            "number of labels"
        )
    said = [f"X is read as [{'H, W, C, N' if images.ndim == 4 else 'H, W, N'}]"]
    images = np.ascontiguousarray(images.transpose(-1, *((2, 0, 1) if images.ndim == 4 else (0, 1))))
    if labels.dtype.kind in "iu" and set(np.unique(labels).tolist()) == set(range(1, 11)):
        labels = labels % 10
        said.append("labels are 1 to 10, and 10 is read as 0")
    return Part(images, labels, places=_places(path, len(labels), "X")), said


def _words(labels: np.ndarray, path: Path) -> np.ndarray:
    """Labels as they are, or those of MATLAB's cell array of words, whose cells scipy gives as arrays of one."""
    if labels.dtype != object:
        return labels
    if any(np.size(cell) != 1 for cell in labels):
        raise InputError(f"{path}: y is a cell array, whose cells must each hold one word")
    return np.array([np.asarray(cell).item() for cell in labels])


def idx_files(paths: Sequence[Path]) -> dict[str, dict[tuple[str, str], Path]]:
    """The files among these that are named as IDX files, by the set that their name begins with, part and content."""
    found: dict[str, dict[tuple[str, str], Path]] = {}
    for path in paths:
        if match := IDX.match(path.name):
            part = "train" if match["part"] == "train" else "test"
            of_set = found.setdefault(match["set"], {})
            if (part, match["what"]) not in of_set or path.suffix == ".gz":
                of_set[part, match["what"]] = path
    return found


def read_idx(folder: Path, paths: Sequence[Path]) -> Found:
    """Read the IDX files of a folder, packed or not. Raises `InputError` where one is lacking or damaged."""
    sets = idx_files(paths)
    if len(sets) > 1:
        raise InputError(f"{folder} holds the IDX files of several sets ({listed(sorted(sets))}): give a folder of one")
    [files] = sets.values()
    parts = {}
    for split in ("train", "test"):
        there = {what for part, what in files if part == split}
        if split == "test" and not there:
            continue
        if lacking := {"images", "labels"} - there:
            raise InputError(f"{folder} lacks the {lacking.pop()} of its {split} part, in the IDX format")
        images, labels = (_idx(files[split, what]) for what in ("images", "labels"))
        parts[split] = _part(images, labels, folder, f"{split} images")
    named = listed(sorted(path.name for path in files.values()))
    return Found(f"IDX files ({named})", parts["train"], parts.get("test"))


def _idx(path: Path) -> np.ndarray:
    try:
        content = path.read_bytes()
        return parse_idx(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    except (OSError, EOFError, IndexError, ValueError, zlib.error) as error:
        raise damaged(path, error) from error


def _part(images: np.ndarray, labels: np.ndarray, path: Path, what: str) -> Part:
    if images.dtype == object or images.dtype.kind in "SU":
        raise InputError(f"{path}: {what} is an array of {images.dtype}; images must be numbers of one shape")
    if not labels.ndim or not images.ndim or len(images) != len(labels):
        raise InputError(f"{path}: {what} is {list(images.shape)} and its labels {list(labels.shape)}: N must be equal")
    return Part(images, numeric_labels(labels, "labels"), places=_places(path, len(images), what))


def _places(path: Path, count: int, what: str) -> list[str]:
    return [f"{path.name}, image {i} of {what}" for i in range(count)]


def damaged(path: Path, error: Exception) -> InputError:
    """The error for a file that cannot be read, or not to its end, with the first words of the library that read it."""
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"{path} cannot be read: {error.strerror}")
    said = " ".join(str(error).split()) or type(error).__name__
    return InputError(f"{path} is cut short or damaged: {said[:120]}")
