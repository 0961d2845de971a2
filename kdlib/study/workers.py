"""Tasks of workers: train a teacher, distil students, measure one; each result goes into the store."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data import plugins, registry
from ..data.dataset import Dataset, load_dataset
from ..errors import InputError
from ..training import devices, models, students, teachers
from ..training.config import Student, Teacher
from ..training.models import Architecture
from .checks import asked_workers
from .settings import Settings
from .store import Store, Unit


def worker_count(device: str = "auto") -> int:
    """Number of worker processes: KDLIB_WORKERS, else one for each CPU core; always one on an accelerator.

    Raises `InputError` for a KDLIB_WORKERS that is no whole number from 1.
    """
    if devices.find_device(device).type != "cpu":
        return 1
    return asked_workers() or devices.cores()


@dataclass(frozen=True)
class TaskContext:
    """Context of a study's tasks, sent to each process: settings, store, data set, and what was registered here."""

    settings: Settings
    source: registry.Source | None  # None: brought by kdlib, or registered by a plug-in
    networks: dict[str, Architecture]
    root: str
    digest: str  # of the data set
    rules: Mapping[str, str]  # see `Store`
    plugins: Path  # this folder and the next: a worker that lives on would go by an older environment
    data: Path

    def open(self) -> tuple[Store, Dataset]:
        """The store, and the data set, which each process reads once. Registrations sent along precede plug-ins.

        Plug-ins are imported by each process for itself: their loaders may hold open files, caches, classes.
        Raises `InputError` if the data set's loader gives other data than it gave the study.
        """
        plugins.load(self.plugins)
        for name, architecture in self.networks.items():
            models.register_network(name, architecture)
        s = self.settings
        if (self.digest, s.device) not in _opened:
            _opened.clear()  # before the next is read: one at a time in memory
            if self.source:
                registry._sources[s.dataset] = self.source
            device = devices.find_device(s.device)
            found = load_dataset(
                s.dataset, root=self.data, examples=s.examples, test_examples=s.test_examples, device=device
            )
            if found.digest != self.digest:
                raise InputError(
                    f"data set {s.dataset!r}: its loader gives other data each time it is called (seed its random "
                    "numbers), or its files were changed meanwhile (start anew)"
                )
            self.set_dataset(found)
        dataset = _opened[self.digest, s.device]
        devices.make_deterministic(dataset.images.device)
        store = Store(self.root)
        store.rules = self.rules
        return store, dataset

    def set_dataset(self, dataset: Dataset) -> None:
        """Use a data set that is in memory already for all tasks in this process."""
        _opened.clear()
        _opened[self.digest, self.settings.device] = dataset


# The one data set that is open in this process. Not a cache on a task's arguments: a source that was sent to a worker
# is another object each time.
_opened: dict[tuple[str, str], Dataset] = {}


def run_in_worker(task: Callable, *arguments: Any) -> None:
    """Run a task in a worker process, which lives on for the next task: the data set is read once.

    joblib takes the freed memory that `devices.configure_cpu` keeps for a leak, and would replace the process again and
    again.
    """
    from joblib.externals.loky import process_executor

    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize
    task(*arguments)


def train_and_store(context: TaskContext, teacher: Teacher) -> None:
    """Task: train a teacher, and store its run."""
    _train(*context.open(), teacher)


def get_or_train_teacher(store: Store, dataset: Dataset, teacher: Teacher) -> Unit:
    """The unit of a teacher's run (see `teachers.train_teacher`), trained if the store lacks it."""
    return store.get("teacher", teacher.config(dataset)) or _train(store, dataset, teacher)


def _train(store: Store, dataset: Dataset, teacher: Teacher) -> Unit:
    taught_by = teacher.taught_by and get_or_train_teacher(store, dataset, teacher.taught_by)
    teacher_logits = teachers.responses(taught_by.tensors) if taught_by else None
    compute = partial(teachers.train_teacher, teacher, dataset, teacher_logits)
    return compute_and_store(store, "teacher", teacher.config(dataset), dataset, compute)


