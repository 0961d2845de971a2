"""Adding a data set: a path is read, checked and divided, and stored under a name that all of kdlib then knows."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .. import added, division, forms, registry
from ..files import FILES
from ..registry import Arrays
from ..sources import SHA256, UNORDERED
from . import folders
from .arrays import idx_files, read_idx, read_mat, read_npz
from .parts import Found, Options, Part, alike, check_options, indexed, listed, settled
from .tables import read_arff, read_csv, read_parquet, shaped

SHARE = 0.2  # of each class that becomes the test part of what comes undivided
MOST_CLASSES = 1000
LEAST_PIXELS = 8  # a side
LEAST_EXAMPLES = 10  # of each class for training: a tenth of them validates
MOST_SEEN = 0.01  # of test images, that may also be training images and are left out of those
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # version 2, 1
TABLES = {".csv": "CSV", ".arff": "ARFF", ".parquet": "Parquet", ".pq": "Parquet", ".npz": ".npz", ".mat": ".mat"}
ROLES = {"t10k": "test", **folders.SPLITS}


def add(
    name: str,
    path: Path,
    *,
    test: Path | None = None,
    family: str | None = None,
    title: str | None = None,
    seed: int = 0,
    options: Options | None = None,
) -> tuple[str, list[str]]:
    """Read a data set from a path and store it under a name. Returns the name it now has, and what was taken for what.

    Arguments: `path`, and `test` where the test part lies elsewhere; `family` of networks (None: "mnist" for grey
    images, "cifar10" for coloured ones); `seed` of the division where there is no test part. What is a known set's own
    content is stored as that set, whose name is returned. Raises `InputError` before anything is written.
    """
    registry.check_name(name)
    registry.check_title(title)
    if name in registry.dataset_names():
        plugged = f"{name!r} is registered by a file of plugins/: give another name"
        raise InputError(added.taken(name) if name in added.names() else plugged)
    if family is not None:
        registry.check_family(family)
    added.check_folder()
    options = options or Options()
    found = _read(path, test, options)
    arrays, groups, names, said = _checked(found, seed, options)
    digest = forms.sha256(*arrays)
    for known, sha256 in SHA256.items():
        if sha256 == digest:
            return _taken_as(known, name, path, arrays)
    if known := _known_in_another_order(arrays):
        if not registry.lacking_files(known):
            return _taken_as(known, name, path, arrays)
        said.append(f"these are {known}'s images in another order: `kdlib data {known} --download` gets the set itself")
    if family is None:
        family = "mnist" if arrays[0].ndim == 3 else "cifar10"
    source, *readings = map(_in_utf8, (str(path), f"read as {found.kind}", *said))
    declaration = added.Declaration(family, title or name, names, digest, source, tuple(readings))
    added.add(name, declaration, arrays, groups)
    counts = [np.bincount(labels) for labels in arrays[1::2]]
    return name, [*readings, *forms.sizes(arrays[::2], counts, names), f"networks of table 7's {family}"]


def _in_utf8(text: str) -> str:
    """A text as it can be written and shown: names of files may hold bytes that are no UTF-8."""
    return text.encode(errors="replace").decode()


def _known_in_another_order(arrays: Arrays) -> str | None:
    """The known set whose labelled images these are, whatever their order; only where their numbers are its own."""
    counts = len(arrays[0]), len(arrays[2])
    alike = {digest: name for name, (*numbers, digest) in UNORDERED.items() if tuple(numbers) == counts}
    return alike.get(division.unordered(arrays)) if alike else None


def _taken_as(known: str, name: str, path: Path, arrays: Arrays) -> tuple[str, list[str]]:
    """What is a known set's own content is that set: it is stored only where the set's files are not here."""
    source = registry.find_source(known)
    said = [f"these are the images and labels of {source.title}, which is known as {known}: take that name, not {name}"]
    if known in FILES and registry.lacking_files(known) and known not in added.names():
        own = added.Declaration(source.family, source.title, source.class_names or (), SHA256[known], str(path), ())
        added.add(known, own, arrays)
        return known, [*said, "stored, for its files were not here"]
    return known, [*said, "it is here already, and nothing was stored"]


def _read(path: Path, test: Path | None, options: Options) -> Found:
    """What a path holds, with the test part of another one where that is given."""
    found = _read_path(path, options)
    if test is None:
        return found
    if found.test is not None:
        raise InputError(f"{path} has a test part of its own: leave out --test, or give the path of its training part")
    other = _read_path(test, options, labelled=False)
    if other is None:
        return replace(found, said=[*found.said, _kept_back(test)])
    if other.test is not None:
        raise InputError(f"--test {test} is divided itself: give the path of the part that is to be the test part")
    said = [*found.said, *(f"test part: {note}" for note in other.said if note not in found.said)]
    return Found(f"{found.kind}, its test part from {test}", found.train, other.train, said)


def _kept_back(path: Path) -> str:
    return f"{path.name} has no labels, and is left aside: no accuracy can be measured on it"


def _read_path(path: Path, options: Options, labelled: bool = True) -> Found | None:
    """What a path holds by itself; None for a file without labels where these are not needed."""
    if not path.exists():
        raise InputError(f"{path} is not there: give a folder of pictures by class, or a file ({_kinds()})")
    if not (path.is_dir() or path.is_file()):
        raise InputError(folders.special(path))
    if not path.is_dir():
        return _read_files([path], options, labelled)
    entries = folders.visible(path)
    places = [entry for entry in entries if entry.is_dir()]
    files = [entry for entry in entries if not entry.is_dir()]
    if not entries:
        raise InputError(f"{path} is empty: give a folder of pictures by class, or a file ({_kinds()})")
    if idx_files(files):
        return read_idx(path, files)
    if not places and (known := [file for file in files if file.suffix.lower() in TABLES]):
        return _read_divided(path, known, options, labelled)
    if not places:
        raise InputError(
            f"{path} holds {listed([f.name for f in files])}, and no folders: pictures must lie in a folder for each "
            "class"
        )
    if len(places) == 1 and _is_wrapping(places[0]):
        found = _read_path(places[0], options, labelled)
        return found and replace(found, said=[f"the data are in its one folder, {places[0].name}", *found.said])
    return folders.read(path, options)


def _is_wrapping(folder: Path) -> bool:
    """Whether a folder that is alone holds the data itself: of an unpacked archive, or data/ of Hugging Face."""
    inside = folders.visible(folder)
    tables = any(entry.suffix.lower() in TABLES for entry in inside)
    return tables or (bool(inside) and not folders.splits_of([folder]) and all(entry.is_dir() for entry in inside))


def _kinds() -> str:
    return ", ".join(dict.fromkeys((*TABLES.values(), "IDX")))


def _role(path: Path) -> str | None:
    """The split that a file is of by its name, such as train-00000-of-00002.parquet or mnist_test.csv."""
    words = "".join(c if c.isalnum() else " " for c in path.stem.lower()).split()
    return next((ROLES[word] for word in words if word in ROLES), None)


def _read_divided(folder: Path, files: Sequence[Path], options: Options, labelled: bool) -> Found | None:
    """The files of a folder: one, or of a training and a test part by their names."""
    if len(files) == 1:
        return _read_files(files, options, labelled)
    by_role: dict[str | None, list[Path]] = {}
    for file in files:
        by_role.setdefault(_role(file), []).append(file)
    if "train" not in by_role:
        raise InputError(f"{folder} holds {listed([f.name for f in files])}: give one of them, or name one train")
    said = [f"passed over: {listed([f.name for f in by_role[None]])}"] if None in by_role else []
    parts: dict[str, Part] = {}
    kind = ""
    for role in ("train", "validation", "test"):
        if role not in by_role:
            continue
        found = _read_files(by_role[role], options, labelled=role == "train")
        if found is None:
            said.append(_kept_back(by_role[role][0]))
            continue
        kind = kind or found.kind
        parts[role] = found.train
        said += [note for note in found.said if note not in said]
    train, test, notes = settled(parts)
    used = listed([f.name for role, own in by_role.items() if role in parts for f in own])
    return Found(f"{kind} ({used})", train, test, [*said, *notes])


def _read_files(files: Sequence[Path], options: Options, labelled: bool = True) -> Found | None:
    """One file, or several of one part; None where it has no labels and needs none."""
    path = files[0]
    kind = TABLES.get(path.suffix.lower())
    if kind is None and idx_files([path]):
        return read_idx(path.parent, [file for file in folders.visible(path.parent) if not file.is_dir()])
    if kind is None:
        raise InputError(f"{path} is no file that is read here; allowed: {_kinds()}, or a folder of pictures by class")
    if kind != "Parquet" and len(files) > 1:
        raise InputError(f"{listed([f.name for f in files])} are of one part: give one file of each")
    if kind == ".npz":
        return read_npz(path)
    said: list[str] = []
    part: Part | None
    if kind == ".mat":
        part, said = read_mat(path)
    elif kind == "Parquet":
        part, said = read_parquet(files, options, labelled)
    elif kind == "ARFF":
        part, said = read_arff(path, options)
    else:
        part, said = read_csv(path, options, labelled)
    return part and Found(f"{'an' if kind == 'ARFF' else 'a'} {kind} file", part, said=said)


def _checked(found: Found, seed: int, options: Options) -> tuple[Arrays, np.ndarray | None, tuple[str, ...], list[str]]:
    """The four arrays of what was found, its training examples' groups, the classes' names, and what is to be said."""
    check_options(options, found)
    said = list(found.said)
    parts = [_imaged(part, options, said) for part in (found.train, found.test) if part is not None]
    parts = alike(*parts)
    labels, names = indexed(parts[0], parts[1] if len(parts) > 1 else None)
    _check_classes(names)
    for part, what in zip(parts, ("training images", "test images") if len(parts) > 1 else ("images",), strict=True):
        forms.check_finite(part.images, what, part.place)  # here, for once they are divided they have other places
    if len(parts) == 1:
        parts, labels = _divided(parts[0], labels[0], names, seed, said)
    _check_counts(labels, names)
    if parts[0].images.shape[1:] != parts[1].images.shape[1:]:
        one, other = (" x ".join(map(str, part.images.shape[1:])) for part in parts)
        raise InputError(f"training images are of {one}, test images of {other}: all must be of one size")
    given = parts[0].images, labels[0], parts[1].images, labels[1]
    arrays, notes = forms.read(given)
    train, test = (_squeezed(arrays[i]) for i in (0, 2))
    _check_size(train, len(train) + len(test))
    arrays, said = (train, arrays[1], test, arrays[3]), [*said, *notes]
    groups = parts[0].groups
    if found.test is not None:
        kept = _unseen(arrays, parts, said)
        arrays = arrays[0][kept], arrays[1][kept], *arrays[2:]
        groups = groups if groups is None else groups[kept]
        _check_counts(arrays[1::2], names)
    if groups is not None:
        said.append(_where_groups_validate(arrays, groups))
    return arrays, groups, names, said


def _where_groups_validate(arrays: Arrays, groups: np.ndarray) -> str:
    """What becomes of the training images' groups where the data set is loaded, in words."""
    count = len(np.unique(groups))
    what = f"{count:,} group{'s' * (count > 1)} of training images"
    if division.validating(arrays[1], division.units(division.digests(arrays[0]), groups)) is None:
        return f"{what} cannot be kept together, for every class must train and validate: a tenth is drawn one by one"
    return f"{what} are kept together where a tenth validates"


