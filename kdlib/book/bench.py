"""Benchmark of the engine against the loops that a user would write: side by side, in one run, at equal work.

Each measurement runs in a process of its own, so that none inherits another's threads or memory. Of a sweep a few
students are trained and the whole is extrapolated from them; the table says so.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..claims.intervals import t_interval
from ..data import processes
from ..data.dataset import Dataset, load_dataset
from ..data.files import unpack
from ..data.sources import TORCHVISION
from ..paths import data_dir
from ..study.plan import make_plan
from ..study.store import Store
from ..training import devices, teachers
from ..training.choices import PRECISIONS, TEMPERATURE
from ..training.config import Schedule, Student, Teacher
from ..training.losses import entropy, kd_loss, soft_labels
from ..training.measures import accuracy, cell_accuracies, test_percent
from ..training.models import build_model, training_operations
from ..training.students import batch_size_and_steps, distill, stacks
from ..training.students import train as train_students
from . import tries

TABLE4 = {"students": 120, "epochs": 20}  # what is extrapolated to: ten classes, six temperatures, two teachers
BATCH = 128
WAYS = ("user", *PRECISIONS)  # in which a teacher's step is timed
ROUNDS = 3  # of a step
STEPS = (10, 110)  # of two trainings whose difference is a student's step
PARITY = {"seeds": range(5), "examples": 4000, "epochs": 4}
SAMPLE = ((0, 3.0), (4, 9.0), (8, 20.0))  # missing class and temperature of the students that are trained, each teacher
PRODUCT, ACCELERATORS_PRODUCT = 2048, 8192  # side of the matrices whose product is the measure of a device
TEMPERATURES = (3.0, 6.0, 9.0, 12.0, 15.0, 20.0)  # of table 4
USER_STEPS = 100  # of a user's loop on an accelerator, where an epoch of its loaders takes minutes: scaled to the whole
FIRST_STEPS = 10  # before them, in which its loaders start
PARTS = {  # of a teacher's step, by the names of PyTorch's operations
    "products": ["mm", "addmm", "bmm", "linear_pointwise", "mkldnn_convolution", "convolution_backward"],
    "layout": [
        "cat",
        "copy",
        "split",
        "slice",
        "clone",
        "as_strided",
        "empty_strided",
        "StridedConvolution",
        "StridedConvolutionBackward",
    ],
    "sums and activations": [
        "sum",
        "add",
        "relu",
        "clamp_min",
        "threshold_backward",
        "bernoulli",
        "dropout",
        "mul",
        "max_pool2d_with_indices",
        "max_pool2d_with_indices_backward",
        "native_batch_norm",
        "native_batch_norm_backward",
    ],
    "optimiser": ["fused_adam", "Optimizer.step#Adam.step"],
}
CAPACITIES = ("small_teacher", "large_teacher")
NETWORKS = ("general_student", "baseline_student")


@dataclass(frozen=True)
class Job:
    """Parameters of a measurement: data set, device, and epochs of each student."""

    dataset: str
    device: str
    epochs: int

    @property
    def on_cpu(self) -> bool:
        """True without an accelerator."""
        return self.device == "cpu"

    @property
    def data(self) -> Dataset:
        """The data set on the device, read once in each process."""
        return _load(self.dataset, self.device)

    def teacher(self, capacity: str) -> Teacher:
        """Configuration of the teacher of the sweeps: one epoch in bf16."""
        return Teacher(capacity, seed=0, epochs=1, batch_size=BATCH, precision="bf16")

    def students(self, capacity: str, network: str, cells: Sequence[tuple[int, float]] = SAMPLE) -> list[Student]:
        """Configurations of a teacher's students, one for each cell (missing class, temperature)."""
        values = {"epochs": self.epochs, "batch_size": BATCH, "precision": "bf16"}
        return [Student(self.teacher(capacity), 1, t, network, missing_class=c, **values) for c, t in cells]


