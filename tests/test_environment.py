"""The three ways to get the environment agree: pyproject.toml, constraints.txt, environment.yml."""

import tomllib

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


def test_no_pin_names_a_local_build_or_an_address():
    assert not any("+" in version or "/" in version for version in PINS.values())


def test_conda_installs_the_same_through_pip():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert pip == ["-c constraints.txt", f"-e .[{','.join(PROJECT['optional-dependencies'])}]"]
    python = next(item for item in environment["dependencies"] if str(item).startswith("python="))
    assert Version(python.removeprefix("python=")) in Requirement(f"python{PROJECT['requires-python']}").specifier
