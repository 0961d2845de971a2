"""The rendered book, built from digits and from a user's own data set at smoke size."""

import re
from pathlib import Path
from urllib.parse import unquote, urldefrag

import nbformat
import pytest

from kdlib.book.pages import page_record
from kdlib.claims.claims import load_claims
from kdlib.report.verdict_table import anchor
from kdlib.sections import SECTIONS

from ..conftest import ROOT

pytestmark = [pytest.mark.book, pytest.mark.xdist_group("book")]  # one worker builds it, once


def test_the_book_is_built_by_one_worker(request, worker_id):
    if worker_id != "master":
        assert request.node.nodeid.endswith("@book")


def test_every_section_has_a_page_for_each_data_set_a_users_own_too(documents):
    for dataset in ("digits", "colour_patches"):
        for section in SECTIONS:
            assert Path("book", dataset, f"{section}.html") in documents


@pytest.mark.parametrize("section", SECTIONS)
def test_no_table_of_a_users_own_set_is_empty(section, html, project):
    page = project / "_build" / "pages" / "colour_patches-smoke" / f"{section}.ipynb"
    for name, table in page_record(nbformat.read(page, as_version=4))["tables"].items():
        # Of these classes nothing is known beforehand.
        assert table.count("\n") > 1 or (section, name) == ("similarity_information", "structure"), name


def test_no_link_and_no_picture_is_broken(html, documents):
    broken = []
    for path, document in documents.items():
        for tag, attribute in (("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")):
            for element in document.find_all(tag, **{attribute: True}):
                target, fragment = urldefrag(unquote(element[attribute]))
                if re.match(r"[a-z]+:", target) or not target:
                    continue
                file = (html / path.parent / target.split("?")[0]).resolve()
                if not file.exists():
                    broken.append((str(path), target))
                    continue
                page = documents.get(file.relative_to(html)) if tag == "a" else None
                if fragment and page is not None and not page.find(id=fragment):
                    broken.append((str(path), f"{target}#{fragment}"))
    assert not broken


def test_no_page_asks_another_address_for_anything(documents):
    for path, document in documents.items():
        for tag, attribute in (("img", "src"), ("link", "href"), ("script", "src"), ("iframe", "src")):
            for element in document.find_all(tag, **{attribute: True}):
                if (
                    tag == "link"
                    and "stylesheet" not in element.get("rel", [])
                    and "icon" not in element.get("rel", [])
                ):
                    continue
                assert not re.match(r"(https?:)?//", element[attribute]), (path, element)


def test_alt_texts_are_telling_and_unique_on_their_page(documents):
    figures = 0
    for path, document in documents.items():
        alts = [image.get("alt", "") for image in document.select("article img, .bd-article img")]
        assert len(set(alts)) == len(alts), path
        for alt in alts:
            assert len(alt) > 60 and "/" not in alt and "{dataset}" not in alt, (path, alt)
        figures += len(alts)
    assert figures >= 2 * 15


def test_no_page_shows_a_traceback_or_a_path_of_this_machine(html, project):
    for path in html.rglob("*.html"):
        text = path.read_text()
        assert "Traceback (most recent call last)" not in text
        for machine in (str(project), str(ROOT), str(Path.home()) + "/"):
            assert machine not in text, (path, machine)


def test_no_words_of_a_table_are_cut_short(documents):
    cut = [
        (path, cell.get_text())
        for path, page in documents.items()
        for cell in page.select("td, th")
        if cell.get_text().endswith("...")
    ]
    assert cut == []


def test_a_text_page_weighs_at_most_1_mb(html):
    assert max(path.stat().st_size for path in html.rglob("*.html")) < 1_000_000


def test_a_reduced_run_says_so(documents):
    for section in SECTIONS:
        banner = documents[Path("book/digits", f"{section}.html")].select_one(".profile-banner").get_text()
        assert "Reduced run: profile smoke" in banner and "2 of 5 teacher seeds" in banner


def test_the_scoreboard_has_every_claim_that_applies_with_a_verdict(documents):
    rows = documents[Path("book/scoreboard.html")].select("table.scoreboard tbody tr:not(.group)")
    applying = [claim for claim in load_claims() if claim.applies_to("digits")]
    assert len(rows) == 2 * len(applying)
    assert all(row.select_one(".verdict").get_text() for row in rows)


def test_a_pages_terms_lead_to_the_glossary_once_each(documents):
    for section in SECTIONS:
        page = documents[Path("book/digits", f"{section}.html")]
        linked = [a["href"] for a in page.select("article a[href*='glossary.html#term-']")]
        assert len(linked) == len(set(linked)) >= 3


