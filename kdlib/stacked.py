"""Many students in lock-step: their weights stacked along a first axis K, a convolution as one batched matrix product.

For tiny images a training step of one student is all overhead; stacking shares it. The reference is
`students.train_one`; a test holds the two equal.
"""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .devices import adam
from .flat import flatten
from .losses import kd_gradient, kd_targets
from .models import Architecture, ConvNet, build_model, conv_strides

if TYPE_CHECKING:
    from .data import Dataset
    from .students import Schedule, Student

TINY_PIXELS = 16 * 16
CHUNK = 12  # students at once; beyond a dozen a CPU gains nothing
CUDA_CHUNK = 128
MEMORY_SHARE = 0.5  # of an accelerator's free memory, for activations


def train(
    students: "list[Student]", dataset: "Dataset", logits: list[Tensor], plans: "list[Schedule]"
) -> tuple[list[Tensor], list[ConvNet]]:
    """Train students that share network, batch size, number of steps and learning rate.

    Arguments: as `students.train_one`, teacher logits [N, C] and a schedule for each student.
    Returns each student's validation accuracies, and its network.
    """
    if len(students) == 1:  # a stack of one takes another path through the matrix library, with other last bits
        histories, models = train(students * 2, dataset, logits * 2, plans * 2)
        return histories[:1], models[:1]
    device = dataset.images.device
    args = (students[0].network, dataset.family, dataset.shape, dataset.classes)
    models = [build_model(*args, seed=student.seed()).to(device) for student in students]
    strides = conv_strides(models[0].architecture)
    vector, weights = flatten(_stack(models))
    optimizer = adam([vector], students[0].learning_rate)

    images = dataset.images.permute(0, 2, 3, 1).contiguous()  # N H W C
    if strides:  # the first layer's patches never change
        images = _Patches.apply(images, strides[0])
    settings = {
        name: torch.tensor([getattr(s, name) for s in students], device=device)[:, None, None]
        for name in ("temperature", "alpha", "t_squared")
    }
    targets = kd_targets(torch.stack(logits), dataset.labels.expand(len(students), -1), **settings)  # K N C
    rows = torch.arange(len(students), device=device)[:, None]
    batches = torch.stack([plan.batches for plan in plans], dim=1)  # steps K B
    validation, truth = images[dataset.validation][None], dataset.labels[dataset.validation]

    history = []
    for step, batch in enumerate(batches, start=1):
        outputs = _forward(weights, images[batch], strides)
        outputs.backward(kd_gradient(outputs.detach(), targets[rows, batch], **settings))
        optimizer.step()
        vector.grad.zero_()
        if step in plans[0].validate_after:
            with torch.no_grad():
                history.append((_forward(weights, validation, strides).argmax(-1) == truth).float().mean(1))
    _unstack(weights, models)
    return list(torch.stack(history, dim=1)), models


def can_stack(architecture: Architecture) -> bool:
    """Whether a network's students can run in lock-step: batch norm and dropout are not written for stacks."""
    return not (architecture.batch_norm or architecture.dropout)


def most_at_once(architecture: Architecture, shape: tuple[int, int, int], batch_size: int, device: torch.device) -> int:
    """How many students a stack may have: on CUDA as many as its free memory holds."""
    if device.type != "cuda":
        return CHUNK
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(CUDA_CHUNK, int(MEMORY_SHARE * free / step_bytes(architecture, shape, batch_size))))


def step_bytes(architecture: Architecture, shape: tuple[int, int, int], batch_size: int) -> int:
    """Memory of a student's activations and patches in a step, with as much again for their gradients."""
    channels, height, width = shape
    numbers = 0
    for out, stride in zip(architecture.widths, conv_strides(architecture), strict=True):
        height, width = -(-height // stride), -(-width // stride)
        numbers += height * width * (9 * channels + 2 * out)  # patches, sums, and what ReLU leaves of them
        channels = out
    numbers += channels * height * width + 2 * sum(architecture.dense)
    return 2 * 4 * batch_size * numbers


class _Patches(torch.autograd.Function):
    """[..., H, W, C] -> [..., H', W', 9 C]: what a 3x3 convolution with padding 1 sees at each place.

    Its backward adds the nine taps in place; autograd's own would allocate a full gradient for each.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, stride: int) -> Tensor:
        ctx.shape, ctx.stride = images.shape, stride
        padded = F.pad(images, (0, 0, 1, 1, 1, 1))
        return torch.cat([padded[tap] for tap in _taps(ctx.shape, stride)], dim=-1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        *lead, height, width, channels = ctx.shape
        padded = gradient.new_zeros(*lead, height + 2, width + 2, channels)
        for tap, part in zip(_taps(ctx.shape, ctx.stride), gradient.split(channels, dim=-1), strict=True):
            padded[tap] += part
        return padded[..., 1:-1, 1:-1, :], None


def _taps(shape: torch.Size, stride: int) -> list[tuple]:
    """Index of each of the nine taps into the padded images."""
    spans = [range(start, start + stride * (-(-size // stride) - 1) + 1) for size in shape[-3:-1] for start in range(3)]
    slices = [slice(span.start, span.stop, stride) for span in spans]
    return [(..., rows, columns, slice(None)) for rows in slices[:3] for columns in slices[3:]]


def _forward(weights: list[Tensor], inputs: Tensor, strides: tuple[int, ...]) -> Tensor:
    """Logits [K, B, classes] of K students for inputs [K or 1, B, ...]: first-layer patches, or images."""
    students, size = len(weights[0]), inputs.shape[1]
    hidden = inputs
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    for depth, (weight, bias) in enumerate(layers):
        if depth < len(strides):
            patches = hidden if depth == 0 else _Patches.apply(hidden, strides[depth])
            places = patches.shape[2:4]
            flat = patches.reshape(patches.shape[0], -1, patches.shape[-1]).expand(students, -1, -1)
            hidden = torch.baddbmm(bias, flat, weight).relu().view(students, size, *places, -1)
        else:
            flat = hidden.reshape(hidden.shape[0], size, -1).expand(students, -1, -1)
            hidden = torch.baddbmm(bias, flat, weight)
            if depth < len(layers) - 1:
                hidden = hidden.relu()
    return hidden


def _layers(model: ConvNet) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def _matrix(layer: nn.Module) -> Tensor:
    """A layer's weights as [in, out]: of a convolution, taps before channels."""
    weight = layer.weight.detach()
    if isinstance(layer, nn.Conv2d):
        weight = weight.permute(0, 2, 3, 1).flatten(1)
    return weight.T


def _stack(models: list[ConvNet]) -> list[Tensor]:
    """All students' matrices [K, in, out] and biases [K, 1, out], layer by layer."""
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
