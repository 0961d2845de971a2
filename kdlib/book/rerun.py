"""What a page was run with, held against what is asked for now: profiles change after a page was published."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from ..errors import InputError
from ..sections import SECTIONS
from ..study.settings import BEFORE, Settings, differing, resolve

# The profile's values of these follow the epochs that are asked for.
_FOLLOW = {"teacher_epochs": ("kept_epochs", "spread_settings"), "sweet_spot_epochs": ("spread_settings",)}


def as_recorded(settings: Settings) -> dict[str, Any]:
    """Settings by name as a page's record has them, with lists for tuples."""
    return json.loads(json.dumps(asdict(settings)))


def unlike(asked: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """Names of the parameters in which a page was run otherwise than is asked for, in the order of `Settings`.

    A grid that the data set clips is none, nor is a number of examples that it does not have. Arguments: `asked`, as
    `as_recorded` gives it; `record`, the page's.
    """
    theirs = BEFORE | record["settings"]
    cut = {*record.get("clipped", ()), *(["examples"] if theirs.get("examples", 0) is None else [])}
    taken = {*SECTIONS[record["section"]].accepted} - cut
    return differing(asked, theirs, (f.name for f in fields(Settings) if f.name in taken and f.name in theirs))


def parameters(record: Mapping[str, Any], given: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters, beside data set and profile, with which a section runs as its page did but for some `changes`.

    They are those that the page was `given`, and those for which its profile has another value now.
    """
    settings, section = record["settings"], SECTIONS[record["section"]]
    place = {name: settings[name] for name in ("dataset", "profile")}
    asked = {name: value for name, value in {**given, **changes}.items() if name not in place}
    passed_over = {*asked, *(name for changed in changes for name in _FOLLOW.get(changed, ()))}
    try:
        while names := [
            name
            for name in unlike(as_recorded(resolve(place | asked, section.accepted)), record)
            if name not in passed_over
        ]:
            asked[names[0]] = (BEFORE | settings)[names[0]]
            passed_over.add(names[0])
    except InputError:  # of a data set or profile that is known no more
        return asked
    return asked
