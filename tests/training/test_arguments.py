"""What public functions do not take: one error that says what was given and what is allowed, before any work."""

import math
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kdlib
from kdlib import InputError, Student, Teacher, distill, responses, train_teacher
from kdlib.study.workers import run_task
from kdlib.training import students, teachers
from kdlib.training.own_teachers import OwnTeacher

# Each public function of tensors, and the axes of these: B, C, D stand for sizes, a digit for itself.
FUNCTIONS = {
    "kd_loss": (
        lambda student_logits, teacher_logits, labels: kdlib.kd_loss(
            student_logits, teacher_logits, labels, temperature=9, alpha=0.9
        ),
        {"student_logits": "BC", "teacher_logits": "BC", "labels": "B"},
    ),
    "system_loss": (
        lambda student_logits, teacher_logits, labels: kdlib.system_loss(
            "dkd", student_logits, teacher_logits, labels, temperature=9
        ),
        {"student_logits": "BC", "teacher_logits": "BC", "labels": "B"},
    ),
    "label_smoothing_loss": (
        lambda logits, labels: kdlib.label_smoothing_loss(logits, labels, 0.6),
        {"logits": "BC", "labels": "B"},
    ),
    "confusion": (kdlib.confusion, {"logits": "BC", "labels": "B"}),
    "correct_bias": (lambda logits: kdlib.correct_bias(logits, 1, 0.1), {"logits": "BC"}),
    "variance_in_response": (kdlib.variance_in_response, {"probabilities": "BC", "labels": "B"}),
    "distance_to_label_smoothing": (kdlib.distance_to_label_smoothing, {"probabilities": "BC", "labels": "B"}),
    "within_between_scatter": (kdlib.within_between_scatter, {"activations": "BD", "labels": "B"}),
    "penultimate_projection": (kdlib.penultimate_projection, {"activations": "BD", "weights": "3D", "biases": "3"}),
    "select_examples": (
        lambda labels, scores: kdlib.select_examples(labels, 1, scores=scores),
        {"labels": "B", "scores": "B"},
    ),
}
CHECKED = {name: axes for name, (_, axes) in FUNCTIONS.items() if name != "select_examples"}
WITH_LABELS = [name for name, axes in CHECKED.items() if "labels" in axes]
OF_CLASSES = [name for name in WITH_LABELS if name != "within_between_scatter"]  # which counts them itself
MEANS = [
    name for name in FUNCTIONS if name not in ("confusion", "distance_to_label_smoothing", "penultimate_projection")
]


