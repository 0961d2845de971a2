"""Networks of stacked students, with their gradients by hand: no autograd, and no buffer that a step makes anew.

Activations lie examples last, [K, channels, height, width, B]: each is at once a matrix [K, channels, places x B] for
the products, and im2col and its gradient copy and add long runs of numbers. A layer of K students has one weight
[K, inputs + 1, outputs], whose last row is the bias. What a layer computes is written where the next one reads it.
"""

import math

import torch
from torch import Tensor

from .models import Architecture, conv_strides

BLOCK = 4  # pixels a side: what two convolutions of stride 2 turn into one place


class Network:
    """Networks of K students for batches of one size.

    Arguments: the `architecture`; number of `students` K; `shape` (channels, height, width) of an image; number of
    `classes`; size of a `batch`; `like`, a tensor of the type and device of the activations.
    """

    def __init__(
        self,
        architecture: Architecture,
        students: int,
        shape: tuple[int, int, int],
        classes: int,
        batch: int,
        like: Tensor,
    ) -> None:
        strides = conv_strides(architecture)
        kinds = [Convolution] * len(strides)
        if can_use_blocks(strides, *shape[1:]):
            kinds[:2] = ConvolutionToBlocks, BlockConvolution
        self.layers: list[Layer] = []
        for kind, outputs, stride in zip(kinds, architecture.widths, strides, strict=True):
            self.layers.append(kind(students, shape, outputs, batch, like, stride))
            shape = self.layers[-1].shape
        for outputs in (*architecture.dense, classes):
            self.layers.append(Dense(students, shape, outputs, batch, like))
            shape = self.layers[-1].shape
        self.logits = like.new_empty(students, classes, batch)
        targets = [*(layer.inputs for layer in self.layers[1:]), self.logits]
        self.outputs = [out.view(students, layer.shape[0], -1) for out, layer in zip(targets, self.layers, strict=True)]

    def buffers(self) -> list[Tensor]:
        """All tensors that hold activations or their gradients; students lie along their first axes."""
        return [self.logits, *(buffer for layer in self.layers for buffer in layer.buffers())]

    def load(self, images: Tensor) -> None:
        """Lay out a batch of images [K, B, C, H, W], or [1, B, C, H, W] for all students, for `forward`."""
        first, examples_last = self.layers[0], images.permute(0, 2, 3, 4, 1).contiguous()
        first.inputs.copy_(examples_last.view(len(images), *first.inputs.shape[1:]))
        first.lay_out()

    def forward(self, weights: list[Tensor], *, keep_nan: bool = False) -> Tensor:
        """Logits [K, classes, B] for the images that were loaded last.

        In bf16 ReLU is taken on bits, which makes 0 of some NaN. `keep_nan`: it is PyTorch's, which takes longer and
        keeps them, so that a student that diverged answers NaN.
        """
        relu = relu_on_bits_ if self.logits.dtype == torch.bfloat16 and not keep_nan else torch.relu_
        for layer, weight, out in zip(self.layers, weights, self.outputs, strict=True):
            if layer is not self.layers[0]:
                relu(layer.inputs)
                layer.lay_out()
            layer.multiply(weight, out)
        return self.logits

    def backward(self, weights: list[Tensor], gradient: Tensor, out: list[Tensor]) -> None:
        """Write the weights' gradients into `out`, from that of the logits [K, classes, B], after `forward`."""
        for layer, weight, of_weight in reversed(list(zip(self.layers, weights, out, strict=True))):
            gradient = gradient.reshape(len(weight), layer.shape[0], -1)
            layer.weight_gradient(gradient, of_weight)
            if layer is not self.layers[0]:
                gradient = relu_gradient_(layer.input_gradient(weight, gradient), layer.inputs)


