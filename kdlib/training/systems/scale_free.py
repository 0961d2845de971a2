"""Systems in which a student need not match the scale of the teacher's logits, and the one in which it must."""

import torch.nn.functional as F
from torch import Tensor

from ..losses import hard_loss
from .decoupled import weights
from .system import Gradient, Parameter, System
from .terms import (
    Number,
    correlation,
    correlation_gradient,
    deviation,
    gradient_through_scaling,
    kl,
    standardized,
)


def logit_standardization(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number, correction: Number
) -> Tensor:
    """Logit standardization: T^2 KL of both sides' logits with mean 0 and deviation 1 (Sun et al. 2024)."""
    z, v = (standardized(logits, correction) for logits in (student_logits, teacher_logits))
    return temperature**2 * kl(v, z, temperature)


def standardized_fixed(teacher_logits: Tensor, labels: Tensor, *, temperature: Number, correction: Number) -> Tensor:
    """Soft labels of a teacher's standardized logits, the part of the gradient that no student enters."""
    return F.softmax(standardized(teacher_logits, correction) / temperature, dim=-1)


def standardized_gradient(
    student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number, correction: Number
) -> Tensor:
    """Gradient of the batch mean by the student's raw logits: it sums to 0 and is orthogonal to them."""
    h, classes = standardized(student_logits, correction), student_logits.shape[-1]
    error = F.softmax(h / temperature, dim=-1) - fixed
    along = (error * h).sum(-1, keepdim=True) / (classes - correction)
    through = error - error.mean(-1, keepdim=True) - along * h
    return temperature * through / deviation(student_logits, correction) / student_logits.shape[-2]


def normalised(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number) -> Tensor:
    """NormKD: KL at temperatures of each example's own, T times the deviation of its logits (Chi et al. 2023).

    The factor T^2 has the teacher's deviation in it: examples of large logits weigh more.
    """
    own, theirs = (temperature * deviation(logits) for logits in (student_logits, teacher_logits))
    return theirs**2 * kl(teacher_logits / theirs, student_logits / own)


def normalised_fixed(teacher_logits: Tensor, labels: Tensor, *, temperature: Number) -> Tensor:
    """Soft labels at each example's own temperature that sum to its square, the part of NormKD's gradient without z."""
    theirs = temperature * deviation(teacher_logits)
    return theirs**2 * F.softmax(teacher_logits / theirs, dim=-1)


def normalised_gradient(student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number) -> Tensor:
    """Gradient of NormKD's batch mean by the student's logits, from the weighted soft labels."""
    p = F.softmax(student_logits / (temperature * deviation(student_logits)), dim=-1)
    error = fixed.sum(-1, keepdim=True) * p - fixed
    return gradient_through_scaling(student_logits, error) / temperature / student_logits.shape[-2]


def spherical(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number, alpha: Number
) -> Tensor:
    """SKD: equation 4 with T^2, of student logits that are scaled to the teacher's deviation (Guo et al. 2020)."""
    scaled = student_logits * (deviation(teacher_logits) / deviation(student_logits))
    return (1 - alpha) * hard_loss(scaled, labels) + alpha * temperature**2 * kl(teacher_logits, scaled, temperature)


def spherical_gradient(
    student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number, alpha: Number
) -> Tensor:
    """Gradient of SKD's batch mean by the student's logits; `fixed`, the teacher's logits."""
    theirs = deviation(fixed)
    scaled = student_logits * (theirs / deviation(student_logits))
    wrong = F.softmax(scaled, dim=-1) - F.one_hot(labels, scaled.shape[-1])
    error = F.softmax(scaled / temperature, dim=-1) - F.softmax(fixed / temperature, dim=-1)
    by_scaled = (1 - alpha) * wrong + alpha * temperature * error
    return theirs * gradient_through_scaling(student_logits, by_scaled) / student_logits.shape[-2]


def correlations(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: Number,
    beta: Number,
    gamma: Number,
) -> Tensor:
    """DIST: T^2 (beta inter + gamma intra), 1 minus Pearson's correlation of soft labels (Huang et al. 2022).

    inter is of each example over the classes; intra of each class over the batch, equal for all its examples.
    """
    p, t = (F.softmax(logits / temperature, dim=-1) for logits in (student_logits, teacher_logits))
    inter = 1 - correlation(p, t, -1)
    intra = (1 - correlation(p, t, -2)).mean(-1, keepdim=True)
    return temperature**2 * (beta * inter + gamma * intra)


