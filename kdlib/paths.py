"""Where things lie: the project's root, the data sets, the store, plug-ins. Independent of the working directory."""

import importlib.util
import os
import secrets
from contextlib import suppress
from pathlib import Path

from .errors import InputError


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


_loaded: set[Path] = set()


def load_plugins() -> None:
    """Import every `*.py` of KDLIB_PLUGINS (else `plugins/` in the project) once: they register data sets, networks."""
    folder = Path(os.environ.get("KDLIB_PLUGINS") or project_root() / "plugins").resolve()
    for path in sorted(folder.glob("*.py")):
        if path in _loaded:
            continue
        _loaded.add(path)
        spec = importlib.util.spec_from_file_location(f"kdlib_plugin_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            _loaded.discard(path)
            raise InputError(f"plug-in {path.name} cannot be imported: {type(error).__name__}: {error}") from error
