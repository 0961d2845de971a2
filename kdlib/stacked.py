"""Many students in lock-step: their weights stacked along a first axis K, a convolution as one batched matrix product.

For tiny images a training step of one student is all overhead; stacking shares it. The reference is
`students.train_one`; a test holds the two equal.
"""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .devices import adam
from .models import Architecture, ConvNet, build_model, conv_strides

if TYPE_CHECKING:
    from .data import Dataset
    from .students import Schedule, Student

TINY_PIXELS = 16 * 16
CHUNK = 12  # students at once; beyond a dozen a CPU gains nothing
LANES = 64  # a multiple of every processor's vector width


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
    flat, weights = _stack(models)
    optimizer = adam([flat], students[0].learning_rate, device)

    images = dataset.images.permute(0, 2, 3, 1).contiguous()  # N H W C
    if strides:  # the first layer's patches never change
        images = _Patches.apply(images, strides[0])
    temperatures, alphas, scales = (
        torch.tensor([f(s) for s in students], device=device)
        for f in (lambda s: s.temperature, lambda s: s.alpha, lambda s: s.temperature**2 if s.t_squared else 1.0)
    )
    soft = F.softmax(torch.stack(logits) / temperatures[:, None, None], dim=-1)  # K N C
    rows = torch.arange(len(students), device=device)[:, None]
    batches = torch.stack([plan.batches for plan in plans], dim=1)  # steps K B
    validation, truth = images[dataset.validation][None], dataset.labels[dataset.validation]

    history = []
    for step, batch in enumerate(batches, start=1):
        outputs = _forward(weights, images[batch], strides)
        labels = dataset.labels[batch]
        hard = F.cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels).mean(1)
        log_student = F.log_softmax(outputs / temperatures[:, None, None], dim=-1)
        # The teacher's own entropy is a constant of KL: it has no gradient.
        kl = -(soft[rows, batch] * log_student).sum(-1).mean(1)
        loss = ((1 - alphas) * hard + alphas * scales * kl).sum()
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
        if step in plans[0].validate_after:
            with torch.no_grad():
                history.append((_forward(weights, validation, strides).argmax(-1) == truth).float().mean(1))
    _unstack(weights, models)
    return list(torch.stack(history, dim=1)), models


def can_stack(architecture: Architecture) -> bool:
    """Whether a network's students can run in lock-step: batch norm and dropout are not written for stacks."""
    return not (architecture.batch_norm or architecture.dropout)


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


def _matrix(layer: nn.Module, channels: int) -> Tensor:
    """A layer's weights as [in, out]: taps before channels for a convolution, channels last for what follows one."""
    weight = layer.weight.detach()
    if isinstance(layer, nn.Conv2d):
        return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])
    return weight.view(len(weight), channels, -1).transpose(1, 2).reshape(len(weight), -1).T


def _input_channels(layers: list[nn.Module]) -> list[int]:
    """For each dense layer, how many channels its flattened input has: those of the convolution before it, else 1."""
    return [before.out_channels if isinstance(before, nn.Conv2d) else 1 for before in (None, *layers[:-1])]


def _stack(models: list[ConvNet]) -> tuple[Tensor, list[Tensor]]:
    """All weights of all students in one vector, and the matrices [K, in, out] and biases [K, 1, out] that lie in it.

    The vector is padded to whole `LANES`: Adam rounds what is left over after the last full vector differently, and so
    a student's weights would depend on how many others are in the stack.
    """
    stacks = []
    for layers, channels in zip(
        zip(*(_layers(model) for model in models), strict=True), _input_channels(_layers(models[0])), strict=True
    ):
        stacks.append(torch.stack([_matrix(layer, channels) for layer in layers]))
        stacks.append(torch.stack([layer.bias.detach() for layer in layers])[:, None])
    values = torch.cat([stack.flatten() for stack in stacks])
    flat = F.pad(values, (0, -len(values) % LANES))
    flat.grad = torch.zeros_like(flat)
    sizes = [stack.numel() for stack in stacks]
    weights = [part.view_as(stack) for part, stack in zip(flat[: len(values)].split(sizes), stacks, strict=True)]
    for weight, part in zip(weights, flat.grad[: len(values)].split(sizes), strict=True):
        weight.requires_grad_().grad = part.view_as(weight)
    return flat, weights


@torch.no_grad()
def _unstack(weights: list[Tensor], models: list[ConvNet]) -> None:
    for k, model in enumerate(models):
        layers = _layers(model)
        for depth, (layer, channels) in enumerate(zip(layers, _input_channels(layers), strict=True)):
            matrix, bias = weights[2 * depth][k], weights[2 * depth + 1][k, 0]
            if isinstance(layer, nn.Conv2d):
                out, inputs = layer.weight.shape[:2]
                layer.weight.copy_(matrix.view(3, 3, inputs, out).permute(3, 2, 0, 1))
            else:
                layer.weight.copy_(matrix.T.view(len(layer.weight), -1, channels).transpose(1, 2).flatten(1))
            layer.bias.copy_(bias)
