"""Which device runs, with how many threads, and what is recorded about it."""

import ctypes
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from ..errors import InputError

PRODUCTS = {
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.baddbmm.default,
    torch.ops.aten.convolution.default,
    torch.ops.aten.convolution_backward.default,
}
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def find_device(name: str = "auto") -> torch.device:
    """`auto` is the first of cuda, mps, cpu that is there. Raises `InputError` for a device that is not."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"unknown device {name!r}; allowed: auto, cpu, cuda, cuda:N, mps") from error
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(device.type, False) or (
        device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    ):
        raise InputError(f"device {name!r} was asked for and is not on this machine; `auto` or `cpu` runs anywhere")
    return device


def cores() -> int:
    """CPU cores that this process may use: by its affinity, and by the quota of its container."""
    import joblib

    return joblib.cpu_count()


def make_ready(device: torch.device) -> None:
    """Before any training: what is computed twice on a device must come out equal, bit for bit.

    A CPU gets one thread, since their number changes the order of sums; of CUDA's convolutions those are left out that
    add in whatever order their threads come.
    """
    if device.type == "cpu":
        use_threads(1)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32: convolutions would round to 10 bits by default


def use_threads(count: int) -> None:
    """Make a CPU ready: fix the number of threads (it changes the last bits of a result), flush denormals, keep memory.

    The C library gives large blocks back to the system when they are freed; a training step frees and takes the same
    ones again, and spends half of its time on page faults.
    """
    torch.set_num_threads(count)
    torch.set_flush_denormal(True)
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(M_MMAP_THRESHOLD, 1 << 30)
            library.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def adam(parameters: list[torch.Tensor], learning_rate: float) -> torch.optim.Adam:
    """Adam with PyTorch's defaults but the learning rate; fused where the device has it, recordable on CUDA."""
    kind = parameters[0].device.type
    return torch.optim.Adam(parameters, learning_rate, fused=kind in ("cpu", "cuda"), capturable=kind == "cuda")


class RecordedStep:
    """A training step on CUDA, recorded as a graph and replayed: no kernel waits for Python to launch it.

    The first calls run it as it is, and warm the libraries up; an input of another shape is always run so. On other
    devices every call is. Arguments: `step(input)`, which must not look at a tensor's values; `example`, a tensor of
    the shape, type and device of its usual input.
    """

    WARM = 3

    def __init__(self, step: Callable[[torch.Tensor], object], example: torch.Tensor) -> None:
        self.step, self.input, self.calls, self.graph = step, torch.empty_like(example), 0, None

    def __call__(self, values: torch.Tensor) -> None:
        if values.device.type != "cuda" or values.shape != self.input.shape:
            self.step(values)
        elif self.graph is None and self.calls < self.WARM:
            self.calls += 1
            own = torch.cuda.Stream()
            own.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(own):
                self.step(values)
            torch.cuda.current_stream().wait_stream(own)
        else:
            self.input.copy_(values)
            if self.graph is None:
                self.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graph):
                    self.step(self.input)
            self.graph.replay()


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for products of bf16 numbers: every accelerator, and some CPUs."""
    if device.type != "cpu":
        return True
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not in every version that is allowed
    if asked and platform.machine().lower() in ("x86_64", "amd64"):
        return asked()
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def autocast(device: torch.device, precision: str) -> Any:
    """The context in which a forward pass has a precision: fp32 or bf16."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def products(device: torch.device, precision: str) -> Any:
    """The context for whole steps of a precision, backwards too: bf16 by way of fp32 where it must be."""
    return nullcontext() if precision != "bf16" or multiplies_bf16(device) else RoundedProducts()


class RoundedProducts(TorchDispatchMode):
    """Products of bf16 numbers computed in fp32 and rounded to bf16: what an instruction for them does.

    The products themselves are exact in fp32, so only the order of the sums differs. Without such instructions PyTorch
    falls back to loops that take many times as long.
    """

    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if operation not in PRODUCTS or torch.bfloat16 not in {a.dtype for a in args if isinstance(a, torch.Tensor)}:
            return operation(*args, **kwargs)
        exact = operation(*tree_map_only(torch.Tensor, torch.Tensor.float, args), **kwargs)
        return tree_map_only(torch.Tensor, torch.Tensor.bfloat16, exact)


def timings(work: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """Seconds of a piece of work, so many times, after once to warm up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return times[1:]


def environment(device: torch.device) -> dict[str, Any]:
    """What a result's provenance says about the machine and the code."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}, {_processor()}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": _commit(),
    }


def peak_memory() -> int:
    """Largest resident size of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)


@cache
def _processor() -> str:
    """Its name, and which instructions PyTorch uses of it: of one name there are processors whose last bits differ."""
    info, name = Path("/proc/cpuinfo"), platform.processor() or "unknown processor"
    if info.exists():
        lines = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = lines[0] if lines else name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


@cache
def _commit() -> str:
    if given := os.environ.get("KDLIB_COMMIT"):  # of a copy without its history
        return given
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