class Convolution:
    """A convolution of 3x3 with padding 1 by im2col (Chellapilla et al. 2006); its inputs are [K, C, H, W, B].

    `columns` has a row for each pixel of the window that a place sees, and one of ones, which meets the bias. `rows`
    are the columns of the module's weight, flattened from its second axis, in the order of the rows of this one.
    """

    def __init__(
        self, students: int, shape: tuple[int, int, int], outputs: int, batch: int, like: Tensor, stride: int
    ) -> None:
        channels, height, width = shape
        self.inputs = like.new_empty(students, *shape, batch)
        self.padded = like.new_zeros(students, channels, height + 2, width + 2, batch)
        self.stride = stride
        self.taps = self._taps(self.padded)
        self.columns = like.new_ones(students, 9 * channels + 1, *self.taps.shape[4:])
        self.shape = outputs, *self.taps.shape[4:6]
        self.rows = torch.arange(9 * channels)

    def buffers(self) -> list[Tensor]:
        """Inputs, padded inputs and columns of a convolution."""
        return [self.inputs, self.padded, self.columns]

    def _taps(self, padded: Tensor) -> Tensor:
        """View [K, C, row, column, H', W', B] of padded images: the pixel that each place sees at a tap."""
        rows = padded.unfold(2, 3, self.stride)
        return rows.unfold(3, 3, self.stride).permute(0, 1, 5, 6, 2, 3, 4)

    def lay_out(self) -> None:
        """Lay out the inputs for the product: im2col."""
        self.padded[:, :, 1:-1, 1:-1].copy_(self.inputs)
        self.columns[:, :-1].view(self.taps.shape).copy_(self.taps)

    def multiply(self, weight: Tensor, out: Tensor) -> None:
        """Write a convolution's outputs [K, outputs, places x B]."""
        torch.bmm(weight.mT, self.columns.flatten(2), out=out.view(*weight.mT.shape[:2], -1))

    def weight_gradient(self, gradient: Tensor, out: Tensor) -> None:
        """Write the loss's gradient by the kernel and its bias, from that by the outputs."""
        torch.bmm(self.columns.flatten(2), gradient.reshape(*out.mT.shape[:2], -1).mT, out=out)

    def input_gradient(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Gradient of the loss by the inputs: that by the columns, added up tap by tap (col2im)."""
        of_padded = torch.zeros_like(self.padded)
        of_taps = self._taps(of_padded)
        of_columns = torch.bmm(weight[:, :-1], gradient).view(of_taps.shape)
        for row in range(3):
            for column in range(3):
                of_taps[:, :, row, column] += of_columns[:, :, row, column]
        return of_padded[:, :, 1:-1, 1:-1]


class ConvolutionToBlocks(Convolution):
    """A first convolution, of stride 2, whose four places in a block of 4x4 pixels become channels, [K, outputs x 4].

    Only the order of the columns makes them so: by place in the block, then by block.
    """

    def __init__(
        self, students: int, shape: tuple[int, int, int], outputs: int, batch: int, like: Tensor, stride: int
    ) -> None:
        super().__init__(students, shape, outputs, batch, like, stride)
        self.shape = 4 * outputs, *self.taps.shape[6:8]

    def _taps(self, padded: Tensor) -> Tensor:
        """View [K, C, row, column, 2, 2, H' / 2, W' / 2, B] of padded images."""
        blocks = super()._taps(padded).unflatten(5, (-1, 2)).unflatten(4, (-1, 2))
        return blocks.permute(0, 1, 2, 3, 5, 7, 4, 6, 8)


class BlockConvolution(Convolution):
    """A second convolution, of stride 2, on what `ConvolutionToBlocks` gives: its inputs are [K, C x 4, H, W, B].

    It sees all four places of its own block, the lower two of the block above, the right two of the one to the left and
    the last of the one above that. Its own are laid out already: the first convolution wrote them there.
    """

    def __init__(
        self, students: int, shape: tuple[int, int, int], outputs: int, batch: int, like: Tensor, stride: int
    ) -> None:
        channels, *places = shape[0] // 4, *shape[1:]
        self.columns = like.new_zeros(students, 9 * channels + 1, *places, batch)
        self.columns[:, -1] = 1
        self.of_columns = torch.empty_like(self.columns[:, :-1])
        self.inputs, self.of_inputs = self.columns[:, : 4 * channels], self.of_columns[:, : 4 * channels]
        self.neighbours, self.of_neighbours = (
            _neighbours(self.columns, channels),
            _neighbours(self.of_columns, channels),
        )
        self.shape = outputs, *places
        taps = torch.arange(9 * channels).view(channels, 3, 3)
        seen = taps[:, 1:, 1:], taps[:, :1, 1:], taps[:, 1:, :1], taps[:, :1, :1]
        self.rows = torch.cat([part.flatten() for part in seen])

    def buffers(self) -> list[Tensor]:
        """Columns, the inputs among them, and the loss's gradient by them."""
        return [self.columns, self.of_columns]

    def lay_out(self) -> None:
        """Lay out what a block sees of its neighbours."""
        for seen, own in self.neighbours:
            seen.copy_(own)

    def input_gradient(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Gradient of the loss by the blocks' places, in their own block and as neighbours see them."""
        torch.bmm(weight[:, :-1], gradient, out=self.of_columns.flatten(2))
        for seen, own in self.of_neighbours:
            own += seen
        return self.of_inputs


class Dense:
    """A dense layer; its inputs are [K, C H W, B]."""

    def __init__(self, students: int, shape: tuple[int, int, int], outputs: int, batch: int, like: Tensor) -> None:
        channels, *places = shape
        self.inputs = like.new_empty(students, math.prod(shape), batch)
        self.of_inputs = torch.empty_like(self.inputs)
        self.shape = outputs, 1, 1
        self.rows = torch.arange(math.prod(shape)).view(*places, channels).permute(2, 0, 1).flatten()

    def buffers(self) -> list[Tensor]:
        """Inputs of a dense layer, and the loss's gradient by them."""
        return [self.inputs, self.of_inputs]

    def lay_out(self) -> None:
        """Lay out the inputs for the product: nothing is to be done."""

    def multiply(self, weight: Tensor, out: Tensor) -> None:
        """Write a dense layer's outputs [K, outputs, B]."""
        torch.baddbmm(weight[:, -1:].mT, weight[:, :-1].mT, self.inputs, out=out)

    def weight_gradient(self, gradient: Tensor, out: Tensor) -> None:
        """Write the loss's gradient by weight and bias of a dense layer, from that by the outputs."""
        torch.bmm(self.inputs, gradient.mT, out=out[:, :-1])
        torch.sum(gradient, -1, out=out[:, -1])

    def input_gradient(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Gradient of the loss by a dense layer's inputs [K, C H W, B]."""
        return torch.bmm(weight[:, :-1], gradient, out=self.of_inputs)


Layer = Convolution | Dense


def relu_on_bits_(values: Tensor) -> None:
    """ReLU of bf16 in place, on the numbers' bits: as integers they have the same signs, and are not converted.

    NaN whose sign bit is set, as that of inf - inf is on x86, becomes 0.
    """
    values.view(torch.int16).clamp_(min=0)


def relu_gradient_(gradient: Tensor, outputs: Tensor) -> Tensor:
    """The gradient by what went into a ReLU, in place of that by its `outputs`; of bf16 on bits."""
    kept, positive = gradient, outputs.view_as(gradient)
    if gradient.dtype == torch.bfloat16:
        kept, positive = kept.view(torch.int16), positive.view(torch.int16)
    torch.ops.aten.threshold_backward.grad_input(kept, positive, 0, grad_input=kept)
    return gradient


def can_use_blocks(strides: tuple[int, ...], height: int, width: int) -> bool:
    """True if a network's first two convolutions can be computed on blocks of 4x4 pixels: see `ConvolutionToBlocks`."""
    return strides[:2] == (2, 2) and height % BLOCK == width % BLOCK == 0


def _neighbours(columns: Tensor, c: int) -> list[tuple[Tensor, Tensor]]:
    """For the blocks above, to the left and above that: their places as others see them, and their own; c channels."""
    own, above, left, corner = (
        part.unflatten(1, (c, -1)) for part in columns[:, : 9 * c].split([4 * c, 2 * c, 2 * c, c], dim=1)
    )
    return [
        (above[..., 1:, :, :], own[:, :, 2:, :-1]),
        (left[..., 1:, :], own[:, :, 1::2, :, :-1]),
        (corner[..., 1:, 1:, :], own[:, :, 3:, :-1, :-1]),
    ]
