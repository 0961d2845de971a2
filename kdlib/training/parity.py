"""Checks, on the device at hand, that every fast path gives what the plain reference gives: a minute of training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..data.dataset import Dataset
from . import stacked, students, teachers
from .choices import PRECISIONS
from .config import Schedule, Student, Teacher
from .devices import GraphedStep

STEPS = 20  # of a student's training
TOLERANCE = 1e-5  # relative and absolute, of the logits of the stack and the loop in fp32
SIZES = (2, 3, 8, 32, 128)  # of the stacks in which a student must have the bits that it has alone
COMPARED = 256  # examples whose logits are compared
FITTING = 0.6  # of the memory that a stack takes, the share that it is left with where it must be halved
NO_GRAPHS = "no CUDA graphs on this device"
NO_LIMIT = "no limit can be set to the memory of this device"
Found = dict[str, Any]


def checks(dataset: Dataset) -> Iterator[Found]:
    """Yield a row for each fast path on the device of a data set: `check`, `holds`, `seconds`, and what was found.

    `holds` is None where the device has no such path (`why` says so), False also where a check fails with an `error`.
    """
    planned: list[tuple[str, Callable[[Dataset], Found]]] = [("stack = loop in fp32", stack_equals_loop)]
    planned += [(f"same bits alone and in a stack, {p}", lambda d, p=p: same_bits(d, p)) for p in PRECISIONS]
    planned += [("graph = eager, students", graph_equals_eager), ("halving where memory runs out", halving)]
    planned += [(f"graph = eager, {n}", lambda d, n=n: teacher_graph(d, n)) for n in ("small_teacher", "large_teacher")]
    for name, check in planned:
        start = time.perf_counter()
        try:
            found = check(dataset)
        except Exception as error:  # the others are still worth knowing
            found = {"holds": False, "error": f"{type(error).__name__}: {error}"}
        yield {"check": name, "seconds": round(time.perf_counter() - start, 2)} | found


def stack_equals_loop(dataset: Dataset) -> Found:
    """Logits of students after some steps in fp32, trained in a stack and each in the reference loop."""
    group = _group(dataset, 3, "fp32")
    loop, stack = (_logits(dataset, _train(group, dataset, engine)) for engine in ("loop", "stacked"))
    holds = torch.allclose(stack, loop, rtol=TOLERANCE, atol=TOLERANCE)
    return {"holds": holds, "steps": STEPS, "difference": (stack - loop).abs().max().item(), "allowed": TOLERANCE}


def same_bits(dataset: Dataset, precision: str) -> Found:
    """A student trained alone twice, then as first and last of stacks of several sizes: its logits, bit for bit."""
    student = _group(dataset, 1, precision)[0]
    alone = _logits(dataset, _train([student], dataset))
    found = {"again": torch.equal(alone, _logits(dataset, _train([student], dataset)))}
    for size in SIZES:
        group = _group(dataset, size, precision)
        for place in (0, size - 1):
            moved = [*group[1:], student] if place else group
            found[f"{size}, place {place}"] = torch.equal(alone[0], _logits(dataset, _train(moved, dataset))[place])
    engine = students.choose_engine(student, dataset)
    return {"holds": all(found.values()), "engine": engine, "differing": [k for k, equal in found.items() if not equal]}


def graph_equals_eager(dataset: Dataset) -> Found:
    """Students of a stack with their steps replayed as CUDA graphs, and with every step launched: equal bits."""
    if dataset.images.device.type != "cuda":
        return {"holds": None, "why": NO_GRAPHS}
    group = _group(dataset, 8, "bf16")
    graphed = _logits(dataset, _train(group, dataset))
    with _eager():
        launched = _logits(dataset, _train(group, dataset))
    return {"holds": torch.equal(graphed, launched), "difference": (graphed - launched).abs().max().item()}


def teacher_graph(dataset: Dataset, network: str) -> Found:
    """All tensors of a teacher's run of one epoch with and without CUDA graphs, dropout included: equal bits."""
    if dataset.images.device.type != "cuda":
        return {"holds": None, "why": NO_GRAPHS}
    teacher = Teacher(network, seed=0, epochs=1, batch_size=128, precision="bf16")
    graphed = teachers.train_teacher(teacher, dataset)
    with _eager():
        launched = teachers.train_teacher(teacher, dataset)
    differing = [name for name, value in graphed.items() if not torch.equal(value, launched[name])]
    return {"holds": not differing, "differing": differing}


def halving(dataset: Dataset) -> Found:
    """A stack that memory does not hold whole is trained in parts, with the bits of the whole."""
    device = dataset.images.device
    if device.type != "cuda":
        return {"holds": None, "why": NO_LIMIT}
    group = _group(dataset, 64, "bf16")
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    whole = _logits(dataset, _train(group, dataset))
    needed = torch.cuda.max_memory_allocated(device) - before
    torch.cuda.empty_cache()
    limit = torch.cuda.memory_reserved(device) + FITTING * needed
    sizes: list[int] = []
    train = stacked.train

    def counted(part: list[Student], *rest: Any) -> Any:
        sizes.append(len(part))
        return train(part, *rest)

    stacked.train = counted
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(device).total_memory, device)
    try:
        parts = _logits(dataset, _train(group, dataset))
    finally:
        stacked.train = train
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    return {"holds": torch.equal(whole, parts) and len(sizes) > 1, "stacks": sizes, "mebibytes": needed >> 20}


@contextmanager
def _eager() -> Iterator[None]:
    """Meanwhile no step is captured as a CUDA graph."""
    calls = GraphedStep.WARMUP_CALLS
    GraphedStep.WARMUP_CALLS = 1 << 60
    try:
        yield
    finally:
        GraphedStep.WARMUP_CALLS = calls


def _group(dataset: Dataset, size: int, precision: str) -> list[Student]:
    teacher = Teacher("small_teacher", seed=0, epochs=1, batch_size=128)
    first = Student(teacher, 1, 9.0, batch_size=min(128, len(dataset.train)), precision=precision, missing_class=0)
    return [replace(first, replicate=k) for k in range(size)]


def _train(group: list[Student], dataset: Dataset, engine: str = "auto") -> list[Any]:
    """Networks of students of random responses after `STEPS` steps."""
    order = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(len(dataset.labels), dataset.classes, generator=order).to(dataset.images.device)
    schedules = [students.make_schedule(replace(s, steps=STEPS), dataset, logits) for s in group]
    schedules = [Schedule(schedule.batches, (STEPS,)) for schedule in schedules]
    engine = students.choose_engine(group[0], dataset, engine)
    return [model for _, model in students.train(group, dataset, [logits] * len(group), schedules, engine)]


def _logits(dataset: Dataset, models: list[Any]) -> Tensor:
    """Logits [students, examples, classes] of the first validation examples."""
    images = dataset.images[dataset.validation[:COMPARED]]
    return torch.stack([teachers.predict(model, images) for model in models])
