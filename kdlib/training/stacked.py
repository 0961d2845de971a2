"""Many students trained together: one optimiser step for all, and one layout of the examples that they have in common.

For tiny images, or on an accelerator, a step is all overhead: there each product is one of all K students. In a CPU's
own bf16 they take turns instead, and what one computes stays in the cache. The reference is `students.train_one`; a
test holds the two equal in fp32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.dataset import Dataset
from .config import Schedule, Student
from .devices import GraphedStep, adam, bf16_emulation
from .flat import FlatWeights
from .layers import Layer, Network
from .models import Architecture, ConvNet, build_model, find_architecture, is_tiny
from .systems.objective import Objective

VERSION = 2  # to be raised with every change that moves a student's last bits
CPU_STACK = 12  # most students in a stack where a step is overhead; beyond a dozen a CPU gains nothing
CPU_TURNS = 4  # most students in a stack where they take turns: then a quarter of what they share is left to each
CUDA_STACK = 128  # most students in a stack on CUDA
MEMORY_SHARE = 0.5  # of an accelerator's free memory, for activations
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@torch.no_grad()
def train(
    students: list[Student],
    dataset: Dataset,
    logits: list[Tensor],
    schedules: list[Schedule],
    models: list[ConvNet] | None = None,
    added: list[Tensor] | None = None,
) -> tuple[list[Tensor], list[ConvNet]]:
    """Train students that share network, system, batch size, number of steps, learning rate and precision.

    Arguments: `logits`, for each student the target logits [N, C] of all examples; `schedules`, one for each student;
    `models`, their networks on the CPU with the initial weights (None: those of each student's seed); `added`, for each
    student the logits [N, C] of a network that is trained no more, to which its own answers are added (None: to none).
    Returns each student's validation accuracies (fractions, one for each validation), and its network. In bf16 these
    accuracies are of weights and logits rounded to bf16, where the loop predicts in fp32 with the fp32 weights.
    """
    count, first = len(students), students[0]
    args = (first.network, dataset.family, dataset.shape, dataset.classes)
    models = models or [build_model(*args, seed=student.seed()) for student in students]
    if count == 1 and not in_turns(first, dataset):  # one alone takes another path of the matrix library: other bits
        students, logits, schedules, models = students * 2, logits * 2, schedules * 2, models * 2
        added = added and added * 2
    stack = Stack(students, dataset, logits, schedules, models, added)
    run_step = GraphedStep(stack.step, stack.batches[0])
    history = []
    with bf16_emulation(dataset.images.device, first.precision):
        for step, batch in enumerate(stack.batches, start=1):
            run_step(batch)
            if step in schedules[0].validate_after:
                stack.objective.end_epoch()
                history.append(stack.validate())
    stack.unstack(models)
    return list(torch.stack(history, dim=1))[:count], models[:count]


class Stack:
    """K students in training: their networks, weights and gradients, one objective, and the batches of all.

    Arguments: as of `train`, but that the networks `models` are given.
    """

    def __init__(
        self,
        students: list[Student],
        dataset: Dataset,
        logits: list[Tensor],
        schedules: list[Schedule],
        models: list[ConvNet],
        added: list[Tensor] | None,
    ) -> None:
        self.dataset, device, count, first = dataset, dataset.images.device, len(students), students[0]
        self.kind = DTYPES[first.precision]
        self.batches = torch.stack([schedule.batches for schedule in schedules], dim=1)  # steps K B
        self.size, at_once = self.batches.shape[-1], 1 if in_turns(first, dataset) else count
        architecture = find_architecture(first.network, dataset.family, dataset.shape)
        like = torch.empty(0, dtype=self.kind, device=device)
        self.network = Network(architecture, at_once, dataset.shape, dataset.classes, self.size, like)
        self.weights = FlatWeights(_stack([model.to(device) for model in models], self.network.layers), self.kind)
        self.optimizer = adam([self.weights.vector], first.learning_rate)
        self.objective = Objective(students, dataset.labels, logits, len(self.batches))
        self.objective.stack()
        self.parts = [slice(start, start + at_once) for start in range(0, count, at_once)]  # that are computed at once
        self.matrices = [self.weights.views(self.weights.rounded[part]) for part in self.parts]
        self.gradients = [self.weights.views(self.weights.gradient[part]) for part in self.parts]
        self.loaded = _examples_to_load(self.batches, self.parts)
        self.rows = torch.arange(count, device=device)[:, None]
        self.added = None if added is None else torch.stack(added)  # K N C

    def load(self, examples: Tensor) -> None:
        """Lay out examples [k, B], indices into the data set, for the networks: of each of k students, or of all."""
        images = self.dataset.images[examples.flatten()]
        self.network.load(images.to(self.kind).view(*examples.shape, *self.dataset.shape))

    def step(self, batch: Tensor) -> None:
        """Take an optimiser's step of all students, on a batch of each: indices [K, B]."""
        for part, matrices, gradients, own in zip(self.parts, self.matrices, self.gradients, self.loaded, strict=True):
            if own:
                self.load(batch[own])
            outputs = self.network.forward(matrices).mT.float()  # K B C
            if self.added is not None:
                outputs = outputs + self.added[self.rows[part], batch[part]]
            gradient = self.objective.gradient(outputs, batch[part], part)
            self.network.backward(matrices, gradient.mT.to(self.kind), gradients)
        self.objective.advance()
        self.weights.step(self.optimizer)

    def validate(self) -> Tensor:
        """Share of the validation examples that each student classifies rightly, [K]."""
        correct = torch.zeros(len(self.rows), dtype=torch.int64, device=self.rows.device)
        for members in self.dataset.validation.split(self.size):
            self.load(F.pad(members, (0, self.size - len(members)))[None])
            for part, matrices in zip(self.parts, self.matrices, strict=True):
                outputs = self.network.forward(matrices, keep_nan=True).mT[:, : len(members)]
                if self.added is not None:
                    outputs = outputs + self.added[part][:, members]
                correct[part] += (outputs.argmax(-1) == self.dataset.labels[members]).sum(1)
        return correct / len(self.dataset.validation)

    def unstack(self, models: list[ConvNet]) -> None:
        """Write each student's weights into its network."""
        _unstack(self.weights.views(self.weights.vector), models, self.network.layers)


def in_turns(student: Student, dataset: Dataset) -> bool:
    """True if a student of a stack is trained on this device's CPU after the others in each step: see `takes_turns`."""
    architecture = find_architecture(student.network, dataset.family, dataset.shape)
    return dataset.images.device.type == "cpu" and takes_turns(architecture, dataset.shape)


def _examples_to_load(batches: Tensor, parts: list[slice]) -> list[slice | None]:
    """For each part of the students, whose batches (of [steps, K, B]) it loads.

    One's alone where all of it have the same; none's (None) where those of the part before were the same.
    """
    same = [k > 0 and torch.equal(batches[:, k], batches[:, k - 1]) for k in range(batches.shape[1])]
    found: list[slice | None] = []
    for part in parts:
        if all(same[part]):
            found.append(None)
        else:
            found.append(slice(part.start, part.start + 1) if all(same[part][1:]) else part)
    return found


def can_stack(architecture: Architecture) -> bool:
    """True if students of a network can be trained in a stack: batch norm and dropout are not written for stacks."""
    return not (architecture.batch_norm or architecture.dropout or architecture.flat_dropout)


def slices_aligned(architecture: Architecture, shape: tuple[int, int, int], classes: int, batch_size: int) -> bool:
    """True if each student's part of every stacked matrix begins at a multiple of 16 bytes in fp32.

    Where it does not, a CPU's matrix library takes another path for some of the students, and a student's last bits
    depend on its place in the stack. Arguments: `shape` (channels, height, width) of an image.
    """
    network = Network(architecture, 1, shape, classes, batch_size, torch.empty(0, device="meta"))
    return all(buffer.stride(0) % 4 == 0 for buffer in network.buffers())


def max_stack_size(
    architecture: Architecture, shape: tuple[int, int, int], batch_size: int, device: torch.device
) -> int:
    """Largest number of students in a stack: on CUDA as many as its free memory holds, at most `CUDA_STACK`."""
    if device.type != "cuda":
        return cpu_stack_size(architecture, shape)
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(CUDA_STACK, int(MEMORY_SHARE * free / activation_bytes(architecture, shape, batch_size))))


