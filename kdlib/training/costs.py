"""Operations that training takes: of a student, of its teacher and all that this one builds on."""

from collections.abc import Iterable
from functools import lru_cache

from ..data.dataset import Dataset
from .config import Student, Teacher
from .models import build_model, forward_operations, training_operations
from .students import batch_size_and_steps
from .systems.divided import PARTS
from .systems.registry import find_system
from .teachers import passes_for_means


def system_operations(wanted: Student | Iterable[Student], dataset: Dataset, given: Iterable[Teacher] = ()) -> int:
    """Floating-point operations of everything that is trained for students, and of the passes that give their targets.

    These are all steps of each student; of each teacher behind them (their own, those that one was distilled or
    fine-tuned from) all epochs up to the last that is used, once; and of each network whose responses are taught a
    forward pass over the training set for each epoch whose responses are used, once.
    Arguments: `wanted`, one student or several, such as the trials of a system; `given`, teachers that are there
    already, whose training costs nothing.
    """
    wanted, given = [wanted] if isinstance(wanted, Student) else list(wanted), tuple(given)
    total = sum(_own_operations(student, dataset) for student in dict.fromkeys(wanted))
    taught = [student for student in wanted if student.needs_responses]
    passes = dict.fromkeys((student.teacher, epoch) for student in taught for epoch in student.response_epochs)
    total += sum(responses_operations(teacher, dataset) for teacher, _ in passes)
    trained: dict[Teacher, int] = {}
    for student in taught:
        _add_behind(student.teacher, max(student.response_epochs), given, trained)
    return total + sum(_own_teacher_operations(*each, dataset) for each in trained.items())


def _add_behind(teacher: Teacher, epochs: int, given: tuple[Teacher, ...], trained: dict[Teacher, int]) -> None:
    """Add a teacher, and all that it builds on, with the epochs that each is trained for; not those that are given."""
    if teacher not in given:
        trained[teacher] = max(epochs, trained.get(teacher, 0))
        for other in teacher.builds_on:
            _add_behind(other, other.epochs, given, trained)


def _own_operations(student: Student, dataset: Dataset) -> int:
    size, steps = batch_size_and_steps(student, dataset)
    networks = PARTS if find_system(student.system).divided else (student.network,)
    return steps * size * sum(operations_of_example(name, dataset) for name in networks)


def _own_teacher_operations(teacher: Teacher, epochs: int, dataset: Dataset) -> int:
    if teacher.logits:
        return 0
    total = epochs * len(dataset.train) * operations_of_example(teacher.network, dataset)
    if teacher.taught_by:
        total += responses_operations(teacher.taught_by, dataset)
    return total + passes_for_means(teacher, epochs) * responses_operations(teacher, dataset)


def responses_operations(teacher: Teacher, dataset: Dataset) -> int:
    """Floating-point operations of a teacher's forward pass over the training set; 0 of a reader's own: not known."""
    if teacher.logits:
        return 0
    return len(dataset.train) * operations_of_example(teacher.network, dataset, training=False)


@lru_cache(maxsize=64)
def operations_of_example(network: str, dataset: Dataset, training: bool = True) -> int:
    """Floating-point operations of one example in a training step of a network, or else in its forward pass alone."""
    model = build_model(network, dataset.family, dataset.shape, dataset.classes)
    return (training_operations if training else forward_operations)(model, dataset.shape)
