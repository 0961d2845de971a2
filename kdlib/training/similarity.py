"""Similarity information in responses: which classes a network takes for alike, whatever its confidence.

Pure functions. All compute in double precision on the CPU, and raise `InputError` for what they do not take.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .arguments import axes, label_range, positive
from .losses import entropy, soft_labels


class EntropyParts(NamedTuple):
    """Average entropy of each class's responses, [C], and its two parts: `entropy` = `of_class_mean` - `instance`."""

    entropy: Tensor  # mean over the examples of a class of H(t)
    of_class_mean: Tensor  # H(Q), Q being the class's mean response: how soft the class as a whole is
    instance: Tensor  # mean of KL(t || Q): how much single examples differ from their class


def non_target_shares(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Shares of the other classes in what a response does not give to the label: t(k) / (1 - t(y)) at a temperature.

    Arguments: `logits` [N, C] with C of 2 or more, `labels` [N], `temperature` > 0. Returns [N, C]: 0 for the label,
    the others sum to 1, also where the confidence rounds to 1.
    """
    axes(logits=(logits, "N C"), labels=(labels, "N"), least={"C": 2})
    label_range(labels, logits.shape[1])
    positive("temperature", temperature)
    logits, labels = logits.cpu().double(), labels.cpu()
    return F.softmax((logits / temperature).scatter(1, labels[:, None], -math.inf), dim=1)


def class_similarity(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Class similarity of responses: row y holds the mean non-target shares over the examples of class y.

    Arguments as of `non_target_shares`. Returns [C, C]: 0 on the diagonal, rows sum to 1, so that a confident network
    and a hesitant one can be compared; the row of a class without examples is nan.
    """
    return class_means_of(non_target_shares(logits, labels, temperature), labels)


def mean_non_target_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean logit of each other class over the examples of a class, above the mean of the others: no temperature in it.

    Logits divided by a temperature give the same numbers divided by it, and so the same ranks. Arguments: `logits`
    [N, C] with C of 2 or more, `labels` [N]. Returns [C, C]: row y for class y, 0 on the diagonal, rows sum to 0; the
    row of a class without examples is nan.
    """
    axes(logits=(logits, "N C"), labels=(labels, "N"), least={"C": 2})
    label_range(labels, logits.shape[1])
    logits, labels = logits.cpu().double(), labels.cpu()
    others = logits.scatter(1, labels[:, None], 0.0)
    centred = logits - others.sum(1, keepdim=True) / (logits.shape[1] - 1)
    return class_means_of(centred.scatter(1, labels[:, None], 0.0), labels)


def class_means_of(values: Tensor, labels: Tensor) -> Tensor:
    """Mean of the rows [N, C] of each class: [C, C], nan for a class without examples."""
    members = F.one_hot(labels.cpu(), values.shape[1]).T.to(values.dtype)
    return members @ values / members.sum(1, keepdim=True)


def class_cells(matrix: Tensor) -> Tensor:
    """The C (C - 1) off-diagonal cells [C (C - 1)] of a matrix of classes [C, C], row by row."""
    axes(matrix=(matrix, "C C"), least={"C": 2})
    return matrix[~torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)]


def entropy_parts(logits: Tensor, labels: Tensor, temperature: float) -> EntropyParts:
    """The two parts of the average entropy of each class: softness of the class less information on single examples.

    mean_x H(t(x)) = H(Q) - mean_x KL(t(x) || Q), Q being the mean response of the class: the last term is the mutual
    information between example and response given the class. Arguments: `logits` [N, C], `labels` [N], `temperature` >
    0. Returns three tensors [C], nats, each computed by itself; nan for a class without examples.
    """
    axes(logits=(logits, "N C"), labels=(labels, "N"), least={"C": 1})
    label_range(labels, logits.shape[1])
    labels = labels.cpu()
    responses = soft_labels(logits.cpu().double(), temperature)
    means = class_means_of(responses, labels)
    ratio = torch.where(responses > 0, responses / means[labels], 1.0)
    of_examples = torch.stack([entropy(responses), torch.xlogy(responses, ratio).sum(1)], dim=1)
    members = F.one_hot(labels, logits.shape[1]).T.double()
    mean, divergence = (members @ of_examples / members.sum(1, keepdim=True)).T
    return EntropyParts(mean, -torch.xlogy(means, means).sum(1), divergence)


def non_target_cosines(ours: Tensor, theirs: Tensor, labels: Tensor) -> Tensor:
    """Cosine of the non-target parts of two sets of soft labels, example by example, and what class means reach.

    Arguments: `ours` and `theirs` [N, C], not negative and of any scale; `labels` [N]. Returns [N, 2]: the cosine of an
    example's own response, and that of its class's mean response over these examples, which knows nothing of the
    example. nan where a side gives nothing to the other classes.
    """
    axes(ours=(ours, "N C"), theirs=(theirs, "N C"), labels=(labels, "N"), least={"C": 2})
    label_range(labels, ours.shape[1])
    labels = labels.cpu()
    ours, theirs = (part.cpu().double().scatter(1, labels[:, None], 0.0) for part in (ours, theirs))
    known = (ours.sum(1) > 0) & (theirs.sum(1) > 0)
    both = torch.stack([ours, class_means_of(ours, labels)[labels]], dim=1)  # [N, 2, C]
    cosines = F.cosine_similarity(both, theirs[:, None], dim=2, eps=1e-300)
    return cosines.where(known[:, None], torch.nan)


def best_temperature(logits: Tensor, distributions: Tensor) -> tuple[float, float]:
    """The temperature at which responses predict given distributions best, and their mean cross-entropy there, in nats.

    Arguments: `logits` [N, C], `distributions` [N, C] (rows sum to 1). The cross-entropy is convex in 1 / T, which is
    searched from 1/1000 to 1000.
    """
    from scipy.optimize import minimize_scalar

    axes(logits=(logits, "N C"), distributions=(distributions, "N C"), least={"N": 1, "C": 1})
    logits, distributions = logits.cpu().double(), distributions.cpu().double()

    def cross_entropy(log_temperature: float) -> float:
        return -(distributions * F.log_softmax(logits / math.exp(log_temperature), dim=1)).sum(1).mean().item()

    found = minimize_scalar(cross_entropy, bounds=(-math.log(1000), math.log(1000)), method="bounded")
    return math.exp(found.x), float(found.fun)
