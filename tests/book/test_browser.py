"""The rendered book in a real browser: Debian's Chromium, or what KDLIB_CHROMIUM names, driven by Playwright.

`KDLIB_HTML=_build/html pytest tests/book/test_browser.py` tries the book that `make book` built.
"""

import functools
import itertools
import os
import shutil
import threading
from contextlib import ExitStack, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin

import pytest

pytestmark = [pytest.mark.book, pytest.mark.xdist_group("book")]
WIDTHS = (360, 768, 1400)
THEMES = ("light", "dark")
WAYS = [*itertools.product(THEMES, (WIDTHS[0], WIDTHS[-1]))]  # its n-th from the front and back share nothing
AT_ONCE = 7  # pages that wait together
LATER = {"colour_patches", "fashion_mnist", "cifar10"}  # of pages made as others are: visited where long tests are run
AGAIN = pytest.mark.parametrize("again", [False, pytest.param(True, marks=pytest.mark.long)])  # a second look
CHROMIUM = os.environ.get("KDLIB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# Rules of axe-core that are not held against the book, each with its reason.
SWITCHED_OFF: dict[str, str] = {}


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        reason = "no browser: install Debian's package chromium, or name one in KDLIB_CHROMIUM"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield one
        one.close()


@pytest.fixture(scope="session")
def served(html):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=html))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def places(html):
    """Every page, by its path; not the root's, which only leads on to the landing page."""
    found = [p.relative_to(html) for p in sorted(html.rglob("*.html")) if "_static" not in p.parts]
    return [place for place in found if place != Path("index.html")]


class Visit:
    """A page opened from disk, what it asked of others, and what its console complained of."""

    def __init__(self, browser, path: Path, theme: str = "light", width: int = 1400, **options) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, accept_downloads=True, **options
        )
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path if isinstance(path, str) else path.as_uri())

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_) -> None:
        self.context.close()

    def show(self, theme: str) -> None:
        """As when the reader's system changes to another theme."""
        self.page.emulate_media(color_scheme=theme)
        self.page.wait_for_function("(theme) => document.documentElement.dataset.theme === theme", arg=theme)

    def settle(self) -> None:
        """On a busy machine "a little later" is later: wait for it; what never comes is axe-core's to report."""
        from playwright.sync_api import TimeoutError as TooLate

        boxes = "[...document.querySelectorAll('pre, .pst-scrollable-table-container')]"
        with suppress(TooLate):
            self.page.wait_for_function(
                f"() => {boxes}.every((box) => box.scrollWidth <= box.clientWidth || box.tabIndex === 0)", timeout=5000
            )

    def explorers(self) -> list:
        """The page's interactive figures, each drawn."""
        found = self.page.locator("figure.explore").all()
        for figure in found:
            figure.scroll_into_view_if_needed()
            self.page.wait_for_function("(figure) => figure.dataset.ready", arg=figure.element_handle())
        return found


