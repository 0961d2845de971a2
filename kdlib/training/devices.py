"""The device that computes: its choice, its settings, bf16 on it, CUDA graphs, and what is recorded about it."""

import ctypes
import os
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from ..errors import InputError
from ..paths import git

MATRIX_PRODUCTS = {
    torch.ops.aten.mm,
    torch.ops.aten.addmm,
    torch.ops.aten.bmm,
    torch.ops.aten.baddbmm,
    torch.ops.aten.convolution,
    torch.ops.aten.convolution_backward,
}
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BLOCKS = (1 << 30, 32 << 20)  # bytes up to which freed blocks are kept; glibc before 2.35 takes at most the second


def find_device(name: str | torch.device = "auto") -> torch.device:
    """The torch device of a name; `auto` is the first of cuda, mps and cpu that this machine has.

    Raises `InputError` for an unknown name, and for a device that this machine lacks.
    """
    if not isinstance(name, str | torch.device):
        raise InputError(f"device {name!r} cannot be used; allowed: auto, cpu, cuda, cuda:N, mps")
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
    """Number of CPU cores that this process may use: by its affinity, and by the quota of its container."""
    import joblib

    return joblib.cpu_count()


def make_deterministic(device: torch.device) -> None:
    """Set PyTorch up so that what is computed twice on a device comes out equal, bit for bit; called before training.

    A CPU gets one thread, since their number changes the order of sums; cuDNN's non-deterministic convolutions, which
    add in whatever order their threads come, are switched off, and so is TF32, which a caller or the environment's
    TORCH_ALLOW_TF32_CUBLAS_OVERRIDE may have switched on: fp32 means fp32.
    """
    if device.type == "cpu":
        configure_cpu(1)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # convolutions would round to 10 bits by default
    torch.set_float32_matmul_precision("highest")  # other products


def configure_cpu(threads: int) -> None:
    """Fix the number of CPU threads (it changes a result's last bits), flush denormals to zero, keep freed memory.

    Denormals are flushed by the calling thread and by those that it starts from then on, not by threads of PyTorch's
    pool that have worked already: with several threads, call it before anything else.

    By default the C library gives large blocks back to the system when they are freed; a training step frees and takes
    the same ones again, and spends half of its time on page faults. Raises `InputError` for no number of threads.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads {threads!r} cannot be used; allowed: a whole number from 1")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt") and any(library.mallopt(M_MMAP_THRESHOLD, size) for size in KEPT_BLOCKS):
            library.mallopt(M_TRIM_THRESHOLD, 1 << 30)  # alone it would end glibc's own growing of the first: worse


@contextmanager
def own_defaults() -> Iterator[None]:
    """PyTorch as it is without a caller's `no_grad`, `inference_mode`, `autocast`, default type or default device.

    All of them hold for whatever is called from within, and would change results or end a training.
    """
    kind = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.callback(torch.set_default_dtype, kind)
        torch.set_default_dtype(torch.float32)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda", "mps"):
            if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":  # any other is a mode that sees each call
            stack.enter_context(torch.device("cpu"))
        yield


def adam(parameters: list[torch.Tensor], learning_rate: float) -> torch.optim.Adam:
    """Adam with PyTorch's defaults but the learning rate: fused on CPU and CUDA, capturable in CUDA graphs."""
    kind = parameters[0].device.type
    return torch.optim.Adam(parameters, learning_rate, fused=kind in ("cpu", "cuda"), capturable=kind == "cuda")


class GraphedStep:
    """A training step that is captured as a CUDA graph and replayed: no kernel waits for Python to launch it.

    The first calls are eager, as warm-up before the capture; so is every call with an input of another shape, and every
    call on a device that is no GPU. Arguments: `step(input)`, which must not look at a tensor's values; `example`, a
    tensor of the shape, type and device of its usual input.
    """

    WARMUP_CALLS = 3

    def __init__(self, step: Callable[[torch.Tensor], object], example: torch.Tensor) -> None:
        self.step, self.input, self.calls, self.graph = step, torch.empty_like(example), 0, None

    def __call__(self, values: torch.Tensor) -> None:
        if values.device.type != "cuda" or values.shape != self.input.shape:
            self.step(values)
            return
        with torch.cuda.device(values.device):  # streams and graphs are of the current one
            self._captured(values)

    def _captured(self, values: torch.Tensor) -> None:
        if self.graph is None and self.calls < self.WARMUP_CALLS:
            self.calls += 1
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self.step(values)
            torch.cuda.current_stream().wait_stream(side)
        else:
            self.input.copy_(values)
            if self.graph is None:
                self.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graph):
                    self.step(self.input)
            self.graph.replay()


