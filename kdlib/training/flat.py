"""All weights of a training in one vector: Adam becomes one fused call, however many tensors or students there are."""

from collections.abc import Sequence

import torch
from torch import Tensor

SIMD_LANES = 64  # a multiple of every processor's vector width


class FlatWeights:
    """Weights of K students in one fp32 `vector` [K, P], with the copies and gradients that products take, in a type.

    Each matrix begins at a multiple of `SIMD_LANES`: Adam rounds what is left over after the last full register
    differently, and so a weight's last bits would depend on how many others there are. Arguments: `matrices`, for each
    layer the fp32 weights [K, rows, columns]; `kind`, the type of numbers in the products.
    """

    def __init__(self, matrices: Sequence[Tensor], kind: torch.dtype) -> None:
        self.shapes = [matrix.shape[1:] for matrix in matrices]
        self.sizes = [-(-shape.numel() // SIMD_LANES) * SIMD_LANES for shape in self.shapes]
        self.vector = matrices[0].new_zeros(len(matrices[0]), sum(self.sizes))
        self.vector.grad = torch.zeros_like(self.vector)
        for own, matrix in zip(self.views(self.vector), matrices, strict=True):
            own.copy_(matrix)
        self.rounded, self.gradient = self.vector.to(kind), self.vector.grad.to(kind)  # in fp32 no copies

    def views(self, flat: Tensor) -> list[Tensor]:
        """A vector [k, P] seen as each layer's matrices [k, rows, columns]."""
        parts = zip(flat.split(self.sizes, dim=1), self.shapes, strict=True)
        return [part[:, : shape.numel()].unflatten(1, shape) for part, shape in parts]

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take an optimiser's step with the gradient, and round the new weights."""
        self.vector.grad.copy_(self.gradient)
        optimizer.step()
        self.rounded.copy_(self.vector)
