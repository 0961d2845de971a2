"""Tasks of workers: train a teacher, distil students, measure one; each result goes into the store."""

import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from ..training.identity import canonical_json
from ..training.models import Architecture
from ..training.systems import registry as registry_of_systems
from ..training.systems.system import System
from .checks import asked_workers
from .settings import Settings
from .store import Store, Unit, read_unit, unit_key


def worker_count(device: str = "auto") -> int:
    """Number of worker processes: KDLIB_WORKERS, else one for each CPU core; always one on an accelerator.

    Raises `InputError` for a KDLIB_WORKERS that is no whole number from 1. A campaign has several share an accelerator.
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
    systems: dict[str, System]
    root: str
    digest: str  # of the data set
    rules: Mapping[str, str]  # see `Store`
    plugins: Path | None  # this folder and the next: a worker that lives on would go by an older environment
    data: Path

    def open(self) -> tuple[Store, Dataset]:
        """The store, and the data set, which each process reads once. Registrations sent along precede plug-ins.

        Plug-ins are imported by each process for itself: their loaders may hold open files, caches, classes.
        Raises `InputError` if the data set's loader gives other data than it gave the study.
        """
        plugins.load(self.plugins)
        for name, architecture in self.networks.items():
            models.register_network(name, architecture)
        for system in self.systems.values():
            registry_of_systems.register_system(system)
        s = self.settings
        if self._key not in _opened:
            _opened.clear()  # before the next is read: one at a time in memory
            if self.source:
                registry.enter(s.dataset, self.source)
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
        dataset = _opened[self._key]
        devices.make_deterministic(dataset.images.device)
        return Store(self.root, rules=self.rules), dataset

    def set_dataset(self, dataset: Dataset) -> None:
        """Use a data set that is in memory already for all tasks in this process."""
        _opened.clear()
        _opened[self._key] = dataset

    @property
    def _key(self) -> tuple[str, str, str]:
        """Name, content and device: another name may have the same content, and its units are others."""
        return self.settings.dataset, self.digest, self.settings.device


# The one data set that is open in this process. Not a cache on a task's arguments: a source that was sent to a worker
# is another object each time.
_opened: dict[tuple[str, str, str], Dataset] = {}


def run_task(task: Callable, *arguments: Any) -> float:
    """Run a task in this process; returns the seconds that it took."""
    start = time.perf_counter()
    with devices.own_defaults():
        task(*arguments)
    return time.perf_counter() - start


def run_in_worker(task: Callable, context: TaskContext, argument: Any, position: int) -> tuple[int, float]:
    """Run a task in a worker process, which lives on for the next task: the data set is read once.

    Returns the argument's `position`, and the seconds that the task took.
    joblib takes the freed memory that `devices.configure_cpu` keeps for a leak, and would replace the process again and
    again.
    """
    from joblib.externals.loky import process_executor

    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize
    return position, run_task(task, context, argument)


def train_and_store(context: TaskContext, teacher: Teacher) -> None:
    """Task: train a teacher that the store lacks, and store its run."""
    get_or_train_teacher(*context.open(), teacher)


def get_or_train_teacher(store: Store, dataset: Dataset, teacher: Teacher) -> Unit:
    """The unit of a teacher's run (see `teachers.train_teacher`), trained if the store lacks it."""
    config = teacher.config(dataset)
    if unit := store.get("teacher", config):
        return unit
    with store.alone(f"{teacher.network} {teacher.seed}", {"teacher": config}):
        return store.get("teacher", config) or _train(store, dataset, teacher)  # by the process that was waited for


def _train(store: Store, dataset: Dataset, teacher: Teacher) -> Unit:
    above, first = teacher.taught_by, teacher.continues
    teacher_logits = above and _responses_after(store, dataset, above, above.epochs_with_responses[-1])
    first_run = first and get_or_train_teacher(store, dataset, first).tensors
    compute = partial(teachers.train_teacher, teacher, dataset, teacher_logits, first_run)
    return compute_and_store(store, "teacher", teacher.config(dataset), dataset, compute)


def runs_before(store: Store, dataset: Dataset, teacher: Teacher) -> list[Teacher]:
    """Teachers whose runs a teacher's training needs: of one that teaches it, stored responses are enough."""
    above = teacher.taught_by
    if above and store.has("responses", _responses_config(above, above.epochs_with_responses[-1], dataset)):
        return [before for before in teacher.builds_on if before != above]
    return list(teacher.builds_on)


def responses(store: Store, dataset: Dataset, student: Student) -> Tensor:
    """Logits [N, C] of a student's teacher, which is trained if the store lacks them; zeros where it needs none."""
    if not student.needs_responses:
        return torch.zeros(len(dataset.labels), dataset.classes)
    return _mean_responses(
        _responses_after(store, dataset, student.teacher, epoch) for epoch in student.response_epochs
    )


def _responses_after(store: Store, dataset: Dataset, teacher: Teacher, epoch: int) -> Tensor:
    if sent := store.get("responses", _responses_config(teacher, epoch, dataset)):
        return sent.tensors["logits"].float()
    run = get_or_train_teacher(store, dataset, teacher).tensors
    return teachers.responses(run, epoch).clone()  # of all epochs this one alone stays in memory


