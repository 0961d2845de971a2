"""What was asked for in words, on a command line: which sections, with which parameters. Needs no torch."""

from ..errors import InputError
from . import SECTIONS


def named(section: str) -> list[str]:
    """The sections that a name stands for: itself, or all."""
    if section not in (*SECTIONS, "all"):
        raise InputError(f"unknown section {section!r}; allowed: {', '.join(SECTIONS)}, all")
    return list(SECTIONS) if section == "all" else [section]


def parse_parameters(
    section: str, dataset: str | None, profile: str | None, parameter: list[str] | None, *, strict: bool = True
) -> dict[str, object]:
    """Options and `-p name=value` as one dictionary; for `all`, a section takes those that it knows."""
    if section not in SECTIONS:
        raise InputError(f"unknown section {section!r}; allowed: {', '.join(SECTIONS)}")
    given: dict[str, object] = {}
    for text in parameter or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"-p {text!r} is not name=value")
        known = {name for s in SECTIONS.values() for name in s.parameters}
        if strict or name not in known or name in SECTIONS[section].parameters:
            given[name] = None if value.lower() in ("null", "none") else value
    for name, value in (("dataset", dataset), ("profile", profile)):
        if value is not None and given.get(name, value) != value:
            raise InputError(f"--{name} {value} and -p {name}={given[name]} disagree: give one of them")
        if value is not None:
            given[name] = value
    return {name: value for name, value in given.items() if value is not None}
