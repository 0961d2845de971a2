"""The plain loop in which networks are trained batch by batch: what every faster way is held to."""

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor, nn

from ..data.dataset import Dataset
from .config import Schedule, Student
from .devices import adam, autocast, bf16_emulation


def descend(
    networks: Sequence[nn.Module],
    student: Student,
    dataset: Dataset,
    schedule: Schedule,
    loss: Callable[..., Tensor],
) -> Iterator[tuple[int, Tensor, list[Tensor]]]:
    """Train networks together with Adam, at a student's learning rate and precision, on the batches of its schedule.

    Arguments: `loss(batch, *outputs)`, the loss to go down, a scalar, from the indices of a batch [B] and what each
    network gives for its images, [B, ...], in fp32.
    Yields after each step its number, from 1, the batch, and what the networks had given for it.
    """
    device = dataset.images.device
    optimizer = adam([weight for network in networks for weight in network.parameters()], student.learning_rate)
    for step, batch in enumerate(schedule.batches, start=1):
        with bf16_emulation(device, student.precision):
            with autocast(device, student.precision):
                outputs = [network(dataset.images[batch]) for network in networks]
            outputs = [given.float() for given in outputs]
            value = loss(batch, *outputs)
            optimizer.zero_grad()
            value.backward()
        optimizer.step()
        yield step, batch, [given.detach() for given in outputs]
