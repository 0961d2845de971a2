"""What was found at a path: examples with their labels, as one part or already divided in two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import InputError
from .. import forms


@dataclass(frozen=True)
class Part:
    """Some examples: `images` in one of the forms of `forms.read`, `labels` [N] of numbers or words.

    `class_names`, where given, has the name of each label from 0; `groups` [N], what must not be divided; `places`,
    where each example was found, for a message; `used`, the `Options` of a column of labels or of a picture's size that
    it was read by.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] | None = None
    groups: np.ndarray | None = None
    places: Sequence[str] | None = None
    used: tuple[str, ...] = ()

    def place(self, index: int) -> str:
        """Where an example was found, in words."""
        return self.places[index] if self.places is not None else f"image {index}"


@dataclass(frozen=True)
class Found:
    """Content of a path: its kind in words, the training part, the test part if it has one, and what is to be said."""

    kind: str
    train: Part
    test: Part | None = None
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """Choices that a reader makes for his data: the column of labels or groups, the shape of rows or pictures."""

    label: str | None = None
    group: str | None = None
    shape: tuple[int, ...] | None = None  # of a row of pixels
    size: tuple[int, int] | None = None  # (height, width) to which pictures are resized
    workers: int | None = None  # processes that decode pictures; None: one for each core


# What each option does, and where: for a reader who gave it elsewhere.
USES = {
    "label": "names the column of labels of a table (CSV, ARFF, Parquet)",
    "group": "names a column of a table (CSV, ARFF, Parquet), or what follows a group in the names of pictures",
    "shape": "says what each row of pixels is, in a table (CSV, ARFF, Parquet) or an array that has images as rows",
    "size": "resizes pictures (PNG, JPEG), which lie in a folder or in Parquet",
}


def check_options(options: Options, found: Found) -> None:
    """Raise `InputError` for an option that nothing of what was found was read by: its reader would rely on it.

    Groups must be the training part's, which alone is divided.
    """
    parts = [part for part in (found.train, found.test) if part is not None]
    used = {name for part in parts for name in part.used}
    used |= {"group"} if found.train.groups is not None else set()
    used |= {"shape"} if any(part.images.ndim == 2 for part in parts) else set()
    for name, does in USES.items():
        if getattr(options, name) is not None and name not in used:
            raise InputError(
                f"--{name} does nothing for {found.kind}: it {does}. Give the data in such a form, or leave the option "
                "out"
            )


def alike(*parts: Part) -> list[Part]:
    """Parts whose images have their channels in one place, and as many: grey ones become coloured where others are."""
    if len({part.images.shape[1:] for part in parts}) == 1:
        return list(parts)
    images = [forms.planes(part.images) for part in parts]
    if {own.ndim for own in images} == {3, 4}:
        images = [own if own.ndim == 4 else np.repeat(own[:, None], 3, axis=1) for own in images]
    return [replace(part, images=own) for part, own in zip(parts, images, strict=True)]


def joined(first: Part, second: Part) -> Part:
    """Two parts of one kind as one, the second after the first; where their types are unlike, pixels of one scale."""
    if first.images.shape[1:] != second.images.shape[1:]:
        raise InputError(
            f"images of {shape_of(first.images)} and of {shape_of(second.images)} cannot be put together: all must be "
            "of one size"
        )

    def both(name: str) -> Any:
        one, other = getattr(first, name), getattr(second, name)
        return None if one is None or other is None else np.concatenate([one, other])

    if first.images.dtype != second.images.dtype and len(first.images) and len(second.images):
        pixels = _of_one_scale(first.images, second.images)
        first, second = (replace(part, images=own) for part, own in zip((first, second), pixels, strict=True))
    places = None if first.places is None or second.places is None else [*first.places, *second.places]
    used = (*first.used, *second.used)
    return Part(both("images"), both("labels"), first.class_names, both("groups"), places, used)


def _of_one_scale(*images: np.ndarray) -> list[np.ndarray]:
    """Pixels of unlike types: all as bytes where each can be read so, else as floats from 0 to 1."""
    read = [forms.read_pixels(own, "images")[0] for own in images]
    if all(own.dtype == np.uint8 for own in read):
        return read
    return [own / np.float32(255) if own.dtype == np.uint8 else own for own in read]


