"""Assembling the executed pages into the book: a copy of its sources, with pages, contents, scoreboard, statistics."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from .. import paths
from ..claims import rules
from ..claims.claims import VERDICTS, evaluate, load_claims
from ..errors import InputError
from ..report.formatting import as_written
from ..sections import SECTIONS, beyond_the_paper
from ..study.settings import reductions
from . import changes, downloads, glossary, newer_rules, origins, own_data, performance, scoreboard
from .history import History
from .pages import executed, page_record, read, unusable
from .record import MIME

DATASETS_FIRST = ("mnist", "fashion_mnist", "cifar10", "digits")
PROFILES = ("paper", "paper-cpu", "quick", "smoke")  # of several local runs the fuller is shown


@dataclass(frozen=True)
class Page:
    """An executed page and what it carries."""

    path: Path
    notebook: nbformat.NotebookNode
    record: dict[str, Any]
    reference: bool

    @property
    def place(self) -> str:
        """Where the page lies in the book, as a path without suffix."""
        return f"book/{self.record['dataset']}/{self.record['section']}"

    @property
    def given(self) -> dict[str, Any]:
        """The parameters that it was executed with."""
        return {name: value for name, value in self.notebook.metadata["parameters"].items() if value is not None}


def make(*, build: bool = True, output: Path | None = None, only: Collection[str] | None = None) -> Iterator[str]:
    """Assemble, and render with warnings as errors. Yields lines for the reader: what was found, where the book is.

    Arguments: `build`, whether to render it, into the folder `output`; `only`, data sets whose pages alone are taken,
    each of which needs one.
    """
    folder = paths.project_root() / "_build"
    source = folder / "source"
    with paths.alone(folder):
        pages = find_pages()
        if only:
            pages = [page for page in pages if page.record["dataset"] in only]
            if lacking := sorted(set(only) - {page.record["dataset"] for page in pages}):
                name = lacking[0]
                raise InputError(f"no page of {name!r} is there: `kdlib run all --dataset {name}` makes them")
        board = assemble(pages, source)
        yield f"{len(pages)} executed pages, {len(board.titles)} data sets"
        yield from board.short_table()
        if build:
            yield f"The book: {render(source, Path(output) if output else paths.project_root())}"


def render(source: Path, target: Path) -> Path:
    """Jupyter Book over the assembled sources, anew, into `target`/_build/html. Returns the landing page's path.

    What was there is replaced by a whole book only: `InputError` where it does not build without warnings.
    """
    built, log = target / "_build" / "html", source.parent / "book.log"
    new, last = built.with_name("new"), built.with_name("html.last")
    if last.exists() and not built.exists():  # of one that was killed between its two renames
        os.replace(last, built)
    _remove(new, last)
    program = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["build", str(source), "--path-output", str(new), "--all", "-W", "-n", "--keep-going"]
    with open(log, "w", encoding="utf-8") as file:
        done = subprocess.run([*program, *options], stdout=file, stderr=subprocess.STDOUT, check=False)
    made = new / "_build" / "html"
    if done.returncode or not (made / "index.html").exists():
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
        reasons = [line for line in lines if "WARNING" in line or "ERROR" in line][:20] or lines[-10:]
        kept = f"; {built} is the last that did" if built.exists() else ""
        raise InputError("\n".join([f"the book did not build without warnings (whole log: {log}{kept}):", *reasons]))
    if built.exists():
        os.replace(built, last)
    os.replace(made, built)
    _remove(new, last)
    return built / "index.html"


def _remove(*folders: Path) -> None:
    """Remove folders, or the links that they are: to where somebody's web server looks."""
    for folder in folders:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)


def find_pages() -> list[Page]:
    """For each data set and section its reference page, else the fullest local one."""
    candidates: dict[tuple[str, str], list[tuple[int, Page]]] = {}
    for page in map(read_page, executed()):
        profile = page.record["settings"]["profile"]
        rank = 0 if page.reference else 1 + PROFILES.index(profile) if profile in PROFILES else 9
        candidates.setdefault((page.record["dataset"], page.record["section"]), []).append((rank, page))
    chosen = [min(pages, key=lambda item: item[0])[1] for pages in candidates.values()]
    order = {name: i for i, name in enumerate(DATASETS_FIRST)}
    sections = list(SECTIONS)
    return sorted(
        chosen,
        key=lambda p: (sections.index(p.record["section"]), order.get(p.record["dataset"], 9), p.record["dataset"]),
    )


