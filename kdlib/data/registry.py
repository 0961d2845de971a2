"""Which data sets are known, by name, and how each is read. Nothing is read here, and no torch is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import paths
from ..errors import InputError

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # train images, train labels, test images, test labels


@dataclass(frozen=True)
class Source:
    """How a data set is read, and which networks of Table 7 it uses."""

    load: Callable[[Path], Arrays]
    family: str = "mnist"
    class_names: tuple[str, ...] | None = None
    title: str = ""
    sha256: str | None = None  # of the four arrays' bytes, where known
    known: bool = False  # from the start: a user's set may be registered anew with other networks


_sources: dict[str, Source] = {}
# Names that mean something else: to a command, or in book/ and results/, where each data set has a folder of its name.
TAKEN = {"all", "bibliography", "glossary", "index", "open_questions", "paper", "performance", "run_statistics"}
TAKEN |= {"scoreboard", "sections", "units"}


def register_dataset(
    name: str,
    load: Callable[[Path], Arrays],
    *,
    family: str = "mnist",
    class_names: tuple[str, ...] | None = None,
    title: str | None = None,
) -> None:
    """Make a data set known by name to `load_dataset`, the notebooks and the command line.

    Arguments: `load(data_dir)` returns train images, train labels, test images, test labels: images [N, H, W] or
    [N, C, H, W], uint8 or floats in [0, 1]; labels are integers from 0. `family`: whose networks of Table 7 it uses.
    Raises `InputError` for a name that the book, a command or another data set of kdlib has.
    """
    if not name.isidentifier() or not name.islower() or name.startswith("_"):
        raise InputError(f"a data set's name must be a lower-case identifier, got {name!r}")
    if name in TAKEN or (name in _sources and _sources[name].known):
        what = "a data set that kdlib knows" if name in _sources else "taken by the book or a command"
        raise InputError(f"a data set cannot be named {name!r}: that is {what}. Give yours a name of its own")
    if title is not None and len(title.splitlines()) != 1:
        raise InputError(f"the title of a data set must be one line, got {title!r}")
    _sources[name] = Source(load, family, tuple(class_names) if class_names else None, title or name)


def find_source(name: str) -> Source:
    """The registered source of a data set. Raises `InputError`, naming what is allowed."""
    paths.load_plugins()
    if name not in _sources:
        raise InputError(
            f"unknown data set {name!r}; allowed: {', '.join(sorted(_sources))} "
            "(kdlib.register_dataset in a file of plugins/ adds your own)"
        )
    return _sources[name]


def dataset_names() -> list[str]:
    paths.load_plugins()
    return list(_sources)
