"""Where things lie: the project's root, the data sets, the store. Independent of the working directory."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def project_root() -> Path:
    """KDLIB_ROOT, else the nearest folder upwards of the working directory that holds this project, else the source."""
    if "KDLIB_ROOT" in os.environ:
        return Path(os.environ["KDLIB_ROOT"]).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "_toc.yml").is_file() and (folder / "kdlib").is_dir():
            return folder
    return Path(__file__).resolve().parent.parent


def data_dir() -> Path:
    """KDLIB_DATA, else `data/` in the project."""
    return Path(os.environ.get("KDLIB_DATA") or project_root() / "data")


def store_dir() -> Path:
    """KDLIB_STORE, else `store/` in the project."""
    return Path(os.environ.get("KDLIB_STORE") or project_root() / "store")


def paper_dir() -> Path:
    """The paper's printed numbers and claims."""
    return project_root() / "data" / "paper"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, whatever happens meanwhile. Its folder is made. Or `OSError`."""
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
