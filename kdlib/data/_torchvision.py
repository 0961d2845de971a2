"""torchvision's data sets, importable also beside a CPU build of torch.

torchvision's compiled library is built for one build of torch; beside another it does not load, and then every import
fails because the operators `nms` and `qnms`, which data sets never use, are not declared. Declaring them mends it.
"""

import torch


def _declare_missing_operators() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    globals()["_library"] = library  # a library's definitions live as long as it does


try:
    from torchvision import datasets, transforms
except RuntimeError:
    _declare_missing_operators()
    from torchvision import datasets, transforms

utils = datasets.utils

__all__ = ["datasets", "transforms", "utils"]
