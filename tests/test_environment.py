"""The three ways to get the environment agree: pyproject.toml, constraints.txt, environment.yml."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(text)
    for text in (*PROJECT["dependencies"], *(t for extra in PROJECT["optional-dependencies"].values() for t in extra))
]
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())


def canonical(name):
    return name.lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_requirement_is_pinned_to_a_version_that_it_allows(requirement):
    pins = {canonical(name): version for name, version in PINS.items()}
    assert Version(pins[canonical(requirement.name)]) in requirement.specifier


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("typer", "0.12.3"),  # does not know `str | None`
        ("typer", "0.15.4"),  # ends every command in a traceback with click 8.5
        ("safetensors", "0.4.3"),  # cannot read an empty tensor: a unit that holds one would count as damaged
    ],
)
def test_a_version_that_was_seen_to_fail_is_not_allowed(name, version):
    assert version not in next(r for r in REQUIREMENTS if r.name == name).specifier


def test_no_pin_names_a_local_build_or_an_address():
    assert not any("+" in version or "/" in version for version in PINS.values())


def test_conda_installs_the_same_through_pip():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert pip == ["-c constraints.txt", f"-e .[{','.join(PROJECT['optional-dependencies'])}]"]
    python = next(item for item in environment["dependencies"] if str(item).startswith("python="))
    assert Version(python.removeprefix("python=")) in Requirement(f"python{PROJECT['requires-python']}").specifier


@pytest.mark.parametrize("program", ["import kdlib", "from kdlib.cli import main; main()"])
def test_on_windows_the_import_says_in_its_last_line_where_it_runs_and_what_to_do(program):
    program = f"import sys; sys.platform = 'win32'; {program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("ImportError: kdlib needs Linux or macOS: on Windows, install it")


def test_the_linter_looks_at_every_file_of_python():
    seen = subprocess.run(["ruff", "check", "--show-files"], capture_output=True, text=True, check=True, cwd=ROOT)
    folders = ("kdlib", "tests", "book", "notebooks")
    there = {str(path) for folder in folders for path in (ROOT / folder).rglob("*.py")}
    assert there and there <= set(seen.stdout.split("\n"))


def test_a_clone_has_the_same_bytes_whatever_git_makes_of_line_ends(tmp_path):
    """With core.autocrlf, as on Windows, rules and sources would have other digests, and scripts would not run."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "init", "--quiet", clone], check=True)
    names = (".gitattributes", "Makefile", "kdlib/sections/entropy/claims.yml", "notebooks/entropy.ipynb")
    for name in names:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    git = ["git", "-C", clone, "-c", "core.autocrlf=true"]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "checkout-index", "--force", "--all", "--prefix=again/"], check=True)
    assert all((clone / "again" / name).read_bytes() == (ROOT / name).read_bytes() for name in names)


def test_the_readme_names_the_systems_that_it_runs_on():
    needed = (ROOT / "README.md").read_text().partition("## Two commands\n\n")[2].partition("```")[0]
    assert all(system in needed for system in ("Linux", "macOS", "on Windows, within WSL"))


def test_an_environment_that_others_share_through_a_link_is_not_emptied(tmp_path):
    """`venv --clear` would follow the link; what it leads to is out of date as soon as pyproject.toml is newer."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "kept").touch()
    (tmp_path / ".venv").symlink_to("shared")
    made = subprocess.run(["make", "book", f"PYTHON={sys.executable}"], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode and ".venv is a link to shared, which would be emptied" in made.stderr
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["kept"]


def would_be_made(project, *asked) -> str:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, project)
    command = ["make", "-n", *(asked or [".venv/ready"])]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("asked", "jobs"), [("CORES=all", "1"), ("CORES=3", "3")])
def test_a_book_is_made_on_the_cores_that_a_containers_quota_leaves_or_on_as_many_as_are_asked_for(
    asked, jobs, tmp_path
):
    [words] = re.findall(r"--cores (.+) \\\n", would_be_made(tmp_path, "book", asked))
    environment = os.environ | {"LOKY_MAX_CPU_COUNT": "1"}
    assert subprocess.check_output(["sh", "-c", f"echo {words}"], env=environment, text=True) == f"{jobs}\n"


def test_the_profile_of_the_environment_is_that_of_the_book_and_one_that_is_given_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_PROFILE", "paper-cpu")
    for asked, profile in ((["book"], "paper-cpu"), (["page"], "paper-cpu"), (["book", "PROFILE=smoke"], "smoke")):
        assert re.search(rf"profile[= ]{profile}\b", would_be_made(tmp_path, *asked))
    monkeypatch.delenv("KDLIB_PROFILE")
    assert "profile=quick" in would_be_made(tmp_path, "book")


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="macOS has it")
def test_make_never_looks_for_a_program_by_itself(tmp_path):
    """The make of macOS would on the PATH that it was called with, which lacks the environment; for /bin/sh alone."""
    database = would_be_made(tmp_path, "--print-data-base", "help")
    assert re.findall(r"^SHELL :?= (.+)$", database, re.MULTILINE) == ["/bin/bash"]


def test_the_workflow_runs_for_a_user_without_name_and_home_folder(tmp_path, homeless):
    """As in a container that was started with another's number: snakemake itself would end in a traceback."""
    [words] = re.findall(r"^(.*)snakemake --snakefile", would_be_made(tmp_path, "book"), re.MULTILINE)
    (tmp_path / "Snakefile").write_text("rule all:\n    shell: 'true'\n")
    command = f"{words}{sys.executable} -m snakemake --cores 1"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


def test_the_tests_have_as_many_workers_as_a_containers_quota_gives(pytestconfig, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert pytestconfig.hook.pytest_xdist_auto_num_workers(config=pytestconfig) == 1


def test_an_environment_is_made_anew_where_the_project_was_moved_or_copied(tmp_path):
    """Its programs and its editable install lead to the folder in which it was made."""
    ready = tmp_path / ".venv" / "ready"
    ready.parent.mkdir()
    for made_in, anew in ((tmp_path, False), (tmp_path / "elsewhere", True)):
        ready.write_text(f"{made_in}\n")
        assert ("venv --clear" in would_be_made(tmp_path)) == anew


def test_an_environment_is_made_where_pip_is_set_to_install_for_the_user(tmp_path):
    """PIP_USER, as some clusters set it: pip refuses that within an environment."""
    [line] = [line for line in would_be_made(tmp_path).splitlines() if "pip install" in line]
    words = (
        line.partition("pip install")[2].replace("-e '.[book,dev]'", "--no-index --dry-run kdlib-is-nowhere").split()
    )
    command = [sys.executable, "-m", "pip", "install", *words]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PIP_USER": "1"}, capture_output=True, text=True)
    assert "--user" not in done.stderr and "No matching distribution found for kdlib-is-nowhere" in done.stderr


def test_the_network_of_the_example_is_fetched_alone_and_by_the_name_under_which_the_example_reads_it(tmp_path):
    """Its package pins what nobody else could live with: it is no requirement, and never installed."""
    [line] = [line for line in would_be_made(tmp_path).splitlines() if "pip download" in line]
    assert "--no-deps -c constraints.txt -d .venv/pretrained cifar-10-model" in line
    wheel = f"cifar_10_model-{PINS['cifar-10-model']}-py3-none-any.whl"
    assert f'Path(sys.prefix, "pretrained", "{wheel}")' in (ROOT / "notebooks" / "own_data.py").read_text()
    assert not any(canonical(requirement.name) == "cifar-10-model" for requirement in REQUIREMENTS)
