"""The identity of a unit: what was published keeps its key and its seed, whatever is added to a configuration later."""

import json
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from kdlib import InputError, Student, Teacher, build_model
from kdlib.study.store import unit_key
from kdlib.training.identity import added_field, canonical_json, identity_fields
from kdlib.training.students import make_schedule

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
    return SimpleNamespace(name=within["dataset"], family=within["dataset"], builtin=True, digest=config["data"])


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


@pytest.mark.parametrize("number", [np.int64, torch.tensor])
def test_numbers_of_numpy_and_torch_are_pythons_in_a_configuration(number, digits):
    teacher = Teacher("small_teacher", number(1), number(2), number(32))
    plain = Teacher("small_teacher", 1, 2, 32)
    assert canonical_json(teacher.config(digits)) == canonical_json(plain.config(digits))
    students = [Student(teacher, number(2), 9.0, missing_class=number(3)), Student(plain, 2, 9.0, missing_class=3)]
    assert len({canonical_json(student.config(digits)) for student in students}) == len({*students}) == 1


def test_a_field_that_is_added_later_moves_no_key_and_no_seed_until_it_is_used():
    @dataclass(frozen=True)
    class Grown(Student):
        margin: float = added_field(0.0)
        labels: str = added_field("clean", before="noisy")

    @dataclass(frozen=True)
    class GrownTeacher(Teacher):
        smoothing: float = added_field(0.0)

    old = {"teacher_epoch": 2, "temperature": 9.0, "seeding": "configuration"}
    student = Student(Teacher("small_teacher", 0, 2, 64), **old)
    grown = Grown(GrownTeacher("small_teacher", 0, 2, 64), **old, labels="noisy")
    assert identity_fields(grown) == identity_fields(student) and grown.seed() == student.seed()
    for used in (replace(grown, margin=0.1), replace(grown, labels="clean")):
        assert identity_fields(used) != identity_fields(student)
    assert identity_fields(GrownTeacher("small_teacher", 0, 2, 64, smoothing=0.1))["smoothing"] == 0.1


STUDENT = Student(Teacher("small_teacher", 3, 2, 64), 2, 9.0, missing_class=4, replicate=1, epochs=2, batch_size=32)
ARMS = {
    "temperature": {"temperature": 20.0},
    "teacher's capacity": {"teacher": Teacher("large_teacher", 3, 2, 64)},
    "teacher's epoch": {"teacher_epoch": 1},
    "teacher's training": {"teacher": Teacher("large_teacher", 3, 5, 128, learning_rate=1e-4)},
    "targets": {"targets": "shuffled"},
    "scaled logits": {"logit_scale": 0.5},
    "weight of the soft labels": {"alpha": 0.0},
    "factor T squared": {"t_squared": True},
    "precision": {"precision": "bf16"},
}
OTHERS = {
    "teacher's seed": {"teacher": Teacher("small_teacher", 4, 2, 64)},
    "missing class": {"missing_class": 5},
    "no missing class": {"missing_class": None},
    "replicate": {"replicate": 2},
}


def start(student: Student, digits) -> tuple[torch.Tensor, torch.Tensor]:
    """Initial weights, and the examples in their order."""
    logits = torch.randn(len(digits.labels), digits.classes, generator=torch.Generator().manual_seed(student.epochs))
    model = build_model(student.network, digits.family, digits.shape, digits.classes, student.seed())
    weights = torch.cat([value.flatten() for value in model.state_dict().values()])
    return weights, make_schedule(student, digits, logits).batches


@pytest.mark.parametrize("changes", ARMS.values(), ids=ARMS)
def test_the_arms_of_a_comparison_start_alike_and_see_the_same_examples_in_the_same_order(changes, digits):
    ours, theirs = (start(student, digits) for student in (STUDENT, replace(STUDENT, **changes)))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_other_seeds_classes_and_replicates_start_and_go_on_otherwise(changes, digits):
    ours, theirs = (start(student, digits) for student in (STUDENT, replace(STUDENT, **changes)))
    assert not any(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_random_examples_are_the_same_for_both_teachers(digits):
    few = replace(STUDENT, examples_per_class=5, selection="random")
    both = [start(s, digits)[1] for s in (few, replace(few, teacher=Teacher("large_teacher", 3, 2, 64)))]
    assert torch.equal(*both)


def test_an_unknown_seeding_is_refused():
    with pytest.raises(InputError, match="common, configuration"):
        replace(STUDENT, seeding="none").seed()


def test_a_teacher_of_another_seed_builds_on_teachers_of_that_seed():
    """An assistant of an assistant, and one that is fine-tuned: a cell is a student of every seed."""

    def path(seed: int) -> Teacher:
        large = Teacher("large_teacher", seed, epochs=2, batch_size=64)
        first = Teacher("assistant", seed, epochs=3, batch_size=64, taught_by=large)
        tuned = Teacher("assistant", seed, epochs=1, batch_size=64, continues=first)
        return Teacher("second_assistant", seed, epochs=3, batch_size=32, taught_by=tuned)

    assert path(0).reseeded(4) == path(4) != path(0)
