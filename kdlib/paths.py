"""Where things lie: the project's root, the data sets, the store. Independent of the working directory."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def project_root() -> Path:
    """Root folder of the project: KDLIB_ROOT, else the nearest one above the working directory, else the source's."""
    if given := _named("KDLIB_ROOT"):
        return given.resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "_toc.yml").is_file() and (folder / "kdlib").is_dir():
            return folder
    return Path(__file__).resolve().parent.parent


def data_dir() -> Path:
    """Folder of the data sets: KDLIB_DATA, else `data/` in the project."""
    return _named("KDLIB_DATA") or project_root() / "data"


def store_dir() -> Path:
    """Folder of the store: KDLIB_STORE, else `store/` in the project."""
    return _named("KDLIB_STORE") or project_root() / "store"


def plugins_dir() -> Path:
    """Folder of a user's plug-ins: KDLIB_PLUGINS, else `plugins/` in the project."""
    return _named("KDLIB_PLUGINS") or project_root() / "plugins"


def paper_dir() -> Path:
    """Folder of the paper's printed numbers, claims and controls, data/paper."""
    return project_root() / "data" / "paper"


def at_home(path: Path | str) -> Path:
    """A path as it was given, `~` at its beginning as the home folder: in `--store=~/x` no shell expands it."""
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
