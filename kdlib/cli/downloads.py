"""What can be taken away from the book: tables, notebooks, and each data set's results as one archive."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import paths

WHEN = (1980, 1, 1, 0, 0, 0)  # of everything in an archive: equal contents make equal bytes


def write(records: Sequence[dict[str, Any]], static: Path) -> None:
    """Tables, clean notebooks and archives, into the book's folder of static files."""
    for record in records:
        folder = static / "tables" / record["dataset"] / record["section"]
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in record["tables"].items():
            (folder / f"{name}.csv").write_text(text)
    sources = static / "notebooks"
    sources.mkdir(exist_ok=True)
    for section in dict.fromkeys(r["section"] for r in records):
        for half in ("ipynb", "py"):
            shutil.copyfile(paths.project_root() / "notebooks" / f"{section}.{half}", sources / f"{section}.{half}")
    archives = static / "results"
    archives.mkdir(exist_ok=True)
    for dataset in dict.fromkeys(r["dataset"] for r in records):
        _archive(archives / f"{dataset}.zip", [r for r in records if r["dataset"] == dataset])


def links(record: dict[str, Any]) -> str:
    """HTML, for the end of a page: everything that belongs to it."""
    section, dataset, static = record["section"], record["dataset"], "../_static"
    what = [
        (f"../_sources/book/{dataset}/{section}.ipynb", "this notebook, executed"),
        (f"{static}/notebooks/{section}.ipynb", "its source"),
        (f"{static}/notebooks/{section}.py", "its source as text"),
        *((f"{static}/tables/{dataset}/{section}/{name}.csv", f"{name}.csv") for name in record["tables"]),
        (f"{static}/results/{dataset}.zip", "all results of this data set (zip)"),
    ]
    return "Downloads: " + " · ".join(f"<a href='{address}' download>{text}</a>" for address, text in what)


def _archive(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Tables, records and rules, with a manifest of their sha256."""
    rules = paths.paper_dir()
    files = {f"rules/{name}": (rules / name).read_bytes() for name in ("claims.yml", "controls.yml")}
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
