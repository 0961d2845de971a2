"""A student that is divided between two networks, and what all systems cost."""

from dataclasses import replace

import pytest
import torch

from kdlib import InputError, Student, Teacher, build_model, configure_cpu, count_parameters, distill, responses
from kdlib.training import costs, students
from kdlib.training.models import INPUT_SHAPES, TABLE7, forward_operations, training_operations
from kdlib.training.students import batch_size_and_steps, choose_engine, make_schedule, train_one
from kdlib.training.systems.divided import PARTS, Sum, residual_targets
from kdlib.training.systems.taught import path
from kdlib.training.teachers import predict


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    configure_cpu(1)


@pytest.fixture(scope="module")
def logits(tiny_run):
    return responses(tiny_run)


@pytest.fixture(scope="module")
def student(tiny_teacher):
    return Student(tiny_teacher, 2, 9.0, epochs=2, batch_size=32, steps=20, system="residual")


def parts_of(model: Sum) -> list[torch.Tensor]:
    """All weights of each part."""
    return [torch.cat([p.detach().flatten() for p in part.parameters()]) for part in model.parts]


def trained(student: Student, digits, logits: torch.Tensor) -> Sum:
    return train_one(student, digits, logits, make_schedule(student, digits, logits), lambda model: None)


@pytest.mark.parametrize(("family", "shape"), [*INPUT_SHAPES.items(), ("mnist", (1, 8, 8))])
def test_both_parts_have_together_at_most_the_parameters_and_operations_of_the_student(family, shape):
    whole, *parts = (build_model(name, family, shape) for name in ("general_student", *PARTS))
    assert sum(map(count_parameters, parts)) <= count_parameters(whole)
    assert sum(training_operations(m, shape) for m in parts) <= training_operations(whole, shape)
    if shape == INPUT_SHAPES[family]:  # and nearly all of them
        assert sum(map(count_parameters, parts)) > 0.95 * count_parameters(whole)


def test_a_second_network_that_answers_0_leaves_the_first(digits, student, logits):
    model = trained(student, digits, logits)
    model.parts[1].head.weight.data.zero_()
    model.parts[1].head.bias.data.zero_()
    assert torch.equal(predict(model, digits.images), predict(model.parts[0], digits.images))