def read_page(path: Path) -> Page:
    """An executed notebook and its record. Raises `InputError` for one that is no page of this book."""
    notebook = read(path)
    if reason := unusable(path, notebook):
        raise InputError(reason)
    reference = path.is_relative_to(paths.project_root() / "book")
    return Page(path, notebook, page_record(notebook), reference)


def assemble(pages: list[Page], source: Path) -> scoreboard.Scoreboard:
    """The book's sources, complete, in the folder `source`, which is made anew. Returns what was found."""
    root = paths.project_root()
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(root / "book", source / "book", ignore=shutil.ignore_patterns("*.ipynb", "__pycache__"))
    shutil.copyfile(root / "_config.yml", source / "_config.yml")
    config = rules.load_yaml(root / "_config.yml")
    if not isinstance(config, dict) or not isinstance(config.get("repository") or {}, dict):
        raise InputError(
            f"{root / '_config.yml'} must have names and values, of `repository` too, as Jupyter Book's do"
        )
    records, history = [page.record for page in pages], History(root)
    board = scoreboard_of(pages)
    for page in pages:
        target = source / f"{page.place}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        age = newer_rules.note(newer_rules.standing(page.record, history), board.judge)
        fitted = _fitted(page, config, age + _known_elsewhere(page, board))
        target.write_text(nbformat.writes(fitted), encoding="utf-8")
    downloads.write(records, source / "book" / "_static")
    contents = _contents(root / "_toc.yml")
    if pages:
        (source / "book" / "scoreboard.md").write_text(board.page(), encoding="utf-8")
        (source / "book" / "run_statistics.md").write_text(origins.report(records), encoding="utf-8")
        (source / "book" / "changes.md").write_text(changes.page(records, board.verdicts, history), encoding="utf-8")
        found = [{"file": f"book/{name}"} for name in ("scoreboard", "changes", "run_statistics")]
        contents["parts"].insert(0, {"caption": "What was found", "chapters": found})
    for part in contents["parts"]:
        for chapter in part["chapters"]:
            section = Path(chapter["file"]).name
            nested = [
                p for p in pages if chapter["file"] == f"book/sections/{section}" and p.record["section"] == section
            ]
            if nested:
                chapter["sections"] = [{"file": p.place, "title": p.record["title"]} for p in nested]
            _replace(source / f"{chapter['file']}.md", "<!-- pages -->", _list_of_pages(nested))
            _replace(source / f"{chapter['file']}.md", "<!-- found -->", board.of_section(section))
    _add_own_data(source, contents)
    _replace(source / "book" / "index.md", "<!-- found -->", board.summary())
    _replace(source / "book" / "index.md", "<!-- sections -->", _list_of_sections(root / "book" / "sections"))
    _replace(source / "book" / "performance.md", "<!-- measured -->", performance.report())
    (source / "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False), encoding="utf-8")
    return board


def _contents(path: Path) -> dict[str, Any]:
    """A table of contents. Raises `InputError` for one without parts, with chapters that each name a file."""
    contents = rules.load_yaml(path)
    try:
        if all(isinstance(chapter["file"], str) for part in contents["parts"] for chapter in part["chapters"]):
            return contents
    except (TypeError, LookupError):  # something else in the place of a list or of names
        pass
    raise InputError(
        f"{path} must have `parts`, each with `chapters` that name a `file`, as Jupyter Book's tables of contents do"
    )


def _add_own_data(source: Path, contents: dict[str, Any]) -> None:
    """The executed example on a reader's own data beneath the page on it, where it was executed."""
    place, example = f"book/{own_data.NAME}", own_data.page()
    if example:
        (source / f"{place}_executed.ipynb").write_text(nbformat.writes(example), encoding="utf-8")
        for chapter in (chapter for part in contents["parts"] for chapter in part["chapters"]):
            if chapter["file"] == place:
                chapter["sections"] = [{"file": f"{place}_executed"}]
    link = f"[An executed example]({own_data.NAME}_executed.ipynb) goes the whole way, from a folder to verdicts."
    _replace(source / f"{place}.md", "<!-- executed -->", link if example else "")


def scoreboard_of(pages: list[Page]) -> scoreboard.Scoreboard:
    """The verdicts that the records of pages give, each with the parameters that its page was executed with."""
    given = {(page.record["dataset"], page.record["section"]): page.given for page in pages}
    return scoreboard.Scoreboard([page.record for page in pages], given)


def _list_of_sections(folder: Path) -> str:
    """The sections of the paper as a table: the page, the question at its head, and where the paper has it."""
    lines = ["| page | question | in the paper |", "|---|---|---|"]
    for section in (s for s in SECTIONS.values() if not beyond_the_paper(s)):
        question = (folder / f"{section.name}.md").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        numbers, *printed = section.paper.split("; ")
        *most, last = numbers.split(", ")
        place = f"Sections {', '.join(most)} and {last}" if most else f"Section {last}"
        place = "; ".join([place, *(part.capitalize() for part in printed)]).replace("-", "–")
        lines.append(f"| [{section.label}](sections/{section.name}.md) | {question} | {place} |")
    return "\n".join(lines)


def _fitted(page: Page, config: dict[str, Any], age: str) -> nbformat.NotebookNode:
    """A page as the book takes it: names made unique, the data set put into captions, terms linked, banners.

    Arguments: `age`, what is to be said of rules that are newer than its numbers.
    """
    notebook, record = nbformat.from_dict(json.loads(json.dumps(page.notebook))), page.record
    for cell in notebook.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if "name" in figure:
            figure["name"] = f"{record['dataset']}-{figure['name']}".replace("_", "-")
        for what, name, title in (
            ("figure", "caption", as_written(record["title"])),
            ("image", "alt", record["title"]),
        ):
            shown = cell.metadata.get("mystnb", {}).get(what, {})
            if name in shown:
                shown[name] = shown[name].replace("{dataset}", title)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(MIME, None)
    glossary.link([cell for cell in notebook.cells if cell.cell_type == "markdown"])
    notebook.cells = [part for cell in notebook.cells for part in _with_origin(cell, page)]
    title = notebook.cells[0]
    heading, _, rest = title.source.partition("\n")
    title.source = f"{heading} {as_written(record['title'])}\n\n{_banner(record)}{age}\n{rest}"
    end = f"<p class='origin'>{downloads.links(record, config.get('repository') or {})}</p>"
    notebook.cells.append(nbformat.v4.new_markdown_cell(end, id="downloads"))
    return notebook


def _known_elsewhere(page: Page, board: scoreboard.Scoreboard) -> str:
    """A note on the claims of a page of which it can say nothing by itself, and the scoreboard can; empty if none."""
    section, dataset = page.record["section"], page.record["dataset"]
    alone = {v.claim: v for v in evaluate(dataset, {section: board.tables[dataset][section]})}
    found = [v for v in board.verdicts[dataset] if alone[v.claim].verdict == "no verdict" and v.verdict in VERDICTS]
    if not found:
        return ""
    titles = {claim.id: claim.title for claim in load_claims()}
    said = "; ".join(f"*{titles[v.claim]}*: {v.verdict}" for v in found)
    return (
        ":::{admonition} With the tables of other pages\n:class: note\n"
        f"On these claims this page alone has no verdict; the [scoreboard](../scoreboard.md) has: {said}.\n:::\n"
    )


def _with_origin(cell: nbformat.NotebookNode, page: Page) -> Iterator[nbformat.NotebookNode]:
    """A cell, and beneath a figure or table a line on where it comes from."""
    yield cell
    shown = [output.get("data", {}) for output in cell.get("outputs", [])]
    texts = "".join("".join(data.get("text/html", "")) for data in shown)
    pictured = re.search("<table|<figure", texts) or any("image/png" in data for data in shown)
    if pictured and (line := origins.line(page.record, page.given, cell.metadata, texts)):
        yield nbformat.v4.new_markdown_cell(line, id=f"{cell.id}-origin")


def _banner(record: dict[str, Any]) -> str:
    """What differs from profile `paper`; nothing where nothing does."""
    used = (*SECTIONS[record["section"]].accepted, "kept_epochs", "test_examples")
    cut = reductions(record["settings"], used, record.get("clipped", ()))
    if not cut:
        return ""
    notes = "".join(f" {note[0].upper()}{note[1:]}." for note in record["notes"])
    return (
        f":::{{admonition}} Reduced run: profile `{record['settings']['profile']}`\n:class: profile-banner\n"
        f"Against profile `paper`: {'; '.join(cut)}.{notes}\n:::\n"
    )


def _list_of_pages(pages: list[Page]) -> str:
    if not pages:
        return "*No data set has been run for this section yet.*"
    return "\n".join(
        f"- [{as_written(p.record['title'])}](../{p.record['dataset']}/{p.record['section']}.ipynb), profile "
        f"`{p.record['settings']['profile']}`" + ("" if p.reference else ", run by this build")
        for p in pages
    )


def _replace(path: Path, marker: str, text: str) -> None:
    if path.exists():
        path.write_text(path.read_text(encoding="utf-8").replace(marker, text), encoding="utf-8")