def made(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    if name == "labels":
        return (torch.arange(math.prod(shape)) % 3).view(shape)
    return torch.rand(shape, generator=source)


def arguments_of(function: str, **sizes: int) -> dict[str, torch.Tensor]:
    """Tensors that a function takes."""
    sizes = {"B": 6, "C": 4, "D": 5, "3": 3, **sizes}
    return {name: made(name, tuple(sizes[axis] for axis in axes)) for name, axes in FUNCTIONS[function][1].items()}


@settings(max_examples=25, deadline=None)
@given(data=st.data(), rows=st.integers(6, 9), classes=st.integers(3, 5), width=st.integers(3, 6))
@pytest.mark.parametrize("function", FUNCTIONS)
def test_shapes_that_belong_together_are_taken_and_others_refused(function, data, rows, classes, width):
    call, axes = FUNCTIONS[function]
    tensors = arguments_of(function, B=rows, C=classes, D=width)
    call(**tensors)
    name = data.draw(st.sampled_from(sorted(axes)))
    shape = list(tensors[name].shape)
    alone = [axis for axis in axes[name] if axis != "3" and sum(axis in other for other in axes.values()) == 1]
    changes = ["more axes", "fewer axes"] + ["size"] * (len(alone) < len(shape))
    match data.draw(st.sampled_from(changes)):
        case "more axes":
            shape.append(data.draw(st.integers(1, 3)))
        case "fewer axes":
            shape.pop()
        case "size":  # of an axis that another tensor has too: also 1, which would broadcast
            places = [i for i, axis in enumerate(axes[name]) if axis not in alone]
            place = data.draw(st.sampled_from(places))
            shape[place] = data.draw(st.integers(1, 12).filter(lambda size: size != shape[place]))
    with pytest.raises(InputError, match="cannot be used; allowed: ") as caught:
        call(**tensors | {name: made(name, tuple(shape))})
    assert str(shape) in str(caught.value) and all(other in str(caught.value) for other in axes)


def test_the_error_says_what_was_given_and_what_is_allowed():
    tensors = arguments_of("kd_loss", C=10) | {"teacher_logits": torch.zeros(6, 9)}
    with pytest.raises(ValueError) as caught:
        FUNCTIONS["kd_loss"][0](**tensors)
    assert str(caught.value) == (
        "shapes [6, 10], [6, 9], [6] cannot be used; allowed: student_logits [B, C], teacher_logits [B, C], labels [B]"
    )


@pytest.mark.parametrize("function", MEANS)
def test_a_mean_over_no_example_is_refused(function):
    with pytest.raises(InputError):
        FUNCTIONS[function][0](**arguments_of(function, B=0))


@pytest.mark.parametrize("kind", [torch.float32, torch.int32, torch.uint8, torch.bool])
@pytest.mark.parametrize("function", WITH_LABELS)
def test_labels_of_another_type_are_refused(function, kind):
    tensors = arguments_of(function)
    with pytest.raises(InputError, match=f"labels must be class indices of type torch.int64, got {kind}"):
        FUNCTIONS[function][0](**tensors | {"labels": tensors["labels"].to(kind)})


@pytest.mark.parametrize("wrong", [-100, -1, 4])
@pytest.mark.parametrize("function", OF_CLASSES)
def test_a_label_that_is_no_class_is_refused(function, wrong):
    tensors = arguments_of(function)
    tensors["labels"][2] = wrong
    with pytest.raises(InputError, match=r"labels from -?\d+ to \d+ cannot be used; allowed: 0 to 3"):
        FUNCTIONS[function][0](**tensors)


@pytest.mark.parametrize("function", CHECKED)
def test_whole_numbers_and_lists_in_the_place_of_floats_are_refused(function):
    tensors = arguments_of(function)
    name = next(name for name in tensors if name != "labels")
    with pytest.raises(InputError, match=f"{name} must be floats, got torch.int64"):
        FUNCTIONS[function][0](**tensors | {name: tensors[name].long()})
    with pytest.raises(InputError, match=f"{name} must be a tensor, got list"):
        FUNCTIONS[function][0](**tensors | {name: tensors[name].tolist()})


@pytest.mark.parametrize(
    "change",
    [torch.Tensor.to_sparse, lambda tensor: torch.nested.nested_tensor([tensor, tensor], layout=torch.jagged)],
    ids=["sparse", "nested"],
)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_tensor_that_is_not_dense_is_refused(function, change):
    tensors = arguments_of(function)
    for name, tensor in tensors.items():
        with pytest.raises(InputError, match=rf"{name} must be a dense tensor, got a (torch\.)?\w+ one"):
            FUNCTIONS[function][0](**tensors | {name: change(tensor)})


@pytest.mark.parametrize("function", [name for name, axes in CHECKED.items() if len(axes) > 1])
def test_tensors_on_several_devices_are_refused(function):
    tensors = arguments_of(function)
    for name, tensor in tensors.items():
        with pytest.raises(InputError, match=r"(must be on one device, got cpu, meta|must have values)"):
            FUNCTIONS[function][0](**tensors | {name: tensor.to("meta")})


@pytest.mark.parametrize(
    "function", ["confusion", "correct_bias", "variance_in_response", "within_between_scatter", "select_examples"]
)
def test_a_tensor_without_values_is_refused_where_they_decide(function):
    tensors = {name: tensor.to("meta") for name, tensor in arguments_of(function).items()}
    with pytest.raises(InputError, match="must have values, got a tensor on the device meta"):
        FUNCTIONS[function][0](**tensors)


@pytest.mark.parametrize("temperature", [torch.zeros(0), torch.ones(3, 7), torch.ones(1, dtype=torch.complex64), "3"])
def test_a_temperature_that_is_no_number_for_each_response_is_refused(temperature):
    with pytest.raises(InputError, match="temperature"):
        kdlib.soft_labels(torch.zeros(6, 4), temperature)
    assert kdlib.soft_labels(torch.zeros(6, 4), torch.ones(2, 1, 1)).shape == (2, 6, 4)


@pytest.mark.parametrize("function", ["kd_loss", "label_smoothing_loss", "distance_to_label_smoothing"])
def test_no_value_of_a_tensor_is_looked_at_that_is_not_on_the_cpu(function):
    """Which would wait for the device, and end the recording of a CUDA graph; meta tensors have no values."""
    tensors = {name: tensor.to("meta") for name, tensor in arguments_of(function).items()}
    assert FUNCTIONS[function][0](**tensors).device.type == "meta"


@pytest.mark.parametrize("shape", [(), (4,), (0, 4), (2, 3, 4)])
def test_responses_and_labels_may_have_any_leading_axes(shape):
    if shape:
        assert kdlib.entropy(kdlib.soft_labels(torch.zeros(shape), 3.0)).shape == shape[:-1]
    assert kdlib.label_smoothing_labels(torch.zeros(shape, dtype=torch.int64), 4, 0.1).shape == (*shape, 4)


def test_a_number_is_no_response_and_a_label_smoothed_is_a_class():
    for call in (kdlib.entropy, lambda z: kdlib.soft_labels(z, 1.0)):
        with pytest.raises(InputError, match=r"shapes \[\] cannot be used; allowed: \w+ \[..., C\]"):
            call(torch.tensor(1.0))
    with pytest.raises(InputError, match="labels from 0 to 4 cannot be used; allowed: 0 to 3"):
        kdlib.label_smoothing_labels(torch.arange(5), 4, 0.1)


def test_measures_refuse_what_they_cannot_measure():
    with pytest.raises(InputError, match="missing_class 4 cannot be used; allowed: a whole number from 0 to 3"):
        kdlib.correct_bias(torch.zeros(5, 4), 4, 0.1)
    with pytest.raises(InputError, match="prior"):
        kdlib.correct_bias(torch.zeros(5, 4), 0, 1.0)
    with pytest.raises(InputError, match="labels of 1 classes cannot be used; allowed: 2 or more"):
        kdlib.within_between_scatter(torch.rand(5, 4), torch.ones(5, dtype=torch.int64))
    with pytest.raises(InputError, match="C must be at least 2"):
        kdlib.variance_in_response(torch.full((5, 1), 0.5), torch.zeros(5, dtype=torch.int64))


TEACHER = Teacher("small_teacher", seed=0, epochs=2, batch_size=64)
STUDENT = Student(TEACHER, 2, 9.0, epochs=1)
KEPT = replace(TEACHER, epochs=10, kept_epochs=(5, 10))
STUDENTS = {
    "epoch": ({"teacher_epoch": 99}, "teacher_epoch 99 cannot be used; allowed: a whole number from 1 to 2"),
    "epoch before the first": ({"teacher_epoch": 0}, "teacher_epoch 0 cannot be used; allowed: a whole number from 1"),
    "epoch as text": ({"teacher_epoch": "a"}, "teacher_epoch 'a' cannot be used; allowed: a whole number from 1 to 2"),
    "epoch that is not kept": (
        {"teacher": KEPT, "teacher_epoch": 4},
        "teacher_epoch 4 cannot be used: no responses are kept after it; allowed: 5, 10",
    ),
    "no snapshot up to the epoch": (
        {"teacher": KEPT, "teacher_epoch": 4, "system": "snapshots"},
        "teacher_epoch 4 cannot be used: no responses are kept after it; allowed: 5, 10",
    ),
    "teacher's epochs": ({"teacher": replace(TEACHER, epochs="2")}, "the epochs of a student's teacher '2' cannot be"),
    "kept epochs": ({"teacher": replace(TEACHER, kept_epochs=2)}, "kept_epochs 2 cannot be used; allowed: a tuple"),
    "network": ({"network": "huge"}, "unknown network 'huge'; allowed: large_teacher"),
    "precision": ({"precision": "fp8"}, "precision 'fp8' cannot be used; allowed: fp32, bf16"),
    "targets": ({"targets": "none"}, "targets 'none' cannot be used; allowed: responses, shuffled"),
    "selection": ({"selection": "best"}, "selection 'best' cannot be used; allowed: entropy, lowest, random"),
    "seeding": ({"seeding": "none"}, "seeding 'none' cannot be used; allowed: common, configuration"),
    "missing class": ({"missing_class": 10}, "missing_class 10 cannot be used; allowed: a whole number from 0 to 9"),
    "negative class": ({"missing_class": -1}, "missing_class -1 cannot be used"),
    "class by name": ({"missing_class": "six"}, "missing_class 'six' cannot be used"),
    "examples": (
        {"examples_per_class": 36},
        "examples_per_class 36 cannot be used; allowed: a whole number from 1 to 35",
    ),
    "no examples": ({"examples_per_class": 0}, "examples_per_class 0 cannot be used"),
    "steps": ({"steps": 0}, "steps 0 cannot be used; allowed: a whole number from 1"),
    "epochs": ({"epochs": 0}, "epochs 0 cannot be used; allowed: a whole number from 1"),
    "batch size": ({"batch_size": 1.5}, "batch_size 1.5 cannot be used; allowed: a whole number from 1"),
    "temperature": ({"temperature": 0.0}, "temperature must be positive and finite, got 0.0"),
    "temperature as text": ({"temperature": "3"}, "temperature must be positive and finite, got '3'"),
    "no temperature": ({"temperature": None}, "temperature must be positive and finite, got None"),
    "temperatures": ({"temperature": [3, 9]}, r"temperature must be positive and finite, got \[3, 9\]"),
    "factor": ({"t_squared": "yes"}, "t_squared 'yes' cannot be used; allowed: True or False"),
    "replicate": ({"replicate": 0.5}, "replicate 0.5 cannot be used; allowed: a whole number from 0"),
    "learning rate": ({"learning_rate": math.nan}, "learning_rate must be positive and finite, got nan"),
    "scale": ({"logit_scale": math.inf}, "logit_scale must be finite, got inf"),
    "scale as text": ({"logit_scale": "2"}, "logit_scale must be finite, got '2'"),
    "no alpha": ({"alpha": None}, r"alpha must lie in \[0, 1\], got None"),
    "alpha": ({"alpha": 1.5}, r"alpha must lie in \[0, 1\], got 1.5"),
}
LOGITS = {
    "rows": (lambda z: z[:-1], r"shapes \[399, 10\] cannot be used; allowed: logits \[400, 10\]"),
    "classes": (lambda z: z[:, :9], r"shapes \[400, 9\] cannot be used; allowed: logits \[400, 10\]"),
    "one class": (lambda z: z[:, :1], r"shapes \[400, 1\] cannot be used"),
    "axes": (lambda z: z[None], "cannot be used; allowed: logits"),
    "type": (lambda z: z.long(), "logits must be floats, got torch.int64"),
    "NaN": (
        lambda z: z.index_fill(0, torch.tensor([7]), math.nan),
        "logits must be finite: 10 of 4000 numbers are not",
    ),
    "infinity": (lambda z: z.index_fill(1, torch.tensor([3]), -math.inf), "logits must be finite: 400 of 4000"),
    "sparse": (lambda z: z.to_sparse(), "logits must be a dense tensor, got a torch.sparse_coo one"),
    "no values": (lambda z: z.to("meta"), "logits must have values, got a tensor on the device meta"),
    "None": (lambda z: None, "logits must be a tensor .*, or a list of one for each student, got NoneType"),
    "number": (lambda z: [z, z], "2 tensors of logits were given for 3 students"),
    "one of them": (lambda z: [z, z, z[:-1]], r"shapes \[399, 10\] cannot be used"),
}


@pytest.fixture
def nothing_is_trained(monkeypatch):
    def trains(*args, **kwargs):
        raise AssertionError("a training was begun")

    for module, name in ((students, "train"), (students, "build_model"), (teachers, "build_model")):
        monkeypatch.setattr(module, name, trains)


@pytest.mark.parametrize("case", STUDENTS)
def test_a_student_that_cannot_be_trained_is_refused_before_any_other_is(case, digits, tiny_run, nothing_is_trained):
    changes, message = STUDENTS[case]
    others = [STUDENT, replace(STUDENT, network="baseline_student")]
    with pytest.raises(InputError, match=message):
        distill([*others, replace(STUDENT, **changes)], digits, responses(tiny_run))
    with pytest.raises(InputError, match=message):  # what workers call
        next(students.distill_each([*others, replace(STUDENT, **changes)], digits, [responses(tiny_run)] * 3))


def test_an_epoch_that_no_student_needs_the_responses_of_may_be_one_that_is_not_kept(digits):
    unkept = replace(STUDENT, teacher=KEPT, teacher_epoch=4)
    students.check_students([replace(unkept, alpha=0.0), replace(unkept, system="label_smoothing")], digits)
    students.check_students([replace(unkept, teacher_epoch=7, system="snapshots")], digits)  # those up to it
    students.check_students([Student(OwnTeacher(*"abcd", 0.5, 0.5, "a", 0.5).configuration(0), 0, 9.0)], digits)


@pytest.mark.parametrize("case", LOGITS)
def test_logits_that_are_not_each_examples_are_refused_before_training(case, digits, tiny_run, nothing_is_trained):
    change, message = LOGITS[case]
    with pytest.raises(InputError, match=message):
        distill([STUDENT] * 3, digits, change(responses(tiny_run)))


def test_an_engine_that_does_not_exist_is_refused_before_training(digits, tiny_run, nothing_is_trained):
    with pytest.raises(InputError, match="unknown engine 'fast'; allowed: auto, loop, stacked"):
        distill([STUDENT], digits, responses(tiny_run), engine="fast")


def test_a_student_for_a_list_and_a_name_for_a_data_set_are_refused(digits, tiny_run, nothing_is_trained):
    with pytest.raises(InputError, match="students must be a list"):
        distill(STUDENT, digits, responses(tiny_run))
    for call in (lambda: distill([STUDENT], "digits", responses(tiny_run)), lambda: train_teacher(TEACHER, "digits")):
        with pytest.raises(
            InputError, match="a data set is needed, such as kdlib.load_dataset\\('digits'\\), got 'digits'"
        ):
            call()


@pytest.mark.parametrize("engine", ["loop", "stacked"])
def test_logits_that_know_how_they_came_about_are_numbers_like_others(engine, digits, tiny_run):
    """Those of a network of one's own, where `torch.no_grad` was forgotten."""
    logits = responses(tiny_run)
    of_a_graph = logits.clone().requires_grad_() * 1
    plain, other = (distill([STUDENT], digits, z, engine=engine)[0] for z in (logits, of_a_graph))
    assert all(torch.equal(plain[name], other[name]) and not other[name].requires_grad for name in plain)
    assistant = replace(TEACHER, network="assistant", taught_by=TEACHER, epochs=1)
    runs = [train_teacher(assistant, digits, z) for z in (logits, of_a_graph)]
    assert torch.equal(runs[0]["logits"], runs[1]["logits"])


@contextmanager
def default_type(kind):
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SURROUNDINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default type": lambda: default_type(torch.float64),
    "default device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("case", SURROUNDINGS)
def test_what_a_caller_has_set_for_code_of_his_own_changes_no_number(case, digits, tiny_run):
    def all_numbers():
        run = train_teacher(replace(TEACHER, epochs=1), digits)
        logits = responses(run) * 1  # of the caller's own making, there
        return [run, *(distill([STUDENT], digits, logits, engine=engine)[0] for engine in ("loop", "stacked"))]

    expected = all_numbers()
    with SURROUNDINGS[case]():
        found = all_numbers()
    for theirs, ours in zip(expected, found, strict=True):
        assert all(torch.equal(theirs[name], ours[name]) and theirs[name].dtype == ours[name].dtype for name in theirs)


@pytest.mark.parametrize("case", SURROUNDINGS)
def test_a_task_of_a_study_is_run_without_what_its_caller_has_set(case):
    def task():
        seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")))
        seen.append((torch.get_default_dtype(), torch.get_default_device().type))

    seen = []
    with SURROUNDINGS[case]():
        run_task(task)
    assert seen == [(True, False, False), (torch.float32, "cpu")]


@pytest.mark.parametrize("run", [torch.zeros(5, 10), None, "run", {}, {"epochs": torch.tensor([1])}], ids=str)
def test_what_is_no_teachers_run_has_no_responses(run):
    with pytest.raises(InputError, match="a teacher's run is needed, as train_teacher returns it, got"):
        responses(run)


@pytest.mark.parametrize("epoch", [3, 0, -1, "1"])
def test_an_epoch_that_was_not_kept_has_no_responses(epoch, tiny_run):
    with pytest.raises(InputError, match=rf"no responses were kept after epoch {epoch}; kept: 1, 2"):
        responses(tiny_run, epoch)
    with pytest.raises(InputError, match=r"allowed: logits \[2, N, C\]"):
        responses({**tiny_run, "logits": tiny_run["logits"][1]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (8, 8)}, r"shape \(8, 8\) cannot be used; allowed: \(channels, height, width\)"),
        ({"shape": 8}, "shape 8 cannot be used; allowed"),
        ({"shape": (1.0, 8, 8)}, "channels 1.0 cannot be used; allowed: a whole number from 1"),
        ({"shape": (1, 0, 8)}, "height 0 cannot be used"),
        ({"classes": -1}, "classes -1 cannot be used; allowed: a whole number from 1"),
        ({"seed": "a"}, "seed 'a' cannot be used"),
        ({"seed": 2**63}, "seed 9223372036854775808 cannot be used"),
        ({"family": "mnits"}, "unknown family of networks 'mnits'; allowed: mnist, fashion_mnist, cifar10"),
        ({"name": ["small_teacher"]}, r"the name of a network is needed, such as 'small_teacher', got \["),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        kdlib.build_model(**{"name": "small_teacher"} | changes)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"widths": 8}, "widths 8 cannot be used; allowed: a tuple of whole numbers"),
        ({"widths": (8.5,)}, "a number in widths 8.5 cannot be used"),
        ({"dense": (0,)}, "a number in dense 0 cannot be used"),
        ({"widths": (8,), "strides": (1, 1)}, "2 strides for 1 convolutions cannot be used"),
        ({"widths": (8,), "dropout": 2}, r"dropout must lie in \[0, 1\], got 2"),
        ({"batch_norm": "yes"}, "batch_norm 'yes' cannot be used; allowed: True or False"),
    ],
)
def test_an_architecture_that_is_none_is_refused(parts, message):
    with pytest.raises(InputError, match=message):
        kdlib.Architecture(**parts)


