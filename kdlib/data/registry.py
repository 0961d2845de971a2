"""Which data sets are known, by name, and how each is read. Nothing is read here; needs neither torch nor numpy."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from unicodedata import category

from .. import paths
from ..errors import DataNotFoundError, InputError
from . import added, plugins
from .human_labels import HUMAN_LABELS

if TYPE_CHECKING:
    from numpy import ndarray

NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of control, half of a character, end of line or paragraph
# Train images, train labels, test images, test labels.
Arrays: TypeAlias = "tuple[ndarray, ndarray, ndarray, ndarray]"


@dataclass(frozen=True)
class Source:
    """A registered data set: the function that reads it, and the family of networks of table 7 that it uses."""

    load: Callable[[Path], Any]  # gives what `forms.read` takes
    family: str = "mnist"
    class_names: tuple[str, ...] | None = None
    title: str = ""
    sha256: str | None = None  # of the four arrays' bytes, where known
    builtin: bool = False  # kdlib brings it; a user's may be registered anew with other networks
    plugin: bool = False  # registered by a plug-in, which every process imports by itself
    files: tuple[str, ...] = ()  # what must lie in the data folder, each as it is or as one of its `variants`
    added: bool = False  # it lies in the data folder in kdlib's own form: see `added`
    readings: tuple[str, ...] = ()  # how it was read when it was added
    groups: Callable[[Path], Any] | None = None  # gives numbers [N]: training examples of one validate together


FAMILIES = ("mnist", "fashion_mnist", "cifar10")  # data sets of table 7, which has networks for each
_sources: dict[str, Source] = {}
# Names that mean something else: to a command, or in book/ and results/, where each data set has a folder of its name.
TAKEN = {"all", "bibliography", "glossary", "habits", "index", "open_questions", "paper", "performance"}
TAKEN |= {"changes", "own_data", "run_statistics", "scoreboard", "sections", "units", "add", "list", "remove", "show"}
TAKEN |= {*HUMAN_LABELS}


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
    understood). `family`: the data set of table 7 whose networks it uses. `class_names`, one a label, and `title` are
    shown as they are written. Raises `InputError` for a name that is no lower-case identifier, or that the book, a
    command, another data set of kdlib or another plug-in has, for a family that table 7 does not have, and for class
    names without an order or of which two are the same.
    """
    if name in added.names():
        raise InputError(added.taken(name))
    if not callable(load):
        raise InputError(f"load must be a function of the data folder that returns four arrays, got {load!r}")
    check_family(family)
    check_title(title)
    ordered = class_names is None or (isinstance(class_names, Iterable) and not isinstance(class_names, Mapping | Set))
    if isinstance(class_names, str) or not ordered:  # the order of a dictionary or set is not the labels'
        raise InputError(
            f"class_names must be a list, a name for each label from 0, got {type(class_names).__name__} "
            f"{class_names!r}. Of a dictionary from labels to names: [names[label] for label in sorted(names)]"
        )
    names = None if class_names is None else tuple(map(str, class_names))
    check_class_names(names or ())
    enter(name, Source(load, family, names, title or name, plugin=plugins.running() is not None))


def enter(name: str, source: Source) -> None:
    """Make the source of a data set known by name: one that kdlib brings, that was registered, or that was sent here.

    Raises `InputError` where a reader's own has a name that kdlib, the book or a command has taken, or another plug-in.
    """
    if not source.builtin:
        check_name(name)
    plugins.claim("data set", name, _sources)
    _sources[name] = source


def check_name(name: str) -> None:
    """Raise `InputError` for what cannot name a reader's own data set: no lower-case identifier, or a word taken."""
    if not isinstance(name, str) or not name.isidentifier() or not name.islower() or name.startswith("_"):
        raise InputError(f"a data set's name must be a lower-case identifier, got {name!r}")
    if name in TAKEN or (name in _sources and _sources[name].builtin):
        what = "a data set that kdlib knows" if name in _sources else "taken by the book or a command"
        raise InputError(f"a data set cannot be named {name!r}: that is {what}. Give yours a name of its own")


def check_family(family: str) -> None:
    """Raise `InputError` for what is no data set of Table 7, whose networks could be taken."""
    if family not in FAMILIES:
        raise InputError(f"unknown family of networks {family!r}; allowed: {', '.join(FAMILIES)}")


