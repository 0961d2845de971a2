"""Losses of teachers that move the clusters of their classes: class distance, and conditional mutual information.

Both hold an example against the mean of its class, which stays fixed for an epoch and is renewed at its end.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

VERSION = 2  # of these losses as teachers have them: part of the identity of a teacher with one of them
BOUND = 4.0  # of the distance to another class that still counts, in mean squared distances between classes
LEAST_PROBABILITY = 1e-30


def class_distance(features: Tensor, labels: Tensor, means: Tensor, bound: float | Tensor) -> Tensor:
    """Class-distance term: distance to the own class' mean minus that to the nearest other one (Kim & Kim 2017).

    Both are squared and divided by the number of features; of the second no more than `bound` counts, and with a bound
    of 0 this is the center loss. Arguments: `features` [B, D], `labels` [B], `means` [C, D] without a gradient.
    Returns [B]. Which other mean is meant, and the bound, are our reading.
    """
    own, other = (
        (features - means[chosen]).square().mean(-1) for chosen in (labels, nearest_other(features, labels, means))
    )
    return own - torch.minimum(other, torch.as_tensor(bound, dtype=other.dtype, device=other.device))


@torch.no_grad()
def nearest_other(features: Tensor, labels: Tensor, means: Tensor) -> Tensor:
    """Index of the class beside its own whose mean is nearest to each example: [B, D], [B], [C, D] -> [B]."""
    order = means.square().sum(-1) - 2 * features @ means.T  # the squared distance but for the example's own length
    return order.masked_fill(F.one_hot(labels, len(means)).bool(), torch.inf).argmin(-1)


def distance_between(means: Tensor) -> Tensor:
    """Mean squared distance between the means of two classes, divided by the number of features: [C, D] -> scalar."""
    centred = means - means.mean(0)
    return 2 * centred.square().sum() / (len(means) - 1) / means.shape[1]


def conditional_information(logits: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """Divergence KL(p || Q_y) of each response from the centroid of its class, in nats (Ye et al. 2024).

    Its mean is the conditional mutual information I(X; Y^ | Y). Arguments: `logits` [B, C], `labels` [B], `centroids`
    [C, C], rows of probabilities without a gradient. Returns [B].
    """
    log_p = F.log_softmax(logits, dim=-1)
    log_q = centroids.clamp(min=LEAST_PROBABILITY).log()[labels]
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def sums_by_class(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Sums of the rows of each class: values [N, D], labels [N] -> [C, D]."""
    return F.one_hot(labels, classes).to(values).T @ values
