"""Training a teacher, and its responses: the logits of every example, by data-set index, epoch by epoch."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.dataset import Dataset
from ..data.images import Images
from ..errors import InputError
from ..progress import progress
from . import arguments
from .choices import PRECISIONS
from .config import Teacher
from .devices import GraphedStep, adam, autocast, bf16_emulation, own_defaults
from .losses import kd_divergence
from .models import ConvNet, build_model, find_architecture
from .systems.clusters import BOUND, class_distance, conditional_information, distance_between, sums_by_class

# Larger batches accumulate gradients over parts of this size: exact, bounded in memory, and on a CPU faster, since a
# part's activations stay in the cache.
MICRO_BATCH = {"cpu": 256, "cuda": 4096, "mps": 1024}
# Batch norm takes its statistics from parts of this size (ghost batches, Hoffer et al. 2017): the same on every device,
# so that the recipe is.
GHOST_BATCH = 256


def stored_bytes(teacher: Teacher, dataset: Dataset) -> int:
    """Bytes that the tensors of a teacher's run (see `train_teacher`) take in the store."""
    with torch.device("meta"):
        model = build_model(teacher.network, dataset.family, dataset.shape, dataset.classes)
    responses = len(teacher.epochs_with_responses) * len(dataset.labels) + dataset.test_size
    weights = sum(value.numel() for value in model.state_dict().values())
    return 4 * (responses * dataset.classes + weights * len(teacher.checkpoints or (teacher.epochs,)))


