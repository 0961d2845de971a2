"""3x3 convolutions of stride 2 with padding 1 as matrix products, by im2col (Chellapilla et al. 2006), for teachers.

Students' are in `layers.py`.
"""

from functools import cache
from itertools import product
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SMALL = 7  # most pixels a side of images that the library's convolution takes longer for


class Window(NamedTuple):
    """Neighbouring outputs along an axis that see the same taps of the kernel, the others lying in the padding."""

    outputs: slice
    taps: slice
    inputs: tuple[slice, ...]  # for each tap, what the outputs see of the images


@cache
def windows(size: int) -> tuple[Window, ...]:
    """Windows of the outputs along an axis of `size` pixels, in their order: one, two or three."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for out in range(-(-size // 2)):
        groups.setdefault(tuple(tap for tap in range(3) if 0 <= 2 * out + tap - 1 < size), []).append(out)
    found = []
    for taps, (first, *_, last) in ((taps, (outs[0], *outs)) for taps, outs in groups.items()):
        inputs = tuple(slice(2 * first + tap - 1, 2 * last + tap, 2) for tap in taps)
        found.append(Window(slice(first, last + 1), slice(taps[0], taps[-1] + 1), inputs))
    return tuple(found)


class StridedConvolution(torch.autograd.Function):
    """A 3x3 convolution with padding 1 and stride 2: images [B, C, H, W], weight [O, C, 3, 3], bias [O].

    On a CPU, where the layer is wide enough (`models.MIN_IM2COL_CHANNELS`), the weights' gradient by im2col takes two
    thirds of the library's time in bf16; of small images so do outputs and the images' gradient. Nothing is multiplied
    with the padding: outputs that see the same taps make a product of their own. Of 4x4 pixels, padding is a third of
    all operations.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The convolution's outputs [B, O, H', W'], by PyTorch's own convolution where the images are not small."""
        ctx.save_for_backward(images, weight)
        if not is_small(images):
            return F.conv2d(images, weight, bias, stride=2, padding=1)
        seen, kernels = images.permute(0, 2, 3, 1), weight.permute(0, 2, 3, 1)
        shape = len(images), len(weight), *(-(-size // 2) for size in images.shape[2:])
        outputs = torch.empty(shape, dtype=images.dtype, memory_format=torch.channels_last)
        for rows, columns in _pairs(images):
            kernel = kernels[:, rows.taps, columns.taps].reshape(len(weight), -1).contiguous()
            found = multiply(im2col(seen, rows, columns).flatten(0, 2), kernel.mT)
            place = outputs.permute(0, 2, 3, 1)[:, rows.outputs, columns.outputs]
            torch.add(found.view(place.shape), bias, out=place)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """Gradients of images (None where not needed), weight and bias, from that of the outputs [B, O, H', W']."""
        images, weight = ctx.saved_tensors
        flat = gradient.permute(0, 2, 3, 1)
        of_images = None
        if ctx.needs_input_grad[0]:
            by_library = not is_small(images)
            of_images = _library_images(images, weight, gradient) if by_library else _of_images(images, weight, flat)
        return of_images, _of_weight(images, weight, flat), flat.flatten(0, 2).sum(0)


def is_small(images: Tensor) -> bool:
    """True of images [B, C, H, W] of few pixels a side, of which much of what a convolution sees is padding."""
    return max(images.shape[2:]) <= SMALL


def im2col(images: Tensor, rows: Window, columns: Window) -> Tensor:
    """Columns [B, H', W', taps C] of images [B, H, W, C]: at each place of two windows the taps that it multiplies."""
    return torch.cat([images[:, row, column] for row, column in product(rows.inputs, columns.inputs)], dim=-1)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product [M, N] of matrices on a CPU, in fp32 by the library that PyTorch takes for bf16, oneDNN.

    For fp32 it would take another, which uses half of the vector width of some processors.
    """
    if a.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        # Both contiguous or transposed: with other strides it takes hundreds of times as long.
        return torch.ops.mkldnn._linear_pointwise(a, b.mT, None, "none", [], "")
    return a @ b


def _pairs(images: Tensor) -> product:
    return product(*(windows(size) for size in images.shape[2:]))


def _of_weight(images: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    """From a gradient [B, H', W', O]; added up in fp32."""
    found = torch.zeros(len(weight), 3, 3, weight.shape[1], dtype=torch.float32)
    for rows, columns in _pairs(images):
        part = gradient[:, rows.outputs, columns.outputs].flatten(0, 2)
        place = found[:, rows.taps, columns.taps]
        seen = im2col(images.permute(0, 2, 3, 1), rows, columns).flatten(0, 2)
        place += multiply(part.mT, seen).view(place.shape)
    return found.to(weight.dtype).permute(0, 3, 1, 2)


def _of_images(images: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    found = torch.zeros_like(images.permute(0, 2, 3, 1))
    for rows, columns in _pairs(images):
        part = gradient[:, rows.outputs, columns.outputs]
        kernel = weight.permute(0, 2, 3, 1)[:, rows.taps, columns.taps].reshape(len(weight), -1).contiguous()
        of_columns = multiply(part.flatten(0, 2), kernel).view(*part.shape[:3], -1, images.shape[1])
        for tap, (row, column) in enumerate(product(rows.inputs, columns.inputs)):
            found[:, row, column] += of_columns[..., tap, :]
    return found.permute(0, 3, 1, 2)


def _library_images(images: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    return torch.nn.grad.conv2d_input(images.shape, weight, gradient, stride=2, padding=1)
