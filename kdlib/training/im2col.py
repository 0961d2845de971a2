"""3x3 convolutions with padding 1 as matrix products, by im2col (Chellapilla et al. 2006). All is channels-last."""

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

GEMM_ALIGNMENT = 16  # a matrix product is slow where its inner dimension is no multiple of it
BLOCK = 4  # pixels a side: what two convolutions of stride 2 turn into one place
# After the first convolution a block has four places: (0, 0), (0, 1), (1, 0), (1, 1). The second sees all of them, the
# lower two of the block above, the right two of the one to the left, and the last of the one above that. Which of its
# nine taps each of these meets:
FORWARD_TAPS = (4, 5, 7, 8, 1, 2, 3, 6, 0)
# In the backward pass: which tap of its own block's place, of the one below, to the right, and below that one, meets
# each of a block's four (9: none does).
BACKWARD_TAPS = (4, 5, 7, 8, 9, 9, 1, 2, 9, 3, 9, 6, 9, 9, 9, 0)


class Im2col(torch.autograd.Function):
    """im2col of a 3x3 convolution, [..., H, W, C] -> [..., H', W', 9 C]: at each place the nine taps it multiplies.

    The backward pass (col2im) adds the nine taps in place; autograd's own would allocate a full gradient for each of
    them.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, stride: int) -> Tensor:
        """Columns [..., H', W', 9 C], taps before channels, of images [..., H, W, C]."""
        ctx.shape, ctx.stride = images.shape, stride
        padded = F.pad(images, (0, 0, 1, 1, 1, 1))
        return torch.cat([padded[tap] for tap in _taps(ctx.shape, stride)], dim=-1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The images' gradient [..., H, W, C], from that of the columns."""
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


