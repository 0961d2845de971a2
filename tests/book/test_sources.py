"""The book's sources hold together. Nothing is built here."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from kdlib.sections import SECTIONS
from kdlib.training.systems.registry import systems

ROOT = Path(__file__).parent.parent.parent
BOOK = ROOT / "book"
PAGES = sorted(page for page in BOOK.rglob("*.md") if "_generated" not in page.parts)
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
VERDICTS = [
    "reproduced",
    "direction-only",
    "undecided",
    "contradicted",
    "premise-not-met",
    "not-tested",
    "not-yet-run",
    "not-comparable",
    "one-seed",
]
MACHINE = re.compile(
    r"(?<![\w.:/])/(?:work|home|root|Users|tmp|mnt|opt|srv)/|\b[A-Z]:\\"  # paths of one machine
    r"|pypi\.org|pythonhosted|anaconda\.org|registry\.npmjs|download\.pytorch|--(?:extra-)?index-url"
    r"|localhost|127\.0\.0\.1"
)


@pytest.mark.parametrize("script", sorted((ROOT / "findings").glob("*.sh")), ids=lambda script: script.stem)
def test_a_finding_can_be_run_by_its_name_and_takes_nothing_of_the_product(script):
    text = script.read_text()
    assert script.stat().st_mode & 0o111 and text.startswith("#!") and "pip install" in text
    assert not re.search(r"\bimport kdlib|from kdlib|-m kdlib", text)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def toc_files(entry) -> list[str]:
    """Every `file` and the root, at any depth."""
    if isinstance(entry, dict):
        own = [entry[key] for key in ("root", "file") if key in entry]
        return own + [file for value in entry.values() for file in toc_files(value)]
    return [file for part in entry for file in toc_files(part)] if isinstance(entry, list) else []


def prose(page: Path) -> str:
    """A page without its code blocks, directives kept."""
    return re.sub(r"^```(?:bash|text|python)\n.*?^```$", "", page.read_text(), flags=re.M | re.S)


def test_every_page_of_the_contents_exists():
    for file in toc_files(TOC):
        assert any((ROOT / f"{file}{suffix}").is_file() for suffix in ("", ".md", ".ipynb")), file


def test_each_habit_is_held_by_tests_that_exist_and_by_the_versions_that_are_pinned():
    text, known = (BOOK / "habits.md").read_text(), {}
    habits = text.split("\n### ")[1:]
    assert len(habits) > 20
    for habit in habits:
        assert (held := re.findall(r"^- `(tests/[\w/]+\.py)::(test_\w+)`$", habit, re.M)), habit
        for file, name in held:
            if file not in known:
                known[file] = re.findall(r"^def (test_\w+)\(", (ROOT / file).read_text(), re.M)
            assert name in known[file], name
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    named = re.findall(r"`([\w-]+) (\d+(?:\.\d+)+)`", text)
    assert len(named) > 8 and [pair for pair in named if pins[pair[0]] != pair[1]] == []
    assert all((ROOT / script).is_file() for script in re.findall(r"`(findings/\S+)`", text))


def test_every_written_page_is_in_the_contents():
    assert {named(page).removesuffix(".md") for page in PAGES} <= set(toc_files(TOC))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_citations_have_an_entry(page):
    entries = set(re.findall(r"^@\w+\{([^,\s]+),", (BOOK / "references.bib").read_text(), re.M))
    cited = {
        key.strip() for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", page.read_text()) for key in keys.split(",")
    }
    assert cited <= entries


def test_every_distillation_system_has_an_entry_in_the_bibliography():
    entries = set(re.findall(r"^@\w+\{([^,\s]+),", (BOOK / "references.bib").read_text(), re.M))
    assert {system.reference for system in systems().values()} <= entries


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_terms_are_in_the_glossary(page):
    glossaries = re.findall(r"^```\{glossary\}\n(.*?)^```", (BOOK / "glossary.md").read_text(), re.M | re.S)
    defined = {line for glossary in glossaries for line in glossary.splitlines() if line and not line.startswith(" ")}
    used = {re.sub(r".*<(.*)>$", r"\1", term) for term in re.findall(r"\{term\}`([^`]+)`", page.read_text())}
    assert used <= defined


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:\s]+\.md)(?:#[^)]*)?\)", prose(page)):
        assert (page.parent / target).resolve() in PAGES, target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_has_one_title(page):
    assert len(re.findall(r"^# ", prose(page), re.M)) == 1


def test_assembly_finds_its_markers():
    assert (BOOK / "index.md").read_text().count("<!-- found -->") == 1
    assert (BOOK / "index.md").read_text().count("<!-- sections -->") == 1
    for section in SECTIONS:
        assert (BOOK / "sections" / f"{section}.md").read_text().count("<!-- pages -->") == 1


@pytest.mark.parametrize(
    "file", [f for f in BOOK.rglob("*") if f.suffix in {".md", ".ipynb", ".py", ".css", ".svg", ".bib"}], ids=named
)
def test_nothing_names_a_machine_or_a_registry(file):
    text = re.sub(r"[A-Za-z0-9+/=]{200,}", "", file.read_text())  # pictures inside notebooks
    assert MACHINE.search(text) is None


@pytest.mark.parametrize(
    "text", ["see /home/ada/book", "'/tmp/x/y'", "pip install --index-url x", "http://localhost:8888"]
)
def test_a_machine_would_be_noticed(text):
    assert MACHINE.search(text)


def test_the_book_executes_nothing():
    assert CONFIG["execute"]["execute_notebooks"] == "off"
    assert CONFIG["only_build_toc_files"] is True
    assert {".venv", "_build"} <= set(CONFIG["exclude_patterns"])


def test_files_named_in_the_configuration_exist():
    static = [ROOT / folder for folder in CONFIG["sphinx"]["config"]["html_static_path"]]
    sheets = [static[0] / sheet for sheet in CONFIG["sphinx"]["config"]["html_css_files"]]
    extensions = [ROOT / folder / f"{name}.py" for name, folder in CONFIG["sphinx"]["local_extensions"].items()]
    pictures = [ROOT / CONFIG["logo"], ROOT / CONFIG["html"]["favicon"]]
    for path in [*static, *sheets, *extensions, *pictures, *(ROOT / bib for bib in CONFIG["bibtex_bibfiles"])]:
        assert path.exists(), path


def test_inline_pictures_carry_a_description():
    for page in PAGES:
        for svg in re.findall(r"<svg.*?</svg>", page.read_text(), re.S):
            assert 'role="img"' in svg
            assert "<title" in svg
            assert "<desc" in svg


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("ground, prefix", [("#ffffff", ""), ("#121212", 'html[data-theme="dark"] ')])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_verdicts_can_be_read(verdict, ground, prefix):
    """WCAG AA: a contrast of at least 4.5, in light and dark."""
    rules = dict(re.findall(r"^([^\n{}]+?) \{([^}]*)\}", (BOOK / "_static" / "companion.css").read_text(), re.M))
    rule = rules.get(f"{prefix}.verdict-{verdict}") or rules[f"{prefix}.verdict"]
    text = re.search(r"(?<![-\w])color: (#\w{6})", rule)[1]
    behind = re.search(r"background: (#\w{6}|transparent)", rule)[1].replace("transparent", ground)
    low, high = sorted((luminance(text), luminance(behind)))
    assert (high + 0.05) / (low + 0.05) >= 4.5


@pytest.fixture(scope="module")
def offline_book():
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location("offline_book", BOOK / "_ext" / "offline_book.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "planted",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<script>const URL = "https://unpkg.com/thebe@0.8.2/lib/index.js"</script>',
        '<script type="module">import x from "https://cdn.jsdelivr.net/npm/x"</script>',
        '<link rel="stylesheet" href="//fonts.example.org/css">',
        '<img src="http://example.org/x.png" alt="">',
        '<img srcset="a.png 1x, https://example.org/b.png 2x" alt="">',
        '<div style="background: url(https://example.org/x.png)"></div>',
        '<style>@import "https://example.org/x.css";</style>',
        '<iframe src="https://example.org"></iframe>',
        '<svg><image href="https://example.org/x.png"/></svg>',
    ],
)
def test_a_request_would_be_noticed(offline_book, tmp_path, planted):
    (tmp_path / "page.html").write_text(f"<p>Text</p>{planted}<p>Text</p>")
    assert list(offline_book.external_requests(tmp_path))


def test_links_and_local_files_are_no_requests(offline_book, tmp_path):
    (tmp_path / "page.html").write_text(
        '<a href="https://example.org">a link</a><script src="../_static/x.js"></script><img src="x.png" alt="">'
        '<img src="data:image/svg+xml,<svg xmlns=http://www.w3.org/2000/svg>" alt=""><svg xmlns="http://www.w3.org/2000/svg"/>'
        "<script>// see https://example.org/license</script>"
    )
    (tmp_path / "x.css").write_text("a { background: url(data:image/png;base64,AA//) } /* https://example.org */")
    assert not list(offline_book.external_requests(tmp_path))


def test_a_stylesheet_is_read_too(offline_book, tmp_path):
    (tmp_path / "x.css").write_text("@font-face { src: url('https://fonts.example.org/x.woff2') }")
    assert list(offline_book.external_requests(tmp_path)) == [("x.css", "https://fonts.example.org/x.woff2")]
