"""One direction, no way back: what may import what."""

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import kdlib

from .conftest import ROOT

PACKAGE = ROOT / "kdlib"
# Each folder or module of the package may import those before it.
DIRECTION = (
    *("needs", "errors", "paths", "progress", "data", "training", "study", "claims", "report", "sections"),
    *("book", "cli", "__init__", "__main__"),
)
MOST_SIDE_BY_SIDE = 14
# Where modules are imported by a name that is made up: what they import then.
BY_NAME = {
    "sections": {
        f"sections.{path.parent.name}.{path.stem}"
        for part in ("experiment", "statistics", "tables", "figures")
        for path in PACKAGE.glob(f"sections/*/{part}.py")
    },
    "": set(),  # the package itself, which nothing inside of it imports
    "needs": set(),  # what is required: no module of the package
}

OUTERMOST = ("papermill", "jupytext", "nbformat", "nbclient", "jupyter_book", "snakemake", "typer")
HEAVY = (*OUTERMOST, "umap", "numba", "torchvision", "plotly", "sklearn", "scipy", "joblib", "matplotlib.pyplot")
SLOW = ("torch", "pandas", "numpy", "scipy", "sklearn", "matplotlib")
BARE = ("papermill", "jupytext", "nbformat", "umap", "torchvision", "jupyter_book", "snakemake", "IPython", "ipykernel")


def module_of(path: Path) -> str:
    """ "study.store" of kdlib/study/store.py, "study" of kdlib/study/__init__.py, "" of kdlib/__init__.py."""
    return ".".join(path.with_suffix("").parts).removesuffix("__init__").removesuffix(".")


SOURCES = {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = {module_of(path): path for path in SOURCES}


def top_of(module: str) -> str:
    return module.partition(".")[0] or "__init__"


def imports(tree: ast.Module):
    """All of them: also those inside of functions, and those for type checkers alone."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def own_imports(path: Path) -> set[str]:
    """The modules of the package that one imports, with the folders that are imported on the way."""
    found = set(BY_NAME.get(module_of(path), ()))
    for node in imports(SOURCES[path]):
        if isinstance(node, ast.Import) or not node.level:
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not any(name.split(".")[0] == "kdlib" for name in names), f"{path}:{node.lineno}: absolute import"
            continue
        folder = path.parent.parts[: len(path.parent.parts) - node.level + 1]
        base = ".".join([*folder, *(node.module.split(".") if node.module else [])])
        for alias in node.names:
            inner = f"{base}.{alias.name}".removeprefix(".")
            found.add(inner if inner in MODULES else base)
    here = module_of(path).split(".")
    for name in list(found):
        parts = name.split(".")
        outer = (parts[:k] for k in range(1, len(parts)))
        found |= {".".join(folder) for folder in outer if here[: len(folder)] != folder} & {*MODULES}
    return found - {module_of(path)}


def test_every_import_inside_of_the_package_finds_its_module():
    """Also one that a function makes only when it is called."""
    for path in SOURCES:
        assert own_imports(path) <= set(MODULES), path


def test_no_import_goes_back():
    edges = [(module_of(path), target) for path in SOURCES for target in own_imports(path)]
    assert len(edges) > 300
    depth = {name: i for i, name in enumerate(DIRECTION)}
    assert [edge for edge in edges if depth[top_of(edge[1])] > depth[top_of(edge[0])]] == []
    assert {top_of(module) for module in MODULES} == set(DIRECTION)


def test_no_modules_import_each_other_in_a_circle():
    """Whether they do when they are imported, later, or for type checkers alone."""
    graphlib.TopologicalSorter({module_of(path): own_imports(path) for path in SOURCES}).prepare()


def test_no_module_but_these_is_imported_by_a_name_that_is_made_up():
    users = {module_of(path) for path, tree in SOURCES.items() if "import_module" in ast.unparse(tree)}
    assert users == set(BY_NAME)


def test_one_look_takes_in_the_package():
    inside = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(inside) <= MOST_SIDE_BY_SIDE, sorted(path.name for path in inside)


@pytest.mark.parametrize("module", OUTERMOST)
def test_nothing_but_the_book_and_the_command_line_imports(module):
    users = set()
    for path, tree in SOURCES.items():
        for node in imports(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            if any(name.split(".")[0] == module for name in names):
                users.add(top_of(module_of(path)))
    assert users <= ({"cli"} if module == "typer" else {"book"})


def loaded_after(code: str, names: tuple[str, ...]) -> list[str]:
    """Those of some modules that Python has imported after running code."""
    code = f"import json, sys\n{code}\nprint(json.dumps([m for m in {names!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_the_package_imports_nothing_heavy():
    assert loaded_after("import kdlib", SLOW) == []
    everything = "import kdlib\nfor name in kdlib.__all__: getattr(kdlib, name)"
    assert loaded_after(everything, HEAVY) == []


@pytest.mark.parametrize(
    "module",
    ["sections.asked", "data.sources", "study.settings", "study.store", "claims.registry", "book.pages", "cli"],
)
def test_what_is_asked_for_is_checked_before_what_is_slow_is_imported(module):
    assert loaded_after(f"import kdlib.{module}", SLOW) == []


def test_type_checkers_see_every_public_name_where_it_is():
    conditions = [node for node in SOURCES[Path("__init__.py")].body if isinstance(node, ast.If)]
    [block] = [node for node in conditions if ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == kdlib._MODULE and set(seen) <= set(dir(kdlib))
    assert all(getattr(kdlib, name) is not None for name in kdlib.__all__)


def test_notebooks_find_each_table_and_figure_under_one_name():
    for module in ("tables", "figures"):
        names = kdlib.sections.names(module)
        assert len(names) == len(set(names)) > 20


def test_computing_needs_nothing_of_notebooks_and_book(tmp_path, monkeypatch):
    """As on a bare machine with a GPU, where only the package's own requirements are installed."""
    monkeypatch.setenv("KDLIB_WORKERS", "1")
    code = f"""
import sys
sys.modules |= dict.fromkeys({BARE!r})
sys.argv = "kdlib compute penultimate_layer --profile smoke -p seeds=1 -p teacher_epochs=1".split()
from kdlib.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("penultimate_layer: ") and list((tmp_path / "store").glob("*/*.safetensors"))
