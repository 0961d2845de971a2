"""Soft labels and the losses of the paper's section 3 (equations 1 to 4). Pure functions of tensors.

The public ones raise `InputError`, a `ValueError`, for shapes, types and numbers that they do not take. What else
students can be trained with is in `systems`.
"""

from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.tensors import FLOATS
from ..errors import InputError
from .arguments import axes, broadcasts, flag, fraction, label_range, positive, whole


def soft_labels(logits: Tensor, temperature: float | Tensor) -> Tensor:
    """Class probabilities softened at a temperature: softmax(z / T) over the last axis (paper, section 2).

    Arguments: `logits` [..., C]; `temperature` > 0, a number or a tensor that broadcasts against `logits`.
    Returns: probabilities [..., C].
    """
    axes(logits=(logits, "... C"), least={"C": 1})
    if isinstance(temperature, Tensor):
        broadcasts("temperature", temperature, logits)
        for bound in map(float, temperature.aminmax()):
            positive("temperature", bound)
    else:
        positive("temperature", temperature)
    return F.softmax(logits / temperature, dim=-1)


def label_smoothing_labels(labels: Tensor, classes: int, alpha: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Label-smoothing labels, equation 1 of the paper: (1 - alpha) one_hot + alpha / C.

    Arguments: integer `labels` [...]; number of `classes` C; `alpha` in [0, 1]. Returns [..., C] of type `dtype`.
    """
    axes(labels=(labels, "..."))
    whole("classes", classes, 1, kind=Integral)
    label_range(labels, classes)
    fraction("alpha", alpha)
    if dtype not in FLOATS:
        raise InputError(f"dtype {dtype!r} cannot be used; allowed: a torch type of floats")
    return equation_1(labels, classes, alpha, dtype)


def equation_1(labels: Tensor, classes: int, alpha: float | Tensor, dtype: torch.dtype) -> Tensor:
    """The labels [..., C] of `label_smoothing_labels`, of arguments that were checked before.

    Arguments: `labels` [...]; `alpha` may be a tensor that broadcasts against the result.
    """
    return (1 - alpha) * F.one_hot(labels, classes).to(dtype) + alpha / classes


def label_smoothing_loss(logits: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """Label-smoothing loss, equation 3 of the paper: cross-entropy with equation 1's labels, batch mean, in nats.

    Equation 2 writes it as (1 - alpha) H(q, p) + alpha KL(u, p); the two differ by the constant alpha H(u).

    Arguments: `logits` [B, C], `labels` [B], `alpha` in [0, 1]. Returns a scalar.
    """
    axes(logits=(logits, "B C"), labels=(labels, "B"), least={"B": 1, "C": 1})
    label_range(labels, logits.shape[1])
    fraction("alpha", alpha)
    return equation_3(logits, labels, alpha).mean()


def equation_3(logits: Tensor, labels: Tensor, alpha: float | Tensor) -> Tensor:
    """The `label_smoothing_loss` of each example, in nats, of arguments that were checked before.

    Arguments: `logits` [..., B, C], `labels` [..., B]; `alpha` may be a tensor that broadcasts against the labels of
    equation 1, [..., B, C]. Returns [..., B, 1].
    """
    targets = equation_1(labels, logits.shape[-1], alpha, logits.dtype)
    return -(targets * F.log_softmax(logits, dim=-1)).sum(-1, keepdim=True)


def kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
    t_squared: bool = False,
) -> Tensor:
    """Distillation loss, equation 4 of the paper: (1 - alpha) H(p, q) + alpha KL(p_T^t, p_T), batch mean, in nats.

    Arguments: `student_logits` and `teacher_logits` [B, C], `labels` [B], `temperature` T > 0, `alpha` in [0, 1].
    `t_squared` multiplies the KL term by T^2 (Hinton et al. 2015, section 2.1); equation 4 does not.
    Returns a scalar. Raises `InputError` for what cannot be used: shapes, labels, another temperature or alpha.
    """
    axes(
        student_logits=(student_logits, "B C"),
        teacher_logits=(teacher_logits, "B C"),
        labels=(labels, "B"),
        least={"B": 1, "C": 1},
    )
    label_range(labels, student_logits.shape[1])
    positive("temperature", temperature)
    fraction("alpha", alpha)
    flag("t_squared", t_squared)
    settings = {"temperature": temperature, "alpha": alpha, "t_squared": t_squared}
    return equation_4(student_logits, teacher_logits, labels, **settings).mean()


def equation_4(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float | Tensor,
    alpha: float | Tensor,
    t_squared: float | Tensor,
) -> Tensor:
    """The `kd_loss` of each example, in nats, of arguments that were checked before: equation 4 of the paper.

    Arguments: both logits [..., B, C], `labels` [..., B]; `t_squared` 1 or 0; it and the others may be tensors that
    broadcast against the result. Returns [..., B, 1].
    """
    soft = kd_divergence(student_logits, teacher_logits, temperature)[..., None]
    return (1 - alpha) * hard_loss(student_logits, labels) + alpha * temperature ** (2 * t_squared) * soft


def hard_loss(student_logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each example with its hard label, in nats: [..., B, C], [..., B] -> [..., B, 1]."""
    return -F.log_softmax(student_logits, dim=-1).gather(-1, labels[..., None])


def kd_targets(
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float | Tensor,
    alpha: float | Tensor,
    t_squared: bool | Tensor = False,
) -> Tensor:
    """Constant part of equation 4's gradient: (1 - alpha) one_hot + alpha s / T softmax(z^t / T).

    Here s is T^2 with `t_squared` and 1 without; no student enters it. Computed once for all examples, it serves every
    step.

    Arguments: `teacher_logits` [..., C], `labels` [...]; the others numbers, or tensors that broadcast against the
    logits. Returns [..., C].
    """
    hard, soft = _weights(temperature, alpha, t_squared)
    one_hot = F.one_hot(labels, teacher_logits.shape[-1])
    return hard * one_hot + soft * F.softmax(teacher_logits / temperature, dim=-1)


def kd_gradient(
    student_logits: Tensor,
    targets: Tensor,
    *,
    temperature: float | Tensor,
    alpha: float | Tensor,
    t_squared: bool | Tensor = False,
) -> Tensor:
    """Gradient of equation 4, mean over a batch, by the student's logits: what `kd_loss(...).backward()` gives.

    Arguments: `student_logits` [..., B, C]; `targets` [..., B, C] from `kd_targets` with the same settings.
    Returns [..., B, C].
    """
    hard, soft = _weights(temperature, alpha, t_squared)
    ours = hard * F.softmax(student_logits, dim=-1) + soft * F.softmax(student_logits / temperature, dim=-1)
    return (ours - targets) / student_logits.shape[-2]


def kd_gradient_norms(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: float, alpha: float, t_squared: bool
) -> tuple[Tensor, Tensor]:
    """Norms of the gradients of equation 4's two terms by the student's logits: hard labels, and soft labels.

    Arguments: both logits [N, C], `labels` [N]. Returns two tensors [N], each example's as if it were alone in a batch.
    """
    hard, soft = _weights(temperature, alpha, t_squared)
    of_hard = hard * (F.softmax(student_logits, dim=-1) - F.one_hot(labels, student_logits.shape[-1]))
    softened = (F.softmax(z / temperature, dim=-1) for z in (student_logits, teacher_logits))
    return of_hard.norm(dim=-1), (soft * torch.sub(*softened)).norm(dim=-1)


def _weights(temperature: float | Tensor, alpha: float | Tensor, t_squared: bool | Tensor) -> tuple:
    """Factors of the gradients of equation 4's two terms; d KL(p_T^t, p_T) / dz is (p_T - p_T^t) / T."""
    return 1 - alpha, alpha * temperature ** (2 * t_squared - 1)


def kd_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float | Tensor) -> Tensor:
    """Divergence KL(p_T^t, p_T) of each example in nats: logits [..., C] -> [...], with 0 log 0 = 0.

    Finite for any finite logits of the student; the teacher's may be -inf, a class that it gives exactly 0.
    """
    log_teacher = F.log_softmax(teacher_logits / temperature, dim=-1)
    log_student = F.log_softmax(student_logits / temperature, dim=-1)
    ratio = (log_teacher - log_student).masked_fill(log_teacher.isneginf(), 0.0)
    return (log_teacher.exp() * ratio).sum(-1)


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy of each distribution in nats (paper, section 4.1): [..., C] -> [...], with 0 log 0 = 0."""
    axes(probabilities=(probabilities, "... C"), least={"C": 1})
    return torch.special.entr(probabilities).sum(-1)
