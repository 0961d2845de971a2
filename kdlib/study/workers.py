"""What workers do: train a teacher, distil students, measure one; each result goes into the store."""

import sys
import time
from collections.abc import Callable, Iterable
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
    """KDLIB_WORKERS, else one for each CPU core (one on an accelerator)."""
    if devices.find_device(device).type != "cpu":
        return 1
    return asked_workers() or devices.cores()


@dataclass(frozen=True)
class Shared:
    """What every task of a study needs, in this process or another: also what was registered in this one alone."""

    settings: Settings
    source: registry.Source | None  # None: known from the start, or registered by a plug-in
    networks: dict[str, Architecture]
    root: str
    digest: str  # of the data set
    plugins: Path  # this folder and the next: a worker that lives on would go by an older environment
    data: Path

    def open(self) -> tuple[Store, Dataset]:
        """The store, and the data set, read once in a process. What was registered here goes before plug-ins.

        Plug-ins are imported by each process for itself: their loaders may hold open files, caches, classes.
        """
        plugins.load(self.plugins, quiet=True)
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
            self.keep(found)
        dataset = _opened[self.digest, s.device]
        devices.make_ready(dataset.images.device)
        return Store(self.root), dataset

    def keep(self, dataset: Dataset) -> None:
        """Take this data set for all tasks in this process."""
        _opened.clear()
        _opened[self.digest, self.settings.device] = dataset


# The one data set that is open in this process. Not a cache on a task's arguments: a source that was sent to a worker
# is another object each time.
_opened: dict[tuple[str, str], Dataset] = {}


def in_worker(task: Callable, *arguments: Any) -> None:
    """A task in a process of its own, which lives on for the next: its data set is read once.

    joblib takes the freed memory that `devices.use_threads` keeps for a leak, and would replace the process again and
    again.
    """
    from joblib.externals.loky import process_executor

    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize
    task(*arguments)


def train_and_store(shared: Shared, teacher: Teacher) -> None:
    _train(*shared.open(), teacher)


def teacher_unit(store: Store, dataset: Dataset, teacher: Teacher) -> Unit:
    return store.get("teacher", teacher.config(dataset)) or _train(store, dataset, teacher)


def _train(store: Store, dataset: Dataset, teacher: Teacher) -> Unit:
    above = teacher.taught_by and teacher_unit(store, dataset, teacher.taught_by)
    taught = teachers.responses(above.tensors) if above else None
    compute = partial(teachers.train_teacher, teacher, dataset, taught)
    return timed(store, "teacher", teacher.config(dataset), dataset, compute)


def responses(store: Store, dataset: Dataset, student: Student) -> Tensor:
    """The logits [N, C] that a student is taught, trained if the store lacks them; zeros where it needs none."""
    if not student.needs_responses:
        return torch.zeros(len(dataset.labels), dataset.classes)
    if sent := store.get("responses", _responses_config(student, dataset)):
        return sent.tensors["logits"].float()
    run = teacher_unit(store, dataset, student.teacher).tensors
    return teachers.responses(run, student.teacher_epoch).clone()  # of all epochs this one alone stays in memory


def answered(store: Store, dataset: Dataset, student: Student) -> bool:
    """Whether a student can be trained without its teacher: it needs no responses, or they were kept by themselves."""
    return not student.needs_responses or store.has("responses", _responses_config(student, dataset))


def keep_responses(store: Store, dataset: Dataset, teacher: Teacher, epoch: int) -> Unit:
    """A stored teacher's responses after an epoch as a unit of their own: small enough to be sent to another machine.

    Of a training in bf16 they take half of the room and lose nothing: its logits are numbers of bf16.
    """
    run = store.get("teacher", teacher.config(dataset))
    logits = teachers.responses(run.tensors, epoch)
    short = logits.bfloat16()
    kept = (short if torch.equal(short.float(), logits) else logits).clone()
    config = {"teacher": teacher.config(dataset), "epoch": epoch}
    return store.put(Unit("responses", config, {"logits": kept}, run.provenance))


def _responses_config(student: Student, dataset: Dataset) -> dict[str, Any]:
    return {"teacher": student.teacher.config(dataset), "epoch": student.teacher_epoch}


def distill_and_store(shared: Shared, group: list[Student]) -> None:
    store, dataset = shared.open()
    known: dict[tuple, Tensor] = {}
    for s in group:
        if (s.teacher, s.teacher_epoch, s.needs_responses) not in known:
            known[s.teacher, s.teacher_epoch, s.needs_responses] = responses(store, dataset, s)
    logits = [known[s.teacher, s.teacher_epoch, s.needs_responses] for s in group]
    start, opened = time.perf_counter(), len(dataset.openings)
    for i, tensors in students.distill_each(group, dataset, logits):
        seconds = time.perf_counter() - start  # of a stack, the first student bears the time of all
        provenance = _provenance(dataset, seconds, dataset.openings[opened:])
        provenance["engine"] = students.choose_engine(group[i], dataset)
        store.put(Unit("student", group[i].config(dataset), tensors, provenance))
        start, opened = time.perf_counter(), len(dataset.openings)


def measure_and_store(shared: Shared, wanted: tuple) -> None:
    store, dataset = shared.open()
    compute, student, identity = wanted
    logits = responses(store, dataset, student).to(dataset.images.device)
    timed(store, "measure", identity, dataset, lambda: compute(student, dataset, logits))


def timed(
    store: Store, kind: str, config: dict[str, Any], dataset: Dataset, compute: Callable[[], dict[str, Tensor]]
) -> Unit:
    start, opened = time.perf_counter(), len(dataset.openings)
    tensors = compute()
    provenance = _provenance(dataset, time.perf_counter() - start, dataset.openings[opened:])
    return store.put(Unit(kind, config, tensors, provenance))


def _provenance(dataset: Dataset, seconds: float, openings: Iterable[str]) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 3),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "peak_memory_mib": devices.peak_memory(),
        "test_openings": list(dict.fromkeys(openings)),
        **devices.environment(dataset.images.device),
    }
