"""Installed from a wheel, without the project: what works does so in the working directory, the rest says why not."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from .conftest import ROOT
from .test_at_once import RUN
from .test_cli import SMALL

WORK = {
    "data": (["data", "digits"], "digits: complete"),
    "plan": (["plan", "missing_class", *SMALL], "missing"),
    "plan of a section that decides no headline": (
        ["plan", "similarity_information", "--profile", "smoke"],
        "similarity_information on",
    ),
    "compute": (["compute", "missing_class", *SMALL], "missing_class: "),
    "store": (["store", "ls"], "small_teacher seed 0"),
    "verify the store": (["store", "verify"], "0 damaged"),
}
NEED_THE_PROJECT = {
    "run": ["run", "missing_class"],
    "page": ["page", "missing_class"],
    "book": ["book"],
    "verify": ["verify"],
    "compare": ["compare", "--dataset", "digits"],
    "models": ["models"],
    "bench": ["bench", "--save"],
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder of the installed wheel, and the working directory of those who use it."""
    place = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "kdlib", place / "source" / "kdlib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, place / "source")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", place, place / "source"], check=True)
    [wheel] = place.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-compile", "--target", place / "site", wheel], check=True)
    shutil.rmtree(place / "source")
    (place / "work" / "plugins").mkdir(parents=True)
    (place / "work" / "plugins" / "of_another_program.py").write_text("raise SystemExit('imported')")
    return place / "site", place / "work"


def run(commands, site, work) -> dict:
    """Exit code, what was written, and what is slow and was imported, of command lines in one process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KDLIB_")}
    environment |= {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "KDLIB_WORKERS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps([(arguments, {}) for arguments in commands.values()]),
        capture_output=True,
        text=True,
        check=True,
        cwd=work,
        env=environment,
    )
    return dict(zip(commands, json.loads(done.stdout), strict=True))


def files(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_what_needs_the_project_is_refused_in_one_line_before_any_work(installed):
    before = [files(folder) for folder in installed]
    for name, (code, shown, slow) in run(NEED_THE_PROJECT, *installed).items():
        assert (code, slow, shown.count("\n")) == (2, [], 1), (name, shown)
        assert shown.startswith("kdlib: this needs the project itself") and "clone the repository" in shown, name
    assert [files(folder) for folder in installed] == before


def test_computing_works_with_a_store_in_the_working_directory_and_none_beside_the_package(installed):
    site, work = installed
    before = files(site)
    for name, (code, shown, _) in run({name: words for name, (words, _) in WORK.items()}, site, work).items():
        assert code == 0 and WORK[name][1] in shown, (name, shown)
        assert "of_another_program" not in shown
    assert files(site) == before
    assert {path.name for path in work.iterdir()} == {"plugins", "store"}
    assert list((work / "store").glob("student/*.safetensors"))
