"""Configurations of teachers and students: everything that decides their numbers, and so is their identity."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..data.dataset import Dataset
from ..errors import InputError
from .choices import SEEDINGS
from .identity import added_field, identity_digest, identity_fields, with_plain_numbers
from .models import network_identity
from .systems import clusters
from .systems.registry import find_system, parameters_in_order, system_identity


@dataclass(frozen=True)
class Teacher:
    """Configuration of one teacher's training run; all fields are its identity, also which results are kept."""

    network: str  # a role of Table 7, or a registered network
    seed: int
    epochs: int
    batch_size: int
    learning_rate: float = 1e-3
    precision: str = "fp32"  # or bf16: mixed precision with fp32 weights
    taught_by: "Teacher | None" = None  # whose last responses it is distilled from: an assistant (Mirzadeh et al. 2020)
    temperature: float = 9.0  # of that distillation
    alpha: float = 0.99  # of that distillation
    kept_epochs: tuple[int, ...] = ()  # epochs whose responses are kept; empty: all
    checkpoints: tuple[int, ...] = ()  # epochs whose weights are kept; empty: the last
    label_smoothing: float = added_field(0.0)  # of its hard labels, by equation 1
    class_distance: float = added_field(0.0)  # weight of the class-distance term: see `systems.clusters`
    continues: "Teacher | None" = added_field(None)  # from whose last weights it goes on: it is fine-tuned
    information: float = added_field(0.0)  # weight of the conditional mutual information: see `systems.clusters`
    logits: str = added_field("")  # sha256 of the logits of a reader's own teacher, which is not trained

    def __post_init__(self) -> None:
        with_plain_numbers(self)

    def config(self, dataset: Dataset) -> dict[str, Any]:
        """The run's identity as a dictionary for JSON: the store derives the key of its unit from it."""

        def identity(teacher: Teacher) -> dict[str, Any]:
            before = {name: getattr(teacher, name) for name in ("taught_by", "continues")}
            clustered = teacher.class_distance or teacher.information
            return {
                **identity_fields(teacher),
                **({} if teacher.logits else _identity_of_network(teacher.network, dataset)),
                **({"clusters_version": clusters.VERSION} if clustered else {}),
                **{name: identity(other) for name, other in before.items() if other},
            }

        return {**identity(self), "dataset": dataset.name, "data": dataset.digest}

    @property
    def builds_on(self) -> tuple["Teacher", ...]:
        """Teachers that must be trained before this one: that which it is distilled from, that which it fine-tunes."""
        return tuple(teacher for teacher in (self.taught_by, self.continues) if teacher)

    def reseeded(self, seed: int) -> "Teacher":
        """Copy with another seed, also of every teacher that it builds on, and these on."""
        before = {name: getattr(self, name) for name in ("taught_by", "continues")}
        return replace(self, seed=seed, **{name: other and other.reseeded(seed) for name, other in before.items()})

    @property
    def epochs_with_responses(self) -> tuple[int, ...]:
        """Epochs, from 1, after which the responses are kept."""
        return self.kept_epochs or tuple(range(1, self.epochs + 1))


@dataclass(frozen=True)
class Student:
    """Configuration of one student's distillation; all fields decide its numbers, and are its identity."""

    teacher: Teacher
    teacher_epoch: int  # whose responses are distilled
    temperature: float
    network: str = "general_student"
    missing_class: int | None = None  # taken out of the transfer set (and so of the hard labels)
    examples_per_class: int | None = None  # None: all
    selection: str = "entropy"  # how examples are chosen: highest entropy at `temperature`, lowest, or random
    alpha: float = 0.99
    t_squared: bool = False
    epochs: int = 20
    steps: int | None = None  # given: train so many steps, whatever the size of the transfer set
    batch_size: int = 128
    learning_rate: float = 1e-3
    precision: str = "fp32"  # or bf16: mixed precision with fp32 weights
    targets: str = "responses"  # one of `targets.TARGETS`: the teacher's, or a control's
    logit_scale: float = 1.0  # of the teacher's logits
    replicate: int = 0
    seeding: str = added_field("common", before="configuration")  # which random numbers it shares: see `seed`
    system: str = added_field("rbkd")  # one of `systems.registry.systems()`, by which it is taught
    parameters: tuple[tuple[str, float], ...] = added_field(())  # of the system, also given as a mapping

    def __post_init__(self) -> None:
        with_plain_numbers(self)
        if self.parameters:  # in one form for each meaning
            object.__setattr__(self, "parameters", parameters_in_order(self.system, self.parameters))

    @property
    def needs_responses(self) -> bool:
        """True if the teacher's responses decide anything: the system's term, or which examples are chosen."""
        system = find_system(self.system)
        silent = self.logit_scale == 0 or ("alpha" in system.fields and self.alpha == 0)
        teaches = "responses" in system.needs and not silent
        return teaches or (self.examples_per_class is not None and self.selection != "random")

    @property
    def response_epochs(self) -> tuple[int, ...]:
        """Epochs of the teacher whose logits are averaged into what is distilled: one, but for systems of several."""
        system = find_system(self.system)
        if not system.epochs:
            return (self.teacher_epoch,)
        parameters = {name: system.values_of(self)[name] for name in system.defaults("targets")}
        return system.epochs(self.teacher.epochs_with_responses, self.teacher_epoch, **parameters)

    def config(self, dataset: Dataset) -> dict[str, Any]:
        """The student's identity as a dictionary for JSON: the store derives the key of its unit from it."""
        network = _identity_of_network(self.network, dataset)
        system = system_identity(self.system)
        own = {**identity_fields(self), **network, **system}
        return {**own, "teacher": self.teacher.config(dataset), "data": dataset.digest}

    def seed(self) -> int:
        """The seed of a student's initial weights, of the order of its examples and of all else that is random in it.

        With `seeding` "common" (common random numbers) it derives from the teacher's seed, the missing class and the
        replicate alone: the arms of a comparison start alike and, where their transfer sets are of one size, take its
        examples in the same order, so that what they have in common cancels in their difference. "configuration", of
        what was published before that, derives it from everything but the precision. Either way a student that is
        trained alone is the student of the sweep. Raises `InputError` for another `seeding`.
        """
        match self.seeding:
            case "common":
                source = {
                    "teacher": self.teacher.seed,
                    "missing_class": self.missing_class,
                    "replicate": self.replicate,
                }
            case "configuration":
                source = identity_fields(replace(self, precision="fp32"))
            case unknown:
                raise InputError(f"unknown seeding {unknown!r}; allowed: {', '.join(SEEDINGS)}")
        return int(identity_digest(source)[:12], 16)


def _identity_of_network(name: str, dataset: Dataset) -> dict[str, Any]:
    """See `network_identity`. Of the sets that kdlib brings none is so large that a network would be scaled to it."""
    return network_identity(name, dataset.family, dataset.builtin, None if dataset.builtin else dataset.shape)


@dataclass(frozen=True)
class Schedule:
    """Mini-batches of a student's training in their order, and the steps after which it is validated."""

    batches: Tensor  # [steps, B], indices into the data set
    validate_after: tuple[int, ...]
