"""Which data sets are known, by name, and how each is read. Nothing is read here; needs neither torch nor numpy."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from .. import paths
from ..errors import InputError

if TYPE_CHECKING:
    from numpy import ndarray

# Train images, train labels, test images, test labels.
Arrays: TypeAlias = "tuple[ndarray, ndarray, ndarray, ndarray]"


@dataclass(frozen=True)
class Source:
    """A registered data set: the function that reads it, and the family of networks of table 7 that it uses."""

    load: Callable[[Path], Arrays]
    family: str = "mnist"
    class_names: tuple[str, ...] | None = None
    title: str = ""
    sha256: str | None = None  # of the four arrays' bytes, where known
    builtin: bool = False  # kdlib brings it; a user's may be registered anew with other networks
    files: tuple[str, ...] = ()  # what must lie in the data folder, each as it is or packed (.gz)


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
    [N, C, H, W], uint8 or floats in [0, 1]; labels are integers from 0. `family`: the data set of table 7 whose
    networks it uses. `class_names` and `title` are shown on pages. Raises `InputError` for a name that is no lower-case
    identifier, or that the book, a command or another data set of kdlib has.
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
    """Names of all registered data sets, those of plug-ins too."""
    paths.load_plugins()
    return list(_sources)


def lacking_files(name: str, root: Path | None = None) -> list[str]:
    """Files that a data set needs and the data folder (default: `data/`, or KDLIB_DATA) does not hold."""
    root = root or paths.data_dir()
    return [
        file for file in find_source(name).files if not any((root / f"{file}{end}").exists() for end in ("", ".gz"))
    ]


def check_files(name: str, root: Path | None = None) -> None:
    """Raise `InputError` where a file of a data set is missing: where it was looked for, and what gets it."""
    root = root or paths.data_dir()
    if not (lacking := lacking_files(name, root)):
        return
    what = f"data set {name!r} was not found under {root}"
    if len(lacking) < len(find_source(name).files):
        what = f"data set {name!r} under {root} is incomplete, it lacks {', '.join(lacking)}"
    raise InputError(
        f"{what}. `kdlib data {name} --from DIR` copies it from a folder in torchvision's layout, "
        f"`kdlib data {name} --download` fetches it; KDLIB_DATA names another folder."
    )