def test_whatever_has_the_wrong_type_is_one_error_that_names_the_right_one(digits, tiny_run):
    logits = responses(tiny_run)
    for call in (
        lambda: train_teacher("small_teacher", digits),
        lambda: distill(["student"], digits, logits),
        lambda: distill([TEACHER], digits, logits),
        lambda: distill([replace(STUDENT, teacher="small_teacher")], digits, logits),
        lambda: train_teacher(replace(TEACHER, continues=TEACHER), digits, first_run="run"),
        lambda: kdlib.count_parameters(kdlib.Architecture((8,))),
        lambda: kdlib.register_system("mine"),
        lambda: kdlib.system_loss(None, logits, logits, digits.labels, temperature=3),
    ):
        with pytest.raises(InputError, match=r" is needed, such as .*, got "):
            call()
    for call in (
        lambda: kdlib.load_dataset("digits", root=5),
        lambda: kdlib.Store(3),
        lambda: kdlib.configure_cpu(0),
        lambda: kdlib.find_device(None),
        lambda: digits.to("no device"),
        lambda: kdlib.select_examples(digits.labels, "3", order="random"),
        lambda: kdlib.open_study("entropy", ["smoke"]),
        lambda: replace(STUDENT, parameters="beta"),
        lambda: kdlib.t_interval("abc"),
        lambda: kdlib.t_interval([1.0, 2.0], 95),
        lambda: kdlib.ratio_interval([1.0, -1.0]),
        lambda: kdlib.wilson_interval(5, 3),
        lambda: kdlib.kd_loss(logits, logits, digits.labels, temperature=3, alpha=0.5, t_squared="yes"),
    ):
        with pytest.raises(InputError):
            call()


