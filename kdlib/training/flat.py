"""All weights of a training in one vector: Adam becomes one fused call, however many tensors or students there are."""

from collections.abc import Sequence

import torch
from torch import Tensor

SIMD_LANES = 64  # a multiple of every processor's vector width


def flatten(values: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Copy tensors into one vector; returns the vector, and views of it with the tensors' shapes and strides.

    The views' gradients are likewise views of the vector's gradient. The vector is padded to whole `SIMD_LANES`: Adam
    rounds what is left over after the last full register differently, and so a weight's last bits would depend on how
    many others there are. Arguments: `values`, dense tensors on one device.
    """
    total = sum(value.numel() for value in values)
    vector = values[0].new_zeros(total + -total % SIMD_LANES)
    vector.grad = torch.zeros_like(vector)
    views, start = [], 0
    for value in values:
        weight, gradient = (part.as_strided(value.shape, value.stride(), start) for part in (vector, vector.grad))
        weight.copy_(value)
        weight.requires_grad_().grad = gradient
        views.append(weight)
        start += value.numel()
    return vector, views
