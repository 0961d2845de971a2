"""Targets that replace a teacher's responses in the controls: one property is kept, another taken away.

Each returns logits, so that a student is trained on them as on any teacher's. `TARGETS` holds them by the name that a
student's `targets` has; nothing else lists them.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.dataset import Dataset
from .losses import soft_labels


def shuffle_similarity(logits: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Logits whose non-targets are permuted at random within each example: equal entropy and confidence, no similarity.

    Arguments: `logits` [N, C], `labels` [N], `seed` of the permutations. Returns [N, C]; at every temperature the
    entropy is the teacher's.
    """
    generator = torch.Generator().manual_seed(seed)
    classes = logits.shape[-1]
    keys = torch.rand(len(logits), classes, generator=generator).to(logits.device)
    target = F.one_hot(labels, classes).bool()
    order = keys.masked_fill(target, 2.0).argsort(1)[:, :-1]  # of the non-target classes, at random
    others = logits[~target].view(-1, classes - 1)
    return logits.scatter(1, order, others)


def smooth_similarity(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Logits of label smoothing with the teacher's confidence in each example at a temperature (paper, section 3.4).

    Arguments: `logits` [N, C], `labels` [N]. Returns [N, C]: softened at `temperature`, equation 1's labels with an
    alpha for each example.
    """
    classes = logits.shape[-1]
    log_response = F.log_softmax(logits / temperature, dim=1)
    target = F.one_hot(labels, classes).bool()
    others = log_response.masked_fill(target, -math.inf).logsumexp(1, keepdim=True) - math.log(classes - 1)
    return temperature * torch.where(target, log_response, others)


def class_means(logits: Tensor, labels: Tensor, members: Tensor, temperature: float) -> Tensor:
    """Logits of the mean response of each example's class: similarity between classes, none of single examples.

    Arguments: `logits` [N, C], `labels` [N]; `members` [M], the examples over which means are taken. Returns [N, C].
    """
    classes = logits.shape[-1]
    members_of = F.one_hot(labels[members], classes).cpu().double()  # not every accelerator has doubles
    sums = members_of.T @ soft_labels(logits[members].cpu().double(), temperature)
    means = sums / members_of.sum(0).clamp(min=1)[:, None]
    return (temperature * means.clamp(min=1e-30).log()).float().to(logits.device)[labels]


def confidence(logits: Tensor, labels: Tensor, temperature: float) -> float:
    """Mean probability of the label at a temperature: logits [N, C], labels [N] -> a number in [0, 1]."""
    return soft_labels(logits, temperature).gather(1, labels[:, None]).cpu().double().mean().item()


def scale_to_confidence(logits: Tensor, labels: Tensor, temperature: float, target: float) -> float:
    """The factor on a teacher's logits with which its mean confidence at a temperature is `target`.

    A hard teacher becomes a soft one, its ranking of the classes unchanged. Arguments: `logits` [N, C], `labels` [N],
    `target` in (1/C, 1). Where no factor from 1/100 to 100 reaches it, the one of these ends that comes nearest.
    """
    # By bisection: scipy.optimize.brentq ends at other last bits, and the factor enters the keys of stored students.
    low, high = -2.0, 2.0  # log10 of the factor
    for _ in range(50):
        middle = (low + high) / 2
        if confidence(logits * 10**middle, labels, temperature) < target:
            low = middle
        else:
            high = middle
    return 10**high


# What a student (a `Student`) is taught, [N, C], of its teacher's logits [N, C] by index.
TARGETS: dict[str, Callable[[Tensor, Dataset, Any], Tensor]] = {
    "responses": lambda logits, dataset, student: logits,
    "shuffled": lambda logits, dataset, student: shuffle_similarity(logits, dataset.labels, student.seed()),
    "smoothed": lambda logits, dataset, student: smooth_similarity(logits, dataset.labels, student.temperature),
    "class_mean": lambda logits, dataset, student: class_means(
        logits, dataset.labels, dataset.train, student.temperature
    ),
}
