"""A study: settings, a data set and a store. It computes what the store lacks and reads the rest."""

import html
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from . import data, devices, models, students, teachers
from .data import Dataset, load_dataset
from .errors import InputError, StoreError
from .models import Architecture
from .progress import progress
from .settings import Settings, resolve
from .store import Store, Unit, unit_key
from .students import Student
from .teachers import Teacher

LOST_WORKERS = 3  # after so many the fault is taken to be none of chance
GROUP = 4  # students for which a worker reads their teacher's responses once
CAPACITIES = {"small": "small_teacher", "large": "large_teacher"}


class Study:
    """Everything that a section's measurements are made from.

    `notes` says what was clipped to fit the data set; `cost` sums the seconds of the units used so far, also of those
    that were computed earlier.
    """

    def __init__(self, section: str, settings: Settings, dataset: Dataset, store: Store, notes: list[str]) -> None:
        self.section, self.settings, self.dataset, self.store, self.notes = section, settings, dataset, store, notes
        self.teachers: dict[Teacher, None] = {}  # every run asked for, in order
        self.used: dict[str, dict[str, Any]] = {}  # see `origins`

    @property
    def seeds(self) -> range:
        return range(self.settings.seeds)

    @property
    def missing_classes(self) -> tuple[int, ...]:
        return self.settings.missing_classes or tuple(range(self.dataset.classes))

    @property
    def shown_class(self) -> int:
        """The paper shows digit 6; a data set with fewer classes shows its last."""
        return min(6, self.dataset.classes - 1)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The section's tidy tables, one row for each cell and teacher seed."""
        from .sections import SECTIONS

        return SECTIONS[self.section].tables(self)

    def umap_points(self) -> pd.DataFrame:
        """UMAP of the shown examples' penultimate activations; not among the tables, which need no umap-learn."""
        from .sections.penultimate_layer import umap_points

        return umap_points(self)

    def projected_images(self) -> np.ndarray:
        """The examples of the projection, in the order of its points: [n, C, H, W] in [0, 1]."""
        from .sections.penultimate_layer import shown_members

        return self.dataset.images[shown_members(self)].cpu().numpy()

    def shown_images(self) -> np.ndarray:
        """The five examples whose soft labels are shown: [5, C, H, W] in [0, 1]."""
        return self.dataset.images[self.shown_examples()].cpu().numpy()

    def shown_examples(self) -> Tensor:
        """Their indices: the first of the shown class in the validation split."""
        members = self.dataset.validation
        return members[self.dataset.labels[members] == self.shown_class][:5]

    def first_seed(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[table.seed == table.seed.min()]

    def last_epoch(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[table.epoch == table.epoch.max()]

    def __repr__(self) -> str:
        return f"Study({self.section}, {self.dataset.name}, profile {self.settings.profile})"

    def _repr_html_(self) -> str:
        s = self.settings
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        title = html.escape(self.dataset.title)
        return (
            f"<p><strong>{title}</strong>, profile <strong>{html.escape(s.profile)}</strong>: "
            f"{len(self.dataset.train)} training, {len(self.dataset.validation)} validation and "
            f"{self.dataset.test_size} test examples; {s.seeds} teacher seeds, both teachers {s.teacher_epochs} epochs "
            f"at batch size {s.teacher_batch_size}.</p>" + f"<ul>{notes}</ul>" * bool(notes) + s._repr_html_()
        )

    def teacher(self, capacity: str, seed: int, batch_size: int | None = None) -> Teacher:
        """The run of a teacher; with a batch size, one on the way to the sweet spot (other number of epochs)."""
        s = self.settings
        epochs = s.teacher_epochs if batch_size is None else s.sweet_spot_epochs
        batch_size = batch_size or s.teacher_batch_size
        spread = {e for b, e in s.spread_settings if b == batch_size and e <= epochs and capacity == "large"}
        run = Teacher(
            network=CAPACITIES[capacity],
            seed=seed,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=s.learning_rate,
            precision=s.precision,
            kept_epochs=tuple(e for e in s.kept_epochs if e <= epochs),
            checkpoints=tuple(sorted(spread | {epochs})),
        )
        self.teachers[run] = None
        return run

    def default_teachers(self) -> list[Teacher]:
        """The runs of both teachers, for every seed."""
        return [self.teacher(capacity, seed) for seed in self.seeds for capacity in CAPACITIES]

    def student(self, teacher: Teacher, temperature: float, epoch: int | None = None, **changes: Any) -> Student:
        """A student with the study's settings, of a teacher's responses after an epoch (default: the last)."""
        s = self.settings
        values = {
            "alpha": s.alpha,
            "t_squared": s.t_squared,
            "epochs": s.student_epochs,
            "batch_size": s.student_batch_size,
            "learning_rate": s.learning_rate,
            "precision": s.precision,
        }
        return Student(teacher, epoch or teacher.epochs, float(temperature), **(values | changes))

    def stored(self, unit: Teacher | Student) -> bool:
        """Whether the store holds a teacher's run or a student's result."""
        kind = "teacher" if isinstance(unit, Teacher) else "student"
        return self.store.has(kind, unit.config(self.dataset))

    def runs(self, wanted: Iterable[Teacher]) -> None:
        """Train what the store lacks of these teachers, as many at once as there are workers."""
        wanted = list(dict.fromkeys(wanted))
        if above := [t.taught_by for t in wanted if t.taught_by and not self.stored(t)]:
            self.runs(above)
        self._until_stored(_train_and_store, lambda: [t for t in wanted if not self.stored(t)], "teachers")

    def run(self, teacher: Teacher) -> dict[str, Tensor]:
        """A teacher's tensors (see `train_teacher`), trained if the store lacks them."""
        return self._use(_teacher_unit(self.store, self.dataset, teacher))

    def distilled(self, wanted: Iterable[Student]) -> list[dict[str, Tensor]]:
        """Results of students (see `distill`), in order; what the store lacks is trained, many at once."""
        wanted = list(wanted)
        units = [self.store.get("student", s.config(self.dataset)) for s in wanted]
        lacking = [s for s, unit in zip(wanted, units, strict=True) if unit is None]
        if lacking:
            self.runs(s.teacher for s in lacking if s.needs_responses)
            lacking = list(dict.fromkeys(lacking))
            self._until_stored(_distill_and_store, lambda: self._groups(lacking), "students")
            units = [u or self.store.get("student", s.config(self.dataset)) for s, u in zip(wanted, units, strict=True)]
        return [self._use(unit) for unit in units]

    def measure(self, name: str, config: dict[str, Any], compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """A small result derived from teachers, stored so that it can be read without them."""
        identity = self._measure_identity(name, config)
        unit = self.store.get("measure", identity)
        if unit is None:
            unit = _timed(self.store, "measure", identity, self.dataset, compute)
        return self._use(unit)

    def activations(self, config: dict[str, Any], compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What a figure is made from where its teacher is no longer at hand: stored, but in no page's record."""
        identity = self._measure_identity("activations", config)
        unit = self.store.get("activations", identity)
        return (unit or _timed(self.store, "activations", identity, self.dataset, compute)).tensors

    def measured(self, name: str, config: dict[str, Any]) -> bool:
        """Whether a measure is stored already, so that its teacher is not needed."""
        return self.store.has("measure", self._measure_identity(name, config))

    def measure_students(
        self, name: str, wanted: list[Student], compute: Callable[[Student, Dataset, Tensor], dict[str, Tensor]]
    ) -> list[dict[str, Tensor]]:
        """A measure of each student, many at once: `compute(student, data set, its teacher's logits)`."""
        identities = {student: self._student_identity(name, student) for student in wanted}

        def lacking() -> list[tuple]:
            return [(compute, s, identities[s]) for s in identities if not self.measured_student(name, s)]

        self.runs(student.teacher for _, student, _ in lacking())
        self._until_stored(_measure_and_store, lacking, name)
        return [self._use(self.store.get("measure", identities[student])) for student in wanted]

    def measured_student(self, name: str, student: Student) -> bool:
        """Whether a measure of a student is stored already."""
        return self.store.has("measure", self._student_identity(name, student))

    def origins(self) -> dict[str, dict[str, Any]]:
        """Of every unit used, and of the teachers behind them where they are here, by key: `kind`, `what` (network or
        name of a measure), and its provenance.
        """
        found = dict(self.used)
        for teacher in self.teachers:
            config = teacher.config(self.dataset)
            if provenance := self.store.provenance("teacher", config):
                found[unit_key("teacher", config)] = {"kind": "teacher", "what": teacher.network, **provenance}
        return found

    def _measure_identity(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        return {"measure": name, "data": self.dataset.digest, **config}

    def _student_identity(self, name: str, student: Student) -> dict[str, Any]:
        return self._measure_identity(name, {"student": student.config(self.dataset)})

    def _use(self, unit: Unit) -> dict[str, Tensor]:
        what = unit.config.get("measure") or unit.config["network"]
        self.used[unit.key] = {"kind": unit.kind, "what": what, **unit.provenance}
        return unit.tensors

    def _groups(self, wanted: list[Student]) -> list[list[Student]]:
        """Of these students those that the store lacks, in groups that are trained together."""
        lacking = [student for student in wanted if not self.stored(student)]
        return [[lacking[i] for i in chunk] for chunk in students.chunks(lacking, self.dataset, GROUP)]

    def _until_stored(self, task: Callable, find_lacking: Callable[[], list], title: str) -> None:
        """Do a task for everything that is lacking; when a worker is killed, go on with what is lacking then."""
        for _ in range(LOST_WORKERS):
            try:
                return self._parallel(task, find_lacking(), title)
            except BrokenProcessPool:
                print(f"{title}: a worker was killed; going on with what the store lacks", file=sys.stderr)
        raise StoreError(
            f"{title}: workers were killed {LOST_WORKERS} times. What is finished is kept; if memory ran out, set "
            "KDLIB_WORKERS to fewer, and run again to go on."
        )

    def _parallel(self, task: Callable, arguments: list, title: str) -> None:
        if not arguments:
            return
        from joblib import Parallel, delayed
        from joblib.externals.loky import get_reusable_executor

        shared = _Shared(
            self.settings,
            data.find_source(self.settings.dataset),
            models.registered_networks(),
            str(self.store.root),
            self.dataset.digest,
        )
        workers = min(worker_count(self.settings.device), len(arguments))
        if workers == 1:
            _opened.clear()
            _opened[shared.digest, self.settings.device] = self.dataset
            for argument in progress(arguments, title):
                task(shared, argument)
            return
        jobs = (delayed(_in_worker)(task, shared, argument) for argument in arguments)
        try:
            for _ in progress(Parallel(workers, return_as="generator_unordered")(jobs), title, len(arguments)):
                pass
        except StoreError:
            get_reusable_executor().shutdown(kill_workers=True)  # else each complains when the process ends
            raise


def open_study(section: str, parameters: Mapping[str, Any], *, store: Store | None = None, **given: Any) -> Study:
    """Check all parameters of a section, load its data set, and see that the store has room: before any work.

    Arguments: `section`, one of `SECTIONS`; `parameters`, such as a notebook's `globals()` (see `settings.resolve`).
    Raises `InputError` for whatever cannot be used as asked.
    """
    from .sections import PARAMETERS, SECTIONS

    settings = resolve(parameters, PARAMETERS[section], **given)
    by_hand = {k for k, v in {**parameters, **given}.items() if v is not None}
    device = devices.find_device(settings.device)
    worker_count(settings.device)
    dataset = load_dataset(
        settings.dataset,
        examples=settings.examples,
        test_examples=settings.test_examples,
        clip="examples" not in by_hand,
        device=device,
    )
    settings, notes = _fit(settings, dataset, by_hand)
    if device.type == "cpu":
        devices.use_threads(1)
    store = store or Store()
    asked = Study(section, settings, dataset, store, notes)  # of its own: what it reads counts as used by no page
    store.check_room(_room_needed(asked, *SECTIONS[section].units(asked)))
    return Study(section, settings, dataset, store, notes)


def _room_needed(study: Study, runs: list[Teacher], wanted: list[Student]) -> int:
    """Bytes of what the store lacks of a section: its teachers' tensors; the rest is small beside the fixed part."""
    lacking = [student for student in wanted if not study.stored(student)]
    taught = {*runs, *(student.teacher for student in lacking if student.needs_responses)}
    new = [run for run in taught | {run.taught_by for run in taught} if run and not study.stored(run)]
    return sum(teachers.stored_bytes(run, study.dataset) for run in new) + (64 if new or lacking else 1) * 2**20


def worker_count(device: str = "auto") -> int:
    """KDLIB_WORKERS, else one for each CPU core (one on an accelerator)."""
    if devices.find_device(device).type != "cpu":
        return 1
    text = os.environ.get("KDLIB_WORKERS") or str(devices.cores())
    if not text.isdigit() or int(text) < 1:
        raise InputError(f"KDLIB_WORKERS={text!r} cannot be used; allowed: a whole number from 1")
    return int(text)


def _fit(settings: Settings, dataset: Dataset, by_hand: set[str]) -> tuple[Settings, list[str]]:
    """Clip the profile's grids to what the data set has; refuse what was asked for by hand and is not there."""
    notes = []
    if settings.examples and settings.examples > len(dataset.labels):
        settings = replace(settings, examples=None)
    if settings.examples:
        notes.append(f"{settings.examples} training examples, a stratified subset")
    if any(c >= dataset.classes for c in settings.missing_classes):
        if "missing_classes" in by_hand:
            asked, last = list(settings.missing_classes), dataset.classes - 1
            raise InputError(f"missing_classes={asked}: {dataset.name} has classes 0 to {last}")
        there = tuple(c for c in settings.missing_classes if c < dataset.classes)
        notes.append(f"missing_classes clipped to {', '.join(map(str, there)) or 'every class'}")
        settings = replace(settings, missing_classes=there)
    available = int(torch.bincount(dataset.labels[dataset.train]).min())
    for name, limit, what in (
        ("examples_per_class", available, "training examples in the smallest class"),
        ("batch_sizes", len(dataset.train), "training examples"),
    ):
        values = getattr(settings, name)
        if all(v <= limit for v in values):
            continue
        if name in by_hand:
            raise InputError(f"{name}={list(values)}: {dataset.name} has {limit} {what}")
        kept = tuple(v for v in values if v <= limit) or (limit,)
        notes.append(f"{name} clipped to {', '.join(map(str, kept))}: there are {limit} {what}")
        settings = replace(settings, **{name: kept})
    pairs, limit = settings.spread_settings, len(dataset.train)
    if any(batch_size > limit for batch_size, _ in pairs):
        if "spread_settings" in by_hand:
            raise InputError(f"spread_settings={list(map(list, pairs))}: {dataset.name} has {limit} training examples")
        pairs = tuple(pair for pair in pairs if pair[0] <= limit) or ((limit, pairs[0][1]),)
        shown = ", ".join(f"{batch_size} × {epochs}" for batch_size, epochs in pairs)
        notes.append(f"spread_settings clipped to {shown}: there are {limit} training examples")
        settings = replace(settings, spread_settings=pairs)
    return settings, notes


@dataclass(frozen=True)
class _Shared:
    """What every task of a study needs, in this process or another: also what was registered in this one alone."""

    settings: Settings
    source: data.Source
    networks: dict[str, Architecture]
    root: str
    digest: str  # of the data set

    def open(self) -> tuple[Store, Dataset]:
        """The store, and the data set, read once in a process."""
        for name, architecture in self.networks.items():
            models.register_network(name, architecture)
        s = self.settings
        if (self.digest, s.device) not in _opened:
            _opened.clear()
            data._sources[s.dataset] = self.source
            _opened[self.digest, s.device] = load_dataset(
                s.dataset,
                examples=s.examples,
                test_examples=s.test_examples,
                device=devices.find_device(s.device),
            )
        dataset = _opened[self.digest, s.device]
        if dataset.images.device.type == "cpu":
            devices.use_threads(1)
        return Store(self.root), dataset


# The one data set that is open in this process. Not a cache on a task's arguments: a source that was sent to a worker
# is another object each time.
_opened: dict[tuple[str, str], Dataset] = {}


def _in_worker(task: Callable, *arguments: Any) -> None:
    """A task in a process of its own, which lives on for the next: its data set is read once.

    joblib takes the freed memory that `devices.use_threads` keeps for a leak, and would replace the process again and
    again.
    """
    from joblib.externals.loky import process_executor

    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize
    task(*arguments)


def _train_and_store(shared: _Shared, teacher: Teacher) -> None:
    _train(*shared.open(), teacher)


def _teacher_unit(store: Store, dataset: Dataset, teacher: Teacher) -> Unit:
    return store.get("teacher", teacher.config(dataset)) or _train(store, dataset, teacher)


def _train(store: Store, dataset: Dataset, teacher: Teacher) -> Unit:
    above = teacher.taught_by and _teacher_unit(store, dataset, teacher.taught_by)
    taught = teachers.responses(above.tensors) if above else None
    compute = partial(teachers.train_teacher, teacher, dataset, taught)
    return _timed(store, "teacher", teacher.config(dataset), dataset, compute)


def _distill_and_store(shared: _Shared, group: list[Student]) -> None:
    store, dataset = shared.open()
    sources = {(s.teacher, s.teacher_epoch) for s in group if s.needs_responses}
    targets = {
        (teacher, epoch): teachers.responses(_teacher_unit(store, dataset, teacher).tensors, epoch).clone()
        for teacher, epoch in sources
    }
    none = torch.zeros(len(dataset.labels), dataset.classes)
    logits = [targets[s.teacher, s.teacher_epoch] if s.needs_responses else none for s in group]
    start, opened = time.perf_counter(), len(dataset.openings)
    for i, tensors in students.distill_each(group, dataset, logits):
        seconds = time.perf_counter() - start  # of a stack, the first student bears the time of all
        provenance = _provenance(dataset, seconds, dataset.openings[opened:])
        store.put(Unit("student", group[i].config(dataset), tensors, provenance))
        start, opened = time.perf_counter(), len(dataset.openings)


def _measure_and_store(shared: _Shared, wanted: tuple) -> None:
    store, dataset = shared.open()
    compute, student, identity = wanted
    run = _teacher_unit(store, dataset, student.teacher).tensors
    logits = teachers.responses(run, student.teacher_epoch).to(dataset.images.device)
    _timed(store, "measure", identity, dataset, lambda: compute(student, dataset, logits))


def _timed(
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
