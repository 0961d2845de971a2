"""torchvision, importable also beside a CPU build of torch, here and in plug-ins.

torchvision's compiled library is built for one build of torch; beside another it does not load, and then every import
fails because the operators `nms` and `qnms`, which data sets never use, are not declared. Declaring them mends it.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _Mended(MetaPathFinder):
    """Finds torchvision where it is, and where its import fails for want of an operator declares it and tries again."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == "torchvision" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            try:
                execute(module)
            except RuntimeError as error:
                if "operator torchvision::" not in str(error):
                    raise
                _declare_missing_operators()
                execute(module)

        spec.loader.exec_module = exec_module
        return spec


def _declare_missing_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    globals()["_library"] = library  # a library's definitions live as long as it does


def make_importable() -> None:
    """From now on `import torchvision` works in this process."""
    if not any(isinstance(finder, _Mended) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Mended())