def responses_of_each(store: Store, dataset: Dataset, group: Sequence[Student]) -> list[Tensor]:
    """Logits [N, C] for each student as `responses` gives them; each teacher's run, of many epochs, is read once."""
    found: dict[tuple, Tensor] = {}
    run: tuple[Teacher, dict[str, Tensor]] | None = None  # one at a time in memory

    def key(student: Student) -> tuple:
        return (student.teacher, student.response_epochs) if student.needs_responses else ()

    for s in group:
        if key(s) in found:
            continue
        if has_responses(store, dataset, s):
            found[key(s)] = responses(store, dataset, s)
            continue
        if run is None or run[0] != s.teacher:
            run = (s.teacher, get_or_train_teacher(store, dataset, s.teacher).tensors)
        found[key(s)] = _mean_responses(teachers.responses(run[1], epoch).clone() for epoch in s.response_epochs)
    return [found[key(s)] for s in group]


def _mean_responses(each: Iterable[Tensor]) -> Tensor:
    """Mean logits of the epochs whose responses a student is taught; one epoch's bit for bit."""
    each = list(each)
    return each[0] if len(each) == 1 else torch.stack(each).mean(0)


def has_responses(store: Store, dataset: Dataset, student: Student) -> bool:
    """True if a student can be trained without its teacher: it needs no responses, or they are a unit of their own."""
    configs = (_responses_config(student.teacher, epoch, dataset) for epoch in student.response_epochs)
    return not student.needs_responses or all(store.has("responses", config) for config in configs)


def store_last_responses(store: Store) -> None:
    """Store what each teacher of the writable folder responded after its last epoch, as `store_responses` does."""
    for path in store.paths():
        if path.parent.name != "teacher":
            continue
        try:
            run = read_unit(path)
        except (FileNotFoundError, ValueError):  # removed meanwhile; or damaged, which `verify` and an export tell
            continue
        epoch = run.config["epochs"]
        if not store.has("responses", {"teacher": run.config, "epoch": epoch}):
            store_responses(store, run, epoch)


def store_responses(store: Store, run: Unit, epoch: int) -> Unit:
    """Store what a teacher's run responded after an epoch as a unit of its own, small enough for another machine.

    Where every logit is a number of bf16, as after training in bf16, they are stored as such: half of the room.
    """
    logits = teachers.responses(run.tensors, epoch)
    short = logits.bfloat16()
    kept = (short if torch.equal(short.float(), logits) else logits).clone()
    return store.put(Unit("responses", {"teacher": run.config, "epoch": epoch}, {"logits": kept}, run.provenance))


def responses_to_send(store: Store, dataset: Dataset, students: Iterable[Student]) -> list[str]:
    """Keys of the units of responses that students need, in their order; those of teachers that are here are stored.

    Students whose teacher's responses are nowhere are passed over.
    """
    wanted = {(s.teacher, epoch): None for s in students if s.needs_responses for epoch in s.response_epochs}
    missing: dict[Teacher, list[int]] = {}
    for teacher, epoch in wanted:
        if not store.has("responses", _responses_config(teacher, epoch, dataset)):
            missing.setdefault(teacher, []).append(epoch)
    for teacher, epochs in missing.items():
        if run := store.get("teacher", teacher.config(dataset)):
            for epoch in epochs:
                store_responses(store, run, epoch)
    configs = [_responses_config(*pair, dataset) for pair in wanted]
    return [unit_key("responses", config) for config in configs if store.has("responses", config)]


def _responses_config(teacher: Teacher, epoch: int, dataset: Dataset) -> dict[str, Any]:
    return {"teacher": teacher.config(dataset), "epoch": epoch}


def distill_and_store(context: TaskContext, group: list[Student]) -> None:
    """Task: distil students of a group, and store each result as soon as it is there."""
    store, dataset = context.open()
    logits = responses_of_each(store, dataset, group)
    start, opened = time.perf_counter(), len(dataset.openings)
    for i, tensors in students.distill_each(group, dataset, logits):
        seconds = time.perf_counter() - start  # of a stack, the first student bears the time of all
        provenance = _provenance(store, dataset, seconds, dataset.openings[opened:])
        provenance["engine"] = students.recorded_engine(group[i], dataset)
        provenance["responses"] = taught_by(group[i], dataset, logits[i])
        store.put(Unit("student", group[i].config(dataset), tensors, provenance))
        start, opened = time.perf_counter(), len(dataset.openings)


def taught_by(student: Student, dataset: Dataset, logits: Tensor) -> dict[str, str]:
    """Digest of the responses that taught a student, by their teacher's name; empty where it needed none.

    A teacher that is trained again on a machine that rounds otherwise is another one under the same name: by these
    digests, students of both are told apart.
    """
    if not student.needs_responses:
        return {}
    named = canonical_json({"teacher": student.teacher.config(dataset), "epochs": list(student.response_epochs)})
    whole = logits.float().cpu().contiguous().numpy()
    return {hashlib.sha256(named.encode()).hexdigest()[:12]: hashlib.sha256(whole).hexdigest()[:12]}


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
