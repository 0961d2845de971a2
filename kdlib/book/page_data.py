"""Are the pages of the data that are at hand? A page of other data is stale, whatever its tables say."""

from typing import Any

from .. import paths
from ..data import at_hand
from ..errors import InputError
from ..study.store import from_bytes, published_units
from .pages import records


def problems() -> list[str]:
    """One line for each page of other data than those at hand, and for each data set that cannot be read."""
    found: dict[str, None] = {}  # what is wrong with a data set is said once
    for where, record in records():
        try:
            now = _now(record)
        except InputError as error:
            found[f"the pages of {record['dataset']} cannot be compared with their data: {error}"] = None
            continue
        if now is not None and (then := _then(record)) not in (None, now):
            found[
                f"{where} is stale: it is of other data than {record['dataset']} now has (digest {then[:12]}, now "
                f"{now[:12]}; `kdlib run` makes it anew)"
            ] = None
    return list(found)


def not_compared() -> list[str]:
    """One line for each data set that has pages and is not here."""
    lacking: dict[str, int] = {}
    for _, record in records():
        try:
            if _now(record) is None:
                lacking[record["dataset"]] = lacking.get(record["dataset"], 0) + 1
        except InputError:
            continue  # `problems` names it
    return [f"{name} is not here: its data were not compared with those of {n} pages" for name, n in lacking.items()]


def _now(record: dict[str, Any]) -> str | None:
    settings = record["settings"]
    return at_hand.digest(record["dataset"], settings["examples"], settings["test_examples"])


def _then(record: dict[str, Any]) -> str | None:
    """The digest of a page's data; None where neither it nor its published units say."""
    if "data" in record:
        return record["data"]
    try:
        units = published_units(paths.project_root() / "results" / record["dataset"] / f"{record['section']}.parquet")
        config = from_bytes(next(units[key] for key in record["units"] if key in units)).config
    except (OSError, ValueError, KeyError, StopIteration):
        return None  # what is wrong with them `verification` says
    while "data" not in config:
        config = config.get("teacher") or config["student"]
    return config["data"]
