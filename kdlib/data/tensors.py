"""What a tensor must be before it is looked at: dense, of a usual type, and with values."""

from typing import Any

import torch
from torch import Tensor

from ..errors import InputError

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def is_dense(name: str, tensor: Any, values: bool = False) -> None:
    """Raise `InputError` for what is no dense tensor, and with `values` for one that has none."""
    if not isinstance(tensor, Tensor):
        raise InputError(f"{name} must be a tensor, got {type(tensor).__name__}")
    if tensor.is_nested or tensor.is_quantized or tensor.layout != torch.strided:
        kind = "nested" if tensor.is_nested else "quantized" if tensor.is_quantized else tensor.layout
        raise InputError(f"{name} must be a dense tensor, got a {kind} one: `.to_dense()` or the like makes it one")
    if values and tensor.is_meta:
        raise InputError(f"{name} must have values, got a tensor on the device meta, which has none")


def of_floats(name: str, tensor: Tensor) -> None:
    """Raise `InputError` for a tensor of another type than torch's floats of 16 to 64 bits."""
    if tensor.dtype not in FLOATS:
        raise InputError(f"{name} must be floats, got {tensor.dtype}")


def of_classes(name: str, tensor: Tensor) -> None:
    """Raise `InputError` for labels of another type than int64, torch's for class indices."""
    if tensor.dtype != torch.int64:
        raise InputError(f"{name} must be class indices of type torch.int64, got {tensor.dtype}")
