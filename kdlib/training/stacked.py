"""Many students trained together: weights stacked along a first axis K, each convolution one batched matrix product.

Where a step is all overhead, for tiny images or on an accelerator, stacking shares it. In a CPU's own bf16 matrix
products are twice as fast as convolutions, also for one student alone. The reference is `students.train_one`; a test
holds the two equal in fp32.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn

from ..data.dataset import Dataset
from .config import Schedule, Student
from .devices import GraphedStep, adam, bf16_emulation
from .flat import flatten
from .im2col import Im2col, block_windows, can_use_blocks, convolve_blocks
from .models import Architecture, ConvNet, build_model, conv_strides, find_architecture, is_tiny
from .systems.objective import Objective

CPU_STACK = 12  # most students in a stack where a step is overhead; beyond a dozen a CPU gains nothing
CUDA_STACK = 128  # most students in a stack on CUDA
MEMORY_SHARE = 0.5  # of an accelerator's free memory, for activations
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def train(
    students: list[Student], dataset: Dataset, logits: list[Tensor], schedules: list[Schedule]
) -> tuple[list[Tensor], list[ConvNet]]:
    """Train students that share network, system, batch size, number of steps, learning rate and precision.

    Arguments: `logits`, for each student the target logits [N, C] of all examples; `schedules`, one for each student.
    Returns each student's validation accuracies (fractions, one for each validation), and its network.
    """
    architecture = find_architecture(students[0].network, dataset.family)
    device = dataset.images.device
    stacks = device.type != "cpu" or cpu_stack_size(architecture, dataset.shape) > 1
    if stacks and len(students) == 1:  # one alone takes another path through the matrix library: other last bits
        histories, models = train(students * 2, dataset, logits * 2, schedules * 2)
        return histories[:1], models[:1]
    args = (students[0].network, dataset.family, dataset.shape, dataset.classes)
    models = [build_model(*args, seed=student.seed()).to(device) for student in students]
    strides = conv_strides(architecture)
    vector, weights = flatten(_stack(models))
    optimizer = adam([vector], students[0].learning_rate)

    inputs = _inputs(dataset, strides, DTYPES[students[0].precision])
    on_blocks = can_use_blocks(strides, *dataset.shape[1:])
    objective = Objective(students, dataset.labels, logits, len(schedules[0].batches))
    objective.stack()
    batches = torch.stack([schedule.batches for schedule in schedules], dim=1)  # steps K B

    def count_correct(part: Tensor) -> Tensor:
        outputs = _forward(weights, _gather(inputs, part[None]), strides, on_blocks)
        return (outputs.argmax(-1) == dataset.labels[part]).sum(1)

    def train_step(batch: Tensor) -> None:
        outputs = _forward(weights, _gather(inputs, batch), strides, on_blocks)
        outputs.backward(objective.gradient(outputs.detach().float(), batch).to(outputs.dtype))
        optimizer.step()
        vector.grad.zero_()

    history = []
    run_step = GraphedStep(train_step, batches[0])
    with bf16_emulation(device, students[0].precision):
        for step, batch in enumerate(batches, start=1):
            run_step(batch)
            if step in schedules[0].validate_after:
                objective.end_epoch()
                with torch.no_grad():
                    correct = sum(count_correct(part) for part in dataset.validation.split(batches.shape[-1]))
                history.append(correct / len(dataset.validation))
    _unstack(weights, models)
    return list(torch.stack(history, dim=1)), models


def can_stack(architecture: Architecture) -> bool:
    """True if students of a network can be trained in a stack: batch norm and dropout are not written for stacks."""
    return not (architecture.batch_norm or architecture.dropout or architecture.flat_dropout)


def slices_aligned(architecture: Architecture, shape: tuple[int, int, int], classes: int, batch_size: int) -> bool:
    """True if each student's part of every stacked matrix begins at a multiple of 16 bytes in fp32.

    Where it does not, a CPU's matrix library takes another path for some of the students, and a student's last bits
    depend on its place in the stack. Arguments: `shape` (channels, height, width) of an image.
    """
    channels, height, width = shape
    sizes, inputs = [batch_size * channels * height * width], channels
    for out, stride in zip(architecture.widths, conv_strides(architecture), strict=True):
        height, width = -(-height // stride), -(-width // stride)
        sizes += [9 * inputs * out, out, batch_size * height * width * out]
        inputs = out
    inputs *= height * width
    for out in architecture.dense:
        sizes += [inputs * out, out, batch_size * out]
        inputs = out
    return all(size % 4 == 0 for size in (*sizes, inputs * classes, batch_size * classes))


def max_stack_size(
    architecture: Architecture, shape: tuple[int, int, int], batch_size: int, device: torch.device
) -> int:
    """Largest number of students in a stack: on CUDA as many as its free memory holds, at most `CUDA_STACK`."""
    if device.type != "cuda":
        return cpu_stack_size(architecture, shape)
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(CUDA_STACK, int(MEMORY_SHARE * free / activation_bytes(architecture, shape, batch_size))))


def cpu_stack_size(architecture: Architecture, shape: tuple[int, int, int]) -> int:
    """Largest number of students in a stack on a CPU: one, which stays in the cache, where steps are no overhead."""
    return 1 if architecture.widths and not is_tiny(*shape[1:]) else CPU_STACK


def activation_bytes(architecture: Architecture, shape: tuple[int, int, int], batch_size: int) -> int:
    """Bytes of one student's activations and im2col in a step in fp32, with as much again for their gradients."""
    channels, height, width = shape
    numbers = 0
    for out, stride in zip(architecture.widths, conv_strides(architecture), strict=True):
        height, width = -(-height // stride), -(-width // stride)
        numbers += height * width * (9 * channels + 2 * out)  # im2col, outputs, and the outputs after ReLU
        channels = out
    numbers += channels * height * width + 2 * sum(architecture.dense)
    return 2 * 4 * batch_size * numbers


@lru_cache(maxsize=1)  # it serves every student of a data set
def _inputs(dataset: Dataset, strides: tuple[int, ...], kind: torch.dtype) -> Tensor:
    """Inputs of the first layer for every example: windows of blocks, im2col, or the image."""
    images = dataset.images.to(kind).permute(0, 2, 3, 1).contiguous()  # N H W C
    if can_use_blocks(strides, *dataset.shape[1:]):
        return block_windows(images)
    return Im2col.apply(images, strides[0]) if strides else images


def _gather(values: Tensor, rows: Tensor) -> Tensor:
    """Rows of a tensor, as `values[rows]`, which copies number by number where this copies whole rows."""
    return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])


