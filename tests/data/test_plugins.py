"""Plug-ins as readers write them: each process imports them by itself, and one that fails stops what needs it alone."""

import os
import re
import sys

import numpy as np
import pytest

import kdlib
from kdlib import InputError, Store, load_dataset, open_study, register_dataset
from kdlib.data import plugins
from kdlib.training.systems import registry as systems

from ..conftest import ROOT

MADE = """
import numpy as np
import kdlib

def made(side=8):
    r = np.random.default_rng(0)
    y = np.arange(300) % 5
    x = (r.integers(0, 60, (300, side, 8)) + y[:, None, None] * 30).astype(np.uint8)
    return x, y, x[:100], y[:100]
"""
HABITS = {
    "a file that is opened at the top": """
np.savez(FILE, **dict(zip(("x_train", "y_train", "x_test", "y_test"), made())))
f = np.load(FILE)
kdlib.register_dataset("mine", lambda root: f)
""",
    "a cached loader": """
from functools import cache

@cache
def load(root):
    return made()

kdlib.register_dataset("mine", load)
""",
    "a dataclass, and annotations that are postponed": """
from dataclasses import dataclass

@dataclass
class Options:
    side: int = 8
    names: "list[str] | None" = None

kdlib.register_dataset("mine", lambda root: made(Options().side))
""",
    "a sibling": """
import zz_helper
kdlib.register_dataset("mine", lambda root: zz_helper.made())
""",
    "torchvision": """
from torchvision.transforms import functional
kdlib.register_dataset("mine", lambda root: made())
""",
    "a lock, which no process can give to another": """
import threading
lock = threading.Lock()

def load(root):
    with lock:
        return made()

kdlib.register_dataset("mine", load)
""",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of plug-ins, whose modules are forgotten after the test."""
    before = set(sys.modules)
    place = tmp_path / "plugins"
    place.mkdir()
    monkeypatch.setenv("KDLIB_PLUGINS", str(place))
    yield place
    for name in {"mine", "zz_helper"} & (set(sys.modules) - before):
        del sys.modules[name]


@pytest.mark.parametrize("habit", HABITS)
def test_a_plugin_with_a_common_habit_is_used_by_workers_at_the_first_try(habit, folder, tmp_path, monkeypatch):
    text = "from __future__ import annotations\n" + MADE + HABITS[habit]
    (folder / "mine.py").write_text(text.replace("FILE", repr(str(tmp_path / "mine.npz"))))
    (folder / "zz_helper.py").write_text(MADE)
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    study = open_study("entropy", {"dataset": "mine", "profile": "smoke", "teacher_epochs": 1}, store=Store(tmp_path))
    runs = study.default_teachers()[:2]
    study.train_teachers(runs)
    assert all(map(study.is_stored, runs))


def test_a_plugin_that_siblings_import_is_imported_once(folder):
    (folder / "aa.py").write_text("import zz_helper")
    (folder / "zz_helper.py").write_text("import builtins\nbuiltins.imported = getattr(builtins, 'imported', 0) + 1")
    try:
        plugins.load()
        plugins.load()
        assert __builtins__["imported"] == 1
    finally:
        __builtins__.pop("imported", None)
        sys.modules.pop("aa", None)


def test_a_plugin_named_like_a_module_of_the_environment_hides_none(folder):
    import colorsys

    (folder / "colorsys.py").write_text("import colorsys, time\nassert colorsys.rgb_to_hsv and time.time()")
    (folder / "time.py").write_text("marked = True")
    plugins.load()
    assert plugins.failures() == "" and sys.modules["colorsys"] is colorsys
    assert not hasattr(sys.modules["time"], "marked")


BROKEN = {
    "import nothing_of_this_name": "ModuleNotFoundError: No module named 'nothing_of_this_name' (mine.py, line 2)",
    "def load(:": "SyntaxError: ",
    "1 / 0": "ZeroDivisionError: division by zero (mine.py, line 2)",
    "raise SystemExit(0)": "SystemExit: 0 (mine.py, line 2)",
    "from kdlib._torchvision import datasets": "a plug-in needs `import kdlib` alone",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_plugin_that_cannot_be_imported_says_its_own_error_and_stops_only_what_needs_it(text, folder, capsys):
    (folder / "mine.py").write_text("# mine\n" + text)
    (folder / "other.py").write_text(MADE + "kdlib.register_dataset('other', lambda root: made())")
    assert load_dataset("digits").classes == 10 and load_dataset("other").classes == 5
    told = capsys.readouterr().err
    assert told.startswith("kdlib: plug-in mine.py cannot be imported: ") and BROKEN[text] in told
    assert len(told.splitlines()) == 1  # at the first time, and not again
    with pytest.raises(InputError, match=f"unknown data set 'mine'; .*{re.escape(BROKEN[text])}"):
        load_dataset("mine")


REGISTERED = {
    "data set": ("kdlib.register_dataset('mine', lambda root: made())", lambda: load_dataset("mine")),
    "network": ("kdlib.register_network('mine', kdlib.Architecture((4,)))", lambda: kdlib.build_model("mine")),
    "system": (
        "kdlib.register_system(kdlib.System('mine', 'Mine', 'mine', 'B', lambda s, t, y, *, temperature: s - t, "
        "(kdlib.Parameter('scale', 1.0, 'me'),), 'scale', (1.0,), 'nothing'))",
        lambda: systems.find_system("mine"),
    ),
}


@pytest.mark.parametrize("kind", REGISTERED)
def test_of_two_plugins_that_register_one_name_neither_is_taken_for_the_other(kind, folder):
    """A copy of a plug-in, kept beside it: which of both was imported last must decide nothing."""
    text, use = REGISTERED[kind]
    for name in ("mine.py", "mine_old.py"):
        (folder / name).write_text(MADE + text)
    plugins.load()
    with pytest.raises(InputError, match=f"unknown {kind} 'mine'.*{kind} 'mine' is registered by mine.py too"):
        use()


@pytest.mark.parametrize("name", ["._mine.py", ".#mine.py"], ids=["of macOS", "of Emacs"])
def test_hidden_files_beside_plugins_are_none(name, folder, capsys):
    (folder / "mine.py").write_text(MADE + "kdlib.register_dataset('mine', lambda root: made())")
    if name == "._mine.py":
        (folder / name).write_bytes(b"\0\5\x16\7")
    else:
        (folder / name).symlink_to("somebody@somewhere.123:456")  # a lock, which leads nowhere
    assert load_dataset("mine").classes == 5
    assert capsys.readouterr().err == ""


def test_a_plugin_that_is_mended_is_tried_again_in_the_same_process(folder):
    (folder / "mine.py").write_text("1 / 0")
    with pytest.raises(InputError, match="ZeroDivisionError"):
        load_dataset("mine")
    (folder / "mine.py").write_text(MADE + "kdlib.register_dataset('mine', lambda root: made())")
    assert load_dataset("mine").classes == 5


def test_a_folder_of_plugins_that_is_not_there_is_named_where_it_is_missed(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_PLUGINS", str(tmp_path / "plugin"))
    with pytest.raises(kdlib.InputError, match=f"KDLIB_PLUGINS names {tmp_path / 'plugin'}, which is no folder"):
        kdlib.load_dataset("mine")


def test_a_folder_of_plugins_that_is_not_there_is_told_where_nothing_is_missed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KDLIB_PLUGINS", str(tmp_path / "plugin"))
    plugins.warn()
    plugins.warn()
    assert capsys.readouterr().err.count(f"KDLIB_PLUGINS names {tmp_path / 'plugin'}, which is no folder") == 1


def test_a_network_of_a_plugin_that_failed_is_unknown_for_this_reason(folder):
    (folder / "mine.py").write_text("1 / 0\nimport kdlib\nkdlib.register_network('narrow', kdlib.Architecture((4,)))")
    plugins.load()
    with pytest.raises(InputError, match="unknown network 'narrow'.*mine.py cannot be imported: ZeroDivisionError"):
        kdlib.build_model("narrow")


def test_a_loader_that_fails_says_where_and_gives_no_advice_to_remove_anything(folder, tmp_path):
    (folder / "mine.py").write_text(
        "import numpy as np, kdlib\n"
        "def load(root):\n"
        "    return np.load('mine.npz')\n"
        "kdlib.register_dataset('mine', load)\n"
    )
    with pytest.raises(InputError) as caught:
        load_dataset("mine", root=tmp_path)
    said = str(caught.value)
    assert "FileNotFoundError" in said and "'mine.npz'" in said and "(mine.py, line 3)" in said
    assert f"The loader was given data_dir={tmp_path}" in said and not re.search("(?i)remove|delete|--from", said)


class Unsent:
    """What cannot be given to another process."""

    def __call__(self, root):
        images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8)
        return images, np.arange(300) % 5, images[:100], np.arange(100) % 5

    def __reduce__(self):
        raise TypeError("this cannot be pickled")


def test_a_loader_of_this_process_that_cannot_be_sent_is_one_error_before_any_work(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    register_dataset("mine", Unsent())
    study = open_study("entropy", {"dataset": "mine", "profile": "smoke"}, store=Store(tmp_path / "store"))
    with pytest.raises(InputError, match="put it into a file of plugins/.*or set KDLIB_WORKERS=1"):
        study.tables()
    assert not list((tmp_path / "store").glob("*/*.safetensors"))
    monkeypatch.setenv("KDLIB_WORKERS", "1")
    runs = study.default_teachers()[:1]
    study.train_teachers(runs)
    assert study.is_stored(runs[0])


def test_what_a_plugin_registered_is_not_named_where_something_else_cannot_be_sent(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    (folder / "mine.py").write_text(MADE + "".join(f"{text}\n" for text, _ in REGISTERED.values()))
    plugins.load()
    register_dataset("unsent", Unsent())
    kdlib.register_network("narrow", kdlib.Architecture((4,)))
    study = open_study("entropy", {"dataset": "unsent", "profile": "smoke"}, store=Store(tmp_path / "store"))
    with pytest.raises(InputError, match=r"\(the data set unsent, the network narrow\) cannot be sent to workers"):
        study.tables()


def test_the_readmes_loader_runs_as_printed(folder, tmp_path, monkeypatch):
    [(name, text)] = re.findall(r"```python\n# plugins/(\w+\.py)\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (folder / name).write_text(text)
    [registered] = re.findall(r'register_dataset\("(\w+)"', text)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (300, 32, 32, 3), dtype=np.uint8), np.arange(300) % 5
    data = tmp_path / "data"
    data.mkdir()
    np.savez(data / f"{registered}.npz", x_train=images, y_train=labels, x_test=images[:100], y_test=labels[:100])
    monkeypatch.setenv("KDLIB_DATA", str(data))
    dataset = load_dataset(registered)
    assert dataset.shape == (3, 32, 32) and dataset.title == "Wine labels"
    assert os.listdir(data) == [f"{registered}.npz"]
