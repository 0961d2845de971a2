"""Distillation: many student configurations from one teacher's responses.

`distill` is given logits, never a teacher: they were computed once. `train_one` is the plain reference loop. On CUDA,
for tiny images and in a CPU's own bf16 students are trained by matrix products instead (`stacked.py`), and a test holds
them equal to it. In fp32 a CPU's convolutions of larger images are as fast as anything tried: there it is used.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..data.dataset import Dataset, select_examples
from ..errors import InputError
from . import arguments, stacked, targets
from .choices import ENGINES, PRECISIONS, SEEDINGS, SELECTIONS, asked_engine
from .config import Schedule, Student
from .devices import adam, autocast, multiplies_bf16, products
from .losses import entropy, equation_4, soft_labels
from .measures import accuracy, confusion, correct_bias
from .models import ConvNet, build_model, find_architecture, tiny
from .teachers import predict


def taught(student: Student, dataset: Dataset, logits: Tensor) -> Tensor:
    """The logits [N, C] that a student is taught: its teacher's as they are, or as its control wants them."""
    logits = student.logit_scale * logits
    match student.targets:
        case "responses":
            return logits
        case "shuffled":
            return targets.shuffle_similarity(logits, dataset.labels, student.seed())
        case "smoothed":
            return targets.smooth_similarity(logits, dataset.labels, student.temperature)
        case "class_mean":
            return targets.class_means(logits, dataset.labels, dataset.train, student.temperature)
        case unknown:
            raise InputError(f"unknown targets {unknown!r}; allowed: {', '.join(targets.TARGETS)}")


def transfer_set(student: Student, dataset: Dataset, logits: Tensor) -> Tensor:
    """Indices of the training examples that a student may see, sorted."""
    members = dataset.train
    if student.missing_class is not None:
        members = members[dataset.labels[members] != student.missing_class]
    if student.examples_per_class is None:
        return members
    scores = entropy(soft_labels(logits[members], student.temperature))
    order = SELECTIONS[student.selection]
    chosen = select_examples(
        dataset.labels[members], student.examples_per_class, scores=scores, order=order, seed=student.seed()
    )
    return members[chosen]


def lengths(student: Student, dataset: Dataset) -> tuple[int, int]:
    """Batch size (at most the transfer set) and number of steps of a student's training."""
    members = dataset.train
    if student.missing_class is not None:
        members = members[dataset.labels[members] != student.missing_class]
    total = len(members)
    if student.examples_per_class is not None:
        total = student.examples_per_class * len(dataset.labels[members].unique())
    size = min(student.batch_size, total)
    return size, student.steps or max(1, round(student.epochs * total / size))


def lock_step(student: Student, dataset: Dataset) -> tuple:
    """Students for which this is equal can be trained in one stack."""
    return (student.network, *lengths(student, dataset), student.epochs, student.learning_rate, student.precision)


