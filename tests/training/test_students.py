import weakref
from dataclasses import replace

import pytest
import torch

from kdlib import (
    InputError,
    Student,
    Teacher,
    build_model,
    configure_cpu,
    distill,
    entropy,
    kd_loss,
    register_network,
    responses,
    soft_labels,
    train_teacher,
)
from kdlib.training import stacked, students, teachers
from kdlib.training.choices import ENGINES, SELECTIONS
from kdlib.training.losses import kd_divergence
from kdlib.training.models import Architecture
from kdlib.training.students import (
    choose_engine,
    make_schedule,
    stack_key,
    stacks,
    target_logits,
    train_one,
    transfer_set,
)
from kdlib.training.targets import TARGETS
from kdlib.training.teachers import load_teacher, predict

MIXED = Architecture(widths=(4, 6), strides=(1, 2), dense=(10,))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    configure_cpu(1)


@pytest.fixture(scope="module")
def logits(tiny_run):
    return responses(tiny_run)


@pytest.fixture(scope="module")
def student(tiny_teacher):
    return Student(tiny_teacher, 2, 9.0, epochs=2, batch_size=32)


@pytest.fixture(scope="module")
def sweep(student):
    """Twelve students that can share a stack."""
    mixed = [
        replace(student, steps=20, temperature=t, alpha=alpha, t_squared=t_squared)
        for t in (3.0, 20.0)
        for alpha in (0.5, 0.99)
        for t_squared in (False, True)
    ]
    # Replicate 0 without class 0 has a gradient that is 0 but for rounding, which Adam scales up to a whole step: there
    # two right trainings part.
    without = [replace(student, steps=20, missing_class=c, replicate=1) for c in (0, 6)]
    few = [replace(student, steps=20, examples_per_class=5, selection=s) for s in ("entropy", "random")]
    return mixed + without + few


