"""Systems that change only what an ordinary student is taught: by other targets, another epoch, another teacher."""

import math
from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ..losses import equation_4, kd_targets
from ..measures import nearest
from ..targets import class_means
from .system import Gradient, Parameter, System
from .terms import (
    ALPHAS,
    BY_EQUATION_4,
    EQUATION_4,
    FIELDS,
    Number,
    as_rbkd,
    equation_4_gradient,
    without,
)


def largest_only(teacher_logits: Tensor, k: Number, temperature: Number) -> Tensor:
    """Logits that keep the k largest probabilities at a temperature and spread the rest evenly (Tang et al. 2020).

    Arguments: `teacher_logits` [..., C]; k = C keeps all. Returns [..., C].
    """
    log_response = F.log_softmax(teacher_logits / temperature, dim=-1)
    rank = log_response.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    kept = rank < k
    left = (~kept).sum(-1, keepdim=True)
    even = without(log_response, kept).logsumexp(-1, keepdim=True) - left.clamp(min=1).log()
    return temperature * log_response.where(kept, even)


def top_k(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: Number, k: Number, **weights: Number
) -> Tensor:
    """KD-topk: equation 4 from the teacher's k largest probabilities, the rest spread evenly (Tang et al. 2020)."""
    targets = largest_only(teacher_logits, k, temperature)
    return equation_4(student_logits, targets, labels, temperature=temperature, **weights)


def top_k_fixed(teacher_logits: Tensor, labels: Tensor, *, temperature: Number, k: Number, **weights: Number) -> Tensor:
    """The part of equation 4's gradient that no student enters, from the teacher's k largest probabilities."""
    return kd_targets(largest_only(teacher_logits, k, temperature), labels, temperature=temperature, **weights)


def top_k_gradient(student_logits: Tensor, fixed: Tensor, labels: Tensor, *, k: Number, **settings: Number) -> Tensor:
    """Gradient of KD-topk's batch mean by the student's logits."""
    return equation_4_gradient(student_logits, fixed, labels, **settings)


def centroids(logits: Tensor, labels: Tensor, members: Tensor, student: Any) -> Tensor:
    """Logits [N, C] of the mean response of each example's class over the transfer set, at one temperature."""
    return class_means(logits, labels, members, student.temperature)


def stopped_after(teacher: Any, epoch: int) -> Any:
    """The `Teacher` whose training ends after an epoch: after its last one the teacher itself.

    Up to there it keeps the responses that the whole run keeps, and those of that epoch.
    """
    if epoch == teacher.epochs:
        return teacher
    before = (e for e in teacher.epochs_with_responses if e < epoch)
    return replace(teacher, epochs=epoch, kept_epochs=(*before, epoch), checkpoints=(epoch,))


def path(teacher: Any, networks: tuple[str, ...], *, temperature: float, alpha: float) -> Any:
    """The last teacher of a path of assistants, each distilled from the one before (Mirzadeh et al. 2020).

    Arguments: `teacher`, a `Teacher`, the first; `networks` of the assistants in their order; `temperature` and `alpha`
    of each link. A path without assistants is the teacher itself.
    """
    for network in networks:
        teacher = replace(
            teacher,
            network=network,
            taught_by=teacher,
            temperature=float(temperature),
            alpha=alpha,
            kept_epochs=(teacher.epochs,),
            checkpoints=(),
        )
    return teacher


def nearest_to_mean(accuracies: dict[str, float], teacher: float, student: float) -> str:
    """The assistant whose own accuracy is nearest to the mean of teacher's and student's (Mirzadeh et al. 2020).

    Arguments: accuracies on the validation split, after the last epoch, of networks that were trained on the labels
    alone; those of the candidates by name. Returns the name; of two that are as near, the first.
    """
    return min(accuracies, key=lambda name: distance_from_mean(accuracies[name], teacher, student))


def distance_from_mean(assistant: float, teacher: float, student: float) -> float:
    """The distance of an assistant's own accuracy from the mean of its teacher's and its student's, in their unit."""
    return abs(assistant - (teacher + student) / 2)


def tighter_clusters(student: Any, *, distance: float) -> tuple:
    """A teacher of its own that is trained with the class-distance term at a weight, and its last epoch."""
    epoch = student.teacher_epoch
    last = {"kept_epochs": (epoch,), "checkpoints": ()}  # to keep one costs a pass over all examples
    return replace(student.teacher, class_distance=float(distance), **last), epoch


