"""Plug-ins: files of a folder that are imported once in each process; they register data sets and networks."""

import importlib.util
import os
import sys
import traceback
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from .. import paths
from ..errors import InputError

_imported: set[Path] = set()
_failed: dict[Path, tuple[tuple[int, int], str]] = {}  # what each file was when it failed, and its error
_told: set[str] = set()
_running: list[Path] = []  # those being imported, the innermost last
_registered: dict[str, Path] = {}  # what plug-ins have registered, and which of them did


def folder() -> Path | None:
    """KDLIB_PLUGINS, else `plugins/` in the project; None where kdlib is installed without the project."""
    place = paths.plugins_dir()
    return place and place.resolve()


def load(place: Path | None = None) -> None:
    """Import every `*.py` of a folder (default: `folder()`) that was not imported in this process.

    Hidden files, as editors and macOS leave them, are none. They can import each other, and whatever can be imported
    where kdlib can. One that fails stops no other, and is tried again once it is changed; `failures` says which are
    left, and `warn` tells of them.
    """
    place = place or folder()
    files = sorted(path for path in place.glob("*.py") if not path.name.startswith(".")) if place else ()
    for path in files:
        state = path.stat()
        changed = state.st_mtime_ns, state.st_size
        if path in _imported or (path in _failed and _failed[path][0] == changed):
            continue
        _failed.pop(path, None)
        try:
            _import(path)
        except (Exception, SystemExit) as error:
            _failed[path] = changed, f"plug-in {path.name} cannot be imported: {told(error, path)}"


def failures() -> str:
    """The errors of plug-ins, and of a folder of them that is not there, as the end of a sentence; or empty."""
    return "".join(f"; {message}" for message in _messages())


def warn() -> None:
    """Tell of each failure on standard error, once, where it stops nothing."""
    for message in _messages():
        if message not in _told:
            _told.add(message)
            print(f"kdlib: {message}", file=sys.stderr)


def _messages() -> list[str]:
    messages = [message for path, (_, message) in _failed.items() if path.exists()]
    if paths.names_plugins() and not (folder().is_dir() and os.access(folder(), os.R_OK | os.X_OK)):
        messages.append(f"KDLIB_PLUGINS names {folder()}, which is no folder that can be read: no plug-in is known")
    return messages


def running() -> Path | None:
    """The plug-in that is being imported just now."""
    return _running[-1] if _running else None


def claim(kind: str, name: str, known: dict[str, Any]) -> None:
    """Note what the plug-in that is being imported registers; nothing outside of plug-ins.

    Raises `InputError` where another file of the same folder has registered it: which of them is meant nobody can know.
    The name is then none of those `known` any more, until one of the files is gone.
    """
    if (here := running()) is None:
        return
    what = f"{kind} {name!r}"
    there = _registered.get(what, here)
    if there != here and there.parent == here.parent and there.exists():
        known.pop(name, None)
        raise InputError(f"{what} is registered by {there.name} too: keep one of the files, or give it another name")
    _registered[what] = here


def told(error: BaseException, path: Path | None = None) -> str:
    """An exception in one line: its kind, its words, and where in a file (default: in a plug-in) it arose."""
    words = " ".join(str(error).split())
    said = f"{type(error).__name__}: {words}" if words else type(error).__name__
    own = _imported if path is None else {path}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) in own]
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("kdlib."):
        said += ", which is no public one: a plug-in needs `import kdlib` alone, and can import torchvision as it is"
    return f"{said} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else said


def _import(path: Path) -> None:
    """Import a file under its own name, as its siblings do, unless another module has that name already."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # the last: nothing of the environment is hidden by a plug-in
    importlib.invalidate_caches()
    own = PathFinder.find_spec(path.stem)
    name = path.stem
    there = sys.modules.get(name)
    if there is not None and getattr(there, "__file__", None) == str(path):
        _imported.add(path)  # by a sibling
        return
    if there is not None or name in sys.builtin_module_names or own is None or own.origin != str(path):
        name = f"kdlib_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and typing look their module up there
    _imported.add(path)
    _running.append(path)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        _imported.discard(path)
        raise
    finally:
        _running.pop()