def cpu_stack_size(architecture: Architecture, shape: tuple[int, int, int]) -> int:
    """Largest number of students in a stack on a CPU."""
    return CPU_TURNS if takes_turns(architecture, shape) else CPU_STACK


def takes_turns(architecture: Architecture, shape: tuple[int, int, int]) -> bool:
    """True if a CPU trains the students of a stack one after another in each step: where steps are no overhead."""
    return bool(architecture.widths) and not is_tiny(*shape[1:])


def activation_bytes(architecture: Architecture, shape: tuple[int, int, int], batch_size: int) -> int:
    """Bytes of one student's activations and im2col in a step in fp32, with as much again for their gradients."""
    network = Network(architecture, 1, shape, 1, batch_size, torch.empty(0, device="meta"))
    return 2 * sum(buffer.nbytes for buffer in network.buffers())


def _modules(model: ConvNet) -> list[nn.Conv2d | nn.Linear]:
    return [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def _stack(models: list[ConvNet], layers: list[Layer]) -> list[Tensor]:
    """Weights [K, inputs + 1, outputs] of all students, layer by layer; the last row is the bias."""
    stacks = []
    for layer, *modules in zip(layers, *map(_modules, models), strict=True):
        weights = [torch.cat([m.weight.flatten(1).T[layer.rows], m.bias[None]]) for m in modules]
        stacks.append(torch.stack(weights))
    return stacks


def _unstack(weights: list[Tensor], models: list[ConvNet], layers: list[Layer]) -> None:
    for layer, stack, *modules in zip(layers, weights, *map(_modules, models), strict=True):
        for matrix, module in zip(stack, modules, strict=True):
            weight = torch.empty_like(matrix[:-1].T)
            weight[:, layer.rows] = matrix[:-1].T
            module.weight.copy_(weight.view_as(module.weight))
            module.bias.copy_(matrix[-1])
