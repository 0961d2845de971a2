"""Training by distillation systems: both engines, what a student's identity is, and systems of a reader's own."""

from dataclasses import replace

import pytest
import torch

from kdlib import (
    Gradient,
    InputError,
    Parameter,
    Student,
    System,
    Teacher,
    configure_cpu,
    distill,
    register_system,
    responses,
    system_loss,
)
from kdlib.training import students
from kdlib.training.systems import registry
from kdlib.training.systems.objective import Objective
from kdlib.training.systems.registry import systems
from kdlib.training.teachers import predict

C = 10
STACKED = [name for name, system in systems().items() if not system.divided]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    configure_cpu(1)


@pytest.fixture(scope="module")
def logits(tiny_run):
    return responses(tiny_run)


def arms(teacher: Teacher, name: str) -> list[Student]:
    """Students of one stack that differ in temperature, missing class and the system's main parameter."""
    # A single layer has no unit that is dead but for rounding, whose gradient Adam would scale up to a whole step.
    first = Student(teacher, 2, 4.0, "baseline_student", epochs=4, steps=20, batch_size=32, system=name)
    return [first, replace(first, temperature=2.0), replace(first, missing_class=6), *otherwise_tuned(first)]


def otherwise_tuned(student: Student) -> list[Student]:
    """The same student with another value of its system's main parameter, if that decides its loss."""
    system = systems()[student.system]
    main = next(p for p in system.parameters if p.name == system.main)
    value = next(v for v in system.grid if v != main.default)
    if main.of not in ("term", "total"):
        return []
    in_field = main.name in system.fields
    return [replace(student, **({main.name: value} if in_field else {"parameters": {main.name: value}}))]


def trained(group: list[Student], digits, logits: torch.Tensor, engine: str) -> tuple[list, list]:
    """All weights of each student, and its network."""
    wanted = [students.target_logits(s, digits, logits) for s in group]
    schedules = [students.make_schedule(s, digits, z) for s, z in zip(group, wanted, strict=True)]
    models = [model for _, model in students.train(group, digits, wanted, schedules, engine)]
    return [torch.cat([p.detach().flatten() for p in model.parameters()]) for model in models], models


@pytest.mark.parametrize("name", STACKED)
def test_a_stack_trains_each_student_as_the_loop_does_by_every_system(name, tiny_teacher, logits, digits):
    group = arms(tiny_teacher, name)
    (_, stack), (_, loop) = (trained(group, digits, logits, engine) for engine in ("stacked", "loop"))
    for one, alone in zip(stack, loop, strict=True):
        torch.testing.assert_close(predict(one, digits.images), predict(alone, digits.images), rtol=1e-5, atol=1e-5)


def test_temperatures_that_are_whole_numbers_are_those_with_a_point(tiny_teacher, logits, digits):
    """As in README's example: an integer to a negative power is 0, and soft labels would weigh nothing."""
    whole, point = ([Student(tiny_teacher, 2, kind(t), epochs=1) for t in (3, 9, 20)] for kind in (int, float))
    (ours, _), (theirs, _) = (trained(group, digits, logits, "stacked") for group in (whole, point))
    assert all(map(torch.equal, ours, theirs)) and not torch.equal(ours[0], ours[1])


@pytest.mark.parametrize("name", STACKED)
def test_a_student_alone_is_bit_for_bit_that_of_the_stack_by_every_system(name, tiny_teacher, logits, digits):
    group = [replace(student, network="general_student") for student in arms(tiny_teacher, name)]
    together, _ = trained(group, digits, logits, "stacked")
    for i in (1, 2):
        (alone,), _ = trained([group[i]], digits, logits, "stacked")
        assert torch.equal(alone, together[i])
    assert not any(torch.equal(together[0], tuned) for tuned in together[3:])