def violations(page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    # `preload` would fetch the style sheets a second time, which browsers forbid on pages from disk.
    options = {
        "resultTypes": ["violations"],
        "preload": False,
        "rules": {name: {"enabled": False} for name in SWITCHED_OFF},
    }
    found = Axe().run(page, options=options).response["violations"]
    return [f"{v['id']}: {node['html'][:160]} ({node['target']})" for v in found for node in v["nodes"]]


@AGAIN
def test_every_page_is_clean_in_the_browser(browser, html, places, again):
    """No error on the console, no request to others, nothing wider than the window, nothing that axe-core finds.

    In either theme, between which the reader's system may change while a page is open. axe-core, which takes longest,
    looks at a page once, at the next one in another of the four ways (phone or desktop, in the one theme or the other);
    where long tests are run, at each page at the other width in the other theme too, and at those of `LATER` in both.
    """
    faults = []
    visited = [place for place in places if again or not set(place.parts) & LATER]
    for batch in (visited[i : i + AT_ONCE] for i in range(0, len(visited), AT_ONCE)):
        with ExitStack() as stack:
            visits = {place: stack.enter_context(Visit(browser, html / place)) for place in batch}
            for visit in visits.values():
                visit.explorers()
            for theme, width in itertools.product(THEMES, WIDTHS):
                for place, visit in visits.items():
                    visit.page.set_viewport_size({"width": width, "height": 900})
                    visit.show(theme)
                    over = visit.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                    faults += [f"{place}: {over} px too wide at {width}, {theme}"] * (over > 0)
                    one = places.index(place) % 4
                    ways = [WAYS[one]] * (not again or bool(set(place.parts) & LATER)) + [WAYS[3 - one]] * again
                    if (theme, width) in ways:
                        visit.settle()
                        faults += [f"{place} at {width}, {theme}: {violation}" for violation in violations(visit.page)]
            for place, visit in visits.items():
                faults += [f"{place}: console: {error}" for error in visit.errors]
                outside = [url for url in visit.requests if not url.startswith(("file:", "data:", "blob:"))]
                faults += [f"{place}: requests {url}" for url in outside]
    assert not faults, "\n".join(faults[:40])


@pytest.mark.parametrize("theme", THEMES)
def test_a_page_opens_in_the_theme_of_the_readers_system(browser, html, theme):
    with Visit(browser, html / "book" / "index.html", theme) as visit:
        assert visit.page.evaluate("document.documentElement.dataset.theme") == theme


def test_axe_would_notice_a_fault(browser, html):
    with Visit(browser, html / "book" / "index.html") as visit:
        visit.page.evaluate("document.querySelector('article').innerHTML += '<img src=\"x.png\">'")
        assert any(line.startswith("image-alt") for line in violations(visit.page))


def test_text_pages_are_visible_within_a_second_and_a_half(browser, html):
    pages = [html / "book" / f"{name}.html" for name in ("index", "scoreboard", "glossary", "sections/missing_class")]
    for path in pages:
        times = []
        while not times or (times[-1] >= 1500 and len(times) < 3):  # again, since others may use the machine
            with Visit(browser, path) as visit:
                visit.page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
                times.append(visit.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        assert times[-1] < 1500, (path.name, times)


def picture(figure) -> str:
    return figure.locator(".explore-plots").inner_html() + figure.locator(".explore-readout").inner_text()


@AGAIN
def test_sliders_move_by_keyboard_and_mouse_and_change_the_picture(browser, html, places, again):
    """On every page with a figure to explore, on a phone and on a desktop: in turn, and then the other way round."""
    explorable = [place for place in places if "class='explore'" in (html / place).read_text(encoding="utf-8")]
    assert {place.stem for place in explorable} == {"entropy", "missing_class", "penultimate_layer", "sweet_spot"}
    for turn, (place, width) in enumerate(itertools.product(explorable, (WIDTHS[0], WIDTHS[-1]))):
        if again != (turn % 4 in (1, 2) or bool(set(place.parts) & LATER)):
            continue
        with Visit(browser, html / place, width=width) as visit:
            [figure] = visit.explorers()
            slider = figure.locator("input[type=range]")
            last = int(slider.get_attribute("max"))
            slider.focus()
            visit.page.keyboard.press("Home")
            at_first, said = picture(figure), figure.locator("output").inner_text()
            visit.page.keyboard.press("ArrowRight")  # from T = 1 to 2 a sure response may not change to three digits
            assert slider.input_value() == "1" and figure.locator("output").inner_text() != said, place
            visit.page.keyboard.press("End")
            at_last = picture(figure)
            assert slider.input_value() == str(last) and at_last != at_first, place
            box = slider.bounding_box()
            visit.page.mouse.click(box["x"] + 3, box["y"] + box["height"] / 2)
            assert slider.input_value() == "0" and picture(figure) != at_last, place
            slider.focus()
            visit.page.keyboard.press("End")  # where responses are softest: two sure ones look alike at T = 1
            for chooser in figure.locator("select").all():
                before = picture(figure)
                chooser.focus()
                visit.page.keyboard.press("ArrowDown")
                assert picture(figure) != before, place
            assert not visit.errors, place


def test_soft_labels_at_the_tables_temperature_are_those_of_the_table(browser, html):
    """What a script computes from stored logits is what the package measured."""
    import pandas as pd

    table = pd.read_csv(html / "_static/tables/digits/entropy/soft_labels.csv")
    first = table[(table.seed == table.seed.min()) & (table.example == 1)]
    shown = first[first.teacher == "small"].sort_values("class").soft_label.tolist()
    with Visit(browser, html / "book/digits/entropy.html") as visit:
        [figure] = visit.explorers()
        assert figure.locator("output").inner_text() == "T = 9"
        drawn = figure.locator(".explore-plot").first.evaluate("(plot) => [...plot.data[0].y]")
    assert drawn == pytest.approx(shown, abs=2e-4)


def test_pointing_at_an_example_shows_its_image(browser, html):
    with Visit(browser, html / "book/digits/penultimate_layer.html") as visit:
        [figure] = visit.explorers()
        image = figure.locator(".explore-image")
        before = image.get_attribute("aria-label")
        plot = figure.locator(".explore-plot").first
        at = plot.evaluate(
            "(p) => { const l = p._fullLayout, t = p.data[1], i = t.x.length >> 1, b = p.getBoundingClientRect();"
            " return [b.x + l.xaxis._offset + l.xaxis.l2p(t.x[i]), b.y + l.yaxis._offset + l.yaxis.l2p(t.y[i])]; }"
        )
        visit.page.mouse.move(at[0] - 3, at[1])
        visit.page.mouse.move(*at)
        visit.page.wait_for_function(
            "(before) => document.querySelector('.explore-image').getAttribute('aria-label') !== before", arg=before
        )


def test_without_scripts_and_in_print_the_static_figures_stand_alone(browser, html):
    path = html / "book" / "digits" / "missing_class.html"
    with Visit(browser, path, java_script_enabled=False) as visit:
        assert not visit.page.locator("figure.explore").is_visible()
        assert visit.page.locator("article img").first.is_visible()
    with Visit(browser, path) as visit:
        visit.explorers()
        visit.page.emulate_media(media="print")
        assert not visit.page.locator("figure.explore").is_visible()
        assert visit.page.locator("article img").first.is_visible()


def test_plotly_is_loaded_only_where_a_figure_can_be_explored(browser, html):
    for place, wanted in (("index", False), ("digits/example_efficiency", False), ("digits/sweet_spot", True)):
        with Visit(browser, html / "book" / f"{place}.html") as visit:
            visit.explorers()
            assert any(url.endswith("plotly.min.js") for url in visit.requests) == wanted, place


def test_a_verdict_on_the_landing_page_leads_to_its_claim_opened(browser, html):
    """Two clicks: the verdict, then the page of the claim; and back and forth opens the next claim too."""
    with Visit(browser, html / "book/index.html") as visit:
        links = visit.page.locator("table.verdict-matrix a[href^=scoreboard]")
        for k in (0, 1):
            address = links.nth(k).get_attribute("href")
            links.nth(k).click()
            row = visit.page.locator(f"[id='{address.partition('#')[2]}']")
            row.locator("details[open]").wait_for()
            opened = row.locator("details").inner_text()
            assert "Measured: " in opened and "Rule: " in opened and "kdlib run " in opened
            visit.page.wait_for_function(
                "(row) => row.getBoundingClientRect().top < innerHeight", arg=row.element_handle()
            )
            row.get_by_text("Its page").click()
            visit.page.wait_for_url("**/digits/*.html" if "digits" in address else "**/book/*/*.html")
            visit.page.goto((html / "book/index.html").as_uri())
        assert not visit.errors


def test_the_scoreboard_shows_the_claims_that_are_asked_for(browser, html):
    """By verdict, by what a control explains, by words; and a link to a claim that is not shown shows it again."""
    with Visit(browser, html / "book/scoreboard.html") as visit:
        rows, shown = (f"table.scoreboard tbody tr:not(.group){more}" for more in ("", ":visible"))
        every = visit.page.locator(rows).count()
        verdicts = visit.page.locator(f"{rows} .verdict").all_inner_texts()
        form = visit.page.locator("form.claim-filter")
        for box in form.get_by_role("group").get_by_role("checkbox").all():
            box.focus()
            visit.page.keyboard.press("Space")
            kind = box.get_attribute("value")
            assert visit.page.locator(shown).count() == every - verdicts.count(kind) < every, kind
            assert form.locator("output").inner_text().startswith(f"{every - verdicts.count(kind)} of {every} ")
            visit.page.keyboard.press("Space")
        form.get_by_label("only what a control explains").check()
        explained = visit.page.locator(f"{shown} td:nth-child(5) a").count()
        assert 0 < visit.page.locator(shown).count() <= explained
        form.get_by_label("only what a control explains").uncheck()
        form.get_by_label("words").fill("SWEET spot")
        found = visit.page.locator(f"{shown} th").evaluate_all("(all) => all.map((th) => th.textContent.toLowerCase())")
        assert 0 < len(found) < every and all("sweet" in text and "spot" in text for text in found)
        assert visit.page.locator("tr.group:visible").count() < visit.page.locator("tr.group").count()
        hidden = visit.page.locator("table.scoreboard tbody tr[hidden]").first.get_attribute("id")
        visit.page.evaluate("(id) => { location.hash = id; }", hidden)
        visit.page.locator(f"[id='{hidden}'] details[open]").wait_for()
        assert visit.page.locator(shown).count() == every and not visit.errors


def test_search_finds_a_known_term(browser, served):
    with Visit(browser, f"{served}/search.html?q=temperature") as visit:
        visit.page.wait_for_selector("#search-results li a")
        assert visit.page.locator("#search-results li a", has_text="Glossary").count()


@AGAIN
def test_downloads_arrive_with_the_right_bytes(browser, served, html, documents, again):
    """Every link that says so, of every page: the first of each kind and some; the others where long tests are run."""
    found = [
        urljoin(f"{served}/{place.as_posix()}", link["href"])
        for place, document in documents.items()
        for link in document.select("article a[download]")
    ]
    links = list(dict.fromkeys(found))
    first = {Path(link).suffix: link for link in reversed(links)}
    assert set(first) >= {".csv", ".ipynb", ".py", ".zip", ".yml"}
    links = [link for i, link in enumerate(links) if again != (i % 10 == 0 or link in first.values())]
    for start in range(0, len(links), 10):  # Chromium asks before a page's eleventh
        with Visit(browser, f"{served}/book/glossary.html") as visit:
            for link in links[start : start + 10]:
                visit.page.evaluate("(href) => { document.body.innerHTML = `<a href='${href}' download>x</a>`; }", link)
                with visit.page.expect_download() as download:
                    visit.page.click("a")
                there = (html / link.removeprefix(f"{served}/")).read_bytes()
                assert there and download.value.path().read_bytes() == there, link
