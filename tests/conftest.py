import io
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import joblib
import psutil
import pytest
import torch
from filelock import FileLock

from kdlib.sections import SECTIONS, beyond_the_paper

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")
PLUGIN = """
import numpy as np
import kdlib


def load(data_dir):
    rng = np.random.default_rng(0)
    labels = np.arange({examples}) % 3
    images = rng.integers(0, 90, ({examples}, 3, 12, 12), dtype=np.uint8)
    images[np.arange({examples}), labels, 3:9, 3:9] += 120
    return images[:{train}], labels[:{train}], images[{train}:], labels[{train}:]


kdlib.register_dataset("{name}", load, class_names=("red", "green", "blue"), title="{title}")
"""


# Every section, for tests that train for each; those beyond the paper, which take the longest, are among the long ones.
TRAINED_SECTIONS = [
    pytest.param(section, marks=pytest.mark.long if beyond_the_paper(about) else ())
    for section, about in SECTIONS.items()
]
LONGEST = ("book", "kernel", "reference")  # groups of tests that one worker takes


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """xdist itself counts cores that a container's quota does not leave."""
    return joblib.cpu_count(only_physical_cores=True)


def pytest_collection_modifyitems(items):
    """The longest groups come first, then what workers share out one by one, so that they end together."""

    def rank(item) -> int:
        group = item.get_closest_marker("xdist_group")
        return LONGEST.index(group.args[0]) if group and group.args[0] in LONGEST else len(LONGEST)

    items.sort(key=rank)


def as_project(folder: Path) -> Path:
    """A folder with what a clone is known by, for KDLIB_ROOT."""
    (folder / "kdlib").mkdir(parents=True, exist_ok=True)
    (folder / "_toc.yml").touch()
    return folder