def test_the_scoreboards_claims_stand_under_the_notebook_that_decides_them(documents):
    notebooks = {anchor(name, c.id): c.notebook for c in load_claims() for name in ("digits", "colour_patches")}
    for group in documents[Path("book/scoreboard.html")].select("table.scoreboard tbody"):
        title, *rows = group.select("tr")
        assert rows and title.select_one("th")["scope"] == "rowgroup"
        (page,) = title.select("a")
        assert all(page["href"].endswith(f"/{notebooks[row['id']]}.html") for row in rows)


def test_the_landing_page_leads_to_a_claim_and_its_command_in_two_clicks(documents):
    """Landing page, scoreboard at the data set, the claim opened: verdict, interval, page and command."""
    landing = documents[Path("book/index.html")]
    links = [a["href"] for a in landing.select("table.verdict-matrix a") if "scoreboard" in a["href"]]
    assert len(links) >= 2 * 7
    assert len(landing.select("table.verdict-matrix tbody tr")) >= 7
    board = documents[Path("book/scoreboard.html")]
    for link in links:
        row = board.find(id=link.removeprefix("scoreboard.html#"))
        assert row.select_one(".verdict") and row.select_one("details")
    for row in board.select("table.scoreboard tbody tr:not(.group)"):
        opened = row.select_one("details").get_text()
        if row.select_one(".verdict-not-tested"):
            assert "Not tested: " in opened
            continue
        assert "kdlib run " in opened and "--dataset " in opened and "Rule: " in opened
        assert row.select_one("details a")["href"].endswith(".html")


def test_a_sections_page_says_what_was_found_on_every_data_set(documents):
    for section in SECTIONS:
        page = documents[Path("book/sections", f"{section}.html")]
        heads = [cell.get_text() for cell in page.select("table.verdict-matrix thead th")]
        assert heads == ["claim", "scikit-learn digits", "Colour patches"]
        applying = [c for c in load_claims() if c.notebook == section and c.applies_to("digits")]
        expected = {c.title + " (our reading)" * c.derived for c in applying if c.kind != "not_tested"}
        heads = page.select("table.verdict-matrix tbody th")
        assert {next(cell.stripped_strings) for cell in heads} == expected  # beneath it the unit of its numbers


def test_each_figure_and_table_of_a_page_has_its_origin_beneath(documents):
    for section in SECTIONS:
        page = documents[Path("book/digits", f"{section}.html")]
        figures = page.select("article figure.align-default, .bd-article figure.align-default")
        assert len(page.select("details.origin")) >= len(figures) > 0
        for line in page.select("details.origin"):
            assert "teacher seeds" in line.summary.get_text() and f"kdlib run {section}" in line.get_text()


def test_the_tables_of_a_page_can_be_downloaded_as_csv(html, documents):
    page = documents[Path("book/digits/missing_class.html")]
    links = [a["href"] for a in page.find_all("a", href=True) if a["href"].endswith(".csv")]
    assert links
    for link in links:
        assert (html / "book/digits" / link).resolve().read_text().count("\n") > 1


def test_one_touched_notebook_makes_its_pages_stale_and_a_cleared_page_is_noticed(project, kdlib_in, html):
    assert kdlib_in("verify").returncode == 0
    text = project / "notebooks" / "entropy.py"
    source = text.read_text()
    notebook = text.with_suffix(".ipynb")
    before = notebook.read_text()
    try:
        text.write_text(source.replace("# ## The teachers", "# ## Both teachers"))
        differing = kdlib_in("verify")
        assert differing.returncode == 1 and "notebooks/entropy.py and .ipynb differ" in differing.stderr
        refused = kdlib_in("run", "entropy", "--profile", "smoke")
        assert refused.returncode == 2 and "jupytext --update --to ipynb notebooks/entropy.py" in refused.stderr
        notebook.write_text(before.replace("## The teachers", "## Both teachers"))
        stale = kdlib_in("verify")
        assert stale.returncode == 1 and stale.stderr.count("is stale") == 2
        assert "missing_class.ipynb is stale" not in stale.stderr
    finally:
        text.write_text(source)
        notebook.write_text(before)
    page = project / "_build/pages/digits-smoke/entropy.ipynb"
    whole = page.read_text()
    try:
        page.write_text(re.sub(r'"outputs": \[[^\0]*?\n   \]', '"outputs": []', whole))
        cleared = kdlib_in("verify")
        assert cleared.returncode == 1 and "has no record" in cleared.stderr
    finally:
        page.write_text(whole)
