"""Systems that weigh parts of the response or its divergence anew: DKD, RLD, AB-divergence, TTM, WTTM, WSL."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import hard_loss
from .system import Gradient, Parameter, System
from .terms import Number, binary_kl, kl, log_share, target_mask, without

WARMUP = Parameter("warmup", 1 / 12, "20 of 240 epochs, mdistiller's configurations", of="total", most=1.0)
NEVER = -1e9  # a logit that a softmax gives exactly 0; unlike -inf, all of them together give a uniform distribution


def weights(hard: float, weight: float, origin: str) -> tuple[Parameter, ...]:
    """Parameters that weigh the hard labels and a system's term, with the defaults of its source."""
    return (Parameter("hard", hard, origin, of="total"), Parameter("weight", weight, origin, of="total"))


def decoupled(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: Number,
    alpha: Number,
    beta: Number,
) -> Tensor:
    """DKD: T^2 (alpha TCKD + beta NCKD), the divergences of target against rest and among the rest (Zhao et al. 2022).

    KL(t_T || p_T) is TCKD + (1 - b) NCKD with the teacher's confidence b.
    """
    target = target_mask(student_logits, labels)
    z, v = student_logits / temperature, teacher_logits / temperature
    confidence = binary_kl(log_share(v, target), log_share(z, target))
    return temperature**2 * (alpha * confidence + beta * kl(without(v, target), without(z, target)))


def decoupled_fixed(teacher_logits: Tensor, labels: Tensor, *, temperature: Number, **weights: Number) -> Tensor:
    """A teacher's part of DKD's gradient: its confidence at the target, its similarity among the others elsewhere."""
    target = target_mask(teacher_logits, labels)
    v = teacher_logits / temperature
    return torch.where(target, F.softmax(v, dim=-1), F.softmax(without(v, target), dim=-1))


def decoupled_gradient(
    student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number, alpha: Number, beta: Number
) -> Tensor:
    """Gradient of DKD's batch mean by the student's logits, from the teacher's part of `decoupled_fixed`."""
    target = target_mask(student_logits, labels)
    z = student_logits / temperature
    others = F.softmax(without(z, target), dim=-1)
    towards = confidence_gradient(z, fixed, labels, others)
    among = (others - fixed).masked_fill(target, 0.0)
    return temperature * (alpha * towards + beta * among) / student_logits.shape[-2]


def confidence_gradient(logits: Tensor, confidence: Tensor, labels: Tensor, others: Tensor) -> Tensor:
    """Gradient by the logits of the divergence of label against rest, from a teacher's confidence at each label.

    Arguments: `confidence` [..., B, C], read at the label alone; `others`, the softmax of the logits without the label.
    """
    surer = (F.softmax(logits, dim=-1) - confidence).gather(-1, labels[..., None])
    return torch.where(target_mask(logits, labels), surer, -surer * others)


def refined(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: Number,
    alpha: Number,
    beta: Number,
    confidence_temperature: Number,
) -> Tensor:
    """RLD: the student's confidence in the label follows the teacher's largest probability (Sun et al. 2025).

    Its similarity follows the teacher's among those classes alone that the teacher ranks below the label.
    """
    sharp = confidence_temperature
    largest = target_mask(teacher_logits, teacher_logits.argmax(-1))
    target = target_mask(student_logits, labels)
    confidence = binary_kl(log_share(teacher_logits / sharp, largest), log_share(student_logits / sharp, target))
    above = teacher_logits >= teacher_logits.gather(-1, labels[..., None])
    z, v = ((logits / temperature).masked_fill(above, NEVER) for logits in (student_logits, teacher_logits))
    return alpha * sharp**2 * confidence + beta * temperature**2 * kl(v, z)


def refined_fixed(
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: Number,
    confidence_temperature: Number,
    **weights: Number,
) -> Tensor:
    """A teacher's part of RLD's gradient: its largest probability at the label, its similarity among those below it.

    -1 at the other classes, which the teacher ranks above the label.
    """
    largest = F.softmax(teacher_logits / confidence_temperature, dim=-1).amax(-1, keepdim=True)
    above = teacher_logits >= teacher_logits.gather(-1, labels[..., None])
    below = F.softmax((teacher_logits / temperature).masked_fill(above, NEVER), dim=-1).masked_fill(above, -1.0)
    return torch.where(target_mask(teacher_logits, labels), largest, below)


def refined_gradient(
    student_logits: Tensor,
    fixed: Tensor,
    labels: Tensor,
    *,
    temperature: Number,
    alpha: Number,
    beta: Number,
    confidence_temperature: Number,
) -> Tensor:
    """Gradient of RLD's batch mean by the student's logits, from the teacher's part of `refined_fixed`."""
    target = target_mask(student_logits, labels)
    sharp = student_logits / confidence_temperature
    towards = confidence_gradient(sharp, fixed, labels, F.softmax(without(sharp, target), dim=-1))
    left_out = target | (fixed < 0)
    similarity = F.softmax((student_logits / temperature).masked_fill(left_out, NEVER), dim=-1)
    among = (similarity - fixed).masked_fill(left_out, 0.0)
    return (alpha * confidence_temperature * towards + beta * temperature * among) / student_logits.shape[-2]


