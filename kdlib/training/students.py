"""Distillation: many student configurations from one teacher's responses.

`distill` is given logits, never a teacher: they were computed once. `train_one` is the plain reference loop. On CUDA,
for tiny images and in a CPU's own bf16 students are trained by matrix products instead (`stacked.py`), and a test holds
them equal to it. In fp32 a CPU's convolutions of larger images are as fast as anything tried: there it is used.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ..data.dataset import Dataset, select_examples
from ..errors import InputError
from . import arguments, stacked
from .choices import ENGINES, PRECISIONS, SEEDINGS, SELECTIONS, requested_engine
from .config import Schedule, Student, Teacher
from .devices import has_bf16_instructions, own_defaults
from .loop import descend
from .losses import entropy, soft_labels
from .measures import accuracy, confusion, correct_bias
from .models import build_model, find_architecture, is_tiny
from .systems import divided
from .systems.objective import Objective
from .systems.registry import check_loss, find_system, is_own, systems
from .targets import TARGETS
from .teachers import check_epochs, predict


def target_logits(student: Student, dataset: Dataset, logits: Tensor) -> Tensor:
    """The logits [N, C] that teach a student: its teacher's, scaled, or what a control or its system makes of them.

    Arguments: `logits` [N, C], the teacher's of all examples by index. A system makes its own of those of the transfer
    set alone (as the teacher's entropies choose it, if it is not random). Raises `InputError` for unknown `targets`.
    """
    if student.targets not in TARGETS:
        raise InputError(f"unknown targets {student.targets!r}; allowed: {', '.join(TARGETS)}")
    found = TARGETS[student.targets](student.logit_scale * logits, dataset, student)
    prepare = find_system(student.system).prepare
    return prepare(found, dataset.labels, transfer_set(student, dataset, found), student) if prepare else found


def transfer_set(student: Student, dataset: Dataset, logits: Tensor) -> Tensor:
    """Indices of the training examples that a student is trained on, sorted.

    Arguments: `logits` [N, C], its target logits of all examples, by which examples may be chosen (paper, section 4.2).
    """
    members = _of_all_classes_but_one(student, dataset)
    if student.examples_per_class is None:
        return members
    scores = entropy(soft_labels(logits[members], student.temperature))
    order = SELECTIONS[student.selection]
    chosen = select_examples(
        dataset.labels[members], student.examples_per_class, scores=scores, order=order, seed=student.seed()
    )
    return members[chosen]


def _of_all_classes_but_one(student: Student, dataset: Dataset) -> Tensor:
    """Indices of the training examples without those of the missing class, if there is one."""
    members = dataset.train
    return members if student.missing_class is None else members[dataset.labels[members] != student.missing_class]


def batch_size_and_steps(student: Student, dataset: Dataset) -> tuple[int, int]:
    """Batch size (at most the size of the transfer set) and number of steps of a student's training."""
    members = _of_all_classes_but_one(student, dataset)
    total = len(members)
    if student.examples_per_class is not None:
        total = student.examples_per_class * len(dataset.labels[members].unique())
    return min(student.batch_size, total), student.steps or steps_of(student.epochs, total, student.batch_size)


def steps_of(epochs: int, examples: int, batch_size: int) -> int:
    """Number of steps nearest to so many epochs, in batches of the size given, or of all examples if they are fewer."""
    return max(1, round(epochs * examples / min(batch_size, examples)))


def stack_key(student: Student, dataset: Dataset) -> tuple:
    """Key that is equal for students of one stack: network, system, its loop, epochs, rate, precision, batches."""
    alike = (student.network, student.system, student.epochs, student.learning_rate, student.precision)
    system = find_system(student.system)
    loop = tuple(system.values_of(student)[name] for name in system.defaults("loop"))
    return (*alike, *loop, *batch_size_and_steps(student, dataset))


def make_schedule(student: Student, dataset: Dataset, logits: Tensor) -> Schedule:
    """The schedule of a student: full batches from one shuffled pass over its transfer set after another.

    Its steps are divided into `epochs` parts of (nearly) equal length, after each of which it is validated: parts are
    passes where no number of `steps` is given. Of fewer steps than epochs it is validated after each. Arguments:
    `logits` [N, C], its target logits of all examples.
    """
    members = transfer_set(student, dataset, logits)
    size, steps = batch_size_and_steps(student, dataset)
    order = torch.Generator().manual_seed(student.seed())
    passes = -(-steps * size // len(members))
    stream = torch.cat([torch.randperm(len(members), generator=order) for _ in range(passes)])
    batches = members[stream[: steps * size].to(members.device)].view(steps, size)
    validate_after = sorted({max(1, round(steps * (k + 1) / student.epochs)) for k in range(student.epochs)})
    return Schedule(batches, tuple(validate_after))


def train_one(
    student: Student, dataset: Dataset, logits: Tensor, schedule: Schedule, callback: Callable[[nn.Module], None]
) -> nn.Module:
    """Train one student with Adam on its loss, in the plain loop that is the reference; returns its network.

    Arguments: `logits` [N, C], its target logits of all examples; `callback` is given the network after each step of
    the schedule's `validate_after`.
    """
    if find_system(student.system).divided:
        return divided.train_divided(student, dataset, logits, schedule, callback)
    model = build_model(student.network, dataset.family, dataset.shape, dataset.classes, student.seed())
    model.to(dataset.images.device)
    objective = Objective([student], dataset.labels, [logits], len(schedule.batches))
    for step, batch, [outputs] in descend([model], student, dataset, schedule, objective.value):
        objective.count(outputs[None], batch[None])
        objective.advance()
        if step in schedule.validate_after:
            objective.end_epoch()
            callback(model)
    return model


@own_defaults()
def distill(
    students: Sequence[Student], dataset: Dataset, logits: Tensor | Sequence[Tensor], *, engine: str = "auto"
) -> list[dict[str, Tensor]]:
    """Train students on teachers' responses, on the device that holds the data set.

    Arguments: `students`; `logits` [N, C], the teacher's logits of every train and validation example by index, or
    one such tensor for each student; `engine` is `"loop"`, `"stacked"` or `"auto"`: stacked on CUDA, for tiny images
    and in a CPU's own bf16. A network that cannot be stacked is trained in the loop.
    Returns, for each student: `confusion` [C, C], counts on the test split (row: label, column: prediction);
    `corrected` [C, C], counts after the label-free bias correction of the missing class; `bias`, the shift of its
    logit; `validation_accuracy` [epochs] (fractions) after `validated_steps` [epochs], and `steps`. All are of the fp32
    weights, but for `validation_accuracy` of a student that is stacked in bf16: that is of its weights as rounded for
    the products, and its logits are rounded to bf16, of which equal ones count for the first class.
    Raises `InputError` before any training for what cannot be trained as asked.
    """
    if isinstance(students, Student | str) or not isinstance(students, Iterable):
        raise InputError("students must be a list, also of a single one")
    if not isinstance(logits, Sequence | Tensor):
        raise InputError(
            f"logits must be a tensor [N, C], or a list of one for each student, got {type(logits).__name__}"
        )
    arguments.is_dataset(dataset)
    students = list(students)
    each = [logits] * len(students) if isinstance(logits, Tensor) else list(logits)
    check(students, dataset, each, engine)
    for different in {id(z): z for z in each}.values():
        arguments.all_finite("logits", different)
    results = dict(_distill_each(students, dataset, each, engine))
    return [results[i] for i in range(len(students))]


def distill_each(
    students: list[Student], dataset: Dataset, logits: list[Tensor]
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Train students as `distill` does, and yield (position, result) of each as soon as it is trained.

    Logits may hold what is not finite: a study goes on with a teacher that diverged, and its page tells the accuracies.
    """
    check(students, dataset, logits, "auto")
    yield from _distill_each(students, dataset, logits, "auto")


def _distill_each(
    students: list[Student], dataset: Dataset, logits: list[Tensor], engine: str
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    for positions in stacks(students, dataset):
        stack = [students[i] for i in positions]
        wanted = [target_logits(students[i], dataset, logits[i].detach().to(dataset.images.device)) for i in positions]
        schedules = [make_schedule(student, dataset, z) for student, z in zip(stack, wanted, strict=True)]
        trained = train(stack, dataset, wanted, schedules, choose_engine(stack[0], dataset, engine))
        for i, schedule, (history, model) in zip(positions, schedules, trained, strict=True):
            course = {
                "validation_accuracy": history,
                "validated_steps": torch.tensor(schedule.validate_after),
                "steps": torch.tensor(len(schedule.batches)),
            }
            yield i, _evaluate(students[i], dataset, model) | course


def check(students: Sequence[Student], dataset: Dataset, logits: Sequence[Tensor], engine: str = "auto") -> None:
    """Raise `InputError` for students that cannot be trained as asked, or logits that are not each example's."""
    if len(logits) != len(students):
        raise InputError(f"{len(logits)} tensors of logits were given for {len(students)} students")
    for different in {id(z): z for z in logits}.values():
        arguments.of_every_example("logits", different, dataset)
    check_students(students, dataset)
    for student in students:
        choose_engine(student, dataset, engine)


def check_students(students: Iterable[Student], dataset: Dataset) -> None:
    """Raise `InputError` for students that cannot be trained as asked, whatever teaches them.

    A system of a reader's own by which one is taught is tried, see `check_loss`.
    """
    available = torch.bincount(dataset.labels[dataset.train], minlength=dataset.classes).tolist()
    tried: set[str] = set()
    for student in students:
        _check_student(student, dataset, available)
        if is_own(student.system) and student.system not in tried:
            check_loss(find_system(student.system), dataset.classes, dataset.images.device)
            tried.add(student.system)


def _check_student(student: Student, dataset: Dataset, available: list[int]) -> None:
    arguments.instance("a student's configuration", student, Student, "kdlib.Student(teacher, 10, 9.0)")
    arguments.instance("a student's teacher", student.teacher, Teacher, "kdlib.Teacher('small_teacher', 0, 10, 32)")
    arguments.whole("the epochs of a student's teacher", student.teacher.epochs, 0)
    check_epochs(student.teacher)
    arguments.whole("teacher_epoch", student.teacher_epoch, min(1, student.teacher.epochs), student.teacher.epochs)
    find_architecture(student.network, dataset.family)
    for name, allowed in (
        ("precision", PRECISIONS),
        ("targets", TARGETS),
        ("system", systems()),
        ("selection", SELECTIONS),
        ("seeding", SEEDINGS),
    ):
        arguments.one_of(name, getattr(student, name), allowed)
    if find_system(student.system).divided and student.network != "general_student":
        raise InputError(f"{student.system} divides the general student, not {student.network!r}")
    if student.missing_class is not None:
        arguments.whole("missing_class", student.missing_class, 0, dataset.classes - 1)
    if student.examples_per_class is not None:
        most = min(n for c, n in enumerate(available) if c != student.missing_class)
        arguments.whole("examples_per_class", student.examples_per_class, 1, most)
    if student.steps is not None:
        arguments.whole("steps", student.steps, 1)
    for name in ("epochs", "batch_size"):
        arguments.whole(name, getattr(student, name), 1)
    arguments.whole("replicate", student.replicate, 0)
    arguments.flag("t_squared", student.t_squared)
    for name in ("temperature", "learning_rate"):
        arguments.positive(name, getattr(student, name))
    arguments.finite("logit_scale", student.logit_scale)
    arguments.fraction("alpha", student.alpha)
    kept, taught = student.teacher.kept_epochs, student.response_epochs
    if kept and student.needs_responses and not (taught and {*taught} <= {*kept}):
        raise InputError(
            f"teacher_epoch {student.teacher_epoch} cannot be used: no responses are kept after it; allowed: "
            f"{', '.join(map(str, kept))}"
        )


def train(
    students: list[Student], dataset: Dataset, logits: list[Tensor], schedules: list[Schedule], engine: str
) -> Iterator[tuple[Tensor, nn.Module]]:
    """Train students of one stack by one of `ENGINES`; yield each one's validation accuracies and its network.

    Arguments: `logits`, for each student the target logits [N, C] of all examples; `schedules`, one for each student.
    """
    if engine == "stacked":
        yield from zip(*_train_stack(students, dataset, logits, schedules), strict=True)
    else:
        yield from (_train_in_loop(s, dataset, z, p) for s, z, p in zip(students, logits, schedules, strict=True))


def _train_stack(
    students: list[Student], dataset: Dataset, logits: list[Tensor], schedules: list[Schedule]
) -> tuple[list[Tensor], list[nn.Module]]:
    """Train a stack, in two halves where the accelerator's memory does not hold all."""
    train_all = divided.train_stack if find_system(students[0].system).divided else stacked.train
    try:
        return train_all(students, dataset, logits, schedules)
    except torch.OutOfMemoryError:
        if len(students) == 1:
            raise
    # Only here: while the exception is handled, its traceback holds the memory that the halves need.
    half = len(students) // 2
    parts = [_train_stack(students[p], dataset, logits[p], schedules[p]) for p in (slice(half), slice(half, None))]
    return tuple(first + second for first, second in zip(*parts, strict=True))


def choose_engine(student: Student, dataset: Dataset, engine: str = "auto") -> str:
    """The engine that trains a student: the one asked for, else KDLIB_ENGINE, else the fastest.

    It is "stacked" only where the network can be stacked and a student has the same bits in any company. Raises
    `InputError` for an unknown engine.
    """
    device = dataset.images.device
    if engine == "auto":
        in_bf16 = student.precision == "bf16" and has_bf16_instructions(device)
        fast = is_tiny(*dataset.shape[1:]) or in_bf16 or device.type == "cuda"
        engine = requested_engine() or ("stacked" if fast else "loop")
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}; allowed: auto, {', '.join(ENGINES)}")
    is_divided = find_system(student.system).divided
    networks = divided.PARTS if is_divided else (student.network,)
    architectures = [find_architecture(name, dataset.family, dataset.shape) for name in networks]
    in_fp32 = device.type == "cpu" and not (student.precision == "bf16" and has_bf16_instructions(device))
    size, _ = batch_size_and_steps(student, dataset)
    aligned = (stacked.slices_aligned(each, dataset.shape, dataset.classes, size) for each in architectures)
    if in_fp32 and not all(aligned):
        return "loop"
    stackable = all(map(stacked.can_stack, architectures)) and (not is_divided or divided.can_stack(student))
    return engine if stackable else "loop"


def recorded_engine(student: Student, dataset: Dataset) -> str:
    """The engine that trains a student as its provenance names it, with its version: another's last bits may differ."""
    engine = choose_engine(student, dataset)
    return f"stacked {stacked.VERSION}" if engine == "stacked" else engine


def stacks(students: Sequence[Student], dataset: Dataset) -> list[list[int]]:
    """Positions of students, grouped into stacks of at most `stacked.max_stack_size`.

    In a stack those of one seed are neighbours: they may have their batches in common.
    """
    groups: dict[tuple, list[int]] = {}
    for i, student in enumerate(students):
        groups.setdefault(stack_key(student, dataset), []).append(i)
    found = []
    for group in groups.values():
        first = students[group[0]]
        architecture = find_architecture(first.network, dataset.family, dataset.shape)
        batch_size, _ = batch_size_and_steps(first, dataset)
        size = stacked.max_stack_size(architecture, dataset.shape, batch_size, dataset.images.device)
        of_one_seed = sorted(group, key=lambda i: students[i].seed())
        found += [of_one_seed[start : start + size] for start in range(0, len(group), size)]
    return found


def _train_in_loop(student: Student, dataset: Dataset, logits: Tensor, schedule: Schedule) -> tuple[Tensor, nn.Module]:
    images, labels = dataset.images[dataset.validation], dataset.labels[dataset.validation]
    history: list[float] = []
    model = train_one(
        student, dataset, logits, schedule, lambda model: history.append(accuracy(predict(model, images), labels))
    )
    return torch.tensor(history), model


def _evaluate(student: Student, dataset: Dataset, model: nn.Module) -> dict[str, Tensor]:
    images, labels = dataset.open_test("student: confusion matrix of the trained student")
    logits = predict(model, images)
    plain = confusion(logits, labels)
    if student.missing_class is None:
        return {"confusion": plain, "corrected": plain.clone(), "bias": torch.tensor(0.0)}
    held_out = predict(model, dataset.images[dataset.validation])
    prior = (dataset.labels[dataset.train] == student.missing_class).float().mean().item()
    bias = correct_bias(held_out, student.missing_class, prior)
    logits[:, student.missing_class] += bias
    return {"confusion": plain, "corrected": confusion(logits, labels), "bias": bias}