def correlations_fixed(teacher_logits: Tensor, labels: Tensor, *, temperature: Number, **weights: Number) -> Tensor:
    """A teacher's soft labels, the part of DIST's gradient that no student enters."""
    return F.softmax(teacher_logits / temperature, dim=-1)


def correlations_gradient(
    student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number, beta: Number, gamma: Number
) -> Tensor:
    """Gradient of DIST's batch mean by the student's logits, each of which enters intra of its class for the batch."""
    p = F.softmax(student_logits / temperature, dim=-1)
    batch, classes = p.shape[-2:]
    by_p = -beta / batch * correlation_gradient(p, fixed, -1) - gamma / classes * correlation_gradient(p, fixed, -2)
    return temperature * p * (by_p - (p * by_p).sum(-1, keepdim=True))


def squared_difference(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number
) -> Tensor:
    """Half the squared difference of the logits, mean over the classes; no temperature enters (Bucila et al. 2006)."""
    return 0.5 * (student_logits - teacher_logits).square().mean(-1, keepdim=True)


def same_logits(teacher_logits: Tensor, labels: Tensor, **settings: Number) -> Tensor:
    """A teacher's logits as they are, of which a gradient takes what it needs."""
    return teacher_logits


def difference(student_logits: Tensor, fixed: Tensor, labels: Tensor, *, temperature: Number) -> Tensor:
    """Gradient of the regression's batch mean: the logits' difference over the classes and the batch's size."""
    return (student_logits - fixed) / (student_logits.shape[-1] * student_logits.shape[-2])


SYSTEMS = (
    System(
        name="logit_standardization",
        title="Logit standardization",
        reference="sun2024logit",
        kind="B",
        loss=logit_standardization,
        parameters=(
            Parameter("correction", 1.0, "its public code divides by C - 1; its algorithm 1 by C (0)", most=1.0),
            *weights(0.1, 9.0, "its paper's and repository's default"),
        ),
        main="weight",
        grid=(3.0, 9.0, 27.0),
        temperature=2.0,
        verified="formula and defaults in paper and public code; invariances and gradient numerically",
        reading="at ten classes T = 1 caps confidence as 2 does at more: try it as the temperature",
        gradient=Gradient(standardized_fixed, standardized_gradient),
    ),
    System(
        name="normkd",
        title="Normalized knowledge distillation",
        reference="chi2023normkd",
        kind="B",
        loss=normalised,
        parameters=weights(0.1, 0.9, "its public code"),
        main="weight",
        grid=(0.3, 0.9, 2.7),
        temperature=2.0,
        verified="formula and defaults in the public code",
        reading="its constant c is the temperature here",
        gradient=Gradient(normalised_fixed, normalised_gradient),
    ),
    System(
        name="skd",
        title="Spherical knowledge distillation",
        reference="guo2020reducing",
        kind="B",
        loss=spherical,
        parameters=(
            Parameter("alpha", 0.9, "its public code's first 60 of 100 epochs; it has 0.5, then 0.1 after", most=1.0),
        ),
        main="alpha",
        grid=(0.7, 0.9, 0.97),
        temperature=4.0,
        verified="formula and weights in the public code, temperature in its README",
        reading="alpha stays as it is to the end",
        needs=("responses", "labels"),
        gradient=Gradient(same_logits, spherical_gradient),
    ),
    System(
        name="dist",
        title="Distillation from a stronger teacher",
        reference="huang2022knowledge",
        kind="B",
        loss=correlations,
        parameters=(
            Parameter("beta", 1.0, "its repository's configuration"),
            Parameter("gamma", 1.0, "its repository's configuration"),
            *weights(1.0, 2.0, "its repository's configuration"),
        ),
        main="weight",
        grid=(0.7, 2.0, 6.0),
        temperature=4.0,
        verified="formula and defaults in the public code",
        coupled=True,
        gradient=Gradient(correlations_fixed, correlations_gradient),
    ),
    System(
        name="logit_regression",
        title="Regression on logits",
        reference="bucila2006compression",
        kind="B",
        loss=squared_difference,
        parameters=weights(0.0, 1.0, "the responses alone teach"),
        main="hard",
        grid=(0.0, 0.1, 0.3),
        verified="the limit of T^2 KL at high temperature numerically",
        reading="squared error of logits, not of probabilities, with the factor of Hinton et al. (2015), section 2.1",
        gradient=Gradient(same_logits, difference),
    ),
)