def alpha_beta(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: Number,
    alpha: Number,
    beta: Number,
) -> Tensor:
    """ABKD: the alpha-beta divergence of the softened distributions, without T^2 (Wang et al. 2025).

    (1, 0) is KL(t_T || p_T), (1, 1) half the squared distance. beta = 0 is the limit, which is continuous.
    """
    log_t, log_p = (F.log_softmax(logits / temperature, dim=-1) for logits in (teacher_logits, student_logits))
    beta = torch.as_tensor(beta, dtype=log_p.dtype, device=log_p.device)
    b = beta.where(beta != 0, 1.0)
    both = alpha + b
    products = (alpha * log_t + b * log_p).exp() - alpha / both * (both * log_t).exp() - b / both * (both * log_p).exp()
    powers = (alpha * log_t).exp()
    limit = powers * (log_t - log_p) + ((alpha * log_p).exp() - powers) / alpha
    return torch.where(beta != 0, -products / (alpha * b), limit / alpha).sum(-1, keepdim=True)


def alpha_beta_fixed(
    teacher_logits: Tensor, labels: Tensor, *, temperature: Number, alpha: Number, beta: Number
) -> Tensor:
    """A teacher's soft labels to the power alpha, the part of ABKD's gradient that no student enters."""
    return (alpha * F.log_softmax(teacher_logits / temperature, dim=-1)).exp()


def alpha_beta_gradient(
    student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number, alpha: Number, beta: Number
) -> Tensor:
    """Gradient of ABKD's batch mean by the student's logits, also in the limit beta = 0."""
    log_p = F.log_softmax(student_logits / temperature, dim=-1)
    by_log_p = (beta * log_p).exp() * ((alpha * log_p).exp() - fixed) / alpha
    through = by_log_p - log_p.exp() * by_log_p.sum(-1, keepdim=True)
    return through / temperature / student_logits.shape[-2]


def transformed_teacher(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number
) -> Tensor:
    """TTM: KL(t_T || p) of a softened teacher and a student at temperature 1 (Zheng & Yang 2024)."""
    return kl(teacher_logits / temperature, student_logits)


def transformed_fixed(teacher_logits: Tensor, labels: Tensor, *, temperature: Number) -> Tensor:
    """A teacher's soft labels at the temperature, the part of TTM's gradient that no student enters."""
    return F.softmax(teacher_logits / temperature, dim=-1)


def transformed_gradient(student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number) -> Tensor:
    """Gradient of TTM's batch mean by the student's logits: the student's probabilities minus the soft labels."""
    return (F.softmax(student_logits, dim=-1) - fixed) / student_logits.shape[-2]


def weighted_transformed_teacher(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number
) -> Tensor:
    """WTTM: TTM's term times sum_k t(k)^(1 / T), which is larger for softer responses (Zheng & Yang 2024)."""
    return powers(teacher_logits, temperature) * transformed_teacher(
        student_logits, teacher_logits, labels, temperature=temperature
    )


def powers(teacher_logits: Tensor, temperature: Number) -> Tensor:
    """Sum over the classes of a response's probabilities to the power 1 / T, from 1 (one-hot) to C^(1 - 1/T)."""
    return (F.log_softmax(teacher_logits, dim=-1) / temperature).exp().sum(-1, keepdim=True)


def weighted_fixed(teacher_logits: Tensor, labels: Tensor, *, temperature: Number) -> Tensor:
    """Soft labels that sum to WTTM's weight, the part of its gradient that no student enters."""
    return powers(teacher_logits, temperature) * F.softmax(teacher_logits / temperature, dim=-1)


def weighted_gradient(student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number) -> Tensor:
    """Gradient of WTTM's batch mean by the student's logits, from the weighted soft labels."""
    return (fixed.sum(-1, keepdim=True) * F.softmax(student_logits, dim=-1) - fixed) / student_logits.shape[-2]


def weighted_soft_labels(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number
) -> Tensor:
    """WSL: w T^2 H(t_T, p_T) with w = 1 - exp(-L_s / L_t) of the two hard cross-entropies (Zhou et al. 2021)."""
    soft = F.softmax(teacher_logits / temperature, dim=-1)
    cross_entropy = -(soft * F.log_softmax(student_logits / temperature, dim=-1)).sum(-1, keepdim=True)
    return soft_label_weights(student_logits, teacher_logits, labels) * temperature**2 * cross_entropy


def weighted_soft_labels_fixed(teacher_logits: Tensor, labels: Tensor, *, temperature: Number) -> Tensor:
    """Logs of a teacher's soft labels: its loss on the hard ones, too, is a matter of these."""
    return F.log_softmax(teacher_logits / temperature, dim=-1)


