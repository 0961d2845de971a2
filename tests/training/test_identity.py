"""The identity of a unit: what was published keeps its key and its seed, whatever is added to a configuration later."""

import json
from dataclasses import MISSING, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdlib import Student, Teacher
from kdlib.study.store import unit_key

# Of each kind about twenty units as they were published, with the keys and seeds that they had then.
FROZEN = json.loads(Path(__file__).with_name("frozen_units.json").read_text(encoding="utf-8"))


def rebuilt(kind: type, config: dict[str, Any]) -> Any:
    """A configuration as it was meant: fields that came later stand at what held before them."""
    values = {}
    for field in fields(kind):
        if field.name in config:
            value = config[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
        elif "before" in field.metadata:
            values[field.name] = field.metadata["before"]
        else:
            assert field.default is not MISSING
    for name in ("teacher", "taught_by"):
        if values.get(name):
            values[name] = rebuilt(Teacher, values[name])
    return kind(**values)


def dataset_of(config: dict[str, Any]) -> Any:
    """What an identity asks of a data set."""
    within = config
    while "dataset" not in within:
        within = next(within[name] for name in ("teacher", "student", "large") if name in within)
    return SimpleNamespace(name=within["dataset"], family=within["dataset"], known=True, digest=config["data"])


def identity(config: dict[str, Any]) -> dict[str, Any]:
    """The same configuration by today's code: every teacher and student in it built anew."""
    dataset = dataset_of(config)
    if "measure" not in config:
        return rebuilt(Student if "teacher_epoch" in config else Teacher, config).config(dataset)
    parts = {"teacher": Teacher, "small": Teacher, "large": Teacher, "student": Student}
    return config | {name: rebuilt(parts[name], config[name]).config(dataset) for name in parts if name in config}


@pytest.mark.parametrize("unit", FROZEN, ids=lambda unit: f"{unit['kind']}-{unit['key'][:8]}")
def test_a_published_unit_keeps_its_key(unit):
    assert unit_key(unit["kind"], identity(unit["config"])) == unit["key"]


@pytest.mark.parametrize("unit", [u for u in FROZEN if u["kind"] == "student"], ids=lambda unit: unit["key"][:8])
def test_a_published_student_keeps_its_seed(unit):
    assert rebuilt(Student, unit["config"]).seed() == unit["seed"]


def test_the_frozen_units_are_of_every_kind_and_data_set():
    assert {u["kind"] for u in FROZEN} == {"teacher", "student", "measure"}
    assert {dataset_of(u["config"]).name for u in FROZEN} == {"mnist", "fashion_mnist", "cifar10"}
    assert {u["config"]["measure"] for u in FROZEN if u["kind"] == "measure"} == {
        "entropy", "equal_confidence", "gradient_norms", "penultimate", "sweet_spot_entropy", "umap"
    }  # fmt: skip
