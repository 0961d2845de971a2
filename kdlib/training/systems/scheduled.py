"""Systems whose loss changes in the course of the training: when it stops, and at which temperature it is taken."""

import math

import torch
from torch import Tensor

from ..losses import equation_4
from .decoupled import weights
from .system import Parameter, State, System
from .terms import FIELDS, Number, as_rbkd, kl


def stopped(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: Number,
    alpha: Number,
    t_squared: Number,
    stop: Number,
    progress: Number,
) -> Tensor:
    """ESKD: equation 4 up to a share `stop` of the training, the hard labels after it (Cho & Hariharan 2019)."""
    share = alpha * (progress < stop)
    return equation_4(student_logits, teacher_logits, labels, temperature=temperature, alpha=share, t_squared=t_squared)


def curriculum(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: Number,
    lowest: Number,
    span: Number,
    reversal: Number,
    ramp: Number,
    progress: Number,
    state: Tensor,
) -> Tensor:
    """CTKD: T^2 KL at T = lowest + span sigmoid(g), with g learned against the student (Li et al. 2023).

    The gradient of g has the factor -reversal, reached along half a cosine over the share `ramp` of the training. The
    given temperature is not used.
    """
    done = torch.as_tensor(progress / ramp).clamp(max=1.0)
    factor = -reversal * (1 - torch.cos(math.pi * done)) / 2
    adversary = factor * state + ((1 - factor) * state).detach()  # the value is g, its gradient has the factor
    learned = lowest + span * torch.sigmoid(adversary)
    return learned**2 * kl(teacher_logits, student_logits, learned)


SYSTEMS = (
    System(
        name="eskd",
        title="Early-stopped knowledge distillation",
        reference="cho2019efficacy",
        kind="B",
        loss=stopped,
        parameters=(
            *as_rbkd("those of its source could not be read"),
            Parameter("stop", 0.5, "our choice: the paper stops where the gain ends", most=1.0),
        ),
        main="stop",
        grid=(0.25, 0.5, 0.75),
        fields=FIELDS,
        verified="two independent summaries of the paper",
        reading="the share of the training at which the soft labels stop; there the hard labels' gradient grows by "
        "1 / (1 - alpha), which Adam takes for some steps of several learning rates",
        needs=("responses", "labels"),
        timed=True,
    ),
    System(
        name="ctkd",
        title="Curriculum temperature",
        reference="li2023curriculum",
        kind="C",
        loss=curriculum,
        parameters=(
            Parameter("lowest", 1.0, "its public code", least=0.01),
            Parameter("span", 20.0, "its public code"),
            Parameter("reversal", 1.0, "its public code's scripts"),
            Parameter("ramp", 10 / 240, "10 of 240 epochs, its public code's scripts", least=1e-6, most=1.0),
            *weights(0.1, 0.9, "its public code's scripts"),
        ),
        main="weight",
        grid=(0.3, 0.9, 2.7),
        verified="formula and defaults in the public code",
        reading="Adam moves g at the student's rate, without the weight decay that the student has not; its steps do "
        "not shrink with the gradient, so that the ramp damps nothing",
        timed=True,
        state=State(lambda classes: torch.ones(1, 1), learned=True),
    ),
)
