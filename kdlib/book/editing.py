"""`kdlib page`: change a notebook, its .py or its .ipynb, and see the page; again at every save if asked."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat

from .. import paths
from ..errors import InputError
from . import assembly, origins, pages


def page(section: str, given: dict[str, Any], *, store: Path | None = None) -> Iterator[str]:
    """Synchronise a notebook's pair, execute it, and render it with the text pages into `_build/page`; yields lines."""
    if line := sync(section):
        yield line
    executed = assembly.read_page(pages.run(section, given, store=store))
    target = paths.project_root() / "_build" / "page"
    with paths.alone(target):
        assembly.assemble([executed], target / "source")
        built = assembly.render(target / "source", target)
    yield f"The page: {built.parent / executed.place}.html"


def watch(section: str, given: dict[str, Any], *, store: Path | None = None) -> Iterator[str]:
    """Make a page now and whenever the notebook, the package or the book's texts are saved, until interrupted.

    An error waits for the next save. Each time runs in a process of its own, with the package as it is then.
    """
    from watchfiles import PythonFilter, watch

    root = paths.project_root()
    watched = [*pages.notebook_pair(section), root / "kdlib", root / "book"]
    command = [sys.executable, "-m", "kdlib", "page", section, *origins.parameter_words(given)]
    command += ["--store", str(store)] if store else []
    before = None
    changes = watch(
        *watched, watch_filter=PythonFilter(extra_extensions=(".ipynb", ".md", ".css", ".js", ".toml", ".yml"))
    )
    while True:
        with suppress(InputError):  # the run tells it
            if line := sync(section):
                yield line
        seen = _contents(watched)
        if seen != before:
            subprocess.run(command, check=False)
            before = seen  # what is saved while it runs is a change
            yield "Waiting for the next save (Ctrl-C ends)"
        try:
            next(changes)
        except (StopIteration, KeyboardInterrupt):
            return


def sync(section: str) -> str:
    """Synchronise a jupytext pair: make one file from the other, if only that has changed since both agreed.

    They agreed at the last call, or in the last commit. Returns a line that says what was made, empty if nothing was.
    Raises `InputError` where both have changed.
    """
    text, notebook = pages.notebook_pair(section)
    memory = paths.project_root() / "_build" / "pairs" / f"{section}.json"
    made = ""
    if text.exists() and notebook.exists() and (now := [*map(pages.cells_in, (text, notebook))])[0] != now[1]:
        agreed = [_last_synced(memory), _committed(section)]
        unchanged = [cells in agreed for cells in now]
        if unchanged == [False, True]:
            _jupytext("--update", "--to", "ipynb", str(text))
            made = f"notebooks/{section}.ipynb was made from its .py, which had changed"
        elif unchanged == [True, False]:
            _jupytext("--to", "py:percent", str(notebook))
            made = f"notebooks/{section}.py was made from its .ipynb, which had changed"
    pages.check_pair(section)
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps(pages.cells_in(text)), encoding="utf-8")
    return made


def _last_synced(memory: Path) -> list | None:
    try:
        return json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _committed(section: str) -> list | None:
    shown = paths.git(paths.project_root(), "show", f"HEAD:notebooks/{section}.ipynb")
    try:
        return pages.as_text(nbformat.reads(shown.stdout.decode(), as_version=4))
    except nbformat.reader.NotJSONError:
        return None  # no git, no commit: then only what was remembered counts


def _jupytext(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "jupytext", "--quiet", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"jupytext cannot make the other file of the pair: {done.stderr.strip().splitlines()[-1]}")


def _contents(watched: list[Path]) -> list[tuple[Path, bytes]]:
    files = [p for top in watched for p in (sorted(top.rglob("*")) if top.is_dir() else [top])]
    found = []
    for p in files:
        if p.is_file() and "__pycache__" not in p.parts:
            with suppress(FileNotFoundError):  # an editor's temporary file, gone since
                found.append((p, p.read_bytes()))
    return found