class StridedConvolution(torch.autograd.Function):
    """A 3x3 convolution with padding 1 and stride 2: images [B, C, H, W], weight [O, C, 3, 3], bias [O].

    In bf16 on a CPU the weights' gradient as one matrix product over im2col takes two thirds of the library's time,
    where the layer is wide enough (`models.MIN_IM2COL_CHANNELS`).
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The convolution's outputs [B, O, H', W'], by PyTorch's own convolution."""
        ctx.save_for_backward(images, weight)
        return F.conv2d(images, weight, bias, stride=2, padding=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """Gradients of images (None where not needed), weight and bias, from that of the outputs [B, O, H', W']."""
        images, weight = ctx.saved_tensors
        of_images = None
        if ctx.needs_input_grad[0]:
            of_images = torch.nn.grad.conv2d_input(images.shape, weight, gradient, stride=2, padding=1)
        columns = Im2col.apply(images.permute(0, 2, 3, 1), 2).flatten(0, 2)
        flat = gradient.permute(0, 2, 3, 1).flatten(0, 2)
        of_weight = (flat.mT @ columns).view(len(weight), 3, 3, -1).permute(0, 3, 1, 2)
        return of_images, of_weight, flat.sum(0)


def can_use_blocks(strides: tuple[int, ...], height: int, width: int) -> bool:
    """True if a network's first two convolutions can be computed on blocks of 4x4 pixels: see `convolve_blocks`."""
    return strides[:2] == (2, 2) and height % BLOCK == width % BLOCK == 0


def block_windows(images: Tensor) -> Tensor:
    """Inputs of `convolve_blocks`: for each block of 4x4 pixels the 5x5 pixels that its first convolution sees.

    Arguments: images [N, H, W, C]. Returns [N, H / 4, W / 4, P]: the pixels, a one that meets the bias, and zeros up to
    a multiple of `GEMM_ALIGNMENT`. Computed once, it serves every step.
    """
    windows = F.pad(images, (0, 0, 1, 1, 1, 1)).unfold(1, 5, BLOCK).unfold(2, 5, BLOCK)  # N H/4 W/4 C 5 5
    size = 25 * images.shape[-1]
    found = images.new_zeros(*windows.shape[:3], _padded(size + 1))
    found[..., :size] = windows.permute(0, 1, 2, 4, 5, 3).flatten(3)
    found[..., size] = 1
    return found


def convolve_blocks(windows: Tensor, weights: list[Tensor]) -> Tensor:
    """Compute two convolutions of stride 2, each with its ReLU, of K students by two matrix products.

    Arguments: `windows` [K or 1, B, H / 4, W / 4, P] from `block_windows`; `weights` of the two layers, fp32: matrix
    [K, 9 C, O], taps before channels, and bias [K, 1, O]. Returns [K, B, H / 4, W / 4, O] in the windows' precision.
    """
    first, first_bias, second, second_bias = weights
    students, _, out = second.shape
    _, batch, height, width, size = windows.shape
    unrolled = _unrolling_matrix(size, first.shape[1] // 9, first.device) @ torch.cat([first, first_bias], dim=1)
    flat = windows.reshape(len(windows), -1, size).expand(students, -1, -1)
    hidden = torch.bmm(flat, unrolled.view(students, size, -1).to(windows.dtype)).relu_()
    taps = second.view(students, 9, -1, out).index_select(1, _index(FORWARD_TAPS, second.device)).flatten(1, 2)
    taps = F.pad(torch.cat([taps, second_bias], dim=1), (0, 0, 0, _padded(taps.shape[1] + 1) - taps.shape[1] - 1))
    blocks = hidden.view(students, batch, height, width, -1)
    return _BlockConvolution.apply(blocks, taps.to(windows.dtype)).relu_().view(students, batch, height, width, out)


class _BlockConvolution(torch.autograd.Function):
    """Blocks [K, B, h, w, 4 C] and weights [K, P, O], taps as in `FORWARD_TAPS`, then the bias -> [K, B h w, O].

    Autograd's gradient would add overlapping columns, slowly in bf16; here each block gathers it from the places that
    saw it, in one matrix product.
    """

    @staticmethod
    def forward(ctx: Any, blocks: Tensor, weight: Tensor) -> Tensor:
        c = blocks.shape[-1] // 4
        seen = blocks.new_zeros(*blocks.shape[:-1], weight.shape[1])
        seen[..., : 4 * c] = blocks
        seen[:, :, 1:, :, 4 * c : 6 * c] = blocks[:, :, :-1, :, 2 * c :]
        seen[:, :, :, 1:, 6 * c : 7 * c] = blocks[:, :, :, :-1, c : 2 * c]
        seen[:, :, :, 1:, 7 * c : 8 * c] = blocks[:, :, :, :-1, 3 * c :]
        seen[:, :, 1:, 1:, 8 * c : 9 * c] = blocks[:, :, :-1, :-1, 3 * c :]
        seen[..., 9 * c] = 1
        ctx.channels = c
        ctx.save_for_backward(seen, weight)
        return torch.bmm(seen.flatten(1, 3), weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        seen, weight = ctx.saved_tensors
        students, _, out = weight.shape
        c = ctx.channels
        around = gradient.new_zeros(*seen.shape[:-1], 4 * out)
        own = gradient.view(*seen.shape[:-1], out)
        around[..., :out] = own
        around[:, :, :-1, :, out : 2 * out] = own[:, :, 1:]
        around[:, :, :, :-1, 2 * out : 3 * out] = own[:, :, :, 1:]
        around[:, :, :-1, :-1, 3 * out :] = own[:, :, 1:, 1:]
        taps = F.pad(weight[:, : 9 * c], (0, 0, 0, c)).view(students, 10, c, out)
        back = taps.index_select(1, _index(tuple(map((*FORWARD_TAPS, 9).index, BACKWARD_TAPS)), weight.device))
        back = back.view(students, 4, 4, c, out).permute(0, 1, 4, 2, 3).reshape(students, 4 * out, 4 * c)
        blocks_gradient = torch.bmm(around.flatten(1, 3), back).view(*seen.shape[:-1], -1)
        return blocks_gradient, torch.bmm(seen.flatten(1, 3).mT, gradient)


@lru_cache(maxsize=8)
def _index(values: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)


@lru_cache(maxsize=8)
def _unrolling_matrix(size: int, channels: int, device: torch.device) -> Tensor:
    """Selection matrix that unrolls a kernel: kernel [9 C + 1, O] -> weights of a block's window [size * 4, O].

    Ones where a pixel of the window meets a weight at one of the block's four places; rows by pixel, then by place.
    """
    taps = torch.zeros(5, 5, 2, 2, 3, 3)
    for y, x, row, column in torch.cartesian_prod(*map(torch.arange, (2, 2, 3, 3))).tolist():
        taps[2 * y + row, 2 * x + column, y, x, row, column] = 1
    unrolled = torch.zeros(size, 4, 9 * channels + 1)
    unrolled[: 25 * channels, :, :-1] = torch.einsum("pst,cd->pcstd", taps.view(25, 4, 9), torch.eye(channels)).reshape(
        25 * channels, 4, -1
    )
    unrolled[25 * channels, :, -1] = 1
    return unrolled.view(size * 4, -1).to(device)


def _padded(size: int) -> int:
    return -(-size // GEMM_ALIGNMENT) * GEMM_ALIGNMENT
