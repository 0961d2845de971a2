"""Data sets that a reader added: for each a declaration, which names files of arrays by their digest.

All lie in the data folder's `added/`. A set is there once its declaration is, which is written last; what a process
that was killed left behind is named by none, and swept away by the next. Needs neither torch nor numpy to be listed.
"""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import paths
from ..errors import InputError, StoreError

if TYPE_CHECKING:
    from numpy import ndarray

PARTS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class Declaration:
    """Everything that is known of an added set beside its arrays: names, their digest, and how they were read."""

    family: str
    title: str
    class_names: tuple[str, ...]
    sha256: str  # of the four arrays, see `forms.sha256`; the name of their file
    source: str  # where they were read from
    readings: tuple[str, ...]  # what was taken for what
    groups: str | None = None  # of its training examples' groups, where they have any; the name of their file


def folder(root: Path | None = None) -> Path:
    """The folder of added sets within the data folder (default: `data/`, or KDLIB_DATA)."""
    return (root or paths.data_dir()) / "added"


def check_folder() -> None:
    """Raise `InputError` where no set can be stored: before it is read and divided, for this takes its time."""
    place = paths.as_folder(folder(), "the folder of added data sets")
    if not paths.can_be_written(place):
        raise InputError(
            f"data sets cannot be added under {place}: there is no permission to write there. Change it, or let "
            "KDLIB_DATA name another folder"
        )


def names(root: Path | None = None) -> list[str]:
    """Names of the sets that were added, sorted."""
    return sorted(path.stem for path in folder(root).glob("*.json") if not path.name.startswith("."))


def find(name: str, root: Path | None = None) -> Declaration | None:
    """The declaration of an added set; None where there is none of this name.

    Raises `InputError` where it is there and cannot be read.
    """
    path = folder(root) / f"{name}.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        lists = {key: tuple(content[key]) for key in ("class_names", "readings")}
        return Declaration(**content | lists)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"data set {name!r}: its declaration {path} cannot be read ({type(error).__name__}). `kdlib data remove "
            f"{name}` removes it; then add it again"
        ) from error


def loader(declaration: Declaration) -> partial:
    """A function of the data folder that gives the four arrays of an added set; it can be sent to other processes."""
    return partial(_load, declaration.sha256)


def _load(sha256: str, root: Path) -> "tuple[ndarray, ...]":
    from safetensors.numpy import load_file

    arrays = load_file(_content(root, sha256))
    return tuple(arrays[part] for part in PARTS)


def grouping(declaration: Declaration) -> partial | None:
    """A function of the data folder that gives the groups [N] of an added set's training examples; None without any."""
    return declaration.groups and partial(_load_groups, declaration.groups)


def _load_groups(digest: str, root: Path) -> "ndarray":
    from safetensors.numpy import load_file

    groups = load_file(_content(root, digest))["groups"]
    if hashlib.sha256(groups.data).hexdigest() != digest:
        raise ValueError("they are altered: their checksum differs from the original's")
    return groups


def add(name: str, declaration: Declaration, arrays: "tuple[ndarray, ...]", groups: "ndarray | None" = None) -> None:
    """Store an added set: its arrays, and its training examples' groups [N] where they have any, then its declaration.

    Each is stored whole or not at all. Raises `InputError` where the name was taken meanwhile, `StoreError` where the
    data folder cannot be written or locked.
    """
    import numpy as np
    from safetensors.numpy import save

    root = paths.data_dir()
    try:
        with paths.alone(folder(root)):
            if find(name):
                raise InputError(taken(name))
            _sweep(root)
            content = _content(root, declaration.sha256)
            try:
                paths.write_whole(content, save(dict(zip(PARTS, arrays, strict=True))))
                if not all(map(np.array_equal, _load(declaration.sha256, root), arrays)):
                    raise StoreError(f"data set {name!r} is not what was written into {content}: is the disk sound?")
                if groups is not None:
                    numbers = np.unique(groups, return_inverse=True)[1]
                    declaration = replace(declaration, groups=hashlib.sha256(numbers.data).hexdigest())
                    paths.write_whole(_content(root, declaration.groups), save({"groups": numbers}))
                written = json.dumps(asdict(declaration), indent=1, ensure_ascii=False)
                paths.write_whole(folder(root) / f"{name}.json", written.encode())
            except BaseException:
                _sweep(root)
                raise
    except OSError as error:
        raise StoreError(
            f"data set {name!r} cannot be stored under {folder(root)}: {error.strerror or error}. Make room there, or "
            "let KDLIB_DATA name another folder"
        ) from error


def remove(name: str) -> None:
    """Remove an added set: its declaration, and its arrays where no other set has the same.

    Raises `InputError` where no set of this name was added.
    """
    root = paths.data_dir()
    path = folder(root) / f"{name}.json"
    if name not in names(root):
        there = ", ".join(names(root)) or "none"
        raise InputError(f"no data set {name!r} was added here; added were: {there}")
    with paths.alone(folder(root)):
        path.unlink(missing_ok=True)
        _sweep(root)


def taken(name: str) -> str:
    """Why a name cannot be given to another data set: one of this name was added; and what to do."""
    return (
        f"a data set {name!r} was added already: `kdlib data {name}` shows it, `kdlib data remove {name}` removes it; "
        "or give another name"
    )


def _content(root: Path, sha256: str) -> Path:
    return folder(root) / f"{sha256}.safetensors"


def _sweep(root: Path) -> None:
    """Remove what belongs to no declaration: nobody else writes here meanwhile, so that it was left by the dead."""
    kept = {".lock"}
    for name in names(root):
        kept.add(f"{name}.json")
        try:
            declaration = find(name, root)
        except InputError:  # any file may be what it names
            return
        kept |= {_content(root, digest).name for digest in (declaration.sha256, declaration.groups) if digest}
    for path in folder(root).iterdir():
        if path.name not in kept and path.is_file():
            with suppress(OSError):
                os.unlink(path)