@own_defaults()
def train_teacher(
    teacher: Teacher,
    dataset: Dataset,
    teacher_logits: Tensor | None = None,
    first_run: dict[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Train a teacher with Adam on cross-entropy, on the device that holds the data set.

    Its labels are smoothed (equation 1) where its configuration says so.

    Arguments: `teacher_logits` [N, C], for an assistant the logits of its `taught_by`, by index; then the loss is
    equation 4 (Mirzadeh et al. 2020, section 3). `first_run`, for a fine-tuned teacher the tensors of its `continues`.
    Returns named tensors: `logits` [kept epochs, N, C] of train and validation examples by index, `epochs` [kept],
    `train_accuracy` and `validation_accuracy` [kept] (fractions), `test_logits` [N_test, C] of the last epoch, and
    `weights/<epoch>/<parameter>` of the checkpoints.
    Raises `InputError` before any training for what cannot be trained as asked.
    """
    _check(teacher, dataset, teacher_logits, first_run)
    device = dataset.images.device
    if first_run is None:
        model = build_model(teacher.network, dataset.family, dataset.shape, dataset.classes, teacher.seed).to(device)
    else:
        model = load_teacher(teacher.continues, first_run, dataset).train()
    optimizer = adam(list(model.parameters()), teacher.learning_rate)
    order = torch.Generator().manual_seed(teacher.seed)
    taught = None if teacher_logits is None else teacher_logits.detach().to(device)
    loss = TeacherLoss(teacher, dataset, model, taught)
    if first_run is not None:
        loss.renew_means()
    result: dict[str, Tensor] = {}
    logits, accuracies = [], []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(teacher.seed)  # dropout
        step = GraphedStep(
            lambda batch: train_step(model, optimizer, dataset, batch, teacher.precision, loss),
            dataset.train[: teacher.batch_size],
        )
        title = f"teacher {teacher.network} seed {teacher.seed} batch {teacher.batch_size}"
        for epoch in progress(range(1, teacher.epochs + 1), title):
            for batch in _batches(dataset.train, teacher.batch_size, order):
                step(batch)
            if epoch < teacher.epochs:
                loss.renew_means()
            if epoch in teacher.epochs_with_responses:
                logits.append(predict(model, dataset.images, teacher.precision))
                correct = logits[-1].argmax(-1) == dataset.labels
                accuracies.append([correct[part].float().mean() for part in (dataset.train, dataset.validation)])
            if epoch in (teacher.checkpoints or (teacher.epochs,)):
                result |= {f"weights/{epoch}/{name}": value.clone() for name, value in model.state_dict().items()}
    test_images, _ = dataset.open_test("teacher: accuracy and responses at the last epoch")
    train_accuracy, validation_accuracy = torch.tensor(accuracies).T
    return result | {
        "logits": torch.stack(logits),
        "epochs": torch.tensor(teacher.epochs_with_responses),
        "train_accuracy": train_accuracy,
        "validation_accuracy": validation_accuracy,
        "test_logits": predict(model, test_images, teacher.precision),
    }


def _check(
    teacher: Teacher, dataset: Dataset, teacher_logits: Tensor | None, first_run: dict[str, Tensor] | None
) -> None:
    arguments.instance("a teacher's configuration", teacher, Teacher, "kdlib.Teacher('small_teacher', 0, 10, 32)")
    arguments.is_dataset(dataset)
    if teacher.logits:
        raise InputError("a teacher of your own has responses alone, and is not trained: open its study again")
    find_architecture(teacher.network, dataset.family)
    arguments.whole("seed", teacher.seed, 0, 2**63 - 1)
    for name in ("epochs", "batch_size"):
        arguments.whole(name, getattr(teacher, name), 1)
    for name in ("learning_rate", "temperature"):
        arguments.positive(name, getattr(teacher, name))
    for name in ("alpha", "label_smoothing"):
        arguments.fraction(name, getattr(teacher, name))
    for name in ("class_distance", "information"):
        arguments.finite(name, getattr(teacher, name))
    if teacher.class_distance and teacher.information:
        raise InputError("teacher: class_distance and information cannot both be given; allowed: one of them")
    arguments.one_of("precision", teacher.precision, PRECISIONS)
    check_epochs(teacher)
    if (teacher.taught_by is None) != (teacher_logits is None):
        raise InputError("teacher: `teacher_logits` belong to an assistant, and to no other")
    if (teacher.continues is None) != (first_run is None):
        raise InputError("teacher: `first_run` belongs to a teacher that is fine-tuned, and to no other")
    for name, other in (("taught_by", teacher.taught_by), ("continues", teacher.continues)):
        arguments.instance(f"for {name} a teacher's configuration", other, Teacher | None, "that of its run")
    if first_run is not None:
        arguments.instance("for first_run a teacher's run", first_run, Mapping, "train_teacher's result")
    if teacher.continues and teacher.continues.network != teacher.network:
        raise InputError(f"teacher: {teacher.network!r} cannot go on from the weights of {teacher.continues.network!r}")
    if teacher.taught_by is not None and teacher.label_smoothing:
        raise InputError(
            "teacher: an assistant has the soft labels of its teacher; label_smoothing is allowed without one"
        )
    if teacher_logits is not None:
        arguments.of_every_example("teacher_logits", teacher_logits, dataset)
        arguments.all_finite("teacher_logits", teacher_logits)


def check_epochs(teacher: Teacher) -> None:
    """Raise `InputError` for kept responses or weights of epochs that a teacher's training does not have."""
    for name in ("kept_epochs", "checkpoints"):
        if not isinstance(getattr(teacher, name), tuple | list):
            raise InputError(f"{name} {getattr(teacher, name)!r} cannot be used; allowed: a tuple of epochs")
        for epoch in getattr(teacher, name):
            arguments.whole(f"an epoch in {name}", epoch, min(1, teacher.epochs), teacher.epochs)
    if any(b <= a for a, b in pairwise(teacher.kept_epochs)):  # responses are stored in the order of the epochs
        raise InputError(f"kept_epochs {teacher.kept_epochs!r} cannot be used; allowed: ascending epochs, each once")


def responses(run: dict[str, Tensor], epoch: int | None = None) -> Tensor:
    """A teacher's logits [N, C] of every train and validation example, by index, after an epoch (default: the last).

    Arguments: `run`, what `train_teacher` returns. Raises `InputError` for an epoch whose responses were not kept, and
    for what is no such run.
    """
    if not isinstance(run, Mapping) or not {"epochs", "logits"} <= run.keys():
        raise InputError(
            f"a teacher's run is needed, as train_teacher returns it, got {type(run).__name__}; logits [N, C] of a "
            "network of your own are responses already"
        )
    kept = run["epochs"].tolist()
    arguments.axes(logits=(run["logits"], f"{len(kept)} N C"))
    epoch = kept[-1] if epoch is None else epoch
    if epoch not in kept:
        raise InputError(f"no responses were kept after epoch {epoch}; kept: {', '.join(map(str, kept))}")
    return run["logits"][kept.index(epoch)]


def load_teacher(teacher: Teacher, run: dict[str, Tensor], dataset: Dataset, epoch: int | None = None) -> ConvNet:
    """The trained network, in evaluation mode, from the weights kept after an epoch (default: the last).

    Raises `InputError` if no weights were kept after that epoch, or they are another network's.
    """
    epoch = epoch or teacher.epochs
    prefix = f"weights/{epoch}/"
    weights = {name.removeprefix(prefix): value for name, value in run.items() if name.startswith(prefix)}
    if not weights:
        raise InputError(f"no weights were kept after epoch {epoch}")
    model = build_model(teacher.network, dataset.family, dataset.shape, dataset.classes, teacher.seed)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"the weights after epoch {epoch} are not those of {teacher.network}") from error
    return model.to(dataset.images.device).eval()


@torch.no_grad()
def predict(model: nn.Module, images: Images | Tensor, precision: str = "fp32", at_once: int | None = None) -> Tensor:
    """Outputs [N, ...] of a model in evaluation mode for images [N, C, H, W]: of type fp32, computed in `precision`.

    `at_once`: how many images pass it together; None: as many as are fast on their device.
    """
    training, size = model.training, at_once or MICRO_BATCH[images.device.type]
    model.eval()
    with bf16_emulation(images.device, precision), autocast(images.device, precision):
        for start in range(0, max(1, len(images)), size):
            found = model(_layout(images[start : start + size]))
            if start == 0:
                outputs = torch.empty(len(images), *found.shape[1:], device=found.device)
            outputs[start : start + size] = found
    model.train(training)
    return outputs


def _batches(members: Tensor, size: int, order: torch.Generator) -> Iterator[Tensor]:
    shuffled = members[torch.randperm(len(members), generator=order).to(members.device)]
    yield from shuffled.split(size)


def passes_for_means(teacher: Teacher, epochs: int) -> int:
    """Passes over the training set by which a teacher of so many epochs gets the means by class that its loss takes.

    One before each epoch, but for the first from scratch; none where the loss has no such term.
    """
    if not (teacher.class_distance or teacher.information):
        return 0
    return epochs if teacher.continues else epochs - 1


class TeacherLoss:
    """Loss that a teacher minimises: cross-entropy or equation 4, and a term that moves the clusters of the classes.

    That term's means by class, and its weight, are tensors that change in place between epochs: a step can be captured
    in a CUDA graph. Until there are means, which is in the first epoch from scratch, the weight is 0. The means are
    those of the network in evaluation mode, and so the term takes features, and the logits that it wants, without the
    last dropout: else the distance from the own mean would hold the length of the features. Earlier ones stay on, as
    noise in the features.
    """

    def __init__(self, teacher: Teacher, dataset: Dataset, model: ConvNet, teacher_logits: Tensor | None) -> None:
        self.teacher, self.dataset, self.model, self.teacher_logits = teacher, dataset, model, teacher_logits
        self.strength = teacher.class_distance or teacher.information
        width = model.head.in_features if teacher.class_distance else dataset.classes
        self.means = torch.zeros(dataset.classes, width, device=dataset.images.device)  # of features, or responses
        self.weight, self.bound = torch.zeros(2, device=dataset.images.device)

    def __call__(self, features: Tensor, logits: Tensor, part: Tensor) -> Tensor:
        """Mean loss over examples: features [B, D] before the last dropout, logits [B, C], indices `part` [B]."""
        teacher, labels = self.teacher, self.dataset.labels[part]
        if self.teacher_logits is None:
            value = F.cross_entropy(logits, labels, label_smoothing=teacher.label_smoothing)
        else:
            # Equation 4, of two means: that over examples of `losses.equation_4` would move assistants' last bits.
            soft = kd_divergence(logits, self.teacher_logits[part], teacher.temperature).mean()
            value = (1 - teacher.alpha) * F.cross_entropy(logits, labels) + teacher.alpha * soft
        if teacher.class_distance:
            value = value + self.weight * class_distance(features, labels, self.means, self.bound).mean()
        if teacher.information:
            undropped = self.model.head(features)
            value = value + self.weight * conditional_information(undropped, labels, self.means).mean()
        return value

    def renew_means(self) -> None:
        """Renew the means by class over the training set; with the first ones the term begins to weigh."""
        if not self.strength:
            return
        teacher, dataset, sums = self.teacher, self.dataset, 0
        for part in dataset.train.split(MICRO_BATCH[dataset.images.device.type]):
            seen = self.model.features if teacher.class_distance else self.model
            values = predict(seen, dataset.images[part], teacher.precision)
            values = values if teacher.class_distance else values.softmax(-1)
            sums = sums + sums_by_class(values, dataset.labels[part], dataset.classes)
        counts = torch.bincount(dataset.labels[dataset.train], minlength=dataset.classes)
        self.means.copy_(sums / counts[:, None])
        if self.weight == 0:
            self.weight.fill_(self.strength)
            self.bound.fill_(BOUND * distance_between(self.means))


def train_step(
    model: ConvNet,
    optimizer: torch.optim.Optimizer,
    dataset: Dataset,
    batch: Tensor,
    precision: str,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> None:
    """Take one optimiser step on a batch, its gradients accumulated over micro-batches.

    Arguments: `batch` [B], indices into the data set; `loss(features, logits, indices)`, a mean over its examples
    (None: cross-entropy with the labels), of which the features are those before the last dropout.
    """
    loss = loss or (lambda features, logits, part: F.cross_entropy(logits, dataset.labels[part]))
    optimizer.zero_grad()
    for part in batch.split(micro_batch_size(model, batch.device)):
        with bf16_emulation(batch.device, precision):
            with autocast(batch.device, precision):
                features, dropped = model.features_in_training(_layout(dataset.images[part]))
                logits = model.head(dropped)
            (loss(features.float(), logits.float(), part) * (len(part) / len(batch))).backward()
    optimizer.step()


def micro_batch_size(model: nn.Module, device: torch.device) -> int:
    """Number of examples that pass a network at once in training."""
    normalised = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    return GHOST_BATCH if normalised else MICRO_BATCH[device.type]


def _layout(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