def rules_in(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy all rules into a project, and let them be those that hold."""
    from kdlib.claims import rules

    for (section, _), path in rules.files().items():
        (project / "kdlib" / "sections" / section).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, project / "kdlib" / "sections" / section)
    folders = {path.name: path for path in (project / "kdlib" / "sections").iterdir()}
    monkeypatch.setattr(rules, "_sources", [lambda: folders])


@pytest.fixture(autouse=True)
def subnormal_numbers():
    """kdlib flushes them for speed, for the whole process; hypothesis needs them."""
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    """No test touches the user's store, and none depends on the user's profile."""
    monkeypatch.setenv("KDLIB_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("KDLIB_ROOT", str(ROOT))
    monkeypatch.setenv("KDLIB_WORKERS", "1")  # tests run side by side already
    monkeypatch.delenv("KDLIB_PROFILE", raising=False)


@pytest.fixture(autouse=True)
def own_registries():
    """No test meets what another has registered."""
    with registered_meanwhile_forgotten():
        yield


@pytest.fixture
def homeless(tmp_path_factory, monkeypatch):
    """Neither the environment nor the system knows the user's name and home folder, for what is started too."""
    for name in os.environ:
        if name.startswith(("XDG_", "JUPYTER_")) or name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    folder = tmp_path_factory.mktemp("homeless")
    (folder / "sitecustomize.py").write_text("import pwd\npwd.getpwuid = {}.__getitem__\n")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")


@pytest.fixture(scope="session")
def digits():
    import kdlib

    return kdlib.load_dataset("digits", examples=400)


@pytest.fixture(scope="session")
def tiny_teacher():
    from kdlib import Teacher

    return Teacher("small_teacher", seed=0, epochs=2, batch_size=64)


@pytest.fixture(scope="session")
def tiny_run(digits, tiny_teacher):
    from kdlib import configure_cpu, train_teacher

    configure_cpu(1)
    return train_teacher(tiny_teacher, digits)


def command_line(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """kdlib in this process, which has imported torch already."""
    from kdlib.cli import main

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["kdlib", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(arguments, ended.value.code or 0, out.getvalue(), err.getvalue())


@contextmanager
def one_kernel(**environment: str) -> Iterator[None]:
    """Meanwhile papermill executes all notebooks in one kernel of this environment, which imports and compiles once.

    None finds a name of the one before. That each runs in a kernel of its own too is seen where nbval executes it.
    """
    import nbformat
    import papermill.cli
    from jupyter_client import AsyncKernelManager
    from jupyter_core.utils import run_sync
    from nbclient import NotebookClient

    from kdlib.book import kernels

    clearing = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%reset -f")])
    execute = papermill.execute_notebook

    def execute_here(*arguments, **options):
        NotebookClient(clearing, km=manager).execute()
        return execute(*arguments, **options, km=manager)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        for module in (papermill, papermill.cli):
            patch.setattr(module, "execute_notebook", execute_here)
        with kernels.surroundings(Path(environment["KDLIB_STORE"])) as given:
            manager = AsyncKernelManager(**given)
            run_sync(manager.start_kernel)()
            try:
                yield
            finally:
                run_sync(manager.shutdown_kernel)(now=True)


def started_by(process: psutil.Process, word: str) -> list[psutil.Process]:
    """All processes beneath one, as soon as one with this word in its command line is among them."""
    while True:
        assert process.status() != psutil.STATUS_ZOMBIE, "it ended by itself"
        found = process.children(recursive=True)
        with suppress(psutil.NoSuchProcess):
            if any(word in " ".join(one.cmdline()) for one in found):
                return found
        time.sleep(0.05)


# Pages of digits and of a user's own data set, and the rendered book: made once for all workers.


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory, worker_id):
    """A folder that all workers of this session share."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@contextmanager
def made_once(place):
    """Holds the others off; gives whether `place` is still to be made."""
    with FileLock(place.with_suffix(".lock")):
        yield not place.exists()


def shortened(example: str) -> str:
    """The worked example on a reader's own data, with fewer pictures, seeds and epochs."""
    for name, value in {"seeds": 1, "teacher_epochs": 1, "student_epochs": 1}.items():
        example, count = re.subn(rf'({name}\\?": )\d+', rf"\g<1>{value}", example)
        assert count == 1
    return example.replace("per_class=60", "per_class=15")


@pytest.fixture(scope="session")
def project(session_folder):
    """A copy of the sources, in which pages are made and the book is built."""
    copy = session_folder / "project"
    with made_once(copy) as to_make:
        if to_make:
            as_project(copy)
            for name in ("_config.yml", "_toc.yml"):
                shutil.copy(ROOT / name, copy)
            for name in ("book", "notebooks", "data/paper"):
                left_out = shutil.ignore_patterns("*.ipynb" if name == "book" else "_")
                shutil.copytree(ROOT / name, copy / name, ignore=left_out)
            for half in (copy / "notebooks").glob("own_data.*"):
                half.write_text(shortened(half.read_text()))
            (copy / "plugins").mkdir()
            (copy / "plugins" / "colour_patches.py").write_text(
                PLUGIN.format(name="colour_patches", title="Colour patches", examples=600, train=450)
            )
    return copy


@pytest.fixture(scope="session")
def project_environment(project):
    return {
        "KDLIB_ROOT": str(project),
        "KDLIB_STORE": str(project / "store"),
        "KDLIB_PLUGINS": str(project / "plugins"),
        "KDLIB_WORKERS": "1",
    }


@pytest.fixture(scope="session")
def kdlib_in(project_environment):
    def run(*arguments):
        with registered_meanwhile_forgotten():
            return command_line(*arguments, **project_environment)

    return run


@contextmanager
def registered_meanwhile_forgotten():
    """What is registered meanwhile, by a plug-in or outside of one, is forgotten afterwards."""
    from kdlib.data import at_hand, plugins, registry
    from kdlib.training import models, own_teachers
    from kdlib.training.systems import registry as systems

    places = [(registry, "_sources"), (own_teachers, "_registered")]
    places += [(models, "_networks"), (models, "_of_plugins"), (systems, "_registered"), (systems, "_of_plugins")]
    places += [(plugins, name) for name in ("_imported", "_failed", "_told", "_registered")]
    before = dict(registry._sources)
    with pytest.MonkeyPatch.context() as patch:
        for module, name in [*places, (sys, "path")]:
            patch.setattr(module, name, getattr(module, name).copy())
        yield
        if registry._sources != before:
            at_hand.digest.cache_clear()


@pytest.fixture(scope="session")
def digits_pages(session_folder, project, project_environment):
    """The folder of the six pages of digits at smoke size, made with the other data set's; a copy: those are edited."""
    pages = session_folder / "digits-pages"
    with made_once(pages) as to_make:
        if to_make:
            with registered_meanwhile_forgotten(), one_kernel(**project_environment):
                for dataset in ("digits", "colour_patches"):
                    arguments = ("run", "all", "--dataset", dataset, "--profile", "smoke")
                    done = command_line(*arguments, **project_environment)
                    assert done.returncode == 0, done.stderr[-3000:]
            shutil.copytree(project / "_build" / "pages" / "digits-smoke", pages)
    return pages


@pytest.fixture(scope="session")
def own_data_page(project, project_environment):
    """The executed example on a reader's own data, which is nowhere but in its own folders."""
    page = project / "_build" / "own_data.ipynb"
    with made_once(page) as to_make:
        if to_make:
            command = [sys.executable, "-m", "kdlib.book.own_data"]
            done = subprocess.run(command, capture_output=True, text=True, env=os.environ | project_environment)
            assert done.returncode == 0, done.stderr[-3000:]
    return page


@pytest.fixture(scope="session")
def html(request):
    """The built book's folder: KDLIB_HTML, to try the browser's tests on another book, else one made here."""
    if there := os.environ.get("KDLIB_HTML"):
        return Path(there).resolve()
    project, kdlib_in, *_ = (
        request.getfixturevalue(name) for name in ("project", "kdlib_in", "digits_pages", "own_data_page")
    )
    done = kdlib_in("book")
    assert done.returncode == 0, done.stderr[-3000:]
    return project / "_build" / "html"


@pytest.fixture(scope="session")
def documents(html):
    from bs4 import BeautifulSoup

    return {
        path.relative_to(html): BeautifulSoup(path.read_text(), "html.parser")
        for path in sorted(html.rglob("*.html"))
        if "_static" not in path.parts
    }
