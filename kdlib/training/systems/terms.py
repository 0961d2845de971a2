"""Pieces of which the losses of several systems are made: [..., B, C] -> [..., B, 1], finite for finite logits."""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import kd_divergence, kd_gradient, kd_targets
from .system import Gradient, Parameter

Number = float | Tensor

ALPHA = Parameter("alpha", 0.99, "equation 4 of the paper, section 4", most=1.0)
T_SQUARED = Parameter("t_squared", 0.0, "equation 4 of the paper has no factor T squared", most=1.0)
EQUATION_4 = (ALPHA, T_SQUARED)
FIELDS = ("alpha", "t_squared")
ALPHAS = (0.97, 0.99, 0.997)
LEAST_VARIANCE = 1e-12  # of an example's logits: below it they count as equal
LEAST_SQUARES = 1e-16  # product of two sums of squares: below it one of the two counts as constant


def as_rbkd(source: str) -> tuple[Parameter, ...]:
    """Equation 4's parameters for a system that is to differ from rbkd in nothing else; `source`: what its own has."""
    return tuple(replace(p, origin=f"that of rbkd, so that nothing else differs; {source}") for p in EQUATION_4)


def kl(teacher_logits: Tensor, student_logits: Tensor, temperature: Number = 1.0) -> Tensor:
    """Divergence KL(t_T || p_T) of each example in nats, from logits [..., B, C] to [..., B, 1]."""
    return kd_divergence(student_logits, teacher_logits, temperature)[..., None]


def equation_4_gradient(student_logits: Tensor, fixed: Tensor, labels: Tensor, **settings: Number) -> Tensor:
    """Gradient of equation 4's batch mean by the student's logits, from the part that `kd_targets` gave."""
    return kd_gradient(student_logits, fixed, **settings)


BY_EQUATION_4 = Gradient(kd_targets, equation_4_gradient)


def target_mask(logits: Tensor, labels: Tensor) -> Tensor:
    """Mask [..., B, C] that is true at each example's label."""
    return F.one_hot(labels, logits.shape[-1]).bool()


def without(logits: Tensor, mask: Tensor) -> Tensor:
    """Logits from which a softmax leaves out the classes of a mask."""
    return logits.masked_fill(mask, -math.inf)


def log_share(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Log of the probability of the masked classes and of all others together, each [..., B, 1].

    By logsumexp: 1 minus a probability that rounds to 1 would lose the others.
    """
    whole = logits.logsumexp(-1, keepdim=True)
    return tuple(without(logits, ~part).logsumexp(-1, keepdim=True) - whole for part in (mask, ~mask))


def binary_kl(teacher: tuple[Tensor, Tensor], student: tuple[Tensor, Tensor]) -> Tensor:
    """Divergence in nats of two distributions over two outcomes, given as logs of the probabilities."""
    return sum(t.exp() * (t - s) for t, s in zip(teacher, student, strict=True))


def deviation(logits: Tensor, correction: Number = 1.0) -> Tensor:
    """Standard deviation of each example's logits over the classes: correction 1 divides by C - 1, 0 by C."""
    centred = logits - logits.mean(-1, keepdim=True)
    variance = centred.square().sum(-1, keepdim=True) / (logits.shape[-1] - correction)
    return variance.clamp(min=LEAST_VARIANCE).sqrt()


def gradient_through_scaling(logits: Tensor, gradient: Tensor) -> Tensor:
    """Gradient by logits of something of which it is known by the same logits over their `deviation`."""
    centred = logits - logits.mean(-1, keepdim=True)
    squares = centred.square().sum(-1, keepdim=True)
    least = LEAST_VARIANCE * (logits.shape[-1] - 1)
    along = (gradient * logits).sum(-1, keepdim=True) / squares.where(squares > least, math.inf)  # no deviation moves
    return (gradient - along * centred) / deviation(logits)


def standardized(logits: Tensor, correction: Number = 1.0) -> Tensor:
    """Logits of each example with mean 0 and standard deviation 1 over the classes."""
    return (logits - logits.mean(-1, keepdim=True)) / deviation(logits, correction)


def correlation(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Pearson correlation along an axis, which is kept with size 1; 0 where one of the two is constant."""
    a, b = (x - x.mean(axis, keepdim=True) for x in (a, b))
    norms = (a.square().sum(axis, keepdim=True) * b.square().sum(axis, keepdim=True)).clamp(min=LEAST_SQUARES).sqrt()
    return (a * b).sum(axis, keepdim=True) / norms


def correlation_gradient(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Gradient of Pearson's correlation along an axis by its first argument, of the same shape; see `correlation`."""
    a, b = (x - x.mean(axis, keepdim=True) for x in (a, b))
    own = a.square().sum(axis, keepdim=True)
    squares = own * b.square().sum(axis, keepdim=True)
    along = (a * b).sum(axis, keepdim=True) / own.where(squares > LEAST_SQUARES, torch.inf)  # no norm moves below it
    return (b - along * a) / squares.clamp(min=LEAST_SQUARES).sqrt()


def rows(table: Tensor, labels: Tensor) -> Tensor:
    """Rows of a table [..., C, D] by label [..., B]: [..., B, D].

    As a sum over masked rows, not by indexing: an accelerator adds the gradients of an index in any order.
    """
    chosen = F.one_hot(labels, table.shape[-2]).to(table.dtype)
    return (chosen[..., None] * table[..., None, :, :]).sum(-2)
