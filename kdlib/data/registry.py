"""Which data sets are known, by name, and how each is read. Nothing is read here, and no torch is needed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from . import plugins


@dataclass(frozen=True)
class Source:
    """How a data set is read, and which networks of Table 7 it uses."""

    load: Callable[[Path], Any]  # gives what `forms.read` takes
    family: str = "mnist"
    class_names: tuple[str, ...] | None = None
    title: str = ""
    sha256: str | None = None  # of the four arrays' bytes, where known
    known: bool = False  # from the start: a user's set may be registered anew with other networks
    plugin: bool = False  # registered by a plug-in, which every process imports by itself


_sources: dict[str, Source] = {}


def register_dataset(
    name: str,
    load: Callable[[Path], Any],
    *,
    family: str = "mnist",
    class_names: Iterable[object] | None = None,
    title: str | None = None,
) -> None:
    """Make a data set known by name to `load_dataset`, the notebooks and the command line.

    Arguments: `load(data_dir)` returns train images, train labels, test images, test labels: images [N, H, W],
    [N, C, H, W] or [N, H, W, C], uint8 or floats in [0, 1]; labels are integers from 0 (`forms.read` says what else is
    understood). `family`: whose networks of Table 7 it uses. `class_names`, one a label, and `title` are shown as they
    are written.
    """
    if not name.isidentifier() or not name.islower():
        raise InputError(f"a data set's name must be a lower-case identifier, got {name!r}")
    names = None if class_names is None else tuple(map(str, class_names))
    _sources[name] = Source(load, family, names, title or name, plugin=plugins.running() is not None)


def find_source(name: str) -> Source:
    """The registered source of a data set. Raises `InputError`, naming what is allowed."""
    plugins.load()
    if name not in _sources:
        raise InputError(
            f"unknown data set {name!r}; allowed: {', '.join(sorted(_sources))} "
            f"(kdlib.register_dataset in a file of plugins/ adds your own){plugins.failures()}"
        )
    return _sources[name]


def dataset_names() -> list[str]:
    plugins.load()
    return list(_sources)