def _imaged(part: Part, options: Options, said: list[str]) -> Part:
    """A part whose images are none yet, but rows of pixels, as images."""
    if part.images.ndim != 2:
        return part
    images, note = shaped(part.images, options.shape, part.place(0))
    said += [] if note in said else [note]
    return replace(part, images=images)


def _squeezed(images: np.ndarray) -> np.ndarray:
    """Grey images [N, H, W], whether or not they came with an axis for their one channel."""
    return np.ascontiguousarray(images[:, 0] if images.ndim == 4 and images.shape[1] == 1 else images)


def _check_classes(names: Sequence[str]) -> None:
    if not names:
        raise InputError("there is no example: images and labels are empty")
    registry.check_class_names(names)
    if len(names) < 2:
        raise InputError(f"there is one class only, {names[0]!r}; at least 2 are needed")
    if len(names) > MOST_CLASSES:
        raise InputError(
            f"there are {len(names):,} classes ({listed(names, 4)}); allowed: 2 to {MOST_CLASSES}. Are these the "
            "labels?"
        )


def _check_counts(labels: Sequence[np.ndarray], names: Sequence[str], advice: str = "") -> None:
    counts = [np.bincount(part, minlength=len(names)) for part in labels]
    if (least := int(counts[0].min())) < LEAST_EXAMPLES:
        raise InputError(
            f"the class {names[int(counts[0].argmin())]!r} has {least} training example{'s' * (least != 1)}; each "
            f"needs {LEAST_EXAMPLES}, of which a tenth validates{advice}"
        )
    if not counts[1].min():
        raise InputError(f"the class {names[int(counts[1].argmin())]!r} has no test example; each needs one{advice}")


