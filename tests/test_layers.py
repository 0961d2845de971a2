"""One direction, no way back: what may import what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

PACKAGE = ROOT / "kdlib"
# Each may import those above it. A subpackage counts as one.
LAYERS = (
    ("errors", "identity", "progress", "flat", "losses", "measures", "patches", "names", "_torchvision"),
    ("paths", "devices", "models", "targets"),
    ("data", "paper", "store"),
    ("sources", "teachers"),
    ("stacked",),
    ("students",),
    ("checks",),
    ("settings",),
    ("work",),
    ("study",),
    ("sections", "statistics"),
    ("opening",),
    ("claims", "plan", "bench"),
    ("controls", "interval_marks"),
    ("verdict_table",),
    ("comparison", "present", "figures", "explore"),
    ("record",),
    ("cli",),
    ("__main__", "__init__"),
)
LAYER = {name: depth for depth, names in enumerate(LAYERS) for name in names}
LATE = {("study", "sections")}  # inside functions alone: a study asks its section for the tables
TYPES = {("stacked", "students"), ("stacked", "data")}  # for annotations alone

OUTERMOST = ("papermill", "jupytext", "nbformat", "nbclient", "jupyter_book", "snakemake", "typer")
HEAVY = (*OUTERMOST, "umap", "numba", "torchvision", "plotly", "sklearn", "scipy", "joblib", "matplotlib.pyplot")
BARE = ("papermill", "jupytext", "nbformat", "umap", "torchvision", "jupyter_book", "snakemake", "IPython", "ipykernel")


def sources():
    return {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def layer_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imports(tree: ast.Module):
    """(import statement, where it stands: module, function or types)."""

    def visit(node: ast.AST, place: str):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child, place
            inside = "function" if isinstance(child, ast.FunctionDef | ast.Lambda) else place
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                inside = "types"
            yield from visit(child, inside)

    yield from visit(tree, "module")


def own_imports():
    """(importing layer, imported layer, place, where) of each import inside of the package."""
    for path, tree in sources().items():
        for node, place in imports(tree):
            if isinstance(node, ast.Import) or not node.level:
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                assert not any((name or "").split(".")[0] == "kdlib" for name in names), f"{path}: absolute import"
                continue
            folder = path.parent.parts[: len(path.parent.parts) - node.level + 1]
            full = [*folder, *(node.module.split(".") if node.module else [])]
            for target in [full[0]] if full else [alias.name for alias in node.names]:
                if target != layer_of(path):
                    yield layer_of(path), target, place, f"{path}:{node.lineno}"


def test_every_module_has_its_layer():
    assert {layer_of(path) for path in sources()} == set(LAYER)


def test_no_import_goes_back():
    edges = list(own_imports())
    assert len(edges) > 60
    backwards = {
        (where, origin, target, place) for origin, target, place, where in edges if LAYER[target] >= LAYER[origin]
    }
    late = {edge for edge in backwards if edge[3] == "function" and edge[1:3] in LATE}
    types = {edge for edge in backwards if edge[3] == "types" and edge[1:3] in TYPES}
    assert backwards - late - types == set()
    assert late, "LATE names what is no longer so"


@pytest.mark.parametrize("module", OUTERMOST)
def test_nothing_but_the_command_line_imports(module):
    users = set()
    for path, tree in sources().items():
        for node, _ in imports(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            if any(name.split(".")[0] == module for name in names):
                users.add(layer_of(path))
    assert users <= {"cli"}


def test_importing_the_package_imports_nothing_heavy():
    code = f"import sys, kdlib; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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


def test_every_import_inside_of_the_package_finds_its_module():
    """Also one that a function makes only when it is called."""
    for path, tree in sources().items():
        for node, _ in imports(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                folder = PACKAGE.joinpath(*path.parent.parts[: len(path.parent.parts) - node.level + 1])
                target = folder.joinpath(*node.module.split(".")) if node.module else folder
                assert target.with_suffix(".py").is_file() or (target / "__init__.py").is_file(), (
                    f"{path}:{node.lineno}"
                )
