"""What was asked for, on a command line or in a notebook: all that can be checked before torch is imported."""

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ..data.registry import check_files
from ..errors import InputError
from ..study.checks import asked_workers
from ..study.settings import Settings, resolve
from ..training import own_teachers
from ..training.choices import STAND_INS, requested_engine
from . import SECTIONS


def checked(section: str, parameters: Mapping[str, Any], **given: Any) -> Settings:
    """The resolved parameters of a section (see `settings.resolve`), whose data set has its files here.

    Raises `InputError` for whatever cannot be used as asked, in the parameters or in the environment.
    """
    if section not in [*SECTIONS]:
        raise InputError(f"unknown section {section!r}; allowed: {', '.join(SECTIONS)}")
    if isinstance(parameters, Mapping):
        _check_stand_ins(section, {**parameters, **given})
    settings = resolve(parameters, SECTIONS[section].accepted, **given)
    for role in STAND_INS:
        if (name := getattr(settings, role)) != role:
            own_teachers.find(name, settings.dataset)
    asked_workers()
    requested_engine()
    check_files(settings.dataset)
    return settings


def _check_stand_ins(section: str, given: Mapping[str, Any]) -> None:
    """Raise `InputError` where a section needs more of its teachers than the responses that a reader's own has."""
    if needs := SECTIONS[section].needs:
        for role in (role for role in STAND_INS if (given.get(role) or role) != role):
            allowed = ", ".join(name for name, other in SECTIONS.items() if not other.needs)
            raise InputError(
                f"{role}={given[role]} is a teacher of your own, which has responses alone, and {section} needs "
                f"{needs}: it can be given to {allowed}"
            )


def parameters_of(
    section: str, dataset: str | None, profile: str | None, parameter: list[str] | None
) -> dict[str, dict[str, object]]:
    """Options and `-p name=value` as each section's parameters, of one or of all, checked."""
    names = named(section)
    known = [*dict.fromkeys(accepted for name in names for accepted in SECTIONS[name].accepted)]
    asked_for = [text.partition("=")[0].strip() for text in parameter or [] if "=" in text]
    if unknown := [name for name in asked_for if name not in known]:
        near = "".join(f"; did you mean {name}?" for name in get_close_matches(unknown[0], known, 1))
        raise InputError(f"unknown parameter {unknown[0]}; allowed: {', '.join(known)}{near}")
    given = {name: parse_parameters(name, dataset, profile, parameter, strict=len(names) == 1) for name in names}
    without = [name for name in names if SECTIONS[name].needs]
    asked = {role for one in given.values() for role in one} & {*STAND_INS}
    if asked and 0 < len(without) < len(names):
        which = f"{', '.join(sorted(asked))}: not in {', '.join(without)}"
        print(f"{which}: more than responses is needed there, and it is table 7's", file=sys.stderr)
    for name, own in given.items():
        checked(name, own)
    return given


def named(section: str) -> list[str]:
    """The sections that a word stands for: itself, several with commas between them, or all; in the book's order."""
    words = [word.strip() for word in section.split(",")]
    if unknown := [word for word in words if word not in (*SECTIONS, "all")]:
        raise InputError(f"unknown section {unknown[0]!r}; allowed: {', '.join(SECTIONS)}, all")
    return [name for name in SECTIONS if name in words or "all" in words]


def parse_parameters(
    section: str, dataset: str | None, profile: str | None, parameter: list[str] | None, *, strict: bool = True
) -> dict[str, object]:
    """Options and `-p name=value` as one dictionary; for `all`, a section takes those that it knows."""
    if section not in SECTIONS:
        raise InputError(f"unknown section {section!r}; allowed: {', '.join(SECTIONS)}")
    given: dict[str, object] = {}
    for text in parameter or []:
        name, equals, value = (word.strip() for word in text.partition("="))
        if not equals:
            raise InputError(f"-p {text!r} is not name=value")
        known = {name for s in SECTIONS.values() for name in s.accepted}
        if strict or name not in known or name in SECTIONS[section].accepted:
            read = None if value.lower() in ("null", "none") else value
            if given.setdefault(name, read) != read:
                raise InputError(f"-p {name}={value} and -p {name}={given[name]} disagree: give one of them")
    for name, value in (("dataset", dataset), ("profile", profile)):
        if value is not None and given.get(name, value) != value:
            raise InputError(f"--{name} {value} and -p {name}={given[name]} disagree: give one of them")
        if value is not None:
            given[name] = value
    return {name: value for name, value in given.items() if value is not None}