def test_a_student_of_another_system_is_another_unit_and_a_parameter_at_its_default_is_not(tiny_teacher, digits):
    plain = Student(tiny_teacher, 2, 4.0)
    assert replace(plain, system="rbkd", parameters=()).config(digits) == plain.config(digits)
    assert "system" not in plain.config(digits) and "parameters" not in plain.config(digits)
    dkd = replace(plain, system="dkd")
    assert dkd.config(digits) != plain.config(digits)
    assert replace(dkd, parameters={"beta": 8.0}) == dkd
    changed = replace(dkd, parameters={"weight": 2, "beta": 4.0})
    assert changed == replace(dkd, parameters=(("beta", 4), ("weight", 2.0))) != dkd
    assert changed.seed() == dkd.seed() == plain.seed()  # the arms of a comparison share their random numbers


@pytest.mark.parametrize(
    ("system", "parameters", "message"),
    [
        ("dkd", {"gamma": 1.0}, "dkd has no parameter 'gamma'; allowed: alpha, beta, hard, weight, warmup"),
        ("dkd", {"warmup": 1.5}, "dkd: warmup=1.5 cannot be used; allowed: a number from 0 to 1"),
        ("rbkd", {"alpha": 0.5}, "alpha is a field of Student: give it there"),
        ("none", {"alpha": 0.5}, "unknown system 'none'; allowed: rbkd, "),
    ],
)
def test_parameters_that_a_system_does_not_have_are_refused_when_a_student_is_described(system, parameters, message):
    with pytest.raises(InputError, match=message):
        Student(Teacher("small_teacher", 0, 2, 64), 2, 4.0, system=system, parameters=parameters)


def test_without_a_teacher_no_responses_are_needed(tiny_teacher):
    for name, needed in (
        ("rbkd", True),
        ("dkd", True),
        ("label_smoothing", False),
        ("tfkd_reg", False),
        ("ols", False),
    ):
        student = Student(tiny_teacher, 2, 4.0, system=name)
        assert student.needs_responses == needed
        assert replace(student, examples_per_class=5).needs_responses  # which are chosen by them
    assert not Student(tiny_teacher, 2, 4.0, system="eskd", alpha=0.0).needs_responses
    assert not Student(tiny_teacher, 2, 4.0, logit_scale=0.0).needs_responses  # uniform soft labels
    assert Student(tiny_teacher, 2, 4.0, system="dkd", alpha=0.0).needs_responses  # its alpha is another


def test_the_weight_of_a_term_rises_over_the_warm_up_and_then_stays(tiny_teacher, digits, logits):
    student = Student(tiny_teacher, 2, 4.0, system="dkd", parameters={"warmup": 0.5, "hard": 0.0})
    objective = Objective([student], digits.labels, [logits], steps=8)
    batch = digits.train[:32]
    outputs = torch.randn(32, C, generator=torch.Generator().manual_seed(0))
    term = system_loss("dkd", outputs, logits[batch], digits.labels[batch], temperature=4.0).mean()
    shares = []
    for _ in range(8):
        shares.append((objective.value(batch, outputs) / term).item())
        objective.count(outputs[None], batch[None])
        objective.advance()
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 1, 1])


def test_each_student_of_a_stack_has_a_state_of_its_own(tiny_teacher, digits, logits):
    group = [Student(tiny_teacher, 2, 4.0, system="alr", replicate=k) for k in range(2)]
    objective = Objective(group, digits.labels, [logits] * 2, steps=4)
    objective.stack()
    outputs = torch.randn(2, 32, C, generator=torch.Generator().manual_seed(0))
    objective.gradient(outputs, digits.train[:32].expand(2, -1))
    objective.advance()
    first, second = objective.state
    assert not torch.equal(first, second) and first.abs().max() > 0
    alone = Objective(group[:1], digits.labels, [logits], steps=4)
    alone.stack()
    alone.gradient(outputs[:1].detach().clone(), digits.train[None, :32])
    alone.advance()
    assert torch.equal(alone.state[0], first)


def test_ctkds_temperature_moves_in_training(tiny_teacher, digits, logits):
    student = Student(tiny_teacher, 2, 4.0, system="ctkd")
    objective = Objective([student], digits.labels, [logits], steps=4)
    objective.stack()
    for _ in range(4):
        objective.gradient(logits[digits.train[None, :32]].neg(), digits.train[None, :32])
        objective.advance()
    assert objective.state.item() != 1.0


