"""What a run takes the place of: the page of a profile that was run with other parameters."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..sections import SECTIONS
from ..sections.asked import checked
from ..study.settings import BEFORE, differing
from . import pages


def told(section: str, given: Mapping[str, Any]) -> str:
    """Words for the page that a run with these parameters replaces; empty where there is none, or one run alike."""
    asked = checked(section, given)
    place = pages.pages_dir() / f"{asked.dataset}-{asked.profile}" / f"{section}.ipynb"
    page = pages.read(place)
    record = page and pages.page_record(page)
    if not record:
        return ""
    ours, theirs = json.loads(json.dumps(asdict(asked))), BEFORE | record["settings"]  # a record has lists for tuples
    cut = {*record.get("clipped", ()), *(["examples"] if theirs["examples"] is None else [])}  # by what the set has
    names = [name for name in SECTIONS[section].accepted if name not in cut]
    if not (changed := differing(ours, theirs, names)):
        return ""
    was = ", ".join(f"{name}={theirs.get(name)}" for name in changed)
    return f"{section}: the page of {was} is replaced (its own command makes it again from the store; -o FILE keeps it)"