def assert_identical(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize("network", ["general_student", "baseline_student"])
def test_a_stack_trains_each_student_as_the_reference_loop_does(network, sweep, logits, digits):
    swept = [replace(s, network=network) for s in sweep]
    other = 5 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    targets = [other if i % 3 == 1 else logits for i in range(len(swept))]  # two teachers in one stack
    schedules = [make_schedule(s, digits, z) for s, z in zip(swept, targets, strict=True)]
    histories, models = stacked.train(swept, digits, targets, schedules)
    for one, target, schedule, history, model in zip(swept, targets, schedules, histories, models, strict=True):
        accuracies = []
        alone = train_one(
            one,
            digits,
            target,
            schedule,
            lambda m, seen=accuracies: seen.append(
                (predict(m, digits.images[digits.validation]).argmax(1) == digits.labels[digits.validation])
                .float()
                .mean()
            ),
        )
        torch.testing.assert_close(predict(model, digits.images), predict(alone, digits.images), rtol=1e-5, atol=1e-5)
        assert (torch.stack(accuracies) - history).abs().max() <= 1 / len(digits.validation)


def test_a_stack_of_strided_and_unstrided_convolutions_and_dense_layers_is_the_loop_too(student, logits, digits):
    register_network("mixed_student", MIXED)
    swept = [replace(student, network="mixed_student", steps=20, replicate=k) for k in range(3)]
    schedules = [make_schedule(s, digits, logits) for s in swept]
    _, models = stacked.train(swept, digits, [logits] * 3, schedules)
    for one, schedule, model in zip(swept, schedules, models, strict=True):
        alone = train_one(one, digits, logits, schedule, lambda m: None)
        torch.testing.assert_close(predict(model, digits.images), predict(alone, digits.images), rtol=1e-5, atol=1e-5)


def test_targets_are_their_entry_alone(student, logits, digits, monkeypatch):
    monkeypatch.setitem(TARGETS, "reversed", lambda logits, dataset, student: logits.flip(-1))
    changed = replace(student, targets="reversed", logit_scale=2.0)
    assert torch.equal(target_logits(changed, digits, logits), 2 * logits.flip(-1))


def test_an_unknown_system_and_unknown_targets_are_refused_with_what_is_allowed(student, logits, digits):
    with pytest.raises(InputError, match="unknown targets 'none'; allowed: responses, shuffled, "):
        target_logits(replace(student, targets="none"), digits, logits)
    with pytest.raises(InputError, match="system 'none' cannot be used; allowed: rbkd, "):
        distill([replace(student, system="none")], digits, logits)


@pytest.mark.parametrize("network", ["general_student", "baseline_student"])
def test_a_student_trained_alone_is_bit_for_bit_the_student_of_the_sweep(network, sweep, logits, digits):
    swept = [replace(s, network=network) for s in sweep]
    whole = distill(swept, digits, logits)
    assert len(stacks(swept, digits)) == 1
    for start in (0, 5):
        for ours, theirs in zip(distill(swept[start : start + 5], digits, logits), whole[start:], strict=False):
            assert_identical(ours, theirs)
    for i in (0, 7, 11):
        assert_identical(distill([swept[i]], digits, logits)[0], whole[i])


@pytest.mark.parametrize("network", ["general_student", "baseline_student"])
def test_a_student_has_the_same_weights_whatever_its_company(network, sweep, logits, digits):
    longer = [replace(s, network=network, steps=150) for s in sweep]
    schedules = [make_schedule(s, digits, logits) for s in longer]

    def train(*chosen: int) -> dict[int, dict[str, torch.Tensor]]:
        _, models = stacked.train(
            [longer[i] for i in chosen], digits, [logits] * len(chosen), [schedules[i] for i in chosen]
        )
        return {i: model.state_dict() for i, model in zip(chosen, models, strict=True)}

    together = train(*range(12))
    for company in ([0], [11], [3, 11], [11, 0], [9, 10, 11], [1, 2, 8, 9, 11]):
        for i, weights in train(*company).items():
            assert_identical(weights, together[i])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_configuration_gives_the_same_result_and_another_replicate_another(engine, student, logits, digits):
    first, again = (distill([student], digits, logits, engine=engine)[0] for _ in range(2))
    assert_identical(first, again)
    other = distill([replace(student, replicate=1)], digits, logits, engine=engine)[0]
    assert not torch.equal(first["confusion"], other["confusion"])


def test_distilling_leaves_the_global_random_state_alone(student, logits, digits):
    before = torch.random.get_rng_state()
    distill([student], digits, logits)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_missing_class_occurs_in_no_batch(student, logits, digits):
    for missing in range(10):
        batches = make_schedule(replace(student, missing_class=missing), digits, logits).batches
        assert set(digits.labels[batches].flatten().tolist()) == set(range(10)) - {missing}


@pytest.mark.parametrize("missing", [None, 6])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_student_sees_the_asked_number_of_examples_of_each_class(selection, missing, student, logits, digits):
    asked = replace(student, examples_per_class=7, selection=selection, missing_class=missing)
    seen = make_schedule(asked, digits, logits).batches.unique()
    counts = torch.bincount(digits.labels[seen], minlength=10).tolist()
    assert counts == [0 if c == missing else 7 for c in range(10)]
    assert set(seen.tolist()) <= set(digits.train.tolist())


@pytest.mark.parametrize(("selection", "sign"), [("entropy", 1), ("lowest", -1)])
def test_selection_by_entropy_takes_the_extreme_examples_of_each_class(selection, sign, student, logits, digits):
    asked = replace(student, examples_per_class=7, selection=selection)
    chosen = transfer_set(asked, digits, logits)
    scores = sign * entropy(soft_labels(logits, asked.temperature))
    left = digits.train[~torch.isin(digits.train, chosen)]
    for c in range(10):
        taken, others = (scores[part[digits.labels[part] == c]] for part in (chosen, left))
        assert len(taken) == 7 and taken.min() >= others.max()


def test_random_selection_is_the_students_own(student, logits, digits):
    asked = replace(student, examples_per_class=7, selection="random")
    chosen = transfer_set(asked, digits, logits)
    assert torch.equal(chosen, transfer_set(asked, digits, logits))
    assert not torch.equal(chosen, transfer_set(replace(asked, replicate=1), digits, logits))
    assert not torch.equal(chosen, transfer_set(replace(asked, selection="entropy"), digits, logits))


@pytest.mark.parametrize(
    ("changes", "size", "steps"),
    [
        ({}, 32, 22),  # 2 epochs of 360 examples: 22.5 batches, halves to even
        ({"epochs": 5}, 32, 56),
        ({"steps": 7}, 32, 7),
        ({"batch_size": 1000}, 360, 2),
        ({"examples_per_class": 5}, 32, 3),
        ({"examples_per_class": 2}, 20, 2),
        ({"examples_per_class": 2, "steps": 50}, 20, 50),
        ({"examples_per_class": 2, "missing_class": 3}, 18, 2),
    ],
)
def test_a_schedule_is_as_long_as_its_epochs_or_steps_say(changes, size, steps, student, logits, digits):
    asked = replace(student, **changes)
    schedule = make_schedule(asked, digits, logits)
    assert tuple(schedule.batches.shape) == (steps, size)
    assert schedule.validate_after[-1] == steps
    assert len(schedule.validate_after) == min(asked.epochs, steps)
    assert list(schedule.validate_after) == sorted(set(schedule.validate_after))


def test_a_schedule_passes_over_the_whole_transfer_set_again_and_again(student, logits, digits):
    stream = make_schedule(replace(student, epochs=3), digits, logits).batches.flatten()
    members = digits.train.sort().values
    for start in (0, len(members)):
        assert torch.equal(stream[start : start + len(members)].sort().values, members)
    assert not torch.equal(stream[: len(members)], stream[len(members) : 2 * len(members)])


def test_students_are_chunked_completely_in_lock_step_and_boundedly(sweep, student, digits):
    many = [replace(s, replicate=k) for k in range(3) for s in [*sweep, student, replace(student, epochs=1)]]
    groups = stacks(many, digits)
    assert sorted(i for group in groups for i in group) == list(range(len(many)))
    assert max(map(len, groups)) == stacked.CPU_STACK
    assert all(len({stack_key(many[i], digits) for i in group}) == 1 for group in groups)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_confusion_counts_every_test_example_in_the_row_of_its_class(engine, student, logits, digits):
    _, labels = digits.open_test("test")
    for missing in (None, 6):
        [result] = distill([replace(student, missing_class=missing)], digits, logits, engine=engine)
        for name in ("confusion", "corrected"):
            assert torch.equal(result[name].sum(1), torch.bincount(labels, minlength=10))
        assert result["confusion"].sum() == digits.test_size
        assert len(result["validation_accuracy"]) == len(result["validated_steps"]) == 2


def test_the_bias_correction_moves_examples_only_into_the_missing_class_or_only_out_of_it(student, logits, digits):
    removed = [replace(student, missing_class=c, epochs=6) for c in range(10)]
    moved = 0
    for one, result in zip(removed, distill(removed, digits, logits), strict=True):
        change = result["bias"].sign() * (result["corrected"] - result["confusion"])
        others = [c for c in range(10) if c != one.missing_class]
        assert (change[:, one.missing_class] >= 0).all() and (change[:, others] <= 0).all()
        moved += change.abs().sum()
    assert moved > 0


def test_without_a_missing_class_there_is_no_correction(student, logits, digits):
    [result] = distill([student], digits, logits)
    assert result["bias"] == 0 and torch.equal(result["corrected"], result["confusion"])


def test_a_student_learns_from_its_teacher(student, logits, digits):
    [result] = distill([replace(student, epochs=20)], digits, logits)
    assert result["confusion"].diagonal().sum() / digits.test_size > 0.7


def test_a_network_with_dropout_is_trained_in_the_loop_also_on_tiny_images(student, logits, digits):
    register_network("dropping_student", Architecture(widths=(8,), dense=(8,), dropout=0.5))
    dropping = replace(student, network="dropping_student", steps=3)
    (result,) = distill([dropping], digits, logits)
    assert result["confusion"].sum() == digits.test_size


@pytest.mark.parametrize("network", ["small_teacher", "large_teacher"])
def test_a_teacher_is_the_same_for_the_same_seed_and_differs_for_another(network, digits):
    teacher = Teacher(network, seed=3, epochs=1, batch_size=128)
    before = torch.random.get_rng_state()
    first, again = train_teacher(teacher, digits), train_teacher(teacher, digits)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_identical(first, again)
    assert not torch.equal(first["logits"], train_teacher(replace(teacher, seed=4), digits)["logits"])


def test_the_responses_of_an_epoch_are_those_of_the_weights_kept_after_it(tiny_teacher, digits):
    teacher = replace(tiny_teacher, network="large_teacher", epochs=3, kept_epochs=(1, 3), checkpoints=(1, 3))
    run = train_teacher(teacher, digits)
    for epoch in (1, 3):
        model = load_teacher(teacher, run, digits, epoch)
        assert torch.equal(predict(model, digits.images), responses(run, epoch))
    assert torch.equal(responses(run), responses(run, 3))
    assert torch.equal(predict(model, digits.open_test("test")[0]), run["test_logits"])
    right = responses(run, 1)[digits.validation].argmax(1) == digits.labels[digits.validation]
    assert run["validation_accuracy"][0] == right.float().mean()


def test_a_teacher_of_smoothed_labels_is_less_sure_of_them_and_an_assistant_has_none(tiny_teacher, tiny_run, digits):
    def confidence(run: dict[str, torch.Tensor]) -> float:
        logits = responses(run)[digits.train]
        return logits.softmax(1).gather(1, digits.labels[digits.train][:, None]).mean().item()

    smoothed = replace(tiny_teacher, label_smoothing=0.4)
    run = train_teacher(smoothed, digits)
    assert confidence(run) < confidence(tiny_run) - 0.01
    assert_identical(tiny_run, train_teacher(replace(smoothed, label_smoothing=0.0), digits))
    with pytest.raises(InputError, match="label_smoothing is allowed without one"):
        train_teacher(replace(smoothed, taught_by=tiny_teacher), digits, responses(tiny_run))


def test_keeping_fewer_epochs_changes_no_number(tiny_teacher, tiny_run, digits):
    run = train_teacher(replace(tiny_teacher, kept_epochs=(2,), checkpoints=(1, 2)), digits)
    assert torch.equal(run["logits"], tiny_run["logits"][1:])
    assert torch.equal(run["test_logits"], tiny_run["test_logits"])


def test_what_was_not_kept_is_refused_with_what_was(tiny_teacher, tiny_run, digits):
    with pytest.raises(InputError, match="epoch 5; kept: 1, 2"):
        responses(tiny_run, 5)
    with pytest.raises(InputError, match="no weights were kept after epoch 1$"):
        load_teacher(tiny_teacher, tiny_run, digits, 1)
    with pytest.raises(InputError, match="no weights were kept after epoch 2$"):
        load_teacher(tiny_teacher, {"logits": tiny_run["logits"]}, digits)


@pytest.mark.parametrize("kept", [(2, 1), (2, 2)])
def test_kept_epochs_that_do_not_ascend_are_refused_since_responses_lie_in_their_order(kept, tiny_teacher, digits):
    with pytest.raises(InputError, match="cannot be used; allowed: ascending epochs, each once"):
        train_teacher(replace(tiny_teacher, kept_epochs=kept), digits)


def test_an_assistants_loss_is_equation_4_from_its_teachers_logits(tiny_teacher, tiny_run, digits):
    assistant = replace(tiny_teacher, network="assistant", taught_by=tiny_teacher, temperature=3.0, alpha=0.7)
    taught, part = responses(tiny_run), digits.train[:50]
    loss = teachers.TeacherLoss(assistant, digits, build_model("assistant", digits.family, digits.shape), taught)
    own, labels = taught.flip(1)[part], digits.labels[part]
    expected = kd_loss(own, taught[part], labels, temperature=3.0, alpha=0.7)
    torch.testing.assert_close(loss(own, own, part), expected)


def test_an_assistant_answers_more_like_its_teacher_than_a_network_of_its_own(tiny_teacher, tiny_run, digits):
    alone = replace(tiny_teacher, network="assistant", epochs=6, seed=1)
    assistant = replace(alone, taught_by=tiny_teacher)
    assert alone.config(digits) != assistant.config(digits)
    target = responses(tiny_run)[digits.validation]
    taught = train_teacher(assistant, digits, responses(tiny_run))
    distances = [
        kd_divergence(target, responses(run)[digits.validation], 9.0).mean()
        for run in (taught, train_teacher(alone, digits))
    ]
    assert distances[0] < 0.8 * distances[1]
    with pytest.raises(InputError, match="belong to an assistant"):
        train_teacher(assistant, digits)
    with pytest.raises(InputError, match="belong to an assistant"):
        train_teacher(alone, digits, responses(tiny_run))


def test_micro_batches_have_the_gradient_of_the_whole_batch(monkeypatch, digits):
    def gradients(micro_batch: int) -> list[torch.Tensor]:
        monkeypatch.setattr(teachers, "MICRO_BATCH", {"cpu": micro_batch})
        model = build_model("small_teacher", shape=digits.shape)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        teachers.train_step(model, optimizer, digits, digits.train[:100], "fp32")
        return [p.grad for p in model.parameters()]

    for part, whole in zip(gradients(16), gradients(1024), strict=True):
        torch.testing.assert_close(part, whole, rtol=1e-5, atol=1e-6)


def test_batch_norm_takes_the_statistics_of_equal_parts_on_every_device(digits):
    """Else one recipe would give other numbers on a GPU than on a CPU, under the same key."""
    normalised = build_model("large_teacher", "cifar10")
    plain = build_model("large_teacher", "mnist")
    devices = [torch.device(name) for name in teachers.MICRO_BATCH]
    assert {teachers.micro_batch_size(normalised, device) for device in devices} == {teachers.GHOST_BATCH}
    assert [teachers.micro_batch_size(plain, device) for device in devices] == list(teachers.MICRO_BATCH.values())


def test_mixed_precision_stays_near_full_precision_and_is_another_run(tiny_teacher, digits):
    full = replace(tiny_teacher, epochs=1)
    mixed = replace(full, precision="bf16")
    a, b = (train_teacher(teacher, digits)["logits"] for teacher in (full, mixed))
    assert b.dtype == torch.float32 and not torch.equal(a, b)
    assert (a - b).abs().mean() < 0.05 * a.std()
    assert full.config(digits) != mixed.config(digits)


@pytest.fixture(scope="module")
def large_digits(digits):
    """Digits of four times the size: no longer tiny."""

    def enlarged(images: torch.Tensor) -> torch.Tensor:
        return images.repeat_interleave(4, 2).repeat_interleave(4, 3)

    test_images, test_labels = digits.open_test("test")
    return replace(
        digits, images=enlarged(digits.images[:]), digest="large", _test=(enlarged(test_images[:]), test_labels)
    )


def test_on_larger_images_too_a_stack_is_the_loop(student, logits, large_digits):
    student = replace(student, steps=20)
    schedule = make_schedule(student, large_digits, logits)
    _, (model,) = stacked.train([student], large_digits, [logits], [schedule])
    alone = train_one(student, large_digits, logits, schedule, lambda m: None)
    images = large_digits.images
    torch.testing.assert_close(predict(model, images), predict(alone, images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("network", ["general_student", "baseline_student"])
def test_a_student_in_mixed_precision_stays_near_full_precision(engine, network, student, logits, large_digits):
    full = replace(student, network=network, steps=60)
    mixed = replace(full, precision="bf16")
    schedule = make_schedule(full, large_digits, logits)

    def train(one: Student) -> torch.Tensor:
        ((_, model),) = students.train([one], large_digits, [logits], [schedule], engine)
        return predict(model, large_digits.images)

    a, b = train(full), train(mixed)
    assert not torch.equal(a, b)
    assert (a - b).abs().mean() < 0.05 * a.std()


def test_students_of_larger_images_that_take_turns_are_each_the_student_trained_alone(student, logits, large_digits):
    first = replace(student, precision="bf16", steps=5)
    swept = [
        replace(first, temperature=t, replicate=k) for t in (3.0, 9.0) for k in (0, 1)
    ]  # in pairs of equal batches
    assert len(stacks(swept, large_digits)) == 1
    together = distill(swept, large_digits, logits)
    for one, result in zip(swept, together, strict=True):
        assert_identical(distill([one], large_digits, logits)[0], result)
    models = train_weights(swept, large_digits, logits)
    assert not torch.equal(models[0], models[1])
    for one, model in zip(swept, models, strict=True):
        assert torch.equal(train_weights([one], large_digits, logits)[0], model)


def test_students_that_see_the_same_examples_in_the_same_order_are_neighbours_in_a_stack(student, large_digits):
    swept = [replace(student, temperature=t, replicate=k) for t in range(1, 4) for k in range(3)]
    groups = stacks(swept, large_digits)
    assert sorted(i for group in groups for i in group) == list(range(9))
    seeds = [swept[i].seed() for group in groups for i in group]
    assert sum(a != b for a, b in zip(seeds, seeds[1:], strict=False)) == 2


def test_a_stack_for_which_memory_runs_out_is_trained_in_parts_to_the_same_students(sweep, logits, digits, monkeypatch):
    whole = distill(sweep, digits, logits, engine="stacked")
    train, sizes, held = stacked.train, [], []

    def train_few(students, *rest):
        sizes.append(len(students))
        assert not any(weight() is not None for weight in held), "what did not fit is still in memory"
        if len(students) > 4:
            weights = torch.zeros(len(students))
            held.append(weakref.ref(weights))
            raise torch.OutOfMemoryError("out of memory")
        return train(students, *rest)

    monkeypatch.setattr(stacked, "train", train_few)
    for ours, theirs in zip(distill(sweep, digits, logits, engine="stacked"), whole, strict=True):
        assert_identical(ours, theirs)
    assert sizes == [12, 6, 3, 3, 6, 3, 3]


def test_one_student_for_which_memory_runs_out_is_an_error(student, logits, digits, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(stacked, "train", fail)
    with pytest.raises(torch.OutOfMemoryError):
        distill([student], digits, logits, engine="stacked")


def test_an_accelerators_stack_is_as_large_as_its_free_memory_allows(monkeypatch):
    student = Architecture(widths=(16, 32))
    one = stacked.activation_bytes(student, (1, 28, 28), 128)
    activations, columns = 28 * 28 + 2 * 196 * 16 + 49 * 32, 49 * 26 + 49 * (9 * 16 + 1)
    assert 4 * 128 * (activations + columns) < one < 4 * 4 * 128 * (activations + columns)
    for free, expected in ((1 << 40, stacked.CUDA_STACK), (20 * one, 10), (0, 1)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 1 << 40))
        assert stacked.max_stack_size(student, (1, 28, 28), 128, torch.device("cuda")) == expected


def test_on_a_cpu_steps_that_are_overhead_are_shared_by_more_students():
    convolutions, none, cpu = Architecture(widths=(16, 32)), Architecture(), torch.device("cpu")
    assert stacked.max_stack_size(convolutions, (1, 8, 8), 128, cpu) == stacked.CPU_STACK
    assert stacked.max_stack_size(none, (1, 28, 28), 128, cpu) == stacked.CPU_STACK
    assert stacked.max_stack_size(convolutions, (1, 28, 28), 128, cpu) == stacked.CPU_TURNS


@pytest.mark.parametrize(
    ("shape", "precision", "instructions", "expected"),
    [
        ((1, 8, 8), "fp32", False, "stacked"),
        ((1, 28, 28), "fp32", True, "loop"),
        ((1, 28, 28), "bf16", True, "stacked"),
        ((1, 28, 28), "bf16", False, "loop"),
    ],
)
def test_on_a_cpu_tiny_images_and_its_own_mixed_precision_are_stacked_unless_one_asks(
    shape, precision, instructions, expected, student, digits, monkeypatch
):
    monkeypatch.setattr(students, "has_bf16_instructions", lambda device: instructions)
    student = replace(student, precision=precision)
    dataset = replace(digits, images=torch.zeros(1, *shape))
    assert choose_engine(student, dataset) == expected
    monkeypatch.setenv("KDLIB_ENGINE", "loop")
    assert choose_engine(student, dataset) == "loop"
    monkeypatch.setenv("KDLIB_ENGINE", "rocket")
    with pytest.raises(InputError, match="KDLIB_ENGINE='rocket' cannot be used; allowed: loop, stacked"):
        choose_engine(student, dataset)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("batch_size", [1, 7, 30, 33, 125])
@pytest.mark.parametrize("classes", [3, 5, 7, 9, 10])
def test_a_student_alone_is_that_of_the_sweep_at_every_batch_size_and_number_of_classes(
    classes, batch_size, precision, digits
):
    """Also where its matrices do not begin at a multiple of 16 bytes."""
    images, labels = digits.open_test("test")
    names = digits.class_names[:classes]
    few = replace(digits, class_names=names, labels=digits.labels % classes, _test=(images, labels % classes))
    logits = 4 * torch.randn(len(few.labels), classes, generator=torch.Generator().manual_seed(classes))
    teacher = Teacher("small_teacher", 0, 1, 32)
    first = Student(teacher, 1, 9.0, batch_size=batch_size, steps=6, epochs=2, precision=precision)
    sweep = [replace(first, replicate=k) for k in range(4)]
    together = distill(sweep, few, logits)
    models = train_weights(sweep, few, logits)
    for k, student in enumerate(sweep):
        assert_identical(distill([student], few, logits)[0], together[k])
        assert torch.equal(train_weights([student], few, logits)[0], models[k])


def train_weights(group: list[Student], dataset, logits: torch.Tensor) -> list[torch.Tensor]:
    """All weights of each student, by the engine that `distill` chooses."""
    plans = [make_schedule(s, dataset, logits) for s in group]
    engine = choose_engine(group[0], dataset)
    trained = students.train(group, dataset, [logits] * len(group), plans, engine)
    return [torch.cat([value.flatten() for value in model.state_dict().values()]) for _, model in trained]
