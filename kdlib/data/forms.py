"""The forms in which people hold data sets, and their one reading: clear ones are read and said aloud, others refused.

Every function takes what a loader gave and returns it in the form that the rest uses, with what was changed in words.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from .registry import Arrays

ALLOWED = (
    "allowed: train images, train labels, test images, test labels; images [N, H, W], [N, C, H, W] or [N, H, W, C], "
    "uint8 or floats in [0, 1]; labels [N], integers from 0"
)
KERAS = ("x_train", "y_train", "x_test", "y_test")  # the names in Keras' .npz files
DARK = 1 / 8  # of the range: images that reach no farther are scaled by mistake, or are no brightnesses
NAMED = 12  # classes that are named where what was read is told
ROUNDING = 1e-4  # by which floats may leave [0, 1]: torch's own antialiased resize gives 1 + 2.4e-7


def read(given: Any) -> tuple[Arrays, tuple[str, ...]]:
    """The four arrays of whatever a loader gave, and how it was read where that is not as documented.

    Images come out [N, H, W] or [N, C, H, W], uint8 or native floats in [0, 1]; labels [N], native integers.
    Raises `InputError`, saying what was given, what is allowed and what to do, for all that has no clear reading.
    """
    parts, notes = _four(given)
    named = dict(zip(("training images", "training labels", "test images", "test labels"), parts, strict=True))
    arrays = {what: _array(part, what) for what, part in named.items()}
    for split in ("training", "test"):
        images, labels = f"{split} images", f"{split} labels"
        arrays[labels], of_labels = read_labels(arrays[labels], labels)
        _check_shape(arrays[images], arrays[labels], images)
        arrays[images], of_pixels = read_pixels(arrays[images], images)
        notes += [*of_labels, *of_pixels]
    both = [arrays["training images"], arrays["test images"]]
    if both[0].shape[1:] != both[1].shape[1:]:
        alike = [planes(images) for images in both]
        if alike[0].shape[1:] == alike[1].shape[1:]:
            one, other = map(_axes, both)
            shape = alike[0].shape[1:]
            meant = f"{_size(shape[-2:])} of {_channels(shape[0] if len(shape) == 3 else 1)}"
            notes.append(f"training images {one} and test images {other} are read as {meant}")
            arrays |= {"training images": alike[0], "test images": alike[1]}
    elif both[0].ndim == 4 and channels_last(both[0].shape[1:]):
        shape = both[0].shape[1:]
        notes.append(f"images {_axes(both[0])} are read as [N, H, W, C]: {_size(shape[:2])} of {_channels(shape[2])}")
        arrays |= {
            what: np.ascontiguousarray(np.moveaxis(arrays[what], -1, 1)) for what in ("training images", "test images")
        }
    return tuple(arrays.values()), tuple(dict.fromkeys(notes))


def channels_last(shape: Sequence[int]) -> bool:
    """True if images of this shape (three numbers, no examples) are [H, W, C], as PIL and Keras have them.

    One or three channels are looked for first, then a square; what is left is [C, H, W] unless its last axis is short.
    """
    first, middle, last = shape
    usual = (first in (1, 3), last in (1, 3))
    if usual[0] != usual[1]:
        return usual[1]
    if (middle == last) != (first == middle):
        return first == middle
    return last < first and first > 4


def planes(images: np.ndarray) -> np.ndarray:
    """Images [N, H, W] where they have one channel, be it first or last, and else [N, C, H, W]; rows as they are."""
    if images.ndim != 4:
        return images
    if channels_last(images.shape[1:]):
        images = np.moveaxis(images, -1, 1)
    return np.ascontiguousarray(images[:, 0] if images.shape[1] == 1 else images)


def sizes(images: Sequence[np.ndarray], counts: Sequence[np.ndarray], names: Sequence[str]) -> list[str]:
    """Lines that tell what was read: sizes, layout, range, classes and the smallest of them.

    Arguments: `images`, those of the training and the test part, [N, H, W] or [N, C, H, W] of uint8 or floats from 0
    to 1; `counts`, of both parts the examples [C] of each class; `names` of the classes.
    """
    train, *_ = images
    channels, height, width = train.shape[1:] if train.ndim == 4 else (1, *train.shape[1:])
    scale = 255 if train.dtype == np.uint8 else 1
    least = int(counts[0].argmin())
    shown = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return [
        f"{len(train)} training images (10% validation), {counts[1].sum()} test images",
        f"images of {channels} channel{'s' * (channels > 1)}, {height} pixels high, {width} wide; "
        f"brightness {train.min() / scale:.3g} to {train.max() / scale:.3g}",
        f"{len(names)} classes ({shown}); the smallest, {names[least]}, has {counts[0][least]} training images; of "
        f"test images the smallest has {counts[1].min()}",
    ]


def sha256(*arrays: np.ndarray) -> str:
    """A digest of arrays' shapes, types and bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _four(given: Any) -> tuple[list[Any], list[str]]:
    """Train images, train labels, test images, test labels, in whatever container they came."""
    if isinstance(given, Mapping):
        if set(KERAS) <= set(given):
            return [given[name] for name in KERAS], [f"a dictionary is read by its names {', '.join(KERAS)}"]
        keys = ", ".join(map(repr, list(given)[:8]))
        raise InputError(f"a dictionary of {keys} was given: name them {', '.join(KERAS)}, or give four arrays")
    if not isinstance(given, tuple | list):
        raise InputError(f"the loader gave {_kind(given)}; {ALLOWED}")
    parts = list(given)
    if len(parts) == 2 and all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in parts):
        return [*parts[0], *parts[1]], ["two pairs of images and labels are read as training and test split, as Keras'"]
    if len(parts) != 4:
        raise InputError(f"the loader gave {len(parts)} things; {ALLOWED}")
    ranks = [getattr(part, "ndim", None) for part in parts]
    if ranks in ([3, 3, 1, 1], [4, 4, 1, 1]):
        note = "images, images, labels, labels are read as train_test_split gives them"
        return [parts[i] for i in (0, 2, 1, 3)], [note]
    return parts, []