def test_weights_of_another_network_are_refused(digits, tiny_run):
    other = {name: value[:1] if name.startswith("weights") else value for name, value in tiny_run.items()}
    with pytest.raises(InputError, match="the weights after epoch 2 are not those of small_teacher"):
        train_teacher(replace(TEACHER, continues=TEACHER), digits, first_run=other)


def test_an_interval_without_end_is_printed():
    assert str(kdlib.t_interval([math.inf, 1.0])).startswith("inf")


TEACHERS = {
    "network": ({"network": "huge"}, "unknown network 'huge'; allowed: large_teacher"),
    "precision": ({"precision": "fp8"}, "precision 'fp8' cannot be used; allowed: fp32, bf16"),
    "epochs": ({"epochs": 0}, "epochs 0 cannot be used; allowed: a whole number from 1"),
    "batch size": ({"batch_size": 0}, "batch_size 0 cannot be used; allowed: a whole number from 1"),
    "learning rate": ({"learning_rate": -1e-3}, "learning_rate must be positive and finite, got -0.001"),
    "no seed": ({"seed": None}, "seed None cannot be used; allowed: a whole number from 0"),
    "kept as a number": ({"kept_epochs": 1}, "kept_epochs 1 cannot be used; allowed: a tuple of epochs"),
    "smoothing": ({"label_smoothing": 1.5}, "label_smoothing"),
    "kept": ({"kept_epochs": (1, 3)}, "an epoch in kept_epochs 3 cannot be used; allowed: a whole number from 1 to 2"),
    "weights": ({"checkpoints": (0,)}, "an epoch in checkpoints 0 cannot be used; allowed: a whole number from 1 to 2"),
}


@pytest.mark.parametrize("case", TEACHERS)
def test_a_teacher_that_cannot_be_trained_is_refused_before_training(case, digits, nothing_is_trained):
    changes, message = TEACHERS[case]
    with pytest.raises(InputError, match=message):
        train_teacher(replace(TEACHER, **changes), digits)


@pytest.mark.parametrize("case", ["rows", "classes", "axes", "type", "NaN", "infinity"])
def test_what_an_assistant_is_taught_is_held_to_the_same(case, digits, tiny_run, nothing_is_trained):
    change, message = LOGITS[case]
    assistant = replace(TEACHER, network="assistant", taught_by=TEACHER)
    with pytest.raises(InputError, match=message.replace("logits", "teacher_logits")):
        train_teacher(assistant, digits, change(responses(tiny_run)))
