"""A section is a folder: what it says of itself is what the README, the book and the workflow say of it."""

import re
import tomllib

import yaml

from kdlib import sections
from kdlib.book.assembly import _list_of_sections
from kdlib.sections import SECTIONS

from ..conftest import ROOT

FOLDER = ROOT / "kdlib" / "sections"


def test_every_folder_is_a_section_and_has_all_its_parts():
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(SECTIONS) and len({section.order for section in SECTIONS.values()}) == len(SECTIONS)
    for name in SECTIONS:
        parts = {"experiment", "statistics", "tables", "figures"}
        assert parts <= {path.stem for path in (FOLDER / name).glob("*.py")}
        assert {"units", "tables"} <= set(vars(sections.part(name, "experiment")))
        assert all((ROOT / f"notebooks/{name}.{end}").is_file() for end in ("py", "ipynb"))


def test_sections_come_after_others_that_there_are():
    for section in SECTIONS.values():
        assert set(section.after) <= set(SECTIONS) - {section.name}


def test_the_readme_lists_them():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", (ROOT / "README.md").read_text(), re.M)
    assert rows == [(s.name, s.paper, s.title[0].lower() + s.title[1:]) for s in SECTIONS.values()]


def test_the_book_has_a_page_of_each_in_this_order():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    assert [file for file in files if file.startswith("book/sections/")] == [f"book/sections/{s}" for s in SECTIONS]


def test_the_landing_page_lists_those_of_the_paper():
    table = _list_of_sections(ROOT / "book" / "sections").splitlines()
    assert len(table) == 2 + len(SECTIONS) - 1 and "rival" not in "".join(table)
    assert table[2] == (
        "| [Entropy of the response](sections/entropy.md) | Does the larger teacher's response hold less? | "
        "Sections 2, 3 and 4.1; Tables 1–3, 7; Figures 1–3, 10 |"
    )


def test_what_says_so_is_installed_too():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "**/*.toml" in project["tool"]["setuptools"]["package-data"]["kdlib"]