def _array(part: Any, what: str) -> np.ndarray:
    if part is None:
        raise InputError(
            f"there are no {what} (None). Accuracies need them: hold labelled examples out of the training split, "
            "such as x[n:], y[n:], x[:n], y[:n]"
        )
    if isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part):
        raise InputError(f"{what} are masked in places, and a mask would be lost: fill it, with `.filled(0)`")
    if hasattr(part, "detach"):  # a tensor of torch, on whatever device
        part = part.detach().cpu()
    try:
        array = np.asarray(part)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} ({_kind(part)}) are no array: {_advice(what)}") from error
    if array.dtype.kind not in "buif":
        raise InputError(f"{what} are {_kind(part)} of {_element(array)}; {_advice(what)}")
    return array


def _kind(given: Any) -> str:
    kind = type(given)
    return "nothing (None): does it end in `return`?" if given is None else f"{kind.__module__}.{kind.__qualname__}"


def _element(array: np.ndarray) -> str:
    return type(array.flat[0]).__qualname__ if array.size else str(array.dtype)


def _advice(what: str) -> str:
    if what.endswith("labels"):
        return "labels must be integers from 0: `names, y = np.unique(labels, return_inverse=True)` makes them"
    return "images must be numbers of one shape: decode each, then `np.stack([np.asarray(i) for i in images])`"


def read_labels(labels: np.ndarray, what: str) -> tuple[np.ndarray, list[str]]:
    """Labels [N] as native integers, and how they were read."""
    notes = []
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
        notes.append("labels [N, 1] are read as [N]")
    elif labels.ndim == 2 and labels.size and ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all():
        labels = labels.argmax(1)
        notes.append("one-hot labels are read as integers")
    if labels.ndim != 1:
        raise InputError(f"{what} have the shape {_axes(labels)}; allowed: [N], one integer for each image")
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.round(labels)).all():
        labels = labels.astype(np.int64)
        notes.append("labels that are whole floats are read as integers")
    if labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        found = f"{labels.dtype}, {labels.min()} to {labels.max()}" if labels.size else labels.dtype
        raise InputError(f"labels must be integers from 0; {what} are {found}")
    return _native(labels), notes


def _check_shape(images: np.ndarray, labels: np.ndarray, what: str) -> None:
    if images.ndim == 2:
        side = round(images.shape[1] ** 0.5)
        places = f"{side}, {side}" if side**2 == images.shape[1] else "C, H, W"
        raise InputError(
            f"{what} are rows of {images.shape[1]} values, whose places are not known: `.reshape(-1, {places})`"
        )
    if images.ndim not in (3, 4):
        raise InputError(f"{what} have the shape {_axes(images)}; allowed: [N, H, W], [N, C, H, W] or [N, H, W, C]")
    if len(images) != len(labels):
        raise InputError(f"{what} {_axes(images)} and labels {_axes(labels)} do not fit together: N must be equal")
    if not images.size:
        raise InputError(f"{what} have the shape {_axes(images)}: there is nothing in them")


def read_pixels(images: np.ndarray, what: str) -> tuple[np.ndarray, list[str]]:
    """Images of any shape as uint8 or native floats in [0, 1], and how they were read; they must not be empty."""
    check_finite(images, what, "image {}".format)
    low, high = images.min(), images.max()
    found = f"images must be uint8, or floats in [0, 1]; {what} are {images.dtype} from {low:.6g} to {high:.6g}"
    if low < -ROUNDING:
        raise InputError(f"{found}. Undo a normalisation first, such as x * std + mean, or (x + 1) / 2")
    if images.dtype.kind == "b" or (images.dtype.kind in "iu" and high == 1):
        return images.astype(np.uint8) * np.uint8(255), ["images of 0 and 1 are read as black and white"]
    whole = images.dtype.kind in "iu" or (high > 1 + ROUNDING and (images == np.round(images)).all())
    top = 255 if whole else 1
    if high > top + (0 if whole else ROUNDING):
        raise InputError(f"{found}. Divide by their largest possible value, such as {65535 if high > 255 else 255}")
    if high < DARK * top:
        why = "are they indices of a palette, or of other levels?" if whole else "were they divided by 255 twice?"
        raise InputError(f"{found}: nearly black, for {top} is white; {why} Scale them to the whole range")
    if whole and images.dtype != np.uint8:
        return images.astype(np.uint8), [f"images of whole numbers to {high:g} ({images.dtype}) are read as uint8"]
    if not whole and (low < 0 or high > 1):
        return _native(np.clip(images, 0, 1)), ["images that leave [0, 1] by a rounding are cut off there"]
    return _native(images), []


def check_finite(images: np.ndarray, what: str, place: Callable[[int], str]) -> None:
    """Raise `InputError` for images that hold nan or infinite values, with the `place` of the first by its index."""
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        bad = int(np.flatnonzero(~np.isfinite(images).reshape(len(images), -1).all(1))[0])
        raise InputError(f"{what} hold nan or infinite values, first in {place(bad)}; allowed: floats in [0, 1]")


def _native(array: np.ndarray) -> np.ndarray:
    """The same values in a type that torch knows: this machine's order of bytes, at most 64 bits."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _axes(array: np.ndarray) -> str:
    return f"[{', '.join(map(str, array.shape))}]"


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) + " pixels"


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
