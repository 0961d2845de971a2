"""What public functions are given, held against what they take: an error says both.

Shapes and types are known without waiting for a device. Values of tensors on an accelerator are not looked at, which
would wait for it.
"""

import math
import reprlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ..data.dataset import Dataset
from ..data.images import Images
from ..data.tensors import FLOATS, is_dense, of_classes, of_floats
from ..errors import InputError


def axes(
    *,
    labels: tuple[Tensor, str] | None = None,
    least: dict[str, int] | None = None,
    values: bool = False,
    **floats: Any,
) -> None:
    """Check the shapes of tensors that belong together, and their types: int64 for labels, floats for the others.

    They must be dense, on one device, and have values where `values` says that they are looked at.

    Arguments: each tensor with its axes, such as `logits=(logits, "N C"), labels=(labels, "N")`. Axes of one name have
    one size, a number is a size, and a leading "..." stands for any axes; `least`, the smallest allowed sizes (else 0).
    Raises `InputError`.
    """
    wanted: dict[str, tuple[Tensor, str]] = floats | ({"labels": labels} if labels else {})
    sizes: dict[str, int] = {}
    for name, (tensor, names) in wanted.items():
        is_dense(name, tensor, values)
        if not _fits(tensor.shape, names.split(), sizes):
            raise InputError(_both(wanted))
        (of_classes if name == "labels" else of_floats)(name, tensor)
    if len(places := {str(tensor.device) for tensor, _ in wanted.values()}) > 1:
        raise InputError(f"{', '.join(wanted)} must be on one device, got {', '.join(sorted(places))}")
    for axis, size in (least or {}).items():
        if sizes[axis] < size:
            raise InputError(f"{_both(wanted)}; {axis} must be at least {size}")


def _fits(shape: torch.Size, names: list[str], sizes: dict[str, int]) -> bool:
    """Whether a shape has these axes, of which `sizes` holds the sizes that are known, and gets the others."""
    if names[0] == "...":
        names = names[1:]
        shape = shape[len(shape) - len(names) :] if len(shape) >= len(names) else shape
    if len(shape) != len(names):
        return False
    known = (
        int(axis) if axis.isdecimal() else sizes.setdefault(axis, size) for axis, size in zip(names, shape, strict=True)
    )
    return tuple(known) == shape


def _both(wanted: dict[str, tuple[Tensor, str]]) -> str:
    allowed = ", ".join(f"{name} [{names.replace(' ', ', ')}]" for name, (_, names) in wanted.items())
    given = ", ".join(str(list(tensor.shape)) if isinstance(tensor, Tensor) else "?" for tensor, _ in wanted.values())
    return f"shapes {given} cannot be used; allowed: {allowed}"


def broadcasts(name: str, numbers: Tensor, against: Tensor) -> None:
    """Raise `InputError` for a tensor of no number, or that does not broadcast against another."""
    is_dense(name, numbers, values=True)
    fits = _holds(lambda: bool(torch.broadcast_shapes(numbers.shape, against.shape)))
    if not fits or not numbers.numel() or numbers.dtype not in (*FLOATS, torch.int64):
        raise InputError(
            f"{name} {list(numbers.shape)} of {numbers.dtype} cannot be used; allowed: a number, or real numbers that "
            f"broadcast against {list(against.shape)}"
        )


def label_range(labels: Tensor, classes: int) -> None:
    """Raise `InputError` where a label on the CPU is no class."""
    if labels.device.type != "cpu" or not labels.numel():
        return
    low, high = (int(value) for value in labels.aminmax())
    if low < 0 or high >= classes:
        raise InputError(f"labels from {low} to {high} cannot be used; allowed: 0 to {classes - 1}")


def all_finite(name: str, values: Tensor) -> None:
    """Raise `InputError` where a tensor, on whichever device, holds NaN or infinity."""
    if values.numel() and not all(end.isfinite() for end in values.aminmax()):  # NaN is both; no copy of the values
        raise InputError(
            f"{name} must be finite: {int((~values.isfinite()).sum())} of {values.numel()} numbers are not"
        )


def instance(what: str, value: Any, kind: type, example: str) -> None:
    """Raise `InputError` for what is not of a type; `example` is what gives one."""
    if not isinstance(value, kind):
        raise InputError(f"{what} is needed, such as {example}, got {reprlib.repr(value)}")


def is_dataset(dataset: Any) -> None:
    """Raise `InputError` for what is no data set, such as the name of one, or for one whose tensors do not fit."""
    instance("a data set", dataset, Dataset, "kdlib.load_dataset('digits')")
    images = dataset.images
    if isinstance(images, Images):  # whose values are always there, and right
        images = torch.zeros((), device=images.device).expand(images.shape)
    axes(images=(images, "N C H W"), labels=(dataset.labels, "N"), least={"N": 1}, values=True)
    label_range(dataset.labels, dataset.classes)
    for name in ("train", "validation"):
        if not getattr(dataset, name).numel():
            raise InputError(f"the data set {dataset.name} has no example to {name.replace('validation', 'validate')}")


def of_every_example(name: str, logits: Tensor, dataset: Dataset) -> None:
    """Raise `InputError` where logits are not [N, C] for the N train and validation examples of a data set."""
    tensors: dict[str, Any] = {name: (logits, f"{len(dataset.labels)} {dataset.classes}")}
    axes(**tensors, values=True)


def one_of(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raise `InputError` for a name that is not among those that are allowed."""
    if value not in (allowed := tuple(allowed)):
        raise InputError(f"{name} {value!r} cannot be used; allowed: {', '.join(allowed)}")


def whole(name: str, value: Any, low: int, high: int | None = None, kind: type = int) -> None:
    """Raise `InputError` for what is no whole number from `low` to `high`; `kind` is `Integral` for NumPy's as well."""
    if isinstance(value, bool) or not isinstance(value, kind) or value < low or (high is not None and value > high):
        end = "" if high is None else f" to {high}"
        raise InputError(f"{name} {value!r} cannot be used; allowed: a whole number from {low}{end}")


def positive(name: str, value: float) -> None:
    """Raise `InputError` for what is no number, or not positive and finite."""
    if not _holds(lambda: value > 0 and math.isfinite(value)):
        raise InputError(f"{name} must be positive and finite, got {value!r}")


def finite(name: str, value: float) -> None:
    """Raise `InputError` for what is no number, or not finite."""
    if not _holds(lambda: math.isfinite(value)):
        raise InputError(f"{name} must be finite, got {value!r}")


def fraction(name: str, value: float) -> None:
    """Raise `InputError` for what is no number, or outside of [0, 1]."""
    if not _holds(lambda: 0 <= value <= 1):
        raise InputError(f"{name} must lie in [0, 1], got {value!r}")


def flag(name: str, value: Any) -> None:
    """Raise `InputError` for what is neither True nor False."""
    if not isinstance(value, bool):
        raise InputError(f"{name} {value!r} cannot be used; allowed: True or False")


def _holds(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds; of text, lists and None no condition on a number does."""
    try:
        return condition()
    except (TypeError, ValueError, RuntimeError):  # the last of tensors that are no single number
        return False