def run(dataset: str = "mnist", device: str = "auto", epochs: int = 1) -> Iterator[dict[str, Any]]:
    """Yield one row after another: the machine, its teachers, the two sweeps of students, and what bf16 changes.

    On an accelerator also an estimate for the paper's whole grid. What matters most comes first: a run may be ended.
    Arguments: `dataset`, one of torchvision's, from where a user's loop reads it; `epochs` of each trained student.
    Raises `InputError` for a data set or device that is not here.
    """
    job = Job(dataset, str(devices.find_device(device)), epochs)
    machine = in_fresh_process(machine_rates, job)
    yield machine
    for capacity in CAPACITIES:
        row = teacher_step(job, capacity)
        yield row | {"share": row["gflop"] / row["seconds"]["bf16"] / machine["bf16"]}
        if job.on_cpu:
            yield teacher_profile(job, row, machine)
    runs = {capacity: in_fresh_process(train, job, capacity) for capacity in CAPACITIES}
    for network in NETWORKS:
        yield student_step(job, network, machine)
        yield from sweep(job, network, runs)
    if not job.on_cpu:
        yield in_fresh_process(grid_estimate, job)
    for capacity in CAPACITIES:
        yield precision_parity(job, capacity)
        yield student_parity(job, capacity, runs[capacity])
    if machine["kind"] == "cpu":
        yield from in_fresh_process(tries.measure)


def in_fresh_process(measure: Callable, *arguments: object) -> Any:
    """Call a measurement in a process of its own, and return its result."""
    with processes.fresh() as pool:
        return pool.submit(measure, *arguments).result()


def machine_rates(job: Job) -> dict[str, Any]:
    """Rate of a square matrix product in GFLOP/s in both precisions: best of several.

    On one thread of a CPU, or on the accelerator. bf16 is emulated in fp32 where the processor has no instructions for
    it.
    """
    device = torch.device(job.device)
    devices.make_deterministic(device)
    rates, size = {}, PRODUCT if device.type == "cpu" else ACCELERATORS_PRODUCT
    for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.randn(2, size, size, device=device).to(kind)
        with devices.bf16_emulation(device, precision):
            rates[precision] = 2 * size**3 / min(devices.timings(lambda a=a, b=b: a @ b, device, 6)) / 1e9
    kind = device.type if devices.has_bf16_instructions(device) else f"{device.type}-without-bf16"
    return (
        {"row": "machine", "kind": kind, "workers": _workers(job), "product": size}
        | devices.environment(device)
        | rates
    )


def teacher_step(job: Job, capacity: str) -> dict[str, Any]:
    """Time a teacher's training step on one thread, as a user writes it (fp32, PyTorch's defaults) and as kdlib does.

    Each way is timed in turn, `ROUNDS` times, in processes of its own; seconds are the median over rounds. A step's
    operations: forward and twice as many backward, without the gradient by the images. On an accelerator, where a
    process takes longer to start than to measure, all is timed in one, the user's way before anything is set for ours.
    """
    if job.on_cpu:
        rounds = [{way: in_fresh_process(_step_seconds, job, capacity, way) for way in WAYS} for _ in range(ROUNDS)]
    else:
        rounds = in_fresh_process(_all_step_seconds, job, capacity)
    operations = in_fresh_process(_step_operations, job, capacity)
    gains = sorted(one["user"] / one["bf16"] for one in rounds)
    return {
        "row": "teacher step",
        "network": capacity,
        "gflop": operations / 1e9,
        "seconds": {way: float(np.median([one[way] for one in rounds])) for way in rounds[0]},
        "gain": [float(np.median(gains)), gains[0], gains[-1]],
    }


def _all_step_seconds(job: Job, capacity: str) -> list[dict[str, float]]:
    found = {way: [_step_seconds(job, capacity, way) for _ in range(ROUNDS)] for way in WAYS}
    return [dict(zip(WAYS, each, strict=True)) for each in zip(*found.values(), strict=True)]


