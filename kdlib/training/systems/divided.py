"""A student that is divided between two networks, whose logits are added: the second learns what the first leaves.

Residual distillation on responses, in our reading of Gao et al. (2020), whose own is on feature maps. Both parts have
together at most the parameters and the operations of the undivided student.
"""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from ...data.dataset import Dataset
from .. import stacked
from ..config import Schedule, Student
from ..loop import descend
from ..losses import equation_4
from ..models import build_model
from ..teachers import predict
from .registry import find_system

PARTS = ("main_part", "residual_part")


class Sum(nn.Module):
    """Network whose logits are the sum of those of its parts."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, C] of images [B, channels, H, W]."""
        return sum(part(images) for part in self.parts)


def residual_targets(logits: Tensor, main: Tensor) -> Tensor:
    """Logits that the second network regresses on: teacher's minus first network's, mean 0 in each example.

    Arguments: `logits` and `main` [N, C]. Returns [N, C]; a constant on an example's logits changes nothing.
    """
    left = logits - main
    return left - left.mean(-1, keepdim=True)


def can_stack(student: Student) -> bool:
    """True if a divided student's networks are trained one after the other by equation 4, which a stack can do."""
    values = find_system(student.system).values_of(student)
    return not (values["joint"] or values["squared"] or values["ensemble"])


def train_stack(
    students: list[Student], dataset: Dataset, logits: list[Tensor], schedules: list[Schedule]
) -> tuple[list[Tensor], list[nn.Module]]:
    """Train divided students that `can_stack` together: the first networks of all, then the second ones.

    Arguments and what is returned: as of `stacked.train`, each network being the sum of a student's two.
    """
    places = (dataset.family, dataset.shape, dataset.classes)
    at_last = [replace(schedule, validate_after=schedule.validate_after[-1:]) for schedule in schedules]
    histories, models, added = [], [], None
    for i, (name, planned) in enumerate(zip(PARTS, (at_last, schedules), strict=True)):
        parts = [replace(student, network=name) for student in students]
        starts = [build_model(name, *places, student.seed() + i) for student in students]
        histories, trained = stacked.train(parts, dataset, logits, planned, starts, added)
        added = [predict(model, dataset.images) for model in trained]
        models.append(trained)
    return histories, [Sum(*pair) for pair in zip(*models, strict=True)]


def train_divided(
    student: Student, dataset: Dataset, logits: Tensor, schedule: Schedule, callback: Callable[[nn.Module], None]
) -> nn.Module:
    """Train both parts of a divided student, each by every step of the schedule; returns the network of their sum.

    By its parameters: progressively (the second after the first, which is then fixed) by equation 4 of the sum, or with
    `squared` by the squared residual; or `joint`ly, by equation 4 of the sum and of the first; or as an `ensemble` of
    two that know nothing of each other, the control. Arguments: as of `students.train_one`.
    """
    device, values = dataset.images.device, find_system(student.system).values_of(student)
    places = (dataset.family, dataset.shape, dataset.classes)
    main, residual = (build_model(name, *places, student.seed() + i).to(device) for i, name in enumerate(PARTS))
    both = Sum(main, residual)
    settings = {name: getattr(student, name) for name in ("temperature", "alpha", "t_squared")}

    def kd(outputs: Tensor, batch: Tensor) -> Tensor:
        return equation_4(outputs, logits[batch], dataset.labels[batch], **settings).mean()

    def train(parts: list[nn.Module], loss: Callable[..., Tensor], told: bool = True) -> None:
        for step, _, _ in descend(parts, student, dataset, schedule, loss):
            if told and step in schedule.validate_after:
                callback(both)

    if values["ensemble"]:
        train([main, residual], lambda batch, s, a: kd(s, batch) + kd(a, batch))
    elif values["joint"]:
        train([main, residual], lambda batch, s, a: kd(s + a, batch) + kd(s, batch))
    else:
        train([main], lambda batch, s: kd(s, batch), told=False)
        found = predict(main, dataset.images)
        if values["squared"]:
            targets = residual_targets(logits, found)
            train([residual], lambda batch, a: (a - targets[batch]).square().mean())
        else:
            train([residual], lambda batch, a: kd(found[batch] + a, batch))
    return both