def has_bf16_instructions(device: torch.device) -> bool:
    """True if a device multiplies bf16 numbers in hardware: accelerators do, NVIDIA's from Ampere on, and some CPUs."""
    if device.type == "cuda" and torch.version.hip is None:
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return True
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not in every version that is allowed
    if supported and platform.machine().lower() in ("x86_64", "amd64"):
        return supported()
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def check_precision(device: torch.device, precision: str) -> None:
    """Raise `InputError` where a device would silently take another precision, as Apple's did before torch 2.6."""
    if precision != "bf16" or device.type != "mps":
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "disabling autocast": said below
        if torch.amp.is_autocast_available("mps"):
            with torch.autocast("mps", torch.bfloat16):
                if torch.is_autocast_enabled("mps"):
                    return
    raise InputError(
        "precision bf16 on mps needs torch 2.6 and macOS 14 or later; `-p precision=fp32` or `-p device=cpu` runs here"
    )


def autocast(device: torch.device, precision: str) -> Any:
    """Context manager in which a forward pass has a precision, "fp32" or "bf16" (mixed, by torch.autocast)."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def bf16_emulation(device: torch.device, precision: str) -> Any:
    """Context manager for whole steps, forward and backward: bf16 is emulated in fp32 where hardware lacks it."""
    return nullcontext() if precision != "bf16" or has_bf16_instructions(device) else EmulatedBF16()


class EmulatedBF16(TorchDispatchMode):
    """Dispatch mode that computes products of bf16 matrices in fp32 and rounds them to bf16, as hardware does.

    The products of two numbers are exact in fp32, so only the order of the sums differs. Without such instructions
    PyTorch falls back to loops that take many times as long.
    """

    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = dict(kwargs or {})
        product, dtypes = operation.overloadpacket, {a.dtype for a in args if isinstance(a, torch.Tensor)}
        if product not in MATRIX_PRODUCTS or torch.bfloat16 not in dtypes:
            return operation(*args, **kwargs)
        out = kwargs.pop("out", None)
        exact = product.default(*tree_map_only(torch.Tensor, torch.Tensor.float, args), **kwargs)
        if out is not None:
            return out.copy_(exact)
        return tree_map_only(torch.Tensor, torch.Tensor.bfloat16, exact)


def timings(work: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """Seconds that each of `repeats` calls of `work` takes on a device, after one call to warm up.

    Not `torch.utils.benchmark.Timer`: it waits for the current CUDA device alone, and sets the number of threads anew.
    """
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return times[1:]


def environment(device: torch.device) -> dict[str, Any]:
    """Device, threads, versions, system and commit, as a result's provenance records them."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}, {_processor()}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": _commit(),
    }


def peak_memory() -> int:
    """Peak resident memory of this process alone so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux getrusage's peak begins at the parent's, from which this process was forked
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):  # not in every sandbox
                return int(line.split()[1]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)


@cache
def _processor() -> str:
    """Name of the processor and the instructions that PyTorch uses: with others, last bits differ."""
    info, name = Path("/proc/cpuinfo"), platform.processor() or "unknown processor"
    if info.exists():
        text = info.read_text(encoding="utf-8", errors="replace")
        lines = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
        name = lines[0] if lines else name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


@cache
def _commit() -> str:
    if given := os.environ.get("KDLIB_COMMIT"):  # of a copy without its history
        return given
    described = git(Path(__file__).parents[2], "describe", "--always", "--dirty", "--abbrev=12")
    return described.stdout.decode().strip() or "unknown"
