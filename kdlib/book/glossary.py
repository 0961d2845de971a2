"""Links into the glossary, each term's at its first use on a page."""

import re
from collections.abc import Iterable

import nbformat

from .. import paths

# Headings, code, formulas, links, raw HTML, and a page's line on its place in the paper keep their words as they are.
KEPT = re.compile(
    r"(^\#[^\n]*$|^\*(?:Paper|Beyond)[^\n]*\*$|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\[[^]]*\]\([^)]*\)|<[^>]+>)",
    re.M | re.S,
)


def terms() -> list[str]:
    """The glossary's terms, as it spells them."""
    text = (paths.project_root() / "book" / "glossary.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\{glossary\}\n(.*?)```", text, re.S)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith(" ")]


def link(cells: Iterable[nbformat.NotebookNode]) -> None:
    """Make the first use of each term in a page's text cells a link, in either number and case."""
    found = {_singular(term): term for term in terms()}
    words = (r"\s+".join(map(re.escape, term.split())) for term in sorted(found, key=len, reverse=True))
    any_term = re.compile(rf"\b({'|'.join(words)})s?\b", re.I)

    def role(match: re.Match) -> str:
        used = " ".join(match[0].split())
        term = found.pop(_singular(used), None)
        return match[0] if term is None else f"{{term}}`{used}`" if used == term else f"{{term}}`{used} <{term}>`"

    for cell in cells:
        parts = KEPT.split(cell.source)
        cell.source = "".join(part if i % 2 else any_term.sub(role, part) for i, part in enumerate(parts))


def _singular(term: str) -> str:
    lower = term.lower()
    return lower if lower.endswith("ss") else lower.removesuffix("s")
