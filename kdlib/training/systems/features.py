"""A student that learns its teacher's penultimate features and takes over its last layer (Kim & Kim 2017).

The transfer of the class-distance teacher's source; neither labels nor soft labels teach the student.
"""

import torch
from torch import Tensor, nn

from ...data.dataset import Dataset
from ..config import Student
from ..loop import descend
from ..measures import accuracy, confusion
from ..models import ConvNet, build_model
from ..students import make_schedule
from ..teachers import predict


class WithHead(nn.Module):
    """A student's layers up to its penultimate one, a linear map to a teacher's features, and that teacher's head."""

    def __init__(self, student: ConvNet, head: nn.Linear) -> None:
        super().__init__()
        self.features = nn.Sequential(student.features, nn.Linear(student.head.in_features, head.in_features))
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """The head's logits [B, C] from the features that the student has of images [B, channels, H, W]."""
        return self.head(self.features(images))


def initial_network(student: Student, dataset: Dataset, teacher: ConvNet) -> WithHead:
    """The network of a student of features before its training, on the CPU, with a teacher's head.

    Its layers are those that the student of soft labels has; the map to the teacher's width has a seed of its own.
    """
    body = build_model(student.network, dataset.family, dataset.shape, dataset.classes, student.seed())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(student.seed() + 1)
        return WithHead(body, teacher.head.cpu())


def transfer_features(student: Student, dataset: Dataset, teacher: ConvNet) -> dict[str, Tensor]:
    """Train a student's network on the mean squared difference from its teacher's penultimate features.

    The teacher's last layer answers from the student's features, unchanged. The map to the teacher's width is part of
    the student. Arguments: `student`, of which what it is taught by counts for nothing; `teacher`, the trained network.
    Returns `confusion` [C, C] on the test split, and `validation_accuracy` [epochs] (fractions).
    """
    device, held_out = dataset.images.device, dataset.validation
    wanted = predict(teacher.features, dataset.images)
    model = initial_network(student, dataset, teacher).to(device)
    schedule = make_schedule(student, dataset, torch.zeros(len(dataset.labels), dataset.classes, device=device))

    def loss(batch: Tensor, found: Tensor) -> Tensor:
        return (found - wanted[batch]).square().mean()

    history = []
    for step, _, _ in descend([model.features], student, dataset, schedule, loss):
        if step in schedule.validate_after:
            history.append(accuracy(predict(model, dataset.images[held_out]), dataset.labels[held_out]))
    images, labels = dataset.open_test("student of features: confusion matrix of the trained student")
    return {
        "confusion": confusion(predict(model, images), labels),
        "validation_accuracy": torch.tensor(history),
    }
