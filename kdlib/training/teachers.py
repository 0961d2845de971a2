"""Training a teacher, and its responses: the logits of every example, by data-set index, epoch by epoch."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.dataset import Dataset
from ..errors import InputError
from ..progress import progress
from . import arguments
from .choices import PRECISIONS
from .config import Teacher
from .devices import GraphedStep, adam, autocast, bf16_emulation
from .losses import equation_4
from .models import ConvNet, build_model, fastest_memory_format, find_architecture

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


def train_teacher(teacher: Teacher, dataset: Dataset, teacher_logits: Tensor | None = None) -> dict[str, Tensor]:
    """Train a teacher with Adam on cross-entropy, on the device that holds the data set.

    Arguments: `teacher_logits` [N, C], for an assistant the logits of its `taught_by`, by index; then the loss is
    equation 4 (Mirzadeh et al. 2020, section 3).
    Returns named tensors: `logits` [kept epochs, N, C] of train and validation examples by index, `epochs` [kept],
    `train_accuracy` and `validation_accuracy` [kept] (fractions), `test_logits` [N_test, C] of the last epoch, and
    `weights/<epoch>/<parameter>` of the checkpoints.
    Raises `InputError` before any training for what cannot be trained as asked.
    """
    _check(teacher, dataset, teacher_logits)
    device = dataset.images.device
    model = build_model(teacher.network, dataset.family, dataset.shape, dataset.classes, teacher.seed).to(device)
    optimizer = adam(list(model.parameters()), teacher.learning_rate)
    order = torch.Generator().manual_seed(teacher.seed)
    loss = None if teacher_logits is None else _distillation(teacher, dataset, teacher_logits.to(device))
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


def _check(teacher: Teacher, dataset: Dataset, teacher_logits: Tensor | None) -> None:
    find_architecture(teacher.network, dataset.family)
    for name in ("epochs", "batch_size"):
        arguments.whole(name, getattr(teacher, name), 1)
    for name in ("learning_rate", "temperature"):
        arguments.positive(name, getattr(teacher, name))
    arguments.fraction("alpha", teacher.alpha)
    arguments.one_of("precision", teacher.precision, PRECISIONS)
    for name in ("kept_epochs", "checkpoints"):
        for epoch in getattr(teacher, name):
            arguments.whole(f"an epoch in {name}", epoch, 1, teacher.epochs)
    if (teacher.taught_by is None) != (teacher_logits is None):
        raise InputError("teacher: `teacher_logits` belong to an assistant, and to no other")
    if teacher_logits is not None:
        arguments.of_every_example("teacher_logits", teacher_logits, dataset)
        arguments.all_finite("teacher_logits", teacher_logits)


def responses(run: dict[str, Tensor], epoch: int | None = None) -> Tensor:
    """A teacher's logits [N, C] of every train and validation example, by index, after an epoch (default: the last).

    Raises `InputError` for an epoch whose responses were not kept.
    """
    kept = run["epochs"].tolist()
    epoch = kept[-1] if epoch is None else epoch
    if epoch not in kept:
        raise InputError(f"no responses were kept after epoch {epoch}; kept: {', '.join(map(str, kept))}")
    return run["logits"][kept.index(epoch)]


def load_teacher(teacher: Teacher, run: dict[str, Tensor], dataset: Dataset, epoch: int | None = None) -> ConvNet:
    """The trained network, in evaluation mode, from the weights kept after an epoch (default: the last).

    Raises `InputError` if no weights were kept after that epoch.
    """
    prefix = f"weights/{epoch or teacher.epochs}/"
    weights = {name.removeprefix(prefix): value for name, value in run.items() if name.startswith(prefix)}
    if not weights:
        raise InputError(f"no weights were kept after epoch {epoch}")
    model = build_model(teacher.network, dataset.family, dataset.shape, dataset.classes, teacher.seed)
    model.load_state_dict(weights)
    return model.to(dataset.images.device).eval()


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, precision: str = "fp32") -> Tensor:
    """Outputs [N, ...] of a model in evaluation mode for images [N, C, H, W]: of type fp32, computed in `precision`."""
    training, size = model.training, MICRO_BATCH[images.device.type]
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


def _distillation(teacher: Teacher, dataset: Dataset, teacher_logits: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    def loss(logits: Tensor, part: Tensor) -> Tensor:
        labels = dataset.labels[part]
        settings = {"temperature": teacher.temperature, "alpha": teacher.alpha, "t_squared": False}
        return equation_4(logits, teacher_logits[part], labels, **settings)

    return loss


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    dataset: Dataset,
    batch: Tensor,
    precision: str,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> None:
    """Take one optimiser step on a batch, its gradients accumulated over micro-batches.

    Arguments: `batch` [B], indices into the data set; `loss(logits, indices)`, a mean over its examples (None:
    cross-entropy with the labels).
    """
    loss = loss or (lambda logits, part: F.cross_entropy(logits, dataset.labels[part]))
    optimizer.zero_grad()
    for part in batch.split(micro_batch_size(model, batch.device)):
        with bf16_emulation(batch.device, precision):
            with autocast(batch.device, precision):
                logits = model(_layout(dataset.images[part]))
            (loss(logits.float(), part) * (len(part) / len(batch))).backward()
    optimizer.step()


def micro_batch_size(model: nn.Module, device: torch.device) -> int:
    """Number of examples that pass a network at once in training."""
    normalised = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    return GHOST_BATCH if normalised else MICRO_BATCH[device.type]


def _layout(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=fastest_memory_format(*images.shape[-2:]))