def _step_seconds(job: Job, capacity: str, way: str) -> float:
    """Seconds of a step of 128 examples, best of several: `user`'s, or kdlib's with a precision."""
    device, batch = torch.device(job.device), job.data.train[:BATCH]
    torch.set_num_threads(1)
    model = build_model(capacity, job.data.family, job.data.shape).to(device)
    if way != "user":
        devices.make_deterministic(device)
        fused = devices.adam(list(model.parameters()), 1e-3)
        step = devices.GraphedStep(lambda part: teachers.train_step(model, fused, job.data, part, way), batch)
        return min(devices.timings(lambda: step(batch), device, 6))
    model = model.to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> None:
        loss = F.cross_entropy(model(job.data.images[batch]), job.data.labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return min(devices.timings(step, device, 6))


def teacher_profile(job: Job, timed: dict[str, Any], machine: dict[str, Any]) -> dict[str, Any]:
    """Where the time of a teacher's step in bf16 goes on one thread of a CPU, and how fast its products are.

    Arguments: `timed`, the row of `teacher_step`; `machine`, that of `machine_rates`. `parts` has the share of each
    of `PARTS` in a step's time, by PyTorch's profiler, and "else"; `products_share` is the rate of the products alone
    in that of the large square one: all operations of the step in the products' share of its time.
    """
    seconds = in_fresh_process(_profiled_seconds, job, timed["network"])
    whole = sum(seconds.values())
    parts = {name: found / whole for name, found in seconds.items()}
    rate = timed["gflop"] / (timed["seconds"]["bf16"] * parts["products"])
    return {
        "row": "teacher profile",
        "network": timed["network"],
        "parts": parts,
        "products_share": rate / machine["bf16"],
    }


def _profiled_seconds(job: Job, capacity: str) -> dict[str, float]:
    """Seconds of a step in each of `PARTS` and elsewhere, without what an operation calls."""
    torch.set_num_threads(1)
    devices.make_deterministic(torch.device("cpu"))
    model = build_model(capacity, job.data.family, job.data.shape)
    optimizer, batch = devices.adam(list(model.parameters()), 1e-3), job.data.train[:BATCH]
    for _ in range(ROUNDS):
        teachers.train_step(model, optimizer, job.data, batch, "bf16")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(ROUNDS):
            teachers.train_step(model, optimizer, job.data, batch, "bf16")
    found = dict.fromkeys((*PARTS, "else"), 0.0)
    for event in profile.key_averages():
        name = event.key.rpartition("::")[2].strip("_")
        part = next((part for part, names in PARTS.items() if name in names), "else")
        found[part] += event.self_cpu_time_total / 1e6 / ROUNDS
    return found


def _step_operations(job: Job, capacity: str) -> int:
    return BATCH * training_operations(build_model(capacity, job.data.family, job.data.shape), job.data.shape)


def student_step(job: Job, network: str, machine: dict[str, Any]) -> dict[str, Any]:
    """Time a step of a stack of table 4's students on one thread, each one's share of it, against a matrix product.

    `seconds` are the median over `ROUNDS` processes. Operations are counted as of `teacher_step`: what multiplies by
    zeros or lays out patches is none. `share` is theirs in the rate of the matrix product, in bf16.
    """
    seconds = [in_fresh_process(_student_step_seconds, job, network) for _ in range(ROUNDS)]
    gflop = in_fresh_process(_step_operations, job, network) / 1e9
    median = float(np.median(seconds))
    share = gflop / median / machine["bf16"]
    return {"row": "student step", "network": network, "gflop": gflop, "seconds": median, "share": share}


def _student_step_seconds(job: Job, network: str) -> float:
    """Seconds of a step, for each student of a stack: those of a long training less those of a short one."""
    device, dataset = torch.device(job.device), job.data
    devices.make_deterministic(device)
    wanted = job.students(CAPACITIES[0], network, [(SAMPLE[0][0], temperature) for temperature in TEMPERATURES])
    logits = torch.zeros(len(dataset.labels), dataset.classes, device=device)
    stack = [wanted[i] for i in stacks(wanted, dataset)[0]]
    order = torch.Generator().manual_seed(0)
    rows = dataset.train[torch.randint(len(dataset.train), (STEPS[1], BATCH), generator=order).to(device)]

    def train(steps: int) -> None:
        schedules = [Schedule(rows[:steps], (steps,))] * len(stack)
        for _ in train_students(stack, dataset, [logits] * len(stack), schedules, "stacked"):
            pass

    short, long = (min(devices.timings(partial(train, steps), device, 3)) for steps in STEPS)
    return (long - short) / (STEPS[1] - STEPS[0]) / len(stack)


def precision_parity(job: Job, capacity: str) -> dict[str, Any]:
    """Compare teachers that are trained in bf16 and in fp32, from equal seeds, on a subset: does it change measures?

    `differences` has, for validation accuracy (percent) and mean entropy of the responses at T = 9 (nats), the mean and
    95% interval of bf16 minus fp32 over seeds, and `spread`, the standard deviation over seeds in fp32.
    """
    cases = [(seed, precision) for seed in PARITY["seeds"] for precision in PRECISIONS]
    with processes.fresh(_workers(job)) as pool:
        futures = [pool.submit(_accuracy_and_entropy, job, capacity, *case) for case in cases]
        found = dict(zip(cases, (future.result() for future in futures), strict=True))
    fp32, bf16 = ([found[seed, precision] for seed in PARITY["seeds"]] for precision in PRECISIONS)
    return _parity(capacity, ("accuracy", "entropy"), fp32, bf16)


def student_parity(job: Job, capacity: str, run: dict[str, Tensor]) -> dict[str, Any]:
    """Compare students that are trained in bf16 and in fp32 without one class, from equal seeds, on a subset.

    `differences`, as of `precision_parity`, for percent of the test split and of the missing class, raw and corrected.
    """
    fp32, bf16 = (
        in_fresh_process(_student_accuracies, job, capacity, run, precision, PARITY["seeds"])
        for precision in PRECISIONS
    )
    return _parity(f"students of {capacity}", ("accuracy", "missing class", "corrected"), fp32, bf16)


def _parity(network: str, names: tuple[str, ...], fp32: list[Sequence[float]], bf16: list[Sequence[float]]) -> dict:
    """Row of the differences bf16 minus fp32 of each named measurement, pair by pair, and the spread in fp32."""
    row: dict[str, Any] = {"row": "parity", "network": network} | {k: v for k, v in PARITY.items() if k != "seeds"}
    row["differences"] = {}
    for name, before, after in zip(names, zip(*fp32, strict=True), zip(*bf16, strict=True), strict=True):
        difference = t_interval([b - a for a, b in zip(before, after, strict=True)])
        row["differences"][name] = {
            "difference": [difference.mean, difference.low, difference.high],
            "spread": float(np.std(before, ddof=1)),
            "n": difference.n,
        }
    return row


def _accuracy_and_entropy(job: Job, capacity: str, seed: int, precision: str) -> tuple[float, float]:
    devices.make_deterministic(torch.device(job.device))
    dataset = _subset(job)
    run = teachers.train_teacher(Teacher(capacity, seed, PARITY["epochs"], BATCH, precision=precision), dataset)
    response = soft_labels(teachers.responses(run)[dataset.train], TEMPERATURE)
    return 100 * run["validation_accuracy"][-1].item(), entropy(response).mean().item()


def _student_accuracies(
    job: Job, capacity: str, run: dict[str, Tensor], precision: str, replicates: range
) -> list[list[float]]:
    devices.make_deterministic(torch.device(job.device))
    dataset = _subset(job)
    logits = teachers.predict(teachers.load_teacher(job.teacher(capacity), run, dataset), dataset.images)
    base = replace(job, epochs=PARITY["epochs"]).students(capacity, "general_student")[1]
    pairs = [replace(base, precision=precision, replicate=k) for k in replicates]
    found = []
    for result in distill(pairs, dataset, logits):
        cell = cell_accuracies(result, base.missing_class)
        found.append([test_percent(result), cell["raw"], cell["corrected"]])
    return found


def _subset(job: Job) -> Dataset:
    return load_dataset(job.dataset, examples=PARITY["examples"], clip=True, device=devices.find_device(job.device))


def train(job: Job, capacity: str) -> dict[str, Tensor]:
    """Train the teacher of the sweeps; returns its weights on the CPU, by name."""
    devices.configure_cpu(devices.cores())
    found = teachers.train_teacher(job.teacher(capacity), job.data)
    return {name: value.cpu() for name, value in found.items() if name.startswith("weights/")}


def sweep(job: Job, network: str, runs: dict[str, dict[str, Tensor]]) -> Iterator[dict[str, Any]]:
    """Rows (a) to (c) for one kind of student: seconds of the trained students, extrapolated to all of table 4's.

    `student_step_seconds` is the time of a student's step in each way; where a user's loop was measured on some steps
    alone, `steps` says on how many, and it has no accuracies.
    """
    length = np.mean([batch_size_and_steps(s, job.data)[1] for s in job.students(CAPACITIES[0], network)]) / job.epochs
    table4_steps = TABLE4["students"] * TABLE4["epochs"] * length
    found: dict[str, dict[str, Any]] = {}
    for way, cached in (("user", False), ("cached", True)):
        parts = [
            in_fresh_process(time_user_loop, job, capacity, runs[capacity], network, cached) for capacity in CAPACITIES
        ]
        found[way] = {name: [value for part in parts for value in part[name]] for name in parts[0]}
        found[way]["trained"] = len(found[way]["seconds"])
        if not job.on_cpu:
            found[way]["steps"] = USER_STEPS
        per_student = float(np.mean(found[way]["seconds"])) * TABLE4["epochs"] / job.epochs
        found[way]["table4_seconds"] = TABLE4["students"] * per_student
    found["kdlib"] = time_kdlib(job, network, runs)
    for way, row in found.items():
        gain = found["user"]["table4_seconds"] / row["table4_seconds"]
        step = row["table4_seconds"] / table4_steps
        yield (
            {"row": "sweep", "way": way, "network": network, "gain": gain, "student_step_seconds": step}
            | row
            | {"accuracy_difference": _accuracy_difference(row["accuracies"], found["user"]["accuracies"])}
        )


def _accuracy_difference(ours: list[float], theirs: list[float]) -> list[float] | None:
    """Mean and interval of accuracies minus those of the user's loop, None where that was not trained to its end."""
    if not theirs:
        return None
    interval = t_interval([a - b for a, b in zip(ours, theirs, strict=True)])
    return [interval.mean, interval.low, interval.high]


def time_user_loop(job: Job, capacity: str, run: dict[str, Tensor], network: str, cached: bool) -> dict[str, list[Any]]:
    """Train the sample's students in the loop that a user would write: DataLoader, teacher on each batch, Adam.

    `cached`: the teacher's logits were computed once. Returns for each student `seconds` of its training and
    `accuracies` (percent, test split), and `threads_and_workers`, the loader's fastest, found by 30 steps with each.
    On an accelerator the seconds are those of `USER_STEPS` steps, scaled to all of them, and there are no accuracies.
    """
    device, dataset = torch.device(job.device), job.data
    teacher = teachers.load_teacher(job.teacher(capacity), run, dataset).to(memory_format=torch.contiguous_format)
    examples = _ExamplesWithLogits(job, teachers.predict(teacher, dataset.images).cpu() if cached else None)

    def train(
        student: Student, threads: int, workers: int, steps: int | None = None, skipped: int = 0
    ) -> tuple[float, float]:
        torch.set_num_threads(threads)
        start = time.perf_counter()
        kept = dataset.train[dataset.labels[dataset.train] != student.missing_class]
        loader = torch.utils.data.DataLoader(
            torch.utils.data.Subset(examples, kept.tolist()),
            BATCH,
            shuffle=True,
            num_workers=workers,
            multiprocessing_context=_start_of_loaders() if workers else None,
        )
        model = build_model(network, dataset.family, dataset.shape, dataset.classes, student.seed())
        model = model.to(device, memory_format=torch.contiguous_format)
        optimizer = torch.optim.Adam(model.parameters(), student.learning_rate)
        for _ in range(job.epochs):
            for step, (images, labels, logits) in enumerate(loader, start=1):
                images, labels = images.to(device), labels.to(device)
                if cached:
                    logits = logits.to(device)
                else:
                    with torch.no_grad():
                        logits = teacher(images)
                loss = kd_loss(model(images), logits, labels, temperature=student.temperature, alpha=student.alpha)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss.item()  # for the log that a user keeps
                if step == skipped:
                    start = time.perf_counter()
                if step == steps:
                    break
        seconds = time.perf_counter() - start
        test_images, test_labels = dataset.open_test("bench")
        return seconds, 100 * accuracy(teachers.predict(model, test_images), test_labels)

    students = job.students(capacity, network)
    choices = [(threads, workers) for threads in sorted({1, devices.cores()}) for workers in (0, 2)]
    best = min(choices, key=lambda choice: train(students[0], *choice, steps=30)[0])
    chosen = {"threads_and_workers": [best], "examples_from": [examples.source]}
    if job.on_cpu:
        seconds, accuracies = zip(*(train(student, *best) for student in students), strict=True)
        return {"seconds": list(seconds), "accuracies": list(accuracies)} | chosen
    last = FIRST_STEPS + USER_STEPS
    seconds = [
        train(student, *best, steps=last, skipped=FIRST_STEPS)[0]
        * batch_size_and_steps(student, dataset)[1]
        / USER_STEPS
        for student in students
    ]
    return {"seconds": seconds, "accuracies": []} | chosen


def _start_of_loaders() -> str:
    """How a script's loader starts its processes; in a process that was spawned, as these are, it would spawn them."""
    return "fork" if sys.platform == "linux" else "spawn"


def time_kdlib(job: Job, network: str, runs: dict[str, dict[str, Tensor]]) -> dict[str, Any]:
    """Train students by kdlib, on as many workers as it would use.

    First the sample's for the user's epochs, for their accuracies; then, for their seconds, stacks of table 4's
    students at its length, as many as there are workers. The pass over the teachers' responses is counted in full.
    """
    workers = _workers(job)
    cells = [(capacity, missing) for missing in range(-(-workers // 2)) for capacity in CAPACITIES]
    length = replace(job, epochs=TABLE4["epochs"])
    with processes.fresh(workers, _initialise_worker, job) as pool:
        start = time.perf_counter()
        logits = dict(zip(CAPACITIES, pool.map(_teacher_logits, [job] * 2, CAPACITIES, runs.values()), strict=True))
        passed = time.perf_counter() - start
        sample = [pool.submit(_distill, job, capacity, network, logits[capacity]) for capacity in CAPACITIES]
        accuracies = [value for future in sample for value in future.result()]
        start = time.perf_counter()
        if job.device == "cpu":
            futures = [pool.submit(_distill_stack, length, c, network, missing, logits[c]) for c, missing in cells]
        else:  # an accelerator takes many at once: it is given all of table 4
            futures = [pool.submit(_distill_table4, length, network, logits)]
        count = sum(future.result() for future in futures)
        trained = time.perf_counter() - start
    return {
        "seconds": [trained],
        "responses_seconds": passed,
        "accuracies": accuracies,
        "trained": len(accuracies),
        "workers": workers,
        "timed": count,
        "table4_seconds": passed + TABLE4["students"] / count * trained,
    }


def _initialise_worker(job: Job) -> None:
    """Prepare a worker process before it is given work: its device and its data set."""
    devices.make_deterministic(torch.device(job.device))
    _load(job.dataset, job.device)


def _teacher_logits(job: Job, capacity: str, run: dict[str, Tensor]) -> Tensor:
    teacher = teachers.load_teacher(job.teacher(capacity), run, job.data)
    return teachers.predict(teacher, job.data.images, "bf16").cpu()


def _distill(job: Job, capacity: str, network: str, logits: Tensor) -> list[float]:
    return [test_percent(result) for result in distill(job.students(capacity, network), job.data, logits)]


def _distill_stack(job: Job, capacity: str, network: str, missing: int, logits: Tensor) -> int:
    """A stack of a teacher's students without one class, as a study gives it to a worker; returns their number."""
    students = job.students(capacity, network, [(missing, temperature) for temperature in TEMPERATURES])
    return len(distill([students[i] for i in stacks(students, job.data)[0]], job.data, logits))


def _distill_table4(job: Job, network: str, logits: dict[str, Tensor]) -> int:
    """All students of table 4 together, as a study gives them to its device; returns their number."""
    cells = [(c, t) for c in range(job.data.classes) for t in TEMPERATURES]
    wanted = {name: job.students(name, network, cells) for name in CAPACITIES}
    each = [logits[name] for name, part in wanted.items() for _ in part]
    return len(distill([student for part in wanted.values() for student in part], job.data, each))


@cache
def _load(name: str, device: str) -> Dataset:
    return load_dataset(name, device=devices.find_device(device))


def _workers(job: Job) -> int:
    return devices.cores() if job.device == "cpu" else 1


def grid_estimate(job: Job) -> dict[str, Any]:
    """Row of an estimate: what the paper's whole grid takes here, from timed steps of each kind of training.

    It is `kdlib plan all --profile paper` for a store that has nothing yet; nothing of the grid is trained.
    """
    from ..sections.asked import parameters_of
    from ..sections.opening import open_studies

    studies = open_studies(parameters_of("all", job.dataset, "paper", [f"device={job.device}"]), None)
    with TemporaryDirectory() as empty:
        for study in studies:
            study.store = Store(empty, results=empty)
        plan = make_plan(studies)
    counts = Counter(type(unit).__name__.lower() for unit in plan.costs)
    seeds = studies[0].settings.seeds
    return {"row": "grid", "seconds": plan.seconds, "workers": plan.workers, "seeds": seeds, "units": dict(counts)}


class _ExamplesWithLogits(torch.utils.data.Dataset):
    """torchvision's training split with its transform, and the teacher's logits by index (0 without).

    Where torchvision is not installed, the images as tensors in memory instead, which is faster; `source` says which.
    """

    def __init__(self, job: Job, logits: Tensor | None) -> None:
        self.logits = logits
        try:
            from torchvision import datasets, transforms
        except ImportError:
            self.source = "tensors"
            self.images = list(zip(job.data.images[:].cpu(), job.data.labels.tolist(), strict=True))
            return
        self.source = "torchvision"
        kind, _, train, _ = TORCHVISION[job.dataset]
        unpack(job.dataset, data_dir())
        self.images = getattr(datasets, kind)(str(data_dir()), transform=transforms.ToTensor(), **train)

    def __getitem__(self, index: int) -> tuple[Tensor, int, Tensor | int]:
        image, label = self.images[index]
        return image, label, 0 if self.logits is None else self.logits[index]

    def __len__(self) -> int:
        return len(self.images)
