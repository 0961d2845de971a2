"""Where things lie (the project's checkout, the data sets, the store), and how files are read and written.

Within a checkout, or with an editable install of one, none of it depends on the working directory. Installed without
one, as a wheel is, data sets and store lie in the working directory: never beside the package.
"""

import errno
import os
import secrets
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import InputError, StoreError

SOURCE = Path(__file__).resolve().parent.parent  # what this package lies in
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # what a file system answers that has none
KEPT = ("GIT_CONFIG", "GIT_EXEC_PATH")  # of git's variables: those that are of no one repository


def working_dir() -> Path:
    """The folder in which the process runs. Raises `InputError` where it was removed, as by another terminal."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise InputError("the working directory is no longer there: `cd` to one that is, and run this again") from error


def checkout() -> Path | None:
    """Root folder of the project: KDLIB_ROOT, else the nearest one above the working directory, else the source's.

    None where kdlib is installed without the project. Raises `InputError` where KDLIB_ROOT names something else.
    """
    if given := _named("KDLIB_ROOT"):
        if not _is_project(given):
            raise InputError(
                f"KDLIB_ROOT {given} cannot be used: it is no clone of the project (no _toc.yml, or no kdlib/)"
            )
        return given.resolve()
    here = working_dir().resolve()
    return next((folder for folder in (here, *here.parents, SOURCE) if _is_project(folder)), None)


def _is_project(folder: Path) -> bool:
    return (folder / "_toc.yml").is_file() and (folder / "kdlib").is_dir()


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
    """Folder of the numbers that the paper prints, machine readable: data/paper."""
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
    return as_folder(at_home(given), variable) if given else None


def git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Output, errors and exit code of a git command in the repository whose top folder this is, and in none around it.

    The exit code is 127 where git is not installed. The history is the true one: what a user's environment says of
    repositories, as it does within a hook of another one, and replaced or grafted commits are passed over. Nothing is
    fetched. Git refuses a repository of another user, but not the one whose code runs here, which is trusted already.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(KEPT)}
    own = {
        "GIT_CEILING_DIRECTORIES": str(root.resolve().parent),
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }
    trusted = ["-c", f"safe.directory={SOURCE}"] if root.resolve() == SOURCE else []
    command = ["git", "-c", "log.showSignature=false", *trusted, "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, env=kept | own, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return subprocess.CompletedProcess(command, 127, b"", b"")


def as_folder(path: Path, named_by: str) -> Path:
    """The path, which is a folder's or may become one.

    Raises `InputError` where a file, or a link that leads nowhere, lies in its place or above it.
    Arguments: `named_by`, the option or variable that the path was given by.
    """
    for there in (path, *path.absolute().parents):
        if there.is_dir():
            break
        if there.exists() or there.is_symlink():
            what = "a file" if there.exists() else f"a link to {there.readlink()}, which is not there"
            raise InputError(f"{named_by} {path} cannot be used: {there} is {what}; allowed: a folder")
    return path


def can_be_written(folder: Path) -> bool:
    """True if there is permission to put files into a folder, or to make it in the nearest one that is there."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    return os.access(there, os.W_OK | os.X_OK)


def read_text(path: Path) -> str:
    """The characters of a file in UTF-8. Raises `InputError` for a file of other bytes, `OSError` as reading does."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8: {error}") from error


def load_toml(path: Path) -> dict[str, Any]:
    """The tables and values of a TOML file. Raises `InputError`, with file and line, for one that is no TOML."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} cannot be read as TOML: {error}") from error


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


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on a folder; another process waits until this one lets it go, or dies.

    The folder is made. Raises `StoreError` where its file system has no locks, else `OSError` as writing does.
    """
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        raise StoreError(
            f"{folder} lies on a file system that gives no locks ({error.strerror}), without which two processes may "
            "write there at once: put it elsewhere, or mount that file system with locks"
        ) from error
    try:
        yield
    finally:
        lock.release()
