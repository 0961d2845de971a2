"""The book is replaced by a whole one only, and by one process at a time. Jupyter Book is stood in for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock, Timeout
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from kdlib.book import assembly
from kdlib.data.registry import TAKEN
from kdlib.errors import InputError
from kdlib.report.formatting import as_written

from ..conftest import ROOT, as_project

TITLE = "Notes & coins <v2> | 5$ to 10$ [raw](x) {ref}`no` *my_set_ ~~a~~ {{b}} \\ H^2^ #1"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A folder with a book, and a function that says what the next build does: its log, its exit code, its page."""
    (tmp_path / "_build" / "html").mkdir(parents=True)
    (tmp_path / "_build" / "html" / "index.html").write_text("the last good book")

    def builds(log="", code=0, page=None):
        def run(command, *, stdout, **_):
            stdout.write(log)
            if page:
                made = command[command.index("--path-output") + 1]
                (folder := assembly.Path(made) / "_build" / "html").mkdir(parents=True)
                (folder / "index.html").write_text(page)
            return subprocess.CompletedProcess(command, code)

        monkeypatch.setattr(assembly.subprocess, "run", run)

    return tmp_path, builds


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("reading\nindex.md:3: WARNING: no such target\ndone\n", "index.md:3: WARNING: no such target"),
        ("reading\nTraceback\nKeyError: 'sections'\n", "KeyError: 'sections'"),
    ],
)
def test_a_book_that_does_not_build_says_why_and_leaves_the_last_good_one(book, log, reason):
    folder, builds = book
    builds(log, code=1, page="half a book")
    with pytest.raises(InputError) as raised:
        assembly.render(folder / "_build" / "source", folder)
    assert str(raised.value).splitlines()[-1] == reason
    assert (folder / "_build" / "html" / "index.html").read_text() == "the last good book"


def test_a_book_that_builds_takes_the_place_of_the_last(book):
    folder, builds = book
    (folder / "_build" / "html" / "gone.html").touch()
    builds(page="a new book")
    shown = assembly.render(folder / "_build" / "source", folder)
    assert shown.read_text() == "a new book"
    assert [path.name for path in shown.parent.iterdir()] == ["index.html"]
    assert {path.name for path in (folder / "_build").iterdir()} == {"html", "book.log"}


def test_a_book_set_aside_by_a_killed_process_comes_back(book):
    folder, builds = book
    (folder / "_build" / "html").rename(folder / "_build" / "html.last")
    builds(code=1)
    with pytest.raises(InputError):
        assembly.render(folder / "_build" / "source", folder)
    assert (folder / "_build" / "html" / "index.html").read_text() == "the last good book"


def test_a_link_in_the_place_of_the_book_stops_no_later_one(book):
    folder, builds = book
    shown = folder / "_build" / "html"
    (folder / "site").mkdir()
    shutil.rmtree(shown)
    shown.symlink_to(folder / "site")
    for page in ("a new book", "a newer one"):
        builds(page=page)
        assert assembly.render(folder / "_build" / "source", folder).read_text() == page
    assert {path.name for path in (folder / "_build").iterdir()} == {"html", "book.log"}


def test_no_two_processes_build_in_one_tree(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(tmp_path)))
    tried = []

    def render(*_):
        with pytest.raises(Timeout):
            FileLock(tmp_path / "_build" / ".lock").acquire(timeout=0)
        tried.append(True)

    monkeypatch.setattr(assembly, "assemble", lambda *_: SimpleNamespace(titles={}, short_table=list))
    monkeypatch.setattr(assembly, "render", render)
    list(assembly.make())
    assert tried
    with FileLock(tmp_path / "_build" / ".lock").acquire(timeout=0):
        pass


@pytest.mark.parametrize(
    ("file", "spoiled", "message"),
    [
        ("_config.yml", "- a\n", "must have names and values"),
        ("_config.yml", "repository: https://github.com/a/b\n", "must have names and values, of `repository` too"),
        ("_toc.yml", "", "must have `parts`"),
        ("_toc.yml", "parts:\n", "must have `parts`"),
        ("_toc.yml", "parts:\n- caption: x\n", "must have `parts`, each with `chapters`"),
        (
            "_toc.yml",
            "parts:\n- chapters:\n  - glob: x\n",
            "must have `parts`, each with `chapters` that name a `file`",
        ),
    ],
)
def test_a_configuration_of_another_form_is_named_in_one_line(file, spoiled, message, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(tmp_path)))
    shutil.copytree(ROOT / "book", tmp_path / "book", ignore=shutil.ignore_patterns("*.ipynb"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / file).write_text(spoiled)
    with pytest.raises(InputError, match=f"^{tmp_path / file} {message}") as raised:
        assembly.assemble([], tmp_path / "source")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("around", ["{}", "# Title {}", "- **{}**: x", "| [{}](#y) | z |\n|---|---|"])
def test_a_title_is_shown_as_it_is_written(around):
    extensions = {"dollarmath", "substitution", "attrs_inline", "html_image", "amsmath"}  # of _config.yml
    parser = create_md_parser(MdParserConfig(enable_extensions=extensions | {"strikethrough"}), RendererHTML)
    plain = "Plain"
    shown, expected = (parser.render(around.format(text)) for text in (as_written(TITLE), plain))
    escaped = TITLE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert shown == expected.replace(plain, escaped)


def test_what_the_book_and_the_results_hold_beside_data_sets_is_no_name_of_one():
    beside = {
        path.stem for path in (ROOT / "book").iterdir() if path.suffix in ("", ".md") and path.name[0] not in "_."
    }
    beside |= {path.name for path in (ROOT / "results").iterdir()}
    published = {path.parent.name for path in (ROOT / "book").glob("*/*.ipynb")}
    assert {"sections", "performance", "units"} <= beside - published <= TAKEN


def test_the_books_texts_are_the_same_in_every_locale(tmp_path):
    code = "import sys, pathlib; from kdlib.book import assembly; assembly.assemble([], pathlib.Path(sys.argv[1]))"
    in_ascii = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    made = []
    for name, locale in (("utf-8", {"PYTHONUTF8": "1"}), ("ascii", in_ascii)):
        command = [sys.executable, "-c", code, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | locale, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        files = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        made.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert made[0] == made[1] and Path("book/index.md") in made[0]
