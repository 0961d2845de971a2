"""Operations that training takes: of a student, of its teacher and all that this one builds on."""

from collections.abc import Iterable
from functools import lru_cache

import torch

from ..data.dataset import Dataset
from .config import Student, Teacher
from .models import build_model, training_operations
from .students import batch_size_and_steps
from .systems.divided import PARTS
from .systems.registry import find_system


def system_operations(student: Student, dataset: Dataset, given: Iterable[Teacher] = ()) -> int:
    """Floating-point operations of everything that is trained for a student, and of the passes that give its targets.

    These are all steps of the student, all epochs of each teacher behind it (its own, those that one was distilled or
    fine-tuned from), and of each network whose responses are taught a forward pass over the training set for each epoch
    whose responses are used. Arguments: `given`, teachers that are there already, whose training costs nothing.
    """
    size, steps = batch_size_and_steps(student, dataset)
    networks = PARTS if find_system(student.system).divided else (student.network,)
    total = steps * size * sum(operations_of_example(name, dataset) for name in networks)
    if student.needs_responses:
        total += len(student.response_epochs) * responses_operations(student.teacher, dataset)
        total += teacher_operations(student.teacher, dataset, given)
    return total


def teacher_operations(teacher: Teacher, dataset: Dataset, given: Iterable[Teacher] = ()) -> int:
    """Floating-point operations of a teacher's training and of all teachers that it builds on, but for `given` ones."""
    if teacher in (given := tuple(given)):
        return 0
    total = teacher.epochs * len(dataset.train) * operations_of_example(teacher.network, dataset)
    if teacher.taught_by:
        total += responses_operations(teacher.taught_by, dataset)
    if teacher.class_distance or teacher.information:  # means by class after each epoch
        total += teacher.epochs * responses_operations(teacher, dataset)
    return total + sum(teacher_operations(other, dataset, given) for other in teacher.builds_on)


def responses_operations(teacher: Teacher, dataset: Dataset) -> int:
    """Floating-point operations of a teacher's forward pass over the training set."""
    return len(dataset.train) * operations_of_example(teacher.network, dataset, training=False)


@lru_cache(maxsize=64)
def operations_of_example(network: str, dataset: Dataset, training: bool = True) -> int:
    """Floating-point operations of one example in a training step of a network, or else in its forward pass alone."""
    model = build_model(network, dataset.family, dataset.shape, dataset.classes)
    return training_operations(model, dataset.shape) if training else forward_operations(model, dataset.shape)


def forward_operations(model: torch.nn.Module, shape: tuple[int, int, int]) -> int:
    """Floating-point operations of one example's forward pass, in convolutions and dense layers.

    Arguments: `model` on the CPU, `shape` (channels, height, width) of an image.
    """
    from torch.utils.flop_counter import FlopCounterMode  # slow to import, and rarely wanted

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    model.train()
    return counter.get_total_flops()