def more_information(student: Any, *, information: float, share: float, rate: float) -> tuple:
    """The teacher after it was fine-tuned to more conditional mutual information, and its last epoch."""
    teacher = student.teacher
    epochs = max(1, math.ceil(share * teacher.epochs))
    tuned = replace(
        teacher,
        continues=teacher,
        taught_by=None,
        information=float(information),
        epochs=epochs,
        learning_rate=rate * teacher.learning_rate,
        kept_epochs=(epochs,),
        checkpoints=(),
    )
    return tuned, epochs


def evenly_spaced(kept: tuple[int, ...], epoch: int, *, snapshots: float) -> tuple[int, ...]:
    """Epochs at even distances up to one that is the last, among those whose responses were kept; at most so many."""
    there = [e for e in kept if e <= epoch]
    count = min(int(snapshots), len(there))
    return tuple(there[math.ceil(len(there) * (i + 1) / count) - 1] for i in range(count))


ASSISTANTS = ("assistant", "second_assistant")


def through_assistants(student: Any, *, assistants: float) -> tuple:
    """TAKD's last assistant and its last epoch, after one or two of them."""
    networks = ASSISTANTS[: int(assistants)]
    return path(student.teacher, networks, temperature=student.temperature, alpha=student.alpha), student.teacher_epoch


def own_architecture(student: Any) -> tuple:
    """TF-KD self's teacher, and its last epoch: the student's own network, trained on the labels as the student is."""
    alike = {name: getattr(student, name) for name in ("epochs", "batch_size", "learning_rate", "precision")}
    last = {"kept_epochs": (student.epochs,), "checkpoints": ()}
    return replace(student.teacher, network=student.network, **alike, **last), student.epochs


def earlier_epoch(student: Any, *, share: float) -> tuple:
    """A teacher's own checkpoint: the kept epoch that is nearest to a share of its training, rounded up."""
    epochs = student.teacher.epochs_with_responses
    return student.teacher, int(nearest(epochs, math.ceil(share * student.teacher_epoch)))


def taught(weights: tuple[Parameter, ...], **described: Any) -> System:
    """A system whose students are trained by equation 4, at these weights."""
    parameters = (*weights, *described.pop("parameters", ()))
    common = {"loss": equation_4, "fields": FIELDS, "gradient": BY_EQUATION_4, "main": "alpha", "grid": ALPHAS}
    return System(**(common | described), parameters=parameters)


