"""A section is a folder: what it says of itself is what the README, the book and the workflow say of it."""

import os
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

from kdlib import InputError, sections
from kdlib.book.assembly import _list_of_sections
from kdlib.sections import SECTIONS, beyond_the_paper, part
from kdlib.sections.__main__ import HEAD, main, rows

from ..conftest import ROOT, as_project

FOLDER = ROOT / "kdlib" / "sections"


def test_every_folder_is_a_section_and_has_its_experiment_and_notebook():
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(SECTIONS) and len({section.order for section in SECTIONS.values()}) == len(SECTIONS)
    for name in SECTIONS:
        assert {"units", "tables"} <= set(vars(sections.part(name, "experiment")))
        assert all((ROOT / f"notebooks/{name}.{end}").is_file() for end in ("py", "ipynb"))


@pytest.mark.parametrize("module", ["tables", "figures"])
def test_no_two_sections_show_something_by_one_name(module):
    """A notebook would get the first."""
    assert len(sections.names(module)) == len({*sections.names(module)})


def test_sections_come_after_others_that_there_are():
    for section in SECTIONS.values():
        assert set(section.after) <= set(SECTIONS) - {section.name}


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("order = 7", "order = ", r"cannot be read as TOML: .*at line \d+, column \d+"),
        ("order = 7", "ordre = 7", "has 'ordre'; allowed: order, title, "),
        ("order = 7", "", "lacks order"),
        ("order = 7", 'order = "7"', "order = '7' cannot be used; allowed: a whole number"),
        ("order = 7", "order = true", "order = True cannot be used; allowed: a whole number"),
        ("long = true", "long = 1", "long = 1 cannot be used; allowed: true or false"),
        ("after = [", "after = [1, ", r"after = \(1, .* cannot be used; allowed: a list of text"),
        ('"rival_explanations"', '"rival_explanation"', "after has 'rival_explanation'; allowed: entropy, "),
        ('"seeds"', '"seed"', "parameters has 'seed'; allowed: dataset, profile, seeds, "),
    ],
)
def test_a_file_that_describes_no_section_is_one_line_that_says_what_is_allowed(
    was, now, message, tmp_path, monkeypatch
):
    shutil.copytree(FOLDER, tmp_path / "sections", ignore=shutil.ignore_patterns("*.py", "*.yml", "__pycache__"))
    monkeypatch.setattr(sections, "FOLDER", tmp_path / "sections")
    assert dict(sections._Sections()) == dict(SECTIONS)
    spoiled = tmp_path / "sections" / "capacity" / "section.toml"
    assert was in spoiled.read_text()
    spoiled.write_text(spoiled.read_text().replace(was, now, 1))
    with pytest.raises(InputError, match=f"^{spoiled}:? {message}") as raised:
        len(sections._Sections())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("file", ["sections/entropy/section.toml", "study/profiles.toml"])
def test_a_command_says_in_one_line_which_file_an_editor_spoiled(file, tmp_path):
    shutil.copytree(ROOT / "kdlib", tmp_path / "kdlib", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "kdlib" / file).write_bytes(b'title = "cut sh')
    command = [sys.executable, "-m", "kdlib", "compute", "entropy"]
    places = {"PYTHONPATH": str(tmp_path), "KDLIB_ROOT": str(as_project(tmp_path))}
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | places, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"kdlib: {tmp_path / 'kdlib' / file} cannot be read as TOML: ")


def test_the_readme_lists_them():
    """`python -m kdlib.sections` writes the list."""
    assert HEAD + rows() in (ROOT / "README.md").read_text()


def test_one_command_brings_the_readmes_list_up_to_date(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(tmp_path)))
    readme, whole = tmp_path / "README.md", (ROOT / "README.md").read_text()
    readme.write_text(whole.replace(rows(), "| `old` | 1 | what? |\n"))
    main()
    assert readme.read_text() == whole


def test_the_book_has_a_page_of_each_in_this_order():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    assert [file for file in files if file.startswith("book/sections/")] == [f"book/sections/{s}" for s in SECTIONS]


def test_the_landing_page_lists_those_of_the_paper():
    table = _list_of_sections(ROOT / "book" / "sections").splitlines()
    assert len(table) == 2 + sum(not beyond_the_paper(s) for s in SECTIONS.values()) and "rival" not in "".join(table)
    assert table[2] == (
        "| [Entropy of the response](sections/entropy.md) | Does the larger teacher's response hold less? | "
        "Sections 2, 3 and 4.1; Tables 1–3, 7; Figures 1–3, 10 |"
    )


def test_what_says_so_is_installed_too():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "**/*.toml" in project["tool"]["setuptools"]["package-data"]["kdlib"]


def test_compiled_code_of_umap_is_kept_in_the_store_where_it_can_be_nowhere_else(tmp_path):
    """numba refuses at import where neither the package nor the home folder can be written."""
    program = """
import sys
from importlib import import_module
from pathlib import Path
from numba.core import caching, config
from kdlib.sections.penultimate_layer import experiment
kinds = caching.InTreeCacheLocator, caching.UserWideCacheLocator

class WhereToldTo:  # and there what was compiled before, since it takes half a minute
    def from_function(*where):
        return next(filter(None, (kind.from_function(*where) for kind in kinds))) if config.CACHE_DIR else None

caching.CacheImpl._locator_classes = [WhereToldTo]
assert experiment._import_umap(Path(sys.argv[1])).UMAP
experiment._keep_compiled_code()
assert import_module("umap.distances").euclidean.stats.cache_path
print(config.CACHE_DIR)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout == f"{tmp_path / 'numba'}\n", done.stderr


def test_nothing_of_umap_is_compiled_by_each_process_anew():
    """Whatever an embedding needs has a file in numba's cache."""
    from numba.core.registry import CPUDispatcher

    experiment = part("penultimate_layer", "experiment")
    umap = experiment._import_umap(Path())
    experiment._keep_compiled_code()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        umap.UMAP(random_state=0).fit(np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32))
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "umap"]
    functions = [f for module in modules for f in vars(module).values() if isinstance(f, CPUDispatcher)]
    compiled = {f.py_func.__qualname__: f.stats for f in functions if f.signatures}
    assert "smooth_knn_dist" in compiled
    assert [name for name, stats in compiled.items() if not stats.cache_path] == []
