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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..claims import rules
from ..claims.registry import STATISTICS
from ..errors import InputError
from ..paths import load_toml
from ..study.settings import Settings
from ..training.choices import STAND_INS


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


FOLDER = Path(__file__).parent
_WORDS = {int: "a whole number", str: "text", bool: "true or false"}  # of a field's type; the others are lists of text


def _read(path: Path) -> Description:
    """Description of the section in whose folder a file lies. Raises `InputError` for a file that is none."""
    wanted = {field.name: field for field in fields(Description) if field.name != "name"}
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in load_toml(path).items()}
    for name, value in found.items():
        if name not in wanted:
            raise InputError(f"{path} has {name!r}; allowed: {', '.join(wanted)}")
        kind = wanted[name].type
        texts = isinstance(value, tuple) and all(isinstance(item, str) for item in value)
        if not (type(value) is kind if kind in _WORDS else texts):
            raise InputError(
                f"{path}: {name} = {value!r} cannot be used; allowed: {_WORDS.get(kind, 'a list of text')}"
            )
    if lacking := [name for name, field in wanted.items() if field.default is MISSING and name not in found]:
        raise InputError(f"{path} lacks {', '.join(lacking)}")
    return Description(path.parent.name, **found)


def _check_names(section: Description, sections: Iterable[str]) -> None:
    """Raise `InputError` where a section names what is no section, or no parameter."""
    parameters = [field.name for field in fields(Settings)]
    for name, allowed in (("after", [*sections]), ("parameters", parameters)):
        if unknown := [word for word in getattr(section, name) if word not in allowed]:
            path = FOLDER / section.name / "section.toml"
            raise InputError(f"{path}: {name} has {unknown[0]!r}; allowed: {', '.join(allowed)}")


class _Sections(Mapping[str, Description]):
    """All sections by name, in their order. Their files are read at first use: an import shall not fail for one."""

    @cached_property
    def _found(self) -> dict[str, Description]:
        described = sorted(map(_read, FOLDER.glob("*/section.toml")), key=lambda section: section.order)
        for section in described:
            _check_names(section, (s.name for s in described))
        return {section.name: section for section in described}

    def __getitem__(self, name: str) -> Description:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


SECTIONS: Mapping[str, Description] = _Sections()


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
