"""What can be taken away from the book: tables, notebooks, and each data set's results as one archive."""

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..claims import rules
from .pages import notebook_pair

WHEN = (1980, 1, 1, 0, 0, 0)  # of everything in an archive: equal contents make equal bytes


def write(records: Sequence[dict[str, Any]], static: Path) -> None:
    """Tables, clean notebooks, rules and archives, into the book's folder of static files.

    Of these folders none may have a name that `exclude_patterns` of _config.yml holds: Sphinx would not copy it.
    """
    for record in records:
        folder = static / "tables" / record["dataset"] / record["section"]
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in record["tables"].items():
            (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    sources = static / "sources"
    sources.mkdir(exist_ok=True)
    for section in dict.fromkeys(r["section"] for r in records):
        for file in notebook_pair(section):
            shutil.copyfile(file, sources / file.name)
    for name, content in _rules().items():
        (static / name).parent.mkdir(parents=True, exist_ok=True)
        (static / name).write_bytes(content)
    archives = static / "archives"
    archives.mkdir(exist_ok=True)
    for dataset in dict.fromkeys(r["dataset"] for r in records):
        _archive(archives / f"{dataset}.zip", [r for r in records if r["dataset"] == dataset])


def _rules() -> dict[str, bytes]:
    """The files of the rules by the place that they get: what holds for all, and each section's."""
    found = {f"rules/{path.name}": path.read_bytes() for path in (rules.GUIDE, rules.ORDER)}
    return found | {f"rules/{section}/{kind}.yml": path.read_bytes() for (section, kind), path in rules.files().items()}


def links_to_rules(up: str) -> str:
    """HTML: the files of the rules, from a page that is so far below the static files' folder."""
    names = [name for name in _rules() if not name.endswith(rules.ORDER.name)]
    return ", ".join(f"<a href='{up}/_static/{name}' download>{name.removeprefix('rules/')}</a>" for name in names)


def links(record: dict[str, Any], repository: Mapping[str, str]) -> str:
    """HTML, for the end of a page: everything that belongs to it, and where its notebook can be run.

    Arguments: `repository`, of _config.yml: `url` and `branch`. Without an address on GitHub nothing can be launched.
    """
    section, dataset, static = record["section"], record["dataset"], "../../_static"
    what = [
        (f"../../_sources/book/{dataset}/{section}.ipynb", "this notebook, executed"),
        (f"{static}/sources/{section}.ipynb", "its source"),
        (f"{static}/sources/{section}.py", "its source as text"),
        *((f"{static}/tables/{dataset}/{section}/{name}.csv", f"{name}.csv") for name in record["tables"]),
        (f"{static}/archives/{dataset}.zip", "all results of this data set (zip)"),
    ]
    downloads = [f"<a href='{address}' download>{text}</a>" for address, text in what]
    launches = [f"<a href='{address}'>{text}</a>" for address, text in _launches(section, repository)]
    return "Downloads: " + " · ".join(downloads) + ("<br>Run it: " + " · ".join(launches)) * bool(launches)


def _launches(section: str, repository: Mapping[str, str]) -> list[tuple[str, str]]:
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", repository.get("url", ""))
    if found is None:
        return []
    place, branch, notebook = found[1], repository.get("branch", "main"), f"notebooks/{section}.ipynb"
    return [
        (f"https://mybinder.org/v2/gh/{place}/{branch}?labpath={quote(notebook, safe='')}", "Binder"),
        (f"https://colab.research.google.com/github/{place}/blob/{branch}/{notebook}", "Colab"),
    ]


def _archive(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Tables, records and rules, with a manifest of their sha256."""
    files = _rules()
    for record in records:
        about = {name: value for name, value in record.items() if name != "tables"}
        files[f"{record['section']}/record.json"] = json.dumps(about, indent=1, sort_keys=True).encode()
        for name, text in record["tables"].items():
            files[f"{record['section']}/{name}.csv"] = text.encode()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    files["MANIFEST.json"] = json.dumps(digests, indent=1).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, WHEN), content, zipfile.ZIP_DEFLATED)
