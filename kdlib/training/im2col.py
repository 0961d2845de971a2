"""3x3 convolutions with padding 1 as matrix products, by im2col (Chellapilla et al. 2006), for teachers.

Students' are in `layers.py`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def im2col(images: Tensor, stride: int) -> Tensor:
    """Columns [..., H', W', 9 C] of images [..., H, W, C]: at each place the nine taps it multiplies, then channels."""
    padded = F.pad(images, (0, 0, 1, 1, 1, 1))
    spans = [
        range(start, start + stride * (-(-size // stride) - 1) + 1)
        for size in images.shape[-3:-1]
        for start in range(3)
    ]
    slices = [slice(span.start, span.stop, stride) for span in spans]
    return torch.cat([padded[..., rows, columns, :] for rows in slices[:3] for columns in slices[3:]], dim=-1)


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
        columns = im2col(images.permute(0, 2, 3, 1), 2).flatten(0, 2)
        flat = gradient.permute(0, 2, 3, 1).flatten(0, 2)
        of_weight = (flat.mT @ columns).view(len(weight), 3, 3, -1).permute(0, 3, 1, 2)
        return of_images, of_weight, flat.sum(0)