def schedule(student: Student, dataset: Dataset, logits: Tensor) -> Schedule:
    """Full batches cut from one shuffled pass over the transfer set after another; an epoch is one pass's worth."""
    members = transfer_set(student, dataset, logits)
    size, steps = lengths(student, dataset)
    order = torch.Generator().manual_seed(student.seed())
    passes = -(-steps * size // len(members))
    stream = torch.cat([torch.randperm(len(members), generator=order) for _ in range(passes)])
    batches = members[stream[: steps * size].to(members.device)].view(steps, size)
    points = sorted({max(1, round(steps * (k + 1) / student.epochs)) for k in range(student.epochs)})
    return Schedule(batches, tuple(points))


def train_one(
    student: Student, dataset: Dataset, logits: Tensor, plan: Schedule, observe: Callable[[ConvNet], None]
) -> ConvNet:
    """The reference loop: Adam on equation 4, one student; `observe` is called after each step of `validate_after`."""
    device = dataset.images.device
    model = build_model(student.network, dataset.family, dataset.shape, dataset.classes, student.seed()).to(device)
    optimizer = adam(list(model.parameters()), student.learning_rate)
    for step, batch in enumerate(plan.batches, start=1):
        with products(device, student.precision):
            with autocast(device, student.precision):
                outputs = model(dataset.images[batch])
            loss = equation_4(
                outputs.float(),
                logits[batch],
                dataset.labels[batch],
                temperature=student.temperature,
                alpha=student.alpha,
                t_squared=student.t_squared,
            )
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
        if step in plan.validate_after:
            observe(model)
    return model


def distill(
    students: Sequence[Student], dataset: Dataset, logits: Tensor | Sequence[Tensor], *, engine: str = "auto"
) -> list[dict[str, Tensor]]:
    """Train students on teachers' responses, on the device that holds the data set.

    Arguments: `students`; `logits` [N, C], the teacher's logits of every train and validation example by index, or
    one such tensor for each student; `engine` is `"loop"`, `"stacked"` or `"auto"`: stacked on CUDA, for tiny images
    and in a CPU's own bf16. A network that cannot be stacked is trained in the loop.
    Returns, for each student: `confusion` [C, C], counts on the test split (row: label, column: prediction);
    `corrected` [C, C], the same after the label-free bias correction of the missing class; `bias`, the shift of its
    logit; `validation_accuracy` [epochs] (fractions) after `validated_steps` [epochs], and `steps`.
    Raises `InputError` before any training for what cannot be trained as asked.
    """
    students = list(students)
    each = [logits] * len(students) if isinstance(logits, Tensor) else list(logits)
    check(students, dataset, each, engine)
    for different in {id(z): z for z in each}.values():
        arguments.all_finite("logits", different)
    results = dict(_distill_each(students, dataset, each, engine))
    return [results[i] for i in range(len(students))]


def distill_each(
    students: list[Student], dataset: Dataset, logits: list[Tensor], *, engine: str = "auto"
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """`distill`, giving (position, result) of each student as soon as it is trained.

    Logits may hold what is not finite: a study goes on with a teacher that diverged, and its page tells the accuracies.
    """
    check(students, dataset, logits, engine)
    yield from _distill_each(students, dataset, logits, engine)


def _distill_each(
    students: list[Student], dataset: Dataset, logits: list[Tensor], engine: str
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    for chunk in chunks(students, dataset):
        part = [students[i] for i in chunk]
        wanted = [taught(students[i], dataset, logits[i].to(dataset.images.device)) for i in chunk]
        plans = [schedule(student, dataset, z) for student, z in zip(part, wanted, strict=True)]
        trained = train(part, dataset, wanted, plans, choose_engine(part[0], dataset, engine))
        for i, plan, (history, model) in zip(chunk, plans, trained, strict=True):
            after = {"validated_steps": torch.tensor(plan.validate_after), "steps": torch.tensor(len(plan.batches))}
            yield i, _evaluate(students[i], dataset, model) | {"validation_accuracy": history} | after


def check(students: Sequence[Student], dataset: Dataset, logits: Sequence[Tensor], engine: str = "auto") -> None:
    """Raise `InputError` for students that cannot be trained as asked, or logits that are not each example's."""
    if len(logits) != len(students):
        raise InputError(f"{len(logits)} tensors of logits were given for {len(students)} students")
    for different in {id(z): z for z in logits}.values():
        arguments.of_every_example("logits", different, dataset)
    available = torch.bincount(dataset.labels[dataset.train], minlength=dataset.classes).tolist()
    for student in students:
        _check_student(student, dataset, available)
        choose_engine(student, dataset, engine)


def _check_student(student: Student, dataset: Dataset, available: list[int]) -> None:
    find_architecture(student.network, dataset.family)
    for name, allowed in (
        ("precision", PRECISIONS),
        ("targets", targets.TARGETS),
        ("selection", SELECTIONS),
        ("seeding", SEEDINGS),
    ):
        arguments.one_of(name, getattr(student, name), allowed)
    if student.missing_class is not None:
        arguments.whole("missing_class", student.missing_class, 0, dataset.classes - 1)
    if student.examples_per_class is not None:
        most = min(n for c, n in enumerate(available) if c != student.missing_class)
        arguments.whole("examples_per_class", student.examples_per_class, 1, most)
    if student.steps is not None:
        arguments.whole("steps", student.steps, 1)
    for name in ("epochs", "batch_size"):
        arguments.whole(name, getattr(student, name), 1)
    for name in ("temperature", "learning_rate"):
        arguments.positive(name, getattr(student, name))
    arguments.finite("logit_scale", student.logit_scale)
    arguments.fraction("alpha", student.alpha)


def train(
    students: list[Student], dataset: Dataset, logits: list[Tensor], plans: list[Schedule], engine: str
) -> Iterator[tuple[Tensor, ConvNet]]:
    """Validation accuracies and network of each of some students that can run in lock-step, by one of `ENGINES`."""
    if engine == "stacked":
        yield from zip(*_train_stack(students, dataset, logits, plans), strict=True)
    else:
        yield from (_train_in_loop(s, dataset, z, p) for s, z, p in zip(students, logits, plans, strict=True))


def _train_stack(
    students: list[Student], dataset: Dataset, logits: list[Tensor], plans: list[Schedule]
) -> tuple[list[Tensor], list[ConvNet]]:
    """`stacked.train`, in halves where the accelerator's memory does not hold all."""
    try:
        return stacked.train(students, dataset, logits, plans)
    except torch.OutOfMemoryError:
        if len(students) == 1:
            raise
    # Only here: while the exception is handled, its traceback holds the memory that the halves need.
    half = len(students) // 2
    parts = [_train_stack(students[p], dataset, logits[p], plans[p]) for p in (slice(half), slice(half, None))]
    return tuple(first + second for first, second in zip(*parts, strict=True))


def choose_engine(student: Student, dataset: Dataset, engine: str = "auto") -> str:
    """The engine that trains a student: the one asked for, else KDLIB_ENGINE, else the fastest.

    A stack only where the network allows one, and where a student has the same bits in any company. Raises
    `InputError` for an engine that does not exist.
    """
    device = dataset.images.device
    if engine == "auto":
        in_bf16 = student.precision == "bf16" and multiplies_bf16(device)
        fast = tiny(*dataset.shape[1:]) or in_bf16 or device.type == "cuda"
        engine = asked_engine() or ("stacked" if fast else "loop")
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}; allowed: auto, {', '.join(ENGINES)}")
    architecture = find_architecture(student.network, dataset.family)
    in_fp32 = device.type == "cpu" and not (student.precision == "bf16" and multiplies_bf16(device))
    size, _ = lengths(student, dataset)
    if in_fp32 and not stacked.slices_aligned(architecture, dataset.shape, dataset.classes, size):
        return "loop"
    return engine if stacked.can_stack(architecture) else "loop"


def chunks(students: Sequence[Student], dataset: Dataset, at_least: int = 1) -> list[list[int]]:
    """Positions of students that can run in lock-step, at most `stacked.most_at_once`, or `at_least`, together."""
    groups: dict[tuple, list[int]] = {}
    for i, student in enumerate(students):
        groups.setdefault(lock_step(student, dataset), []).append(i)
    found = []
    for group in groups.values():
        first = students[group[0]]
        architecture = find_architecture(first.network, dataset.family)
        batch_size, _ = lengths(first, dataset)
        size = max(at_least, stacked.most_at_once(architecture, dataset.shape, batch_size, dataset.images.device))
        found += [group[start : start + size] for start in range(0, len(group), size)]
    return found


def _train_in_loop(student: Student, dataset: Dataset, logits: Tensor, plan: Schedule) -> tuple[Tensor, ConvNet]:
    images, labels = dataset.images[dataset.validation], dataset.labels[dataset.validation]
    history: list[float] = []
    model = train_one(
        student, dataset, logits, plan, lambda model: history.append(accuracy(predict(model, images), labels))
    )
    return torch.tensor(history), model


def _evaluate(student: Student, dataset: Dataset, model: ConvNet) -> dict[str, Tensor]:
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