def _check_size(images: np.ndarray, count: int) -> None:
    channels, (height, width) = (images.shape[1] if images.ndim == 4 else 1), images.shape[-2:]
    if channels not in (1, 3):
        raise InputError(f"images have {channels} channels; allowed: 1 (grey) or 3 (colour)")
    if min(height, width) < LEAST_PIXELS:
        raise InputError(f"images are {height} x {width} pixels; each side needs at least {LEAST_PIXELS}")
    needed, there = 4 * count * channels * height * width, _memory()
    if needed > there:
        raise InputError(
            f"{count:,} images of {channels} x {height} x {width} need {needed / 2**30:.0f} GiB in memory, and this "
            f"machine or its container has {there / 2**30:.0f}: make them smaller, pictures by `--size HEIGHTxWIDTH`"
        )


def _memory() -> int:
    """Bytes of memory that this machine has, or a container's limit where that is less."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in MEMORY_LIMITS:
        with suppress(OSError, ValueError):  # of another version, or "max"
            there = min(there, int(limit.read_text()))
    return there


def _divided(
    part: Part, labels: np.ndarray, names: Sequence[str], seed: int, said: list[str]
) -> tuple[list[Part], list[np.ndarray]]:
    """An undivided set as training and test part; equal images, and those of one group, stay together."""
    _check_counts([labels, labels], names)
    digests = division.digests(part.images)
    keys = [digests] if part.groups is None else [digests, part.groups]
    test = division.divide(labels, division.units(*keys), SHARE, seed)
    parts = [labels[~test], labels[test]]
    if part.groups is not None:
        count = len(np.unique(part.groups))
        kept = f"{count:,} group{'s are' if count > 1 else ' is'} kept together"
        _check_counts(parts, names, f". {kept}: give smaller ones, or the test part itself with `--test`")
    twice = len(digests) - len(np.unique(digests))
    said.append(
        f"divided with seed {seed}: {SHARE:.0%} of each class are the test part"
        + (f"; {kept}" if part.groups is not None else "")
        + (f"; {twice:,} images are there more than once, and equal ones on one side" if twice else "")
    )
    return [_chosen(part, ~test), _chosen(part, test)], parts


def _unseen(arrays: Arrays, parts: Sequence[Part], said: list[str]) -> np.ndarray:
    """A mask of the training images that are not also test images, be they of another type.

    Raises `InputError` where these are many. Arguments: `parts`, which say where each image was found.
    """
    train, test = arrays[::2]
    coarser = min(train.dtype, test.dtype, key=lambda kind: kind.itemsize)
    ours, theirs = (division.digests(_as_type(images, coarser)) for images in (train, test))
    seen = np.isin(theirs, ours)
    if not seen.any():
        return np.ones(len(train), dtype=bool)
    first = int(np.flatnonzero(seen)[0])
    twin = parts[0].place(int(np.flatnonzero(ours == theirs[first])[0]))
    if seen.mean() > MOST_SEEN:
        raise InputError(
            f"{seen.sum():,} of {len(seen):,} test images are also training images (such as {parts[1].place(first)} "
            f"and {twin}): accuracies would be on what was learned by heart. Leave out the test part, and the rest is "
            "divided"
        )
    kept = ~np.isin(ours, theirs)
    said.append(f"{int((~kept).sum()):,} training images are left out: they are also test images")
    return kept


def _as_type(images: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Images, as `forms.read` gives them, in a type that is no finer than theirs."""
    if kind == np.uint8 != images.dtype:
        images = np.round(255 * images)
    return images.astype(kind, copy=False)


def _chosen(part: Part, mask: np.ndarray) -> Part:
    def of(values: Any) -> Any:
        return None if values is None else values[mask]

    places = None if part.places is None else [part.places[i] for i in np.flatnonzero(mask)]
    return Part(part.images[mask], part.labels[mask], part.class_names, of(part.groups), places)