BENCHMARKS = "the common setting on CIFAR-100 (mdistiller, NormKD, MCMI)"
CHECKPOINTS = as_rbkd("its source has 0.5, with T squared at T = 5")
RATE = "our choice, of the teacher's own: its public code begins at that, by SGD, and goes to 0 along a cosine"
SYSTEMS = (
    taught(
        EQUATION_4,
        name="rbkd",
        title="Response-based knowledge distillation",
        reference="vats2021controlling",
        kind="A",
        verified="equation 4 in the paper",
    ),
    System(
        name="kd",
        title="Knowledge distillation, with T squared",
        reference="hinton2015distilling",
        kind="A",
        loss=equation_4,
        parameters=(
            Parameter("alpha", 0.9, f"{BENCHMARKS}: 0.1 for the hard labels, 0.9 for the soft ones", most=1.0),
            Parameter("t_squared", 1.0, "its section 2.1, and all of these benchmarks", most=1.0),
        ),
        main="alpha",
        grid=(0.7, 0.9, 0.97),
        temperature=4.0,
        verified="weights, temperature and formula in the public code of several benchmarks",
        reading="with what the sources of most other systems compare",
        gradient=BY_EQUATION_4,
    ),
    taught(
        as_rbkd("its source searches weight and temperature for each link"),
        name="takd",
        title="Teacher assistants",
        reference="mirzadeh2020improved",
        kind="C",
        parameters=(Parameter("assistants", 1.0, "one or two", of="teacher", most=2.0),),
        verified="paths and the rule of the mean accuracy in the paper",
        reading="every link has the student's temperature and alpha, and no factor T squared",
        path=through_assistants,
    ),
    taught(
        as_rbkd("its source searches them for each network"),
        name="tfkd_self",
        title="Teacher-free self-training",
        reference="yuan2020revisiting",
        kind="C",
        verified="equation 7 in the paper",
        reading="the first student is trained on all labels for as many epochs as the second, which starts anew",
        path=own_architecture,
    ),
    taught(
        as_rbkd("those of its source could not be read"),
        name="early_stopped_teacher",
        title="Early-stopped teacher",
        reference="cho2019efficacy",
        kind="A",
        parameters=(Parameter("share", 0.25, "50 of 200 epochs", of="teacher", least=0.001, most=1.0),),
        main="share",
        grid=(0.1, 0.25, 0.5),
        verified="two independent summaries of the paper",
        reading="at a constant learning rate a shorter training is an earlier epoch of the long one",
        needs=("responses", "epochs"),
        path=earlier_epoch,
    ),
    taught(
        CHECKPOINTS,
        name="half_way_checkpoint",
        title="Half-way checkpoint",
        reference="wang2022efficient",
        kind="A",
        parameters=(Parameter("share", 0.5, "half of the epochs", of="teacher", least=0.001, most=1.0),),
        verified="public code, and a summary of the paper",
        needs=("responses", "epochs"),
        path=earlier_epoch,
    ),
    taught(
        CHECKPOINTS,
        name="snapshots",
        title="Mean logits of several checkpoints",
        reference="wang2022efficient",
        kind="A",
        parameters=(
            Parameter("snapshots", 4.0, "our choice: the public code takes any number", of="targets", least=1.0),
        ),
        main="snapshots",
        grid=(2.0, 4.0, 8.0),
        verified="public code: logits are averaged",
        reading="epochs that are evenly spaced among those that were kept",
        needs=("responses", "epochs"),
        epochs=evenly_spaced,
    ),
    taught(
        as_rbkd("those of its source could not be read"),
        name="residual",
        title="Residual distillation on responses, in our reading",
        reference="gao2020residual",
        kind="C",
        parameters=(
            Parameter("joint", 0.0, "1: both networks at once; our choice is one after the other", of="loop", most=1.0),
            Parameter("squared", 0.0, "1: the second by squared error; our choice is equation 4", of="loop", most=1.0),
            Parameter("ensemble", 0.0, "1: the control, two independent networks", of="loop", most=1.0),
        ),
        verified="the abstract: an assistant learns the residual, at no greater total cost, in two variants",
        reading="on logits instead of feature maps; widths, losses and what is summed; its term is of the sum",
        divided=True,
    ),
    taught(
        as_rbkd("its source teaches by features alone"),
        name="class_distance",
        title="Class-distance teacher, transferred by its responses, in our reading",
        reference="kim2017transferring",
        kind="C",
        parameters=(Parameter("distance", 0.1, "our choice: no weight could be read", of="teacher"),),
        main="distance",
        grid=(0.03, 0.1, 0.3),
        verified="the teacher's loss in screenshots of the paper",
        reading="which other mean, the bound, the scale; the responses teach, where the source transfers features",
        needs=("responses", "labels", "weights"),
        path=tighter_clusters,
    ),
    taught(
        as_rbkd("its source has 0.9, with T squared at T = 4"),
        name="mcmi",
        title="Teacher of more conditional mutual information",
        reference="ye2024bayes",
        kind="C",
        parameters=(
            Parameter("information", -0.15, "its public code's file names", of="teacher", least=-math.inf),
            Parameter("share", 0.4, "20 epochs, as a share of the 50 of our teachers", of="teacher", least=0.001),
            Parameter("rate", 0.1, RATE, of="teacher", least=1e-6),
        ),
        main="information",
        grid=(-0.05, -0.15, -0.45),
        verified="loss and weight in the public code",
        reading="centroids are the class means after the epoch before, not a slow average that starts uniform; the "
        "learning rate is constant",
        needs=("responses", "labels", "weights"),
        path=more_information,
    ),
    taught(
        as_rbkd("its source does not teach them"),
        name="centroids",
        title="Class means of the responses",
        reference="ye2024bayes",
        kind="A",
        verified="the entropies' identity numerically",
        reading="the class means that the source calls centroids, taught by themselves; they are means over the "
        "examples that the student learns from",
        needs=("responses", "labels"),
        prepare=centroids,
        version=2,
    ),
    taught(
        as_rbkd("those of its source could not be read"),
        name="kd_topk",
        title="The k largest probabilities alone",
        reference="tang2020understanding",
        kind="A",
        loss=top_k,
        parameters=(Parameter("k", 3.0, "our choice", least=1.0),),
        main="k",
        grid=(2.0, 3.0, 5.0),
        verified="the abstract: what of the response teaches",
        reading="the formula",
        gradient=Gradient(top_k_fixed, top_k_gradient),
    ),
)
