"""The images of a data set in memory: bytes stay bytes until they are looked at."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


class Images:
    """Images [N, C, H, W] of bytes, which an index gives as float32 from 0 to 1: a quarter of the memory.

    An index is anything that selects along the first axis; `images[:]` is a tensor of them all. `shape`, `device`,
    `len` and `to` are those of the tensor.
    """

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __getitem__(self, index: Any) -> Tensor:
        return self.pixels[index].float().div_(255)  # in place: half of the peak

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> torch.Size:
        """Shape (images, channels, height, width)."""
        return self.pixels.shape

    @property
    def device(self) -> torch.device:
        """The device that holds them."""
        return self.pixels.device

    def split(self, size: int) -> Iterator[Tensor]:
        """Yield tensors of so many images each, and one of those that are left."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def to(self, device: torch.device | str) -> "Images":
        """A copy on a device; these, if they are there."""
        return Images(self.pixels.to(device))
