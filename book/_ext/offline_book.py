"""Sphinx extension: a book that asks nothing of the network.

MathJax comes from the installed package `sphinx_mathjax_offline`, sphinx-thebe (which brings a CDN address and a script
error to every page) is taken out, what the theme leaves out for screen readers is put in, and the build fails if a page
would still request anything from another host.
"""

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.metadata import distribution
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

logger = logging.getLogger(__name__)

MATHJAX_PARTS = ["tex-chtml.js", "input/tex/extensions", "output/chtml/fonts"]

# With scripts, a reader who chose nothing gets the system's light or dark, and paper is always light.
COLOUR_MODE = """\
(() => {
  const root = document.documentElement.dataset;
  if (!localStorage.getItem("mode")) {
    root.mode = "auto";
    root.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }
  let shown;
  addEventListener("beforeprint", () => { shown = root.theme; root.theme = "light"; });
  addEventListener("afterprint", () => { root.theme = shown; });
})()"""


def setup(app: Sphinx) -> dict[str, bool]:
    remove_thebe(app)
    app.connect("config-inited", use_local_mathjax)
    app.connect("config-inited", leave_figures_unnumbered, priority=900)
    app.add_js_file(None, body=COLOUR_MODE)
    app.connect("builder-inited", copy_mathjax)
    app.connect("build-finished", mend_pages)
    app.connect("build-finished", check_offline)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def use_local_mathjax(app: Sphinx, config: Config) -> None:
    config.mathjax_path = "mathjax/tex-chtml.js"
    config.mathjax3_config = {"options": {"enableMenu": False}}  # the menu would fetch parts that are not copied


def leave_figures_unnumbered(app: Sphinx, config: Config) -> None:
    """Captions name the paper's figures; a second number beside theirs misleads. sphinx-jupyterbook-latex sets one."""
    config.numfig = False


def remove_thebe(app: Sphinx) -> None:
    """Undo what sphinx-thebe's own setup connected; Jupyter Book loads it before local extensions."""
    for listeners in app.events.listeners.values():
        listeners[:] = [
            one for one in listeners if not getattr(one.handler, "__module__", "").startswith("sphinx_thebe")
        ]
    app.registry.css_files[:] = [sheet for sheet in app.registry.css_files if sheet[0] != "sphinx-thebe.css"]


def copy_mathjax(app: Sphinx) -> None:
    """Copy what TeX formulas need, about a tenth of the package."""
    if app.builder.format != "html":
        return
    source = Path(str(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")))
    target = Path(app.outdir, "_static", "mathjax")
    for part in MATHJAX_PARTS:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / part, target / part)


# What the theme, pandas and sphinxcontrib-bibtex write, and what a browser or a screen reader needs: in every page.
MENDED = [
    # Buttons of a page's source save the file; the theme's open a notebook as raw JSON.
    (r'(<a href="[^"]*_sources/[^"]*") target="_blank"', r"\1 download"),
    # A header cell without a word is read out as an empty header.
    (r"<th(?: class=\"head\")?>(?:<p></p>|\s*)</th>", "<td></td>"),
    # The arrows that open a part of the contents have no name.
    (r'<summary>(?=<span class="toctree-toggle")', '<summary aria-label="Show or hide the pages below">'),
    # Roles that ARIA no longer has, or that do not allow what stands in them.
    (r' role="doc-biblioentry"', ""),
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    # The logo beside the contents lies in no landmark.
    (r'(<div[^>]* class="bd-sidebar-primary bd-sidebar[^"]*")', r'\1 role="region" aria-label="Site"'),
    # On a phone a figure keeps a size at which it can be read, and scrolls; the theme gives such boxes the focus.
    (
        r'(<figure class="align-default"[^>]*>)\s*(<img [^>]*>)',
        r'\1<div class="pst-scrollable-table-container figure-scroll">\2</div>',
    ),
    # A long formula scrolls in a box of its own, by keyboard too.
    (r'<div class="math notranslate nohighlight"', r'<div tabindex="0" class="math notranslate nohighlight"'),
]


def mend_pages(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = mended = page.read_text(encoding="utf-8")
        for found, instead in MENDED:
            mended = re.sub(found, instead, mended)
        if mended != text:
            page.write_text(mended, encoding="utf-8")


def check_offline(app: Sphinx, exception: Exception | None) -> None:
    """Warn, and so fail a build that treats warnings as errors, where a page would request another host."""
    if exception or app.builder.format != "html":
        return
    for page, request in external_requests(Path(app.outdir)):
        logger.warning("%s would request %s", page, request, type="offline")


def external_requests(folder: Path) -> Iterator[tuple[str, str]]:
    """(file, address) of all that the pages and stylesheets in a folder request from a host. Links do not count."""
    for page in sorted(folder.rglob("*.html")):
        parser = _Requests()
        parser.feed(page.read_text(encoding="utf-8"))
        yield from ((str(page.relative_to(folder)), address) for address in parser.found)
    for sheet in sorted(folder.rglob("*.css")):
        text = sheet.read_text(encoding="utf-8")
        yield from ((str(sheet.relative_to(folder)), address) for address in _in_css(text))


class _Requests(HTMLParser):
    """Collects the addresses on another host that a browser would fetch to show a page."""

    LOADING = {"src", "srcset", "poster", "data", "background"}
    LINKS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "manifest"}

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in {"script", "style"} else ""
        given = {name: value or "" for name, value in attributes}
        values = [value for name, value in given.items() if name in self.LOADING]
        if tag == "link" and self.LINKS & set(given.get("rel", "").lower().split()):
            values.append(given.get("href", ""))
        if tag in {"image", "use", "feimage"}:  # of inline SVG
            values += [given.get("href", ""), given.get("xlink:href", "")]
        for value in values:
            self.found += re.findall(r"(?:https?:)?//[^\s,]+", value) if _external(value) else []
        self.found += _in_css(given.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.found += _in_css(data)
        elif self._inside == "script":  # hosts that serve scripts, named in a script
            self.found += re.findall(r"https?://[^\s\"']*(?:cdn|unpkg|jsdelivr|googleapis|mybinder)[^\s\"']*", data)


def _external(value: str) -> bool:
    return not value.startswith("data:") and re.search(r"(^|[\s,])(https?:)?//", value) is not None


def _in_css(text: str) -> list[str]:
    imported = re.findall(r"@import\s+[\"']((?:https?:)?//[^\"']+)", text)
    return imported + re.findall(r"url\(\s*[\"']?((?:https?:)?//[^\"')]+)", text)