def _forward(weights: list[Tensor], inputs: Tensor, strides: tuple[int, ...], on_blocks: bool) -> Tensor:
    """Logits [K, B, classes] of K students, in the precision of their inputs [K or 1, B, ...] from `_inputs`."""
    students, size = len(weights[0]), inputs.shape[1]
    hidden, first = inputs, 0
    if on_blocks:
        hidden, first = convolve_blocks(inputs, weights[:4]), 2
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    for depth, layer in enumerate(layers[first:], start=first):
        weight, bias = (part.to(inputs.dtype) for part in layer)
        if depth < len(strides):
            columns = hidden if depth == 0 else Im2col.apply(hidden, strides[depth])
            spatial = columns.shape[2:4]
            flat = columns.reshape(columns.shape[0], -1, columns.shape[-1]).expand(students, -1, -1)
            hidden = torch.baddbmm(bias, flat, weight).relu().view(students, size, *spatial, -1)
        else:
            flat = hidden.reshape(hidden.shape[0], size, -1).expand(students, -1, -1)
            hidden = torch.baddbmm(bias, flat, weight)
            if depth < len(layers) - 1:
                hidden = hidden.relu()
    return hidden


def _layers(model: ConvNet) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def _matrix(layer: nn.Module) -> Tensor:
    """Weights of a layer as a matrix [in, out]; of a convolution, taps before channels."""
    weight = layer.weight.detach()
    if isinstance(layer, nn.Conv2d):
        weight = weight.permute(0, 2, 3, 1).flatten(1)
    return weight.T


def _stack(models: list[ConvNet]) -> list[Tensor]:
    """Matrices [K, in, out] and biases [K, 1, out] of all students, layer by layer."""
    stacks = []
    for layers in zip(*(_layers(model) for model in models), strict=True):
        stacks.append(torch.stack([_matrix(layer) for layer in layers]))
        stacks.append(torch.stack([layer.bias.detach() for layer in layers])[:, None])
    return stacks


@torch.no_grad()
def _unstack(weights: list[Tensor], models: list[ConvNet]) -> None:
    for k, model in enumerate(models):
        for layer, matrix, bias in zip(_layers(model), weights[::2], weights[1::2], strict=True):
            weight = matrix[k].T
            if isinstance(layer, nn.Conv2d):
                weight = weight.view(len(weight), 3, 3, -1).permute(0, 3, 1, 2)
            layer.weight.copy_(weight)
            layer.bias.copy_(bias[k, 0])
