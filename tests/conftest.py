import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

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


# The rendered book, for test_pages.py and test_browser.py of book/: made once, by the worker that their group names.


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A copy of the sources, in which pages are made and the book is built."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, copy)
    for name in ("book", "notebooks", "data/paper"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.ipynb" if name == "book" else "_"))
    (copy / "plugins").mkdir()
    (copy / "plugins" / "colour_patches.py").write_text(
        PLUGIN.format(name="colour_patches", title="Colour patches", examples=600, train=450)
    )
    return copy


@pytest.fixture(scope="session")
def kdlib_in(project):
    environment = os.environ | {
        "KDLIB_ROOT": str(project),
        "KDLIB_STORE": str(project / "store"),
        "KDLIB_PLUGINS": str(project / "plugins"),
        "KDLIB_WORKERS": "1",
    }

    def run(*arguments):
        command = [sys.executable, "-m", "kdlib", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=project)

    return run


@pytest.fixture(scope="session")
def html(request):
    """The built book's folder: KDLIB_HTML, to try the browser's tests on another book, else one made here."""
    if there := os.environ.get("KDLIB_HTML"):
        return Path(there).resolve()
    project, kdlib_in = (request.getfixturevalue(name) for name in ("project", "kdlib_in"))
    for dataset in ("digits", "colour_patches"):
        done = kdlib_in("run", "all", "--dataset", dataset, "--profile", "smoke")
        assert done.returncode == 0, done.stderr[-3000:]
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
