"""Sphinx extension: the interactive figures of kdlib/book/explore.py, with plotly's script on pages that have one."""

import shutil
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

MARK = "class='explore'"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", copy_plotly)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def copy_plotly(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    target = Path(app.outdir, "_static", "plotly.min.js")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(str(distribution("plotly").locate_file("plotly/package_data/plotly.min.js")), target)


def add_script(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """`explore.js` loads plotly when a figure comes near the window."""
    if MARK in context.get("body", ""):
        app.add_js_file("explore.js", loading_method="defer")
