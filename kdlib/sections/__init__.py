"""A folder for each section of the paper, and one for the controls.

A folder with a `section.toml` is a section: nothing else lists them (`python -m kdlib.sections` writes README's list).
Its modules, of which it has `experiment` and what it needs of the others:

- `experiment`: `units(study)`, what it needs, and `tables(study)`, a dictionary of DataFrames with one row for each
  cell and teacher seed. Accuracies in tables are percent, entropies nats, confidences probabilities.
- `statistics`: what decides the paper's claims and the controls, from these tables.
- `tables` and `figures`: what its notebook shows.

`claims.yml` has the paper's claims that they decide, `controls.yml` the controls that its page shows.

Importing this package imports none of them: names and parameters are known before torch is.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..claims import rules
from ..claims.registry import STATISTICS
from ..training.own_teachers import STAND_INS


@dataclass(frozen=True)
class Description:
    """Description of a section, as its `section.toml` has it."""

    name: str  # of its folder, its notebook and its page
    order: int
    title: str  # the question that its notebook answers
    label: str  # in lists of pages
    paper: str  # where the paper has it: its sections; tables; figures
    after: tuple[str, ...]  # sections whose students it shares
    parameters: tuple[str, ...]  # of its notebook
    needs: str = ""  # of its teachers beside their responses; empty: a reader's own may stand in for them
    own_teacher: str = ""  # what a page says where one does
    long: bool = False  # it takes as long as the others together: no part of a quick book unless it is asked for

    @property
    def accepted(self) -> tuple[str, ...]:
        """Names that its runs take: its notebook's parameters, and where responses suffice a reader's own teachers."""
        return self.parameters if self.needs else (*self.parameters, *STAND_INS)


def _read(path: Path) -> Description:
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    lists = {name: tuple(found.pop(name)) for name in ("after", "parameters")}
    return Description(path.parent.name, **found, **lists)


FOLDER = Path(__file__).parent
_FOUND = (_read(path) for path in FOLDER.glob("*/section.toml"))
SECTIONS: dict[str, Description] = {d.name: d for d in sorted(_FOUND, key=lambda d: d.order)}


def beyond_the_paper(section: Description) -> bool:
    """True if a section has no place in the paper."""
    return not section.paper[0].isdigit()


def part(section: str, name: str) -> ModuleType:
    """A module of a section: `experiment`, `statistics`, `tables` or `figures`."""
    return import_module(f".{section}.{name}", __name__)


def parts(name: str) -> Iterator[ModuleType]:
    """The modules of this name, of all sections that have one."""
    yield from (part(section, name) for section in SECTIONS if (FOLDER / section / f"{name}.py").is_file())


def find(module: str, name: str) -> Any:
    """The function of this name in that module of any section: what notebooks call. Or `AttributeError`."""
    for found in parts(module):
        if name in shown(found):
            return getattr(found, name)
    raise AttributeError(f"no section has {name!r} among its {module}")


def names(module: str) -> list[str]:
    """Names of all functions that `find` finds in a module, sorted."""
    return sorted(name for found in parts(module) for name in shown(found))


def shown(module: ModuleType) -> list[str]:
    """The public functions that a module defines itself."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


@rules.found_by
def _folders() -> dict[str, Path]:
    return {section: Path(__file__).with_name(section) for section in SECTIONS}


@STATISTICS.filled_by
def _statistics() -> None:
    for _ in parts("statistics"):  # importing a module enters them
        pass
