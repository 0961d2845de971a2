"""Editing a notebook: the file of a pair that changed makes the other, and neither is silently lost."""

import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from kdlib.book import editing, pages, verification
from kdlib.errors import InputError

from ..conftest import ROOT, as_project

SECTION = "entropy"


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A project whose notebook is committed; gives its .py and its .ipynb."""
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    for name in (f"notebooks/{SECTION}.py", f"notebooks/{SECTION}.ipynb", "jupytext.toml"):
        shutil.copy(ROOT / name, root / name)
    git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *arguments], check=True)
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(root)))
    return pages.notebook_pair(SECTION)


def edit(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def sources(path) -> str:
    return "\n".join(cell.source for cell in jupytext.read(path).cells)


def test_equal_pairs_are_left_as_they_are(pair):
    before = [file.read_bytes() for file in pair]
    assert editing.sync(SECTION) == ""
    assert [file.read_bytes() for file in pair] == before


@pytest.mark.parametrize("edited", [0, 1], ids=["text", "ipynb"])
def test_the_file_that_changed_since_the_commit_makes_the_other(pair, edited):
    edit(pair[edited], "## The teachers", "## Both teachers")
    assert "had changed" in editing.sync(SECTION)
    assert all("## Both teachers" in sources(file) for file in pair)
    assert editing.sync(SECTION) == ""


def test_a_project_without_the_notebook_is_told_as_such(pair):
    for file in pair:
        file.unlink()
    with pytest.raises(InputError, match="there is no notebook of entropy in "):
        pages.check_pair(SECTION)


@pytest.mark.parametrize("edited", [0, 1], ids=["text", "ipynb"])
def test_a_byte_order_mark_is_taken_off(pair, edited):
    """Editors on Windows write it; jupytext would make a cell of code of the text's header."""
    before = [file.read_bytes() for file in pair]
    pair[edited].write_bytes(b"\xef\xbb\xbf" + before[edited])
    pages.check_pair(SECTION)
    assert [file.read_bytes() for file in pair] == before
    pair[edited].write_bytes(b"\xef\xbb\xbf" + before[edited].replace(b"## The teachers", b"## Both teachers"))
    assert "had changed" in editing.sync(SECTION)
    assert all("## Both teachers" in sources(file) and b"\xef\xbb\xbf" not in file.read_bytes() for file in pair)


def spoil(notebook, change: str) -> None:
    """As an editor saves it: what the text file cannot hold, or holds otherwise."""
    last = notebook.cells[-1]
    match change:
        case "a newline":
            last.source += "\n"
        case "an indented empty line":
            notebook.cells[-2].source += "\n    "
        case "a line that begins a cell":
            last.source = "x = 1\n# %%\ny = 2"
        case "empty lines around":
            last.source = "  \n\nx = 1\n\n\n"
        case "the tag active-py":
            last.metadata["tags"] = ["active-py"]


EDITS = ["a newline", "an indented empty line", "a line that begins a cell", "empty lines around", "the tag active-py"]


@pytest.mark.parametrize("change", EDITS)
def test_whatever_an_editor_saves_a_pair_can_be_made_of_it(pair, change):
    digest = pages.source_digest(SECTION)
    notebook = nbformat.read(pair[1], as_version=4)
    spoil(notebook, change)
    nbformat.write(notebook, pair[1])
    the_text_knows = change not in ("a newline", "an indented empty line")
    assert bool(editing.sync(SECTION)) == the_text_knows
    pages.check_pair(SECTION)
    assert (pages.source_digest(SECTION) != digest) == the_text_knows
    assert editing.sync(SECTION) == ""


@pytest.mark.parametrize("change", EDITS)
def test_the_command_that_the_error_names_cures_it(pair, change, monkeypatch):
    notebook = nbformat.read(pair[1], as_version=4)
    spoil(notebook, change)
    nbformat.write(notebook, pair[1])
    monkeypatch.chdir(pair[1].parent.parent)
    command = ["--quiet", "--to", "py:percent", f"notebooks/{SECTION}.ipynb"]
    subprocess.run([sys.executable, "-m", "jupytext", *command], check=True)
    pages.check_pair(SECTION)


def test_edits_in_turn_of_one_file_and_the_other_are_both_kept(pair):
    edit(pair[0], "## The teachers", "## Both teachers")
    editing.sync(SECTION)
    edit(pair[1], "## Both teachers", "## All teachers")
    editing.sync(SECTION)
    assert all("## All teachers" in sources(file) for file in pair)


