"""Mixed precision on a processor that has no instructions for it."""

import os
import platform
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from joblib.externals.loky.backend import context
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kdlib import InputError, Student, build_model, responses
from kdlib.training import devices, students, teachers
from kdlib.training.choices import ENGINES
from kdlib.training.devices import EmulatedBF16

CPU = torch.device("cpu")


def bf16(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


CASES = {
    "mm": (torch.mm, (9, 70), (70, 5)),
    "addmm": (torch.addmm, (5,), (9, 70), (70, 5)),
    "bmm": (torch.bmm, (3, 9, 70), (3, 70, 5)),
    "baddbmm": (torch.baddbmm, (3, 1, 5), (3, 9, 70), (3, 70, 5)),
    "linear": (F.linear, (9, 70), (5, 70), (5,)),
    "conv2d": (partial(F.conv2d, stride=2, padding=1), (2, 8, 9, 9), (6, 8, 3, 3), (6,)),
}


@pytest.mark.parametrize("name", CASES)
def test_rounded_products_and_their_gradients_are_exact_ones_rounded_once(name):
    function, *shapes = CASES[name]
    operands = [bf16(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    exact = [operand.detach().double().requires_grad_() for operand in operands]
    with EmulatedBF16():
        ours = function(*operands)
        towards = bf16(*ours.shape, seed=9)
        ours.backward(towards)
    theirs = function(*exact)
    theirs.backward(towards.double())
    for a, b in zip([ours, *(o.grad for o in operands)], [theirs, *(e.grad for e in exact)], strict=True):
        assert a.dtype == torch.bfloat16
        rounded = b.bfloat16()
        # Where the exact number is all but half-way between two, the order of the sum decides.
        assert (a != rounded).float().mean() < 0.02
        torch.testing.assert_close(a, rounded, rtol=2**-7, atol=2**-7)


def test_emulation_serves_products_that_are_written_into_a_buffer(monkeypatch):
    a, b, bias = bf16(2, 5, 30), bf16(2, 30, 7), bf16(2, 5, 1)
    expected = [(a.double() @ b.double()).bfloat16(), (bias.double() + a.double() @ b.double()).bfloat16()]
    seen = []
    monkeypatch.setattr(torch.Tensor, "float", lambda t, convert=torch.Tensor.float: seen.append(t) or convert(t))
    buffers = [torch.empty_like(one) for one in expected]
    with EmulatedBF16(), torch.no_grad():
        torch.bmm(a, b, out=buffers[0])
        torch.baddbmm(bias, a, b, out=buffers[1])
    assert len(seen) == 5, "every operand is multiplied in fp32"
    for found, wanted in zip(buffers, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=2**-7, atol=2**-7)


class Spy(TorchDispatchMode):
    """Entered before another mode, it sees what that one leaves: by operation, the kinds of number it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, set[torch.dtype]] = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kinds = {a.dtype for a in tree_leaves(args) if isinstance(a, torch.Tensor) and a.is_floating_point()}
        self.seen.setdefault(operation.name().removeprefix("aten::"), set()).update(kinds)
        return operation(*args, **kwargs or {})

    def products(self) -> dict[str, set[torch.dtype]]:
        words = ("mm", "conv", "mul", "mv", "dot", "linear")
        matrices = {name for name in self.seen if any(word in name for word in words) and not name.startswith("mul")}
        return {name: kinds for name, kinds in self.seen.items() if name in matrices}


@pytest.fixture
def without_instructions(monkeypatch):
    monkeypatch.setattr(devices, "has_bf16_instructions", lambda device: False)


@pytest.mark.parametrize("network", ["large_teacher", "small_teacher"])
@pytest.mark.parametrize("family", ["mnist", "cifar10"])
def test_no_product_of_a_teachers_step_in_bf16_is_left_to_a_processor_without_instructions(
    network, family, digits, without_instructions
):
    model = build_model(network, family, digits.shape, digits.classes)
    optimizer = devices.adam(list(model.parameters()), 1e-3)
    with Spy() as spy:
        teachers.train_step(model, optimizer, digits, digits.train[:32], "bf16")
        teachers.predict(model, digits.images[:32], "bf16")
    # On images as small as these the backward pass is the library's at stride 1 alone, which networks of CIFAR-10 have.
    backward = {"convolution_backward"} if family == "cifar10" else set()
    assert {"convolution", "addmm", "mm"} | backward <= set(spy.products())
    assert set().union(*spy.products().values()) == {torch.float32}
    assert torch.bfloat16 in set().union(*spy.seen.values()), "nothing was rounded"


@pytest.mark.parametrize("engine", ENGINES)
def test_no_product_of_a_students_training_in_bf16_is_left_to_a_processor_without_instructions(
    engine, tiny_teacher, tiny_run, digits, without_instructions
):
    student, logits = Student(tiny_teacher, 2, 9.0, steps=2, epochs=1, precision="bf16"), responses(tiny_run)
    schedule = students.make_schedule(student, digits, logits)
    with Spy() as spy:
        list(students.train([student], digits, [logits], [schedule], engine))
    assert set().union(*spy.products().values()) == {torch.float32}
    assert torch.bfloat16 in set().union(*spy.seen.values()), "nothing was rounded"


def test_a_teacher_is_the_same_with_and_without_instructions_but_for_the_order_of_sums(
    tiny_teacher, digits, monkeypatch
):
    run = replace(tiny_teacher, epochs=1, precision="bf16")
    found = []
    for instructions in (True, False):
        monkeypatch.setattr(devices, "has_bf16_instructions", lambda device, answer=instructions: answer)
        found.append(teachers.train_teacher(run, digits)["logits"])
    full = teachers.train_teacher(replace(run, precision="fp32"), digits)["logits"]
    a, b = found
    assert (a - b).abs().mean() < 0.5 * (a - full).abs().mean()


def test_precision_that_a_device_has_needs_no_rounding(monkeypatch):
    monkeypatch.setattr(devices, "has_bf16_instructions", lambda device: True)
    assert not isinstance(devices.bf16_emulation(CPU, "bf16"), EmulatedBF16)
    monkeypatch.setattr(devices, "has_bf16_instructions", lambda device: False)
    assert isinstance(devices.bf16_emulation(CPU, "bf16"), EmulatedBF16)
    assert not isinstance(devices.bf16_emulation(CPU, "fp32"), EmulatedBF16)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux lists its processor's instructions there")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flag is one of x86 processors")
def test_whether_a_processor_multiplies_bf16_is_what_its_flags_say():
    flags = re.search(r"^flags\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1].split()
    assert devices.has_bf16_instructions(CPU) == ("avx512_bf16" in flags)


@pytest.mark.parametrize(("capability", "multiplies"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_multiplies_bf16_from_ampere_on_and_other_accelerators_do(capability, multiplies, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert devices.has_bf16_instructions(torch.device("cuda")) == multiplies
    assert devices.has_bf16_instructions(torch.device("mps"))


@pytest.mark.parametrize("version", ["without", "too old", "new"])
def test_bf16_on_mps_is_refused_where_torch_would_compute_in_fp32(version, monkeypatch):
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: version != "without")
    monkeypatch.setattr(torch, "autocast", lambda kind, precision: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: version == "new")
    devices.check_precision(torch.device("mps"), "fp32")
    devices.check_precision(CPU, "bf16")
    with nullcontext() if version == "new" else pytest.raises(InputError, match="needs torch 2.6 and macOS 14"):
        devices.check_precision(torch.device("mps"), "bf16")


def test_a_version_of_torch_without_autocast_on_some_device_is_not_asked_for_it(monkeypatch):
    asked = torch.is_autocast_enabled

    def enabled(kind):
        if kind == "mps":
            raise RuntimeError("unknown device type for autocast")
        return asked(kind)

    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: kind != "mps")
    monkeypatch.setattr(torch, "is_autocast_enabled", enabled)
    with devices.own_defaults():
        assert torch.is_grad_enabled()


def test_a_graph_is_captured_and_warmed_up_on_its_inputs_own_gpu(monkeypatch):
    current, seen = [], []

    class Device(nullcontext):
        def __enter__(self):
            current.append(self.enter_result)

        def __exit__(self, *exception):
            current.pop()

    class Stream:
        wait_stream = replay = lambda self, *_: seen.append(current[-1])

    for name in ("Stream", "CUDAGraph", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, Stream)
    monkeypatch.setattr(torch.cuda, "device", Device)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: nullcontext(seen.append(current[-1])))
    second, calls = torch.device("cuda:1"), []
    values = SimpleNamespace(device=second, shape=(2,))
    monkeypatch.setattr(torch, "empty_like", lambda example: SimpleNamespace(shape=(2,), copy_=calls.append))
    step = devices.GraphedStep(lambda values: seen.append(current[-1]), values)
    for _ in range(step.WARMUP_CALLS + 2):
        step(values)
    assert set(seen) == {second} and len(calls) == 2 and current == []


def test_provenance_names_the_instructions_that_the_processor_is_used_with():
    assert devices.environment(CPU)["device"].endswith(torch.backends.cpu.get_cpu_capability())


def test_on_every_device_what_is_computed_twice_can_come_out_equal(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    for name in ("cuda", "cpu"):
        torch.set_float32_matmul_precision("high")
        torch.set_num_threads(2)
        devices.make_deterministic(torch.device(name))
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.allow_tf32 and torch.get_float32_matmul_precision() == "highest"
        assert torch.get_num_threads() == (1 if name == "cpu" else 2)


@pytest.mark.skipif(platform.system() != "Linux", reason="elsewhere a process has no affinity")
@pytest.mark.parametrize("setting", ["OMP_PROC_BIND=close", "OMP_PLACES=cores", "GOMP_CPU_AFFINITY=0-1"])
def test_no_setting_of_openmp_binds_all_workers_to_one_core(setting):
    code = "import os, kdlib; from kdlib.training.devices import cores; print(cores(), len(os.sched_getaffinity(0)))"
    environment = os.environ | dict([setting.split("=")])
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(devices.cores()), str(len(os.sched_getaffinity(0)))]


def test_memory_has_a_peak_where_the_kernel_does_not_tell_it(monkeypatch):
    monkeypatch.setattr(devices.Path, "read_text", lambda path: "VmSize: 1 kB\nVmRSS: 1 kB\n")
    assert devices.peak_memory() > 10


@pytest.mark.parametrize("quota", [1, 2])
def test_no_more_cores_are_counted_than_a_containers_quota_gives(quota, monkeypatch):
    monkeypatch.setattr(context, "_cpu_count_affinity", lambda count: 64)
    monkeypatch.setattr(context.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda count: quota)
    assert devices.cores() == quota


@pytest.mark.parametrize("most", [1 << 31, 32 << 20, 0], ids=["any", "before glibc 2.35", "none"])
def test_freed_memory_is_kept_up_to_what_the_c_library_takes_and_else_left_to_it(most, monkeypatch):
    taken = {}

    def mallopt(name, value):
        accepted = name == devices.M_TRIM_THRESHOLD or value <= most
        if accepted:
            taken[name] = value
        return int(accepted)

    monkeypatch.setattr(devices.sys, "platform", "linux")
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    devices.configure_cpu(1)
    sizes = {1 << 31: 1 << 30, 32 << 20: 32 << 20}
    assert taken == ({-3: sizes[most], -1: 1 << 30} if most else {})


@pytest.mark.skipif(platform.system() != "Linux", reason="getrusage's peak is inherited on Linux alone")
def test_the_peak_of_memory_is_a_process_own_and_not_that_of_the_one_that_started_it():
    program = "from kdlib.training.devices import peak_memory; print(peak_memory())"
    started = f"subprocess.run([sys.executable, '-c', {program!r}])"
    parent = f"import subprocess, sys; held = bytearray(1500 << 20); {started}"
    peak = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    assert 0 < int(peak.stdout) < 1500
