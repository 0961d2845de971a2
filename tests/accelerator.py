"""An accelerator made of the CPU, for machines without one: a device of its own, whose numbers the CPU computes.

As on a GPU, an operation on tensors of two devices raises (but for a CPU's single number, and an index on the CPU), and
NumPy does not read them. What it cannot show is what a GPU's kernels compute, nor how fast.
"""

from functools import cache
from typing import Any

import pytest
import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

NAME = "pretended"
aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}  # join two devices
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default}  # by the CPU's index too


class Remote(torch.Tensor):
    """A tensor of the accelerator, whose numbers lie in `local`."""

    @staticmethod
    def __new__(cls, local: torch.Tensor) -> "Remote":
        places = {"strides": local.stride(), "storage_offset": local.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(cls, local.size(), dtype=local.dtype, device=device(), **places)

    def __init__(self, local: torch.Tensor) -> None:
        self.local = local

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return compute(operation, args, kwargs or {})

    # What passes all dispatch.

    def __getitem__(self, index: Any) -> "Remote":
        return super().__getitem__(torch.tensor(index) if isinstance(index, list) else index)

    def tolist(self) -> list:
        return self.local.tolist()

    def numpy(self, **options: Any) -> None:
        raise TypeError(f"can't convert {NAME} device type tensor to numpy: use Tensor.cpu() first")


class Accelerator(TorchDispatchMode):
    """While it is entered, tensors can be made on the accelerator and moved to it."""

    def __enter__(self) -> "Accelerator":
        self.patch, make = pytest.MonkeyPatch(), torch.tensor

        def tensor(data: Any, *, device: Any = "cpu", **options: Any) -> torch.Tensor:
            """It fills a device past all dispatch: here it goes by way of the CPU."""
            return make(tree_map_only(Remote, lambda number: number.local, data), **options).to(device)

        self.patch.setattr(torch, "tensor", tensor)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.patch.undo()

    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return compute(operation, args, kwargs or {})


@cache
def device() -> torch.device:
    """The accelerator, registered with PyTorch once in a process."""
    backend_registration._setup_privateuseone_for_python_backend(NAME)
    return torch.device(NAME, 0)


def compute(operation: Any, args: tuple, kwargs: dict) -> Any:
    """An operation on the accelerator where one of its tensors is there, or the device that it is asked for."""
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    remote = any(isinstance(tensor, Remote) for tensor in given)
    if remote and operation not in COPIES:
        indexed = operation in INDEXED and isinstance(args[0], Remote)
        counted = (args[0], *args[2:3]) if indexed else given  # all but the indices
        alien = [t for t in counted if isinstance(t, torch.Tensor) and not isinstance(t, Remote) and t.dim()]
        if alien:
            raise RuntimeError(f"Expected all tensors to be on the same device, {operation} got two")
    if (asked := kwargs.get("device")) is not None:
        remote = torch.device(asked).type == NAME
        kwargs = kwargs | {"device": torch.device("cpu")}
    elif operation is aten.copy_.default:
        remote = isinstance(args[0], Remote)
    local_args, local_kwargs = tree_map_only(Remote, lambda tensor: tensor.local, (args, kwargs))
    found = operation(*local_args, **local_kwargs)
    if remote:
        found = tree_map_only(torch.Tensor, Remote, found)
    return return_and_correct_aliasing(operation, args, kwargs, found)
