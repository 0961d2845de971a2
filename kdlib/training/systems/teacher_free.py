"""Systems without a teacher: label smoothing, TF-KD's virtual teacher, learned and counted tables of labels."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import equation_1, equation_3, equation_4, kd_gradient, kd_targets
from .decoupled import weights
from .system import Gradient, Parameter, State, System
from .terms import Number, kl, rows, target_mask, without


def label_smoothing(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number, smoothing: Number
) -> Tensor:
    """Cross-entropy with label-smoothing labels, equation 3 of the paper; neither teacher nor temperature enters."""
    return equation_3(student_logits, labels, smoothing)


def smoothing_fixed(teacher_logits: Tensor, labels: Tensor, *, temperature: Number, smoothing: Number) -> Tensor:
    """Label-smoothing labels of every example, the part of the gradient that no student enters."""
    return equation_1(labels, teacher_logits.shape[-1], smoothing, teacher_logits.dtype)


def smoothing_gradient(
    student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number, smoothing: Number
) -> Tensor:
    """Gradient of label smoothing's batch mean: the student's probabilities minus the labels."""
    return (F.softmax(student_logits, dim=-1) - fixed) / student_logits.shape[-2]


def virtual_teacher(logits: Tensor, labels: Tensor, confidence: Number) -> Tensor:
    """Logits of TF-KD's virtual teacher: probability `confidence` at the label, the rest even (Yuan et al. 2020).

    Arguments: `logits` [..., B, C], whose shape and type are taken; `labels` [..., B]. Returns [..., B, C].
    """
    confidence = torch.as_tensor(confidence, dtype=logits.dtype, device=logits.device)
    log_ratio = torch.logit(confidence) + math.log(logits.shape[-1] - 1)
    return F.one_hot(labels, logits.shape[-1]).to(logits) * log_ratio


def virtual(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: Number,
    alpha: Number,
    confidence: Number,
) -> Tensor:
    """TF-KD reg, equations 8 and 9 of its paper: equation 4 from a virtual teacher (Yuan et al. 2020)."""
    v = virtual_teacher(student_logits, labels, confidence)
    return equation_4(student_logits, v, labels, temperature=temperature, alpha=alpha, t_squared=0.0)


def virtual_fixed(
    teacher_logits: Tensor, labels: Tensor, *, temperature: Number, alpha: Number, confidence: Number
) -> Tensor:
    """The virtual teacher's part of equation 4's gradient, for every example."""
    v = virtual_teacher(teacher_logits, labels, confidence)
    return kd_targets(v, labels, temperature=temperature, alpha=alpha)


def virtual_gradient(
    student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number, alpha: Number, confidence: Number
) -> Tensor:
    """Gradient of TF-KD reg's batch mean by the student's logits."""
    return kd_gradient(student_logits, fixed, temperature=temperature, alpha=alpha)


def residual_labels(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number, state: Tensor
) -> Tensor:
    """ALR-style: KL between a learned table's and the student's distribution over the classes beside the label.

    Both directions, each with one side held fixed: the first moves the network, the second the table [..., C, C].
    """
    target = target_mask(student_logits, labels)
    own, learned = (without(logits, target) for logits in (student_logits, rows(state, labels)))
    return kl(learned.detach(), own) + kl(own.detach(), learned)


def online_labels(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number, state: Tensor
) -> Tensor:
    """OLS: cross-entropy with the mean response of the label's class in the epoch before (Zhang et al. 2021)."""
    targets = rows(state[..., 0, :, :], labels)
    return -(targets * F.log_softmax(student_logits, dim=-1)).sum(-1, keepdim=True)


def count_responses(state: Tensor, student_logits: Tensor, labels: Tensor) -> None:
    """Add the responses to correctly classified examples to OLS's sums by class: K students, state [K, 2, C, C]."""
    one_hot = F.one_hot(labels, student_logits.shape[-1]).to(student_logits)
    right = (student_logits.argmax(-1) == labels)[..., None]
    responses = F.softmax(student_logits, dim=-1) * right
    state[:, 1] += (one_hot[..., None] * responses[..., None, :]).sum(-3)


def turn_responses(state: Tensor) -> None:
    """Make OLS's sums of an epoch the labels of the next: means by class, even where none was classified rightly."""
    sums = state[:, 1]
    counts = sums.sum(-1, keepdim=True)  # each response sums to 1
    state[:, 0] = torch.where(counts > 0, sums / counts.clamp(min=1.0), 1 / sums.shape[-1])
    state[:, 1] = 0.0


SYSTEMS = (
    System(
        name="label_smoothing",
        title="Label smoothing",
        reference="szegedy2016rethinking",
        kind="A",
        loss=label_smoothing,
        parameters=(Parameter("smoothing", 0.1, "Szegedy et al. (2016); Müller et al. (2019)", most=1.0),),
        main="smoothing",
        grid=(0.03, 0.1, 0.3),
        verified="PyTorch's own",
        needs=("labels",),
        gradient=Gradient(smoothing_fixed, smoothing_gradient),
    ),
    System(
        name="tfkd_reg",
        title="Teacher-free distillation from a virtual teacher",
        reference="yuan2020revisiting",
        kind="A",
        loss=virtual,
        parameters=(
            Parameter("alpha", 0.95, "its repository's for MobileNetV2, where the loss has no multiplier", most=1.0),
            Parameter("confidence", 0.99, "its paper, section 5: 0.9 or more", least=0.01, most=0.9999),
        ),
        main="alpha",
        grid=(0.85, 0.95, 0.985),
        temperature=20.0,
        verified="equations 8 and 9 in the paper",
        reading="as the paper writes it; the public code softens probabilities instead, and not the student's, and its "
        "settings of alpha 0.1 have multipliers of up to 100, without which the labels alone would teach",
        needs=("labels",),
        gradient=Gradient(virtual_fixed, virtual_gradient),
        version=2,
    ),
    System(
        name="alr",
        title="Adaptive regularization of labels, in our reading",
        reference="ding2019adaptive",
        kind="C",
        loss=residual_labels,
        parameters=weights(1.0, 1.0, "our choice: no weight could be read"),
        main="weight",
        grid=(0.3, 1.0, 3.0),
        verified="nothing but the abstract: a learned matrix of residual labels, no teacher",
        reading="all formulas; the matrix is moved by the student's Adam",
        needs=("labels",),
        state=State(lambda classes: torch.zeros(classes, classes), learned=True),
    ),
    System(
        name="ols",
        title="Online label smoothing",
        reference="zhang2021delving",
        kind="C",
        loss=online_labels,
        parameters=weights(0.5, 0.5, "its public code"),
        main="weight",
        grid=(0.15, 0.5, 1.5),
        verified="formula and defaults in the public code",
        reading="an epoch ends where the student is validated",
        needs=("labels",),
        state=State(
            lambda classes: torch.zeros(2, classes, classes),  # this epoch's labels; sums for the next one's
            count=count_responses,
            turn=turn_responses,
        ),
    ),
)