def settled(parts: Mapping[str, Part]) -> tuple[Part, Part | None, list[str]]:
    """Training and test part of parts by their split, and what became of a validation part, in words.

    It is the test part where there is no other, and else belongs to the training part.
    """
    train, test = parts["train"], parts.get("test")
    if "validation" not in parts:
        return train, test, []
    if test is None:
        return train, parts["validation"], ["the validation part is taken as the test part: there is no other"]
    said = "the validation part is taken with the training part: a validating tenth is held out of both"
    return joined(*alike(train, parts["validation"])), test, [said]


def indexed(train: Part, test: Part | None) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Labels of both parts as integers from 0, and the classes' names: in their numbers' order, else alphabetically.

    Raises `InputError` for labels that are none: missing, with fractions, or of test examples alone.
    """
    parts = [part for part in (train, test) if part is not None]
    words = [_as_words(part) for part in parts]
    known = np.unique(words[0])
    if train.class_names is not None:
        order = {name: i for i, name in enumerate(train.class_names)}
        names = sorted(known, key=order.__getitem__)
    elif all(_is_whole(word) for word in known):
        names = sorted(known, key=int)
    else:
        names = sorted(known)
    names = [str(name) for name in names]
    index = {name: i for i, name in enumerate(names)}
    if test is not None and (unseen := sorted(set(np.unique(words[1]).tolist()) - set(index))):
        raise InputError(
            f"test examples have the class {unseen[0]!r}, of which there is no training example; training examples "
            f"have {listed(names)}"
        )
    numbers = []
    for part in words:
        there, inverse = np.unique(part, return_inverse=True)
        numbers.append(np.array([index[name] for name in there], dtype=np.int64)[inverse])
    return numbers, tuple(names)


def _as_words(part: Part) -> np.ndarray:
    """Labels as the names of their classes."""
    labels = np.asarray(part.labels)
    if labels.dtype.kind in "US":
        words = labels.astype(str)
    elif labels.dtype.kind == "O":
        lacking = [i for i, label in enumerate(labels) if label is None or label != label]
        if lacking:
            raise InputError(f"{part.place(lacking[0])} has no label")
        words = np.array([label.decode() if isinstance(label, bytes) else str(label) for label in labels])
    else:
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            raise InputError(f"{part.place(int(np.flatnonzero(~np.isfinite(labels))[0]))} has no label")
        if labels.dtype.kind == "f" and (labels != np.round(labels)).any():
            first = int(np.flatnonzero(labels != np.round(labels))[0])
            raise InputError(
                f"labels must be classes, as whole numbers or words; that of {part.place(first)} is {labels[first]:g}"
            )
        numbers = labels.astype(np.int64)
        if part.class_names is None:
            return numbers.astype(str)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(part.class_names):
            raise InputError(
                f"labels are {numbers.min()} to {numbers.max()}, and {len(part.class_names)} names of classes come "
                "with them: they must be from 0"
            )
        return np.array(part.class_names)[numbers]
    words = np.char.strip(words)
    if (words == "").any():
        raise InputError(f"{part.place(int(np.flatnonzero(words == '')[0]))} has no label")
    return words


def numeric_labels(labels: np.ndarray, what: str) -> np.ndarray:
    """Labels of an array, [N]; [N, 1], one-hot rows and whole floats are read as in `forms.read`."""
    labels = np.asarray(labels)
    if labels.dtype.kind in "OSU":
        return labels.reshape(len(labels)) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim == 1:
        return labels
    return forms.read_labels(labels, what)[0]


def shape_of(images: np.ndarray) -> str:
    """The shape of one image in words."""
    return " x ".join(map(str, images.shape[1:]))


def listed(names: Sequence[object], most: int = 8) -> str:
    """Some names with commas between them, and dots where there are more."""
    shown = ", ".join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown}, ..."


def _is_whole(word: str) -> bool:
    return word.removeprefix("-").isdecimal()