def test_the_residual_is_0_where_the_first_network_is_the_teacher_and_knows_no_constant(logits):
    assert residual_targets(logits, logits).abs().max() == 0
    main = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
    shifted = logits + torch.arange(len(logits))[:, None] / len(logits)
    torch.testing.assert_close(residual_targets(shifted, main), residual_targets(logits, main), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(residual_targets(logits, main).mean(-1), torch.zeros(len(logits)), rtol=0, atol=1e-6)


def test_the_first_network_sees_the_second_in_joint_training_alone(digits, student, logits):
    ways = ({}, {"squared": 1.0}, {"ensemble": 1.0}, {"joint": 1.0})
    progressive, squared, ensemble, joint = (
        parts_of(trained(replace(student, parameters=way), digits, logits)) for way in ways
    )
    assert torch.equal(progressive[0], squared[0])
    torch.testing.assert_close(progressive[0], ensemble[0])
    assert (progressive[0] - joint[0]).abs().max() > 1e-3
    seconds = [way[1] for way in (progressive, squared, ensemble, joint)]
    assert all((a - b).abs().max() > 1e-3 for i, a in enumerate(seconds) for b in seconds[:i])


def test_the_first_network_is_one_that_equation_4_trains_by_itself(digits, student, logits):
    alone = replace(student, network="main_part", system="rbkd")
    model = train_one(alone, digits, logits, make_schedule(alone, digits, logits), lambda model: None)
    assert torch.equal(parts_of(trained(student, digits, logits))[0], parts_of(Sum(model))[0])


def test_a_stack_trains_divided_students_as_the_loop_does_and_each_as_if_it_were_alone(digits, student, logits):
    group = [student, replace(student, temperature=2.0), replace(student, missing_class=6)]
    schedules = [make_schedule(s, digits, logits) for s in group]

    def trained_by(engine: str, which: slice) -> tuple[list, list]:
        each = students.train(group[which], digits, [logits] * len(group[which]), schedules[which], engine)
        histories, models = zip(*each, strict=True)
        return histories, [predict(model, digits.images) for model in models]

    (validated, stack), (in_loop, loop) = (trained_by(engine, slice(None)) for engine in ("stacked", "loop"))
    for one, alone in zip(stack, loop, strict=True):
        torch.testing.assert_close(one, alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(validated, in_loop)
    assert torch.equal(trained_by("stacked", slice(1, 2))[1][0], stack[1])


def test_divided_students_are_stacked_where_one_network_follows_the_other_and_with_no_others(digits, student):
    ways = [replace(student, parameters=way) for way in ({}, {"joint": 1.0}, {"ensemble": 1.0}, {"squared": 1.0})]
    assert [choose_engine(way, digits, "stacked") for way in ways] == ["stacked", "loop", "loop", "loop"]
    assert sorted(map(sorted, students.stacks([*ways, replace(student, replicate=1)], digits)))[0] == [0, 4]


def test_a_divided_student_has_the_result_of_any_other(digits, student, logits):
    whole = replace(student, missing_class=6)
    first, again = (distill([whole], digits, logits)[0] for _ in range(2))
    assert first["confusion"].sum() == digits.test_size and len(first["validation_accuracy"]) == 2
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_only_the_general_student_is_divided(digits, student, logits):
    with pytest.raises(InputError, match="residual divides the general student, not 'baseline_student'"):
        distill([replace(student, network="baseline_student")], digits, logits)


# What it costs.


def operations(network: str, digits) -> int:
    return training_operations(build_model(network, digits.family, digits.shape), digits.shape)


def forward(network: str, digits) -> int:
    return forward_operations(build_model(network, digits.family, digits.shape), digits.shape)


def training_behind(teacher: Teacher, digits, given: tuple[Teacher, ...] = ()) -> int:
    """What a student of a teacher takes beside its own training and the pass that gives its targets."""
    student = Student(teacher, teacher.epochs, 9.0, batch_size=32)
    own = costs.system_operations(replace(student, alpha=0.0), digits)
    passed = len(digits.train) * forward(teacher.network, digits)
    return costs.system_operations(student, digits, given) - own - passed


def test_operations_of_a_forward_pass_are_a_third_of_those_of_a_step_but_for_the_images_gradient():
    """Also of wide convolutions, and on small images, where a CPU takes another way."""
    for family, networks in TABLE7.items():
        for shape in (INPUT_SHAPES[family], (1, 8, 8)):
            for name in (*networks, "baseline_student"):
                model = build_model(name, family, shape)
                ratio = training_operations(model, shape) / forward_operations(model, shape)
                assert ratio == 2 if name == "baseline_student" else 2 < ratio < 3, (family, name, shape)


def test_a_system_costs_its_student_its_teachers_and_the_passes_between_them(digits):
    teacher = Teacher("large_teacher", 0, 4, 64)
    student = Student(teacher, 4, 9.0, batch_size=32, epochs=3)
    size, steps = batch_size_and_steps(student, digits)
    own, n = size * steps * operations("general_student", digits), len(digits.train)
    training = 4 * n * operations("large_teacher", digits)
    passed = n * forward("large_teacher", digits)
    assert costs.system_operations(student, digits) == own + training + passed
    assert costs.system_operations(student, digits, [teacher]) == own + passed
    assert costs.system_operations(replace(student, system="label_smoothing"), digits) == own
    assert costs.system_operations(replace(student, alpha=0.0), digits) == own
    several = replace(student, system="snapshots", parameters={"snapshots": 3.0})
    assert costs.system_operations(several, digits, [teacher]) == own + 3 * passed
    divided = costs.system_operations(replace(student, system="residual"), digits, [teacher])
    assert divided - passed == size * steps * sum(operations(name, digits) for name in PARTS) < own


def test_a_path_costs_the_sum_of_its_links(digits):
    teacher = Teacher("large_teacher", 0, 4, 64)
    last = path(teacher, ("assistant", "second_assistant"), temperature=9.0, alpha=0.99)
    n = len(digits.train)
    links = [("large_teacher", "assistant"), ("assistant", "second_assistant")]
    expected = sum(n * (forward(above, digits) + 4 * operations(below, digits)) for above, below in links)
    assert training_behind(last, digits, (teacher,)) == expected
    whole = training_behind(last, digits)
    assert whole == expected + 4 * n * operations("large_teacher", digits)


def test_a_teacher_of_moved_clusters_costs_the_means_before_each_epoch_that_has_them_and_what_it_goes_on_from(digits):
    teacher = Teacher("small_teacher", 0, 4, 64)
    tuned = replace(teacher, continues=teacher, information=-0.15, epochs=2)
    epoch, means = (len(digits.train) * of("small_teacher", digits) for of in (operations, forward))
    assert training_behind(tuned, digits, (teacher,)) == 2 * epoch + 2 * means
    assert training_behind(tuned, digits) == 6 * epoch + 2 * means
    assert training_behind(replace(teacher, class_distance=0.1), digits) == 4 * epoch + 3 * means


def test_a_path_of_length_0_is_direct_distillation_bit_for_bit(digits, tiny_teacher, logits):
    direct = Student(tiny_teacher, 2, 9.0, steps=5, batch_size=32)
    by_path = replace(direct, teacher=path(tiny_teacher, (), temperature=9.0, alpha=0.99))
    assert by_path == direct
    assert students.make_schedule(direct, digits, logits).batches.shape == (5, 32)


def test_a_path_whose_assistant_answers_as_the_teacher_does_is_direct_distillation(digits, tiny_teacher, logits):
    direct = Student(tiny_teacher, 2, 9.0, steps=20, batch_size=32)
    by_path = replace(direct, teacher=path(tiny_teacher, ("assistant",), temperature=9.0, alpha=0.99))
    first, second = distill([direct, by_path], digits, logits)
    assert direct != by_path and all(torch.equal(first[name], second[name]) for name in first)


def test_without_soft_labels_all_paths_are_equal(digits, tiny_teacher, logits):
    direct = Student(tiny_teacher, 2, 9.0, steps=20, batch_size=32, alpha=0.0)
    by_path = replace(direct, teacher=path(tiny_teacher, ("assistant",), temperature=9.0, alpha=0.0))
    first, second = (distill([s], digits, z)[0] for s, z in ((direct, logits), (by_path, logits.flip(0))))
    assert all(torch.equal(first[name], second[name]) for name in first)
