"""What was tried for a training step and lost, beside what is kept: both timed, for MNIST's networks in bf16."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..training.devices import make_deterministic, timings
from ..training.im2col import StridedConvolution
from ..training.layers import Convolution, ConvolutionToBlocks, Network, relu_gradient_, relu_on_bits_
from ..training.models import INPUT_SHAPES, find_architecture

BATCH, STUDENTS, REPEATS = 128, 4, 100


@torch.no_grad()
def measure() -> list[dict[str, Any]]:
    """Rows of what is `kept` and what was `lost`, with `seconds` of both: the best of many, on one thread of a CPU."""
    device = torch.device("cpu")
    make_deterministic(device)
    rows = []
    for kept, lost, *ways in _tries():
        seconds = [min(timings(way, device, REPEATS)) for way in ways]
        rows.append({"row": "try", "kept": kept, "lost": lost, "seconds": seconds})
    return rows


def _tries() -> list[tuple[str, str, Callable[[], object], Callable[[], object]]]:
    architecture, shape = find_architecture("general_student"), INPUT_SHAPES["mnist"]
    one, stack = (Network(architecture, k, shape, 10, BATCH, _random(0)) for k in (1, STUDENTS))
    second = one.layers[1]
    values, gradient = _random(*second.inputs.shape), _random(*second.inputs.shape)
    columns, of_outputs = second.columns.flatten(2), _random(*one.outputs[1].shape)
    channels, (_, height, width) = architecture.widths[0], shape
    plain = Convolution(1, (channels, height // 2, width // 2), second.shape[0], BATCH, _random(0), 2)
    return [
        ("ReLU on the bits", "on numbers of bf16", lambda: relu_on_bits_(values), lambda: values.relu_()),
        (
            "gradient of ReLU on the bits",
            "on numbers of bf16",
            lambda: relu_gradient_(gradient, values),
            lambda: torch.ops.aten.threshold_backward.grad_input(gradient, values, 0, grad_input=gradient),
        ),
        (
            "gradient of the second convolution: columns by outputs",
            "outputs by columns",
            lambda: torch.bmm(columns, of_outputs.mT),
            lambda: torch.bmm(of_outputs, columns.mT),
        ),
        ("second convolution on blocks", "im2col place by place", _passes(second, True), _passes(plain, True)),
        ("last convolution of the large teacher without its padding", "the library's", *_of_a_teacher()),
        (f"{STUDENTS} students in turn", "all in each product", _passes_all(one, STUDENTS), _passes_all(stack, 1)),
    ]


def _passes(layer: Convolution, further: bool = False) -> Callable[[], object]:
    """A layer's forward and backward pass for one student; `further`, with the gradient by its inputs."""
    weight = _random(1, len(layer.rows) + 1, layer.shape[0])
    out, of_weight = _random(1, layer.shape[0], layer.columns[0, 0].numel()), torch.empty_like(weight)

    def run() -> None:
        layer.lay_out()
        layer.multiply(weight, out)
        layer.weight_gradient(out, of_weight)
        if further:
            layer.input_gradient(weight, out)

    return run


def _of_a_teacher() -> list[Callable[[], object]]:
    """Forward and backward passes of the large teacher's last convolution, as it is and by the library."""
    *_, channels, out = find_architecture("large_teacher").widths
    images = _random(BATCH, channels, 7, 7).to(memory_format=torch.channels_last).requires_grad_()
    weight = _random(out, channels, 3, 3).to(memory_format=torch.channels_last).requires_grad_()
    bias = _random(out).requires_grad_()

    def passes(convolve: Callable[..., Tensor], *further: int) -> None:
        with torch.enable_grad():
            outputs = convolve(images, weight, bias, *further)
        torch.autograd.grad(outputs, (images, weight, bias), outputs.detach())

    return [lambda: passes(StridedConvolution.apply), lambda: passes(F.conv2d, 2, 1)]


def _passes_all(network: Network, times: int) -> Callable[[], object]:
    """A network's forward and backward pass, repeated."""
    count = len(network.logits)
    sizes = [layer.shape[0] // (4 if isinstance(layer, ConvolutionToBlocks) else 1) for layer in network.layers]
    weights = [_random(count, len(layer.rows) + 1, n) for layer, n in zip(network.layers, sizes, strict=True)]
    of_weights, gradient = [torch.empty_like(weight) for weight in weights], _random(*network.logits.shape)

    def run() -> None:
        for _ in range(times):
            network.forward(weights)
            network.backward(weights, gradient, of_weights)

    return run


def _random(*shape: int) -> Tensor:
    return torch.randn(shape).bfloat16()