# A system of a reader's own.


SQUARES = System(
    name="squares",
    title="Squared differences",
    reference="bucila2006compression",
    kind="B",
    loss=lambda z, v, y, *, temperature, scale: scale * (z - v).square().sum(-1, keepdim=True),
    parameters=(Parameter("scale", 1.0, "this test"),),
    main="scale",
    grid=(0.5, 1.0),
    verified="nothing",
    gradient=Gradient(
        fixed=lambda v, y, *, temperature, scale: v,
        by_logits=lambda z, fixed, y, *, temperature, scale: 2 * scale * (z - fixed) / z.shape[-2],
    ),
)


@pytest.mark.parametrize("gradient", [SQUARES.gradient, None], ids=["closed form", "autograd"])
def test_a_system_is_its_entry_alone_both_engines_train_by_it(gradient, tiny_teacher, logits, digits):
    register_system(replace(SQUARES, gradient=gradient))
    first = Student(tiny_teacher, 2, 4.0, epochs=2, steps=20, batch_size=32)
    swept = [replace(first, system=name, replicate=k) for name in ("rbkd", "squares") for k in range(2)]
    assert sorted(map(sorted, students.stacks(swept, digits))) == [[0, 1], [2, 3]]  # a stack has one system
    results = {engine: distill(swept, digits, logits, engine=engine) for engine in ("loop", "stacked")}
    for loop, stack in zip(*results.values(), strict=True):
        torch.testing.assert_close(loop["validation_accuracy"], stack["validation_accuracy"], rtol=0, atol=0.02)
    plain, squared = (r["validation_accuracy"] for r in results["stacked"][1::2])
    assert not torch.equal(plain, squared)


def test_a_loss_that_gives_no_number_for_each_example_is_refused_before_anything_is_trained(
    tiny_teacher, logits, digits, monkeypatch
):
    monkeypatch.setattr(students, "train", lambda *_: pytest.fail("a student was trained"))
    register_system(replace(SQUARES, loss=lambda z, v, y, *, temperature, scale: scale * (z - v).square().mean()))
    wanted = [Student(tiny_teacher, 2, 4.0, system=name) for name in ("rbkd", "squares")]
    with pytest.raises(InputError, match=r"your system 'squares' must give a finite number .* it gave \[\]"):
        distill(wanted, digits, logits)


def test_what_a_system_gave_before_its_version_was_raised_is_another_unit(tiny_teacher, digits, monkeypatch):
    dkd = Student(tiny_teacher, 2, 4.0, system="dkd")
    first = dkd.config(digits)
    monkeypatch.setitem(registry.BUILTIN, "dkd", replace(systems()["dkd"], version=2))
    assert "system_version" not in first and dkd.config(digits) == first | {"system_version": 2}
    for name in ("tfkd_reg", "wttm", "centroids"):  # whose students at their defaults were others before
        assert replace(dkd, system=name).config(digits)["system_version"] > 1


def test_centroids_are_means_over_what_the_student_learns_from_alone(tiny_teacher, digits, logits):
    few = {"examples_per_class": 5, "selection": "random", "missing_class": 3}
    student = Student(tiny_teacher, 2, 4.0, epochs=2, batch_size=32, system="centroids", **few)
    found = students.target_logits(student, digits, logits)
    members = students.make_schedule(student, digits, found).batches.unique()
    assert len(members) == 45
    for c in range(10):
        own = members[digits.labels[members] == c]
        torch.testing.assert_close(
            (found[own] / 4).softmax(-1), (logits[own] / 4).softmax(-1).mean(0).expand(len(own), -1)
        )
    elsewhere = logits.flip(-1).index_copy(0, members, logits[members])
    assert torch.equal(students.target_logits(student, digits, elsewhere)[members], found[members])


def test_a_registered_systems_version_is_part_of_its_students_identity(tiny_teacher, digits):
    configs = []
    for version in (1, 2):
        register_system(replace(SQUARES, version=version))
        configs.append(Student(tiny_teacher, 2, 4.0, system="squares").config(digits))
    assert configs[0] != configs[1]
