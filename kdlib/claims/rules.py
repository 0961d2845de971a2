"""The rules: what the sections' files `claims.yml` and `controls.yml` hold, and a digest of each section's.

RULES.md, beside this module, says what the entries mean. A section's rules are the claims and controls whose `notebook`
it is: those that its tables decide. A claim stands in the folder of its section; a control in that of the section whose
page shows it, and names another `notebook` if that one's tables decide it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..paths import read_text
from ..training.identity import identity_digest

Entry = Mapping[str, Any]
Rules = Mapping[str, Sequence[Entry]]  # the entries of each kind
KINDS = ("claims", "controls")
GUIDE = Path(__file__).with_name("RULES.md")
ORDER = Path(__file__).with_name("order.yml")  # all claims in the paper's order

_sources: list[Callable[[], Mapping[str, Path]]] = []


def found_by(source: Callable[[], Mapping[str, Path]]) -> Callable[[], Mapping[str, Path]]:
    """`source` gives the folders of sections by name, whenever the rules are read."""
    _sources.append(source)
    return source


def files() -> dict[tuple[str, str], Path]:
    """Every file of rules, by section and kind."""
    folders = {section: folder for source in _sources for section, folder in source().items()}
    wanted = {(section, kind): folder / f"{kind}.yml" for section, folder in folders.items() for kind in KINDS}
    return {key: path for key, path in wanted.items() if path.exists()}


def load_yaml(path: Path) -> Any:
    """The lists, dictionaries and numbers of a YAML file. Raises `InputError` for one that cannot be read."""
    return _load(read_text(path), path)


def _load(text: str, place: object) -> Any:
    """By the library's compiled loader where there is one: ten times as fast."""
    import yaml  # not before it is used: `python -m kdlib campaign --needs` says whether it is here

    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise InputError(f"{place} cannot be read as YAML: {' '.join(str(error).split())}") from error


# Of rules, which nothing changes: a book asks thousands of times for the same few.
_load_rules = cache(_load)


def parse(text: str, section: str) -> list[Entry]:
    """The entries of a file that stands in a section's folder, each with its `notebook`."""
    return [{"notebook": section, **entry} for entry in _load_rules(text, f"what {section} claims") or []]


def read() -> Rules:
    """All rules as they are now: claims in the paper's order (one that it does not list comes last), then controls."""
    found: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    for (section, kind), path in files().items():
        entries = _load_rules(read_text(path), path) or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) and "id" in entry for entry in entries):
            raise InputError(f"{path} must be a list of entries, each with an `id`: {GUIDE.name} has the fields")
        found[kind] += [{"notebook": section, **entry} for entry in entries]
    order = _load_rules(read_text(ORDER), ORDER)
    if not isinstance(order, list) or not all(isinstance(name, str) for name in order):
        raise InputError(f"{ORDER} must be a list of the claims' `id`s")
    place = {name: i for i, name in enumerate(order)}
    found["claims"].sort(key=lambda entry: place.get(entry["id"], len(place)))
    return found


def made(make: Callable[[Entry], Any], entry: Entry) -> Any:
    """The claim or control that a function makes of an entry. Raises `InputError` for one with other fields."""
    try:
        return make(entry)
    except (TypeError, KeyError) as error:
        said = f"lacks {error}" if isinstance(error, KeyError) else str(error).partition("() ")[2]
        raise InputError(f"rule {entry['id']} of {entry['notebook']}: {said}") from error


def digest(rules: Rules, section: str) -> str:
    """sha256 over what a section's entries say: not over comments, their order, or other sections' entries."""
    own = {kind: sorted((e for e in rules[kind] if e["notebook"] == section), key=lambda e: e["id"]) for kind in KINDS}
    return identity_digest(own)


def digests() -> dict[str, str]:
    """Digests of all sections' rules as they are now, by section.

    Units record them when they are computed, and pages their own section's.
    """
    rules = read()
    sections = {entry["notebook"] for kind in KINDS for entry in rules[kind]}
    return {section: digest(rules, section) for section in sorted(sections)}
