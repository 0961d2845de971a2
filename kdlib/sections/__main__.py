"""`python -m kdlib.sections`: README.md's list of the sections, from what they say of themselves."""

import re

from .. import paths
from . import SECTIONS

HEAD = "| notebook | paper | question |\n|---|---|---|\n"


def rows() -> str:
    """The list: a row for each section, with its notebook, where the paper has it, and its question."""
    return "".join(f"| `{s.name}` | {s.paper} | {s.title[0].lower()}{s.title[1:]} |\n" for s in SECTIONS.values())


def main() -> None:
    """Write the list of sections into README.md, between its head and the text after it."""
    readme = paths.project_root() / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(re.sub(rf"(?<={re.escape(HEAD)})(\|.*\n)+", lambda _: rows(), text), encoding="utf-8")


if __name__ == "__main__":
    main()