@pytest.mark.parametrize("edited", [0, 1], ids=["text", "ipynb"])
def test_what_a_cell_says_of_its_tables_reaches_the_other_file(pair, edited):
    notebook = jupytext.read(pair[edited])
    cell = next(cell for cell in notebook.cells if "kdlib" in cell.metadata)
    cell.metadata["kdlib"] = {"tables": ["teachers", "shown"], "cells_again": True}
    jupytext.write(notebook, pair[edited])
    editing.sync(SECTION)
    for file in pair:
        said = [cell.metadata["kdlib"] for cell in jupytext.read(file).cells if "kdlib" in cell.metadata]
        assert said[0] == {"tables": ["teachers", "shown"], "cells_again": True} and len(said) > 5


def test_where_both_files_changed_nothing_is_lost_and_the_error_names_both_directions(pair):
    edit(pair[0], "## The teachers", "## Text")
    edit(pair[1], "## The teachers", "## Notebook")
    before = [file.read_bytes() for file in pair]
    with pytest.raises(InputError, match="jupytext --update --to ipynb .*jupytext --to py:percent"):
        editing.sync(SECTION)
    assert [file.read_bytes() for file in pair] == before


def test_without_git_and_without_memory_a_difference_is_not_guessed_at(pair):
    shutil.rmtree(pair[0].parent.parent / ".git")
    edit(pair[0], "## The teachers", "## Text")
    with pytest.raises(InputError, match="differ from cell"):
        editing.sync(SECTION)


def conflict(file: Path) -> None:
    """As git leaves it: markers on lines of their own."""
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:4], "<<<<<<< HEAD\n", *lines[4:]]))


def in_format(number: int):
    return lambda file: file.write_text(file.read_text().replace('"nbformat": 4', f'"nbformat": {number}'))


SPOILED = {
    "conflict markers": (1, conflict),
    "nothing": (1, lambda file: file.write_bytes(b"")),
    "no notebook": (1, lambda file: file.write_text("[]")),
    "another encoding": (1, lambda file: file.write_text(file.read_text(), encoding="utf-16")),
    "an older format": (1, in_format(3)),
    "a newer format": (1, in_format(5)),
    "another encoding of the text": (0, lambda file: file.write_bytes(file.read_bytes() + b"# caf\xe9\n")),
    "a spoiled header of the text": (
        0,
        lambda file: file.write_text(file.read_text().replace("#   jupytext:", "# <<<<")),
    ),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_file_that_is_no_notebook_is_one_error_whose_command_cures_it(pair, how, monkeypatch):
    which, spoil = SPOILED[how]
    good = pages.cells_in(pair[0])
    spoil(pair[which])
    for step in (pages.check_pair, editing.sync):
        with pytest.raises(
            InputError, match=rf"^notebooks/{pair[which].name} cannot be read as a notebook \(.+\)"
        ) as told:
            step(SECTION)
    assert "\n" not in str(told.value)
    assert [line for line in verification.problems() if SECTION in line] == [str(told.value)]
    monkeypatch.chdir(pair[0].parent.parent)
    pair[which].unlink()  # as it says
    command = str(told.value).split("`")[1].split()
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    pages.check_pair(SECTION)
    assert pages.cells_in(pair[which]) == good


@pytest.mark.book
@pytest.mark.xdist_group("book")
def test_one_command_shows_an_edited_notebook_as_a_page(project, kdlib_in, html, monkeypatch):
    """`html` made the other pages, and their units, before."""
    edited = [
        project / "notebooks" / f"{name}.{file}" for name in (SECTION, "missing_class") for file in ("py", "ipynb")
    ]
    page = project / "_build" / "pages" / "digits-smoke" / f"{SECTION}.ipynb"
    before = {path: path.read_bytes() for path in (*edited, page)}
    monkeypatch.setenv("KDLIB_ROOT", str(project))
    try:
        edit(project / "notebooks" / "missing_class.py", "## Class by class", "## Each class")
        refused = kdlib_in("page", "missing_class", "--profile", "smoke")
        assert refused.returncode == 2 and "differ from cell" in refused.stderr  # no commit, no memory
        assert editing.sync(SECTION) == ""  # both files agree, which is remembered
        edit(project / "notebooks" / f"{SECTION}.py", "## The teachers", "## Both teachers")
        done = kdlib_in("page", SECTION, "--profile", "smoke")
        assert done.returncode == 0, done.stderr
        shown = done.stdout.splitlines()[-1].removeprefix("The page: ")
        assert "Both teachers" in Path(shown).read_text()
    finally:
        for path, content in before.items():
            path.write_bytes(content)