def responses(store: Store, dataset: Dataset, student: Student) -> Tensor:
    """Logits [N, C] of a student's teacher, which is trained if the store lacks them; zeros where it needs none."""
    if not student.needs_responses:
        return torch.zeros(len(dataset.labels), dataset.classes)
    if sent := store.get("responses", _responses_config(student, dataset)):
        return sent.tensors["logits"].float()
    run = get_or_train_teacher(store, dataset, student.teacher).tensors
    return teachers.responses(run, student.teacher_epoch).clone()  # of all epochs this one alone stays in memory


def has_responses(store: Store, dataset: Dataset, student: Student) -> bool:
    """True if a student can be trained without its teacher: it needs no responses, or they are a unit of their own."""
    return not student.needs_responses or store.has("responses", _responses_config(student, dataset))


def store_responses(store: Store, dataset: Dataset, teacher: Teacher, epoch: int) -> Unit:
    """Store a teacher's responses after an epoch as a unit of their own, small enough to be sent to another machine.

    Where every logit is a number of bf16, as after training in bf16, they are stored as such: half of the room.
    """
    run = store.get("teacher", teacher.config(dataset))
    logits = teachers.responses(run.tensors, epoch)
    short = logits.bfloat16()
    kept = (short if torch.equal(short.float(), logits) else logits).clone()
    config = {"teacher": teacher.config(dataset), "epoch": epoch}
    return store.put(Unit("responses", config, {"logits": kept}, run.provenance))


def _responses_config(student: Student, dataset: Dataset) -> dict[str, Any]:
    return {"teacher": student.teacher.config(dataset), "epoch": student.teacher_epoch}


def distill_and_store(context: TaskContext, group: list[Student]) -> None:
    """Task: distil students of a group, and store each result as soon as it is there."""
    store, dataset = context.open()
    read: dict[tuple, Tensor] = {}  # each teacher's responses are read once
    for s in group:
        if (s.teacher, s.teacher_epoch, s.needs_responses) not in read:
            read[s.teacher, s.teacher_epoch, s.needs_responses] = responses(store, dataset, s)
    logits = [read[s.teacher, s.teacher_epoch, s.needs_responses] for s in group]
    start, opened = time.perf_counter(), len(dataset.openings)
    for i, tensors in students.distill_each(group, dataset, logits):
        seconds = time.perf_counter() - start  # of a stack, the first student bears the time of all
        provenance = _provenance(store, dataset, seconds, dataset.openings[opened:])
        provenance["engine"] = students.recorded_engine(group[i], dataset)
        store.put(Unit("student", group[i].config(dataset), tensors, provenance))
        start, opened = time.perf_counter(), len(dataset.openings)


def measure_and_store(context: TaskContext, wanted: tuple) -> None:
    """Task: compute a measure of a student, and store it; `wanted` is (compute, student, identity of the measure)."""
    store, dataset = context.open()
    compute, student, identity = wanted
    logits = responses(store, dataset, student).to(dataset.images.device)
    compute_and_store(store, "measure", identity, dataset, lambda: compute(student, dataset, logits))


def compute_and_store(
    store: Store, kind: str, config: dict[str, Any], dataset: Dataset, compute: Callable[[], dict[str, Tensor]]
) -> Unit:
    """Call `compute`, and store its tensors as a unit whose provenance has the time, the memory and the device."""
    start, opened = time.perf_counter(), len(dataset.openings)
    tensors = compute()
    provenance = _provenance(store, dataset, time.perf_counter() - start, dataset.openings[opened:])
    return store.put(Unit(kind, config, tensors, provenance))


def _provenance(store: Store, dataset: Dataset, seconds: float, openings: Iterable[str]) -> dict[str, Any]:
    return {
        "rules": dict(store.rules),
        "seconds": round(seconds, 3),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "peak_memory_mib": devices.peak_memory(),
        "test_openings": list(dict.fromkeys(openings)),
        **devices.environment(dataset.images.device),
    }
