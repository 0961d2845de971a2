"""Where things lie: the project's checkout, the data sets, the store.

Within a checkout, or with an editable install of one, none of it depends on the working directory. Installed without
one, as a wheel is, data sets and store lie in the working directory: never beside the package.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from .errors import InputError


def working_dir() -> Path:
    """The folder in which the process runs. Raises `InputError` where it was removed, as by another terminal."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise InputError("the working directory is no longer there: `cd` to one that is, and run this again") from error


def checkout() -> Path | None:
    """Root folder of the project: KDLIB_ROOT, else the nearest one above the working directory, else the source's.

    None where kdlib is installed without the project.
    """
    if given := _named("KDLIB_ROOT"):
        return given.resolve()
    here, source = working_dir().resolve(), Path(__file__).resolve().parent.parent
    for folder in (here, *here.parents, source):
        if (folder / "_toc.yml").is_file() and (folder / "kdlib").is_dir():
            return folder
    return None


def project_root() -> Path:
    """Root folder of the project, as `checkout` finds it. Raises `InputError` where there is none."""
    if root := checkout():
        return root
    raise InputError(
        "this needs the project itself (notebooks, the paper's printed numbers, the history of the rules), and kdlib "
        "is installed without it: clone the repository and run this in the clone, or set KDLIB_ROOT to one"
    )


def data_dir() -> Path:
    """Folder of the data sets: KDLIB_DATA, else `data/` in the project, or in the working directory without one."""
    return _named("KDLIB_DATA") or (checkout() or working_dir()) / "data"


def store_dir() -> Path:
    """Folder of the store: KDLIB_STORE, else `store/` in the project, or in the working directory without one."""
    return _named("KDLIB_STORE") or (checkout() or working_dir()) / "store"


def plugins_dir() -> Path | None:
    """Folder of a user's plug-ins: KDLIB_PLUGINS, else `plugins/` in the project; None where there is no project."""
    project = checkout()
    return _named("KDLIB_PLUGINS") or (project and project / "plugins")


def names_plugins() -> bool:
    """True if the environment names the folder of plug-ins, which then is meant to be there."""
    return _named("KDLIB_PLUGINS") is not None


def paper_dir() -> Path:
    """Folder of the paper's printed numbers, claims and controls, data/paper."""
    return project_root() / "data" / "paper"


def at_home(path: Path | str) -> Path:
    """A path as it was given, `~` at its beginning as the home folder: in `--store=~/x` no shell expands it."""
    if not isinstance(path, str | Path):
        raise InputError(f"a folder must be given as text or pathlib.Path, got {path!r}")
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError:  # no home, or no such user
        return path


def _named(variable: str) -> Path | None:
    """The folder that an environment variable names; None where it is empty or not set."""
    given = os.environ.get(variable)
    return at_home(given) if given else None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: it appears whole or not at all. Its folder is made. Raises `OSError` if it cannot be."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # an interrupt too must leave nothing behind
        with suppress(OSError):
            temporary.unlink()
        raise
