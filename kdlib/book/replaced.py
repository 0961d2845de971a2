"""What a run takes the place of: the page of a profile that was run with other parameters."""

from collections.abc import Mapping
from typing import Any

from ..sections.asked import checked
from ..study.settings import BEFORE
from . import pages
from .rerun import as_recorded, unlike


def told(section: str, given: Mapping[str, Any]) -> str:
    """Words for the page that a run with these parameters replaces; empty where there is none, or one run alike."""
    asked = checked(section, given)
    place = pages.pages_dir() / f"{asked.dataset}-{asked.profile}" / f"{section}.ipynb"
    page = pages.read(place)
    record = page and pages.page_record(page)
    if not record or not (changed := unlike(as_recorded(asked), record)):
        return ""
    was = ", ".join(f"{name}={(BEFORE | record['settings'])[name]}" for name in changed)
    return f"{section}: the page of {was} is replaced (its own command makes it again from the store; -o FILE keeps it)"
