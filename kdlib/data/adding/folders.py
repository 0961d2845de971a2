"""A folder of pictures by class: a folder for each class, within train/ and test/ or without them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError
from .parts import Found, Options, Part, listed, settled
from .pictures import SUFFIXES, decode

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}
NOT_SEEN = ("thumbs.db", "desktop.ini", "__macosx")  # what systems leave behind, besides hidden files


def visible(folder: Path) -> list[Path]:
    """List what a reader put into a folder, sorted by name, without what systems leave there unseen.

    Raises `InputError` where it cannot be read.
    """
    return [Path(entry.path) for entry in _entries(folder)]


def _entries(folder: Path) -> list[os.DirEntry]:
    """As `visible`, with what the folder itself says of each: one look at it, and none at the files."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}") from error
    seen = [e for e in entries if not e.name.startswith(".") and e.name.lower() not in NOT_SEEN]
    for entry in seen:
        if not (entry.is_file() or entry.is_dir()) and os.path.exists(entry.path):
            raise InputError(special(entry.path))
    return seen


def special(path: Path | str) -> str:
    """Words for what is there, and neither a file nor a folder: reading a pipe might never end."""
    return f"{path} is a pipe, a socket or a device; allowed: folders and files"


def splits_of(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders that are named as a split, by the split: train, test, validation."""
    return {SPLITS[folder.name.lower()]: folder for folder in folders if folder.name.lower() in SPLITS}


def read(folder: Path, options: Options) -> Found:
    """Read a folder of pictures by class. Raises `InputError`, naming file or folder, for what has no clear reading."""
    entries = visible(folder)
    folders = [entry for entry in entries if entry.is_dir()]
    said = []
    if beside := [entry.name for entry in entries if not entry.is_dir()]:
        said.append(f"passed over, beside the folders: {listed(beside)}")
    splits = splits_of(folders)
    if not splits:
        part, notes = read_classes(folder, options)
        return Found("a folder of pictures by class", part, said=[*said, *notes])
    if "train" not in splits:
        raise InputError(
            f"{folder} holds {listed([f.name for f in folders])}, and no train/: name the training part so"
        )
    if other := [f.name for f in folders if f not in splits.values()]:
        said.append(f"passed over, beside {', '.join(f.name for f in splits.values())}: {listed(other)}")
    parts = {}
    for split, place in splits.items():
        parts[split], notes = read_classes(place, options)
        said += [f"{place.name}: {note}" for note in notes]
    train, test, notes = settled(parts)
    named = " and ".join(f"{place.name}/" for place in splits.values())
    return Found(f"a folder of pictures by class, with {named}", train, test, [*said, *notes])


def read_classes(folder: Path, options: Options) -> tuple[Part, list[str]]:
    """The pictures of a folder that holds a folder for each class, and what was done to read them."""
    pictures: list[str] = []
    labels: list[str] = []
    for place in (entry for entry in visible(folder) if entry.is_dir()):
        own = list(_pictures(place))
        if not own:
            raise InputError(f"the class {place.name!r} has no picture: {place} is empty")
        pictures += own
        labels += [place.name] * len(own)
    if not pictures:
        raise InputError(f"{folder} has no folder of pictures: one for each class is wanted, with PNG or JPEG files")
    groups = None
    if options.group is not None:
        names = [Path(place).name for place in pictures]
        if alone := [name for name in names if name.find(options.group) < 1]:
            raise InputError(
                f"--group {options.group!r}: a group is what precedes this in the name of a file; {alone[0]} has none"
            )
        groups = np.array([name.partition(options.group)[0] for name in names])
    images, said = decode(pictures, options.size, options.workers)
    return Part(images, np.array(labels), None, groups, pictures, ("size",)), said


def _pictures(folder: Path) -> Iterator[str]:
    for entry in _entries(folder):
        if entry.is_dir():
            raise InputError(
                f"{entry.path} is a folder in the folder of a class: pictures must lie in the class's own. Move them "
                "there"
            )
        if not entry.name.lower().endswith(SUFFIXES):
            raise InputError(f"{entry.path} is no picture that is read here; allowed: {', '.join(SUFFIXES)}")
        yield entry.path