def check_title(title: str | None) -> None:
    """Raise `InputError` for the title of a data set that is given and is not one line."""
    if title is not None and not (isinstance(title, str) and title and _is_line(title)):
        raise InputError(f"the title of a data set must be one line, got {title!r}")


def check_class_names(names: Sequence[str]) -> None:
    """Raise `InputError` for the name of a class that no line can show, and for one that two classes have."""
    if unsaid := [name for name in names if not _is_line(name)]:
        raise InputError(
            f"the name {unsaid[0]!r} of a class holds a line break, a control character or bytes that are no UTF-8, "
            "and cannot be shown: give the class another name"
        )
    numbers: dict[str, int] = {}
    for number, name in enumerate(names):
        if (first := numbers.setdefault(name, number)) != number:
            raise InputError(f"the classes {first} and {number} are both named {name!r}: give each a name of its own")


def _is_line(text: str) -> bool:
    return not any(category(sign) in NO_TEXT for sign in text)


def find_source(name: str, root: Path | None = None) -> Source:
    """The source of a data set that is known, registered, or was added to the data folder `root` (default: data/).

    A known set whose files are not there is the one that was added, if its content was. Raises `InputError`, naming
    what is allowed.
    """
    plugins.load()
    root = root or paths.data_dir()
    source = _sources.get(name) if isinstance(name, str) else None
    lacks_files = source is not None and any(not variants(root, file) for file in source.files)
    if (source is None or lacks_files) and isinstance(name, str) and (declared := added.find(name, root)):
        own = {"load": added.loader(declared), "groups": added.grouping(declared), "sha256": declared.sha256}
        own |= {"added": True, "readings": declared.readings}
        named = {"family": declared.family, "class_names": declared.class_names, "title": declared.title}
        source = replace(source, **own, files=()) if source else Source(**own, **named)
    if source is None:
        raise InputError(
            f"unknown data set {name!r}; allowed: {', '.join(sorted({*_sources, *added.names(root)}))} "
            f"(`kdlib data add NAME PATH` adds your own){plugins.failures()}"
        )
    plugins.warn()
    return source


def known_names() -> list[str]:
    """Names of the data sets that kdlib brings; every other one is a reader's own."""
    return [name for name, source in _sources.items() if source.builtin]


def dataset_names() -> list[str]:
    """Names of all data sets: known ones, those of plug-ins, and those that were added."""
    plugins.load()
    plugins.warn()
    return list(dict.fromkeys((*_sources, *added.names())))


def lacking_files(name: str, root: Path | None = None) -> list[str]:
    """Files that a data set needs and the data folder (default: `data/`, or KDLIB_DATA) does not hold."""
    return [file for file in find_source(name, root).files if not variants(root or paths.data_dir(), file)]


def is_absent(name: str, root: Path | None = None) -> bool:
    """True if a data set needs files and the data folder (default: `data/`, or KDLIB_DATA) holds none of them."""
    return 0 < len(find_source(name, root).files) == len(lacking_files(name, root))


def variants(root: Path, file: str) -> list[Path]:
    """Paths of a file as it is there: packed (.gz) or not, its IDX name with a dash or, as some unpack it, a dot."""
    names = dict.fromkeys((file, file.replace("-idx", ".idx")))
    return [path for end in (".gz", "") for name in names if (path := root / f"{name}{end}").exists()]


def check_files(name: str, root: Path | None = None) -> None:
    """Raise `InputError` where a file of a data set is missing: where it was looked for, and what gets it.

    It is a `DataNotFoundError` where none of its files is there.
    """
    root = root or paths.data_dir()
    if not (lacking := lacking_files(name, root)):
        return
    error, what = DataNotFoundError, f"data set {name!r} was not found under {root}"
    if not is_absent(name, root):
        error, what = InputError, f"data set {name!r} under {root} is incomplete, it lacks {', '.join(lacking)}"
    raise error(
        f"{what}. `kdlib data {name} --from DIR` copies it from a folder in torchvision's layout, "
        f"`kdlib data {name} --download` fetches it; KDLIB_DATA names another folder."
    )