def weighted_soft_labels_gradient(
    student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number
) -> Tensor:
    """Gradient of WSL's batch mean by the student's logits, the weights held fixed."""
    error = F.softmax(student_logits / temperature, dim=-1) - fixed.exp()
    weight = soft_label_weights(student_logits, temperature * fixed, labels)
    return temperature * weight * error / student_logits.shape[-2]


@torch.no_grad()
def soft_label_weights(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """WSL's weight of each example, 1 - exp(-L_s / L_t): near 1 where the teacher is surer of the label."""
    return -torch.expm1(-hard_loss(student_logits, labels) / hard_loss(teacher_logits, labels).clamp(min=1e-30))


MDISTILLER = "mdistiller's configuration for CIFAR-100"
SYSTEMS = (
    System(
        name="dkd",
        title="Decoupled knowledge distillation",
        reference="zhao2022decoupled",
        kind="B",
        loss=decoupled,
        parameters=(
            Parameter("alpha", 1.0, MDISTILLER),
            Parameter("beta", 8.0, f"{MDISTILLER}: 2, 6 or 8 by the pair of networks"),
            *weights(1.0, 1.0, MDISTILLER),
            WARMUP,
        ),
        main="beta",
        grid=(2.7, 8.0, 24.0),
        temperature=4.0,
        verified="formula and defaults in the public code; the identity with KL numerically",
        reading="the warm-up is a share of the training, as 20 of 240 epochs would never end in 20",
        needs=("responses", "labels"),
        gradient=Gradient(decoupled_fixed, decoupled_gradient),
    ),
    System(
        name="rld",
        title="Refined logit distillation",
        reference="sun2025refined",
        kind="B",
        loss=refined,
        parameters=(
            Parameter("alpha", 1.0, "its repository's configuration"),
            Parameter("beta", 8.0, "its repository's configuration"),
            Parameter("confidence_temperature", 1.0, "its repository's configuration", least=0.01),
            *weights(1.0, 1.0, "its repository's configuration"),
            WARMUP,
        ),
        main="beta",
        grid=(2.7, 8.0, 24.0),
        temperature=4.0,
        verified="formula and defaults in the public code",
        reading="the warm-up is a share of the training",
        needs=("responses", "labels"),
        gradient=Gradient(refined_fixed, refined_gradient),
    ),
    System(
        name="abkd",
        title="Alpha-beta divergence",
        reference="wang2025abkd",
        kind="B",
        loss=alpha_beta,
        parameters=(
            Parameter("alpha", 0.8, "its repository's example", least=0.01),
            Parameter("beta", 0.3, "its repository's example"),
            *weights(1.0, 64.0, "its repository's example"),
        ),
        main="weight",
        grid=(21.0, 64.0, 192.0),
        temperature=4.0,
        verified="formula and defaults in the public code; its special cases numerically",
        reading="beta = 0 is the limit of the formula, which the public code leaves by a factor alpha",
        gradient=Gradient(alpha_beta_fixed, alpha_beta_gradient),
    ),
    System(
        name="ttm",
        title="Transformed teacher matching",
        reference="zheng2024knowledge",
        kind="B",
        loss=transformed_teacher,
        parameters=weights(1.0, 45.0, "its repository's example"),
        main="weight",
        grid=(15.0, 45.0, 135.0),
        temperature=10.0,
        verified="formula and defaults in the public code; the identity with KL and Renyi's entropy numerically",
        gradient=Gradient(transformed_fixed, transformed_gradient),
    ),
    System(
        name="wttm",
        title="Weighted transformed teacher matching",
        reference="zheng2024knowledge",
        kind="B",
        loss=weighted_transformed_teacher,
        parameters=weights(1.0, 9.0, "ours: ttm's, over the power sum of ten classes, which is about 5"),
        main="weight",
        grid=(3.0, 9.0, 27.0),
        temperature=10.0,
        verified="formula in the public code",
        reading="weight and temperature, which are those of ttm; its repository has an example where it is added to "
        "another system alone, with a weight for a hundred classes",
        gradient=Gradient(weighted_fixed, weighted_gradient),
        version=2,
    ),
    System(
        name="wsl",
        title="Weighted soft labels",
        reference="zhou2021rethinking",
        kind="B",
        loss=weighted_soft_labels,
        parameters=weights(1.0, 2.25, "its setting for CIFAR, not read here; its public code's, for ImageNet, is 2.5"),
        main="weight",
        grid=(0.75, 2.25, 6.75),
        temperature=4.0,
        verified="formula in the public code",
        reading="where both cross-entropies vanish the weight is 0; T = 4 goes with the weight, where the public code "
        "has T = 2",
        needs=("responses", "labels"),
        gradient=Gradient(weighted_soft_labels_fixed, weighted_soft_labels_gradient),
    ),
)
