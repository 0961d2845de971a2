"""A study: settings, a data set and a store; it computes units that the store lacks and reads the others."""

import html
import sys
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pickle import PicklingError
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from .. import paths
from ..data import plugins, processes, registry
from ..data.dataset import Dataset
from ..errors import InputError, StoreError
from ..progress import progress
from ..training import arguments, costs, devices, models, own_teachers, students
from ..training.config import Student, Teacher
from ..training.systems import registry as systems
from . import workers
from .deadline import Deadline, OutOfTime, Queue
from .settings import Settings
from .store import Store, Unit, unit_key

MAX_LOST_WORKERS = 3  # after so many the fault is taken to be none of chance
CAPACITIES = {"small": "small_teacher", "large": "large_teacher"}
Cell = tuple[dict[str, Any], Student]  # what names a row, and whose result it holds


@dataclass(frozen=True)
class Section:
    """Definition of a section: the functions that give its units and its tables."""

    name: str
    units: Callable[["Study"], tuple[list[Teacher], list[Student]]]
    tables: Callable[["Study"], dict[str, pd.DataFrame]]


def _with_those_behind(teacher: Teacher) -> list[Teacher]:
    return [teacher, *(behind for before in teacher.builds_on for behind in _with_those_behind(before))]


def _no_cost(unit: Teacher | Student) -> float:
    return 0.0


class Study:
    """Settings, data set and store of a section, with the means to compute its units and tables.

    `clipped` says for each grid that was clipped to fit the data set, by name, what is left of it; `limits`, what the
    data set cannot show; `used` holds the units that were read or computed so far.
    """

    def __init__(
        self,
        definition: Section,
        settings: Settings,
        dataset: Dataset,
        store: Store,
        clipped: dict[str, str],
        limits: list[str],
    ) -> None:
        self.definition, self.section = definition, definition.name
        self.settings, self.dataset, self.store = settings, dataset, store
        self.clipped, self.limits = clipped, limits
        self.own = {  # teachers of the reader's own that stand in for one of table 7
            capacity: own_teachers.find(name, dataset.name)
            for capacity, role in CAPACITIES.items()
            if (name := getattr(settings, role)) != role
        }
        self.teachers: dict[Teacher, None] = {}  # every run asked for, in order
        self.used: dict[str, dict[str, Any]] = {}  # see `provenance`
        self.load_arguments: dict[str, Any] | None = None  # what the data set was loaded with
        self.workers: int | None = None  # processes that train; None: `workers.worker_count`
        self.deadline: Deadline | None = None  # then what is not expected to end in time raises `OutOfTime`
        self.cost: Callable[[Teacher | Student], float] = _no_cost  # estimated seconds, for the deadline

    @property
    def notes(self) -> list[str]:
        """Sentences on what the data allow: the subset taken, grids that were clipped, what the set cannot show."""
        subset = [f"{self.settings.examples} training examples, a stratified subset"] * bool(self.settings.examples)
        cut = (f"{name.replace('_', ' ')} cut to {left}" for name, left in self.clipped.items())
        return [*subset, *cut, *self.limits]

    @property
    def seeds(self) -> range:
        """Teacher seeds, from 0."""
        return range(self.settings.seeds)

    @property
    def missing_classes(self) -> tuple[int, ...]:
        """Classes that are taken out of the transfer set in turn."""
        return self.settings.missing_classes or tuple(range(self.dataset.classes))

    @property
    def shown_class(self) -> int:
        """The class whose examples are shown: digit 6 as in the paper, the last class where there are fewer."""
        return min(6, self.dataset.classes - 1)

    def units(self) -> tuple[list[Teacher], list[Student]]:
        """Units that `tables` needs: teachers whose measures are lacking, and all students."""
        return self.definition.units(self)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The section's tidy tables, one row for each cell and teacher seed.

        Of processes that compute the same on one store, one does so and the others wait for it.
        """
        identity = {"section": self.section, "data": self.dataset.digest, "settings": asdict(self.settings)}
        with self.store.alone(self.section, identity), devices.own_defaults():
            return self.definition.tables(self)

    def shown_images(self) -> np.ndarray:
        """The five examples whose soft labels are shown: [5, C, H, W] in [0, 1]."""
        return self.dataset.images[self.shown_examples()].cpu().numpy()

    def shown_examples(self) -> Tensor:
        """Indices of the five examples whose soft labels are shown: the first of the shown class in validation."""
        members = self.dataset.validation
        return members[self.dataset.labels[members] == self.shown_class][:5]

    def __repr__(self) -> str:
        return f"Study({self.section}, {self.dataset.name}, profile {self.settings.profile})"

    def _repr_html_(self) -> str:
        s = self.settings
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        title = html.escape(self.dataset.title).replace("$", "<span>$</span>")  # else a notebook finds mathematics
        whose = "those trained here" if self.own else "both teachers"
        return (
            f"<p><strong>{title}</strong>, profile <strong>{html.escape(s.profile)}</strong>: "
            f"{len(self.dataset.train)} training, {len(self.dataset.validation)} validation and "
            f"{self.dataset.test_size} test examples; {s.seeds} teacher seeds, {whose} {s.teacher_epochs} epochs "
            f"at batch size {s.teacher_batch_size}.</p>" + f"<ul>{notes}</ul>" * bool(notes) + s._repr_html_()
        )

    def uses(self, run: Teacher) -> Teacher:
        """Add a run to those whose provenance the study tells (`teachers`); it is returned."""
        self.teachers[run] = None
        return run

    def teacher(self, capacity: str, seed: int, batch_size: int | None = None) -> Teacher:
        """Configuration of a teacher; with a batch size, one of the search for the sweet spot (other epochs).

        Arguments: `capacity`, "small" or "large". The teacher is added to `teachers`. A reader's own may stand in for
        it; for those of the search none does.
        """
        arguments.one_of("capacity", capacity, [*CAPACITIES])
        if batch_size is not None or capacity not in self.own:
            return self.trained_teacher(capacity, seed, batch_size)
        return self.uses(self.own[capacity].configuration(seed))

    def trained_teacher(self, capacity: str, seed: int, batch_size: int | None = None) -> Teacher:
        """Configuration of a teacher of table 7, which is trained here, whatever stands in for it: see `teacher`."""
        s = self.settings
        epochs = s.teacher_epochs if batch_size is None else s.sweet_spot_epochs
        batch_size = batch_size or s.teacher_batch_size
        spread = {e for b, e in s.spread_settings if b == batch_size and e <= epochs and capacity == "large"}
        return self.uses(
            Teacher(
                network=CAPACITIES[capacity],
                seed=seed,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=s.learning_rate,
                precision=s.precision,
                kept_epochs=tuple(e for e in s.kept_epochs if e <= epochs),
                checkpoints=tuple(sorted(spread | {epochs})),
            )
        )

    def default_teachers(self) -> list[Teacher]:
        """Configurations of both teachers, for every seed."""
        return [self.teacher(capacity, seed) for seed in self.seeds for capacity in CAPACITIES]

    def student(self, teacher: Teacher, temperature: float, epoch: int | None = None, **changes: Any) -> Student:
        """Configuration of a student of a teacher's responses after an epoch (default: the last).

        It has the study's settings but for `changes`, fields of `Student`. If a `system` only replaces the teacher (by
        an earlier checkpoint, or by one derived from it), the result is an ordinary student of the replacement, by
        equation 4.
        """
        arguments.positive("temperature", temperature)
        s = self.settings
        values = {
            "alpha": s.alpha,
            "t_squared": s.t_squared,
            "epochs": s.student_epochs,
            "batch_size": s.student_batch_size,
            "learning_rate": s.learning_rate,
            "precision": s.precision,
            "seeding": s.seeding,
        }
        values |= changes
        student = Student(teacher, epoch or teacher.epochs, float(temperature), **values)
        if "system" in values:
            student = systems.arranged(student)
            self.teachers |= dict.fromkeys(_with_those_behind(student.teacher))
        return student

    @property
    def steps_on_all(self) -> int:
        """Number of steps in which a student is trained on all examples: those of few may be trained for as many."""
        return students.steps_of(
            self.settings.student_epochs, len(self.dataset.train), self.settings.student_batch_size
        )

    def operations(self, wanted: Student | Iterable[Student], given: Iterable[Teacher] = ()) -> dict[str, int]:
        """Operations of the whole training of a student, or of several: `total`, and `given_teacher`.

        The second is with teachers that are there already. Arguments: `given`, these teachers.
        """
        wanted = [wanted] if isinstance(wanted, Student) else list(wanted)
        total, less = (costs.system_operations(wanted, self.dataset, g) for g in ((), tuple(given)))
        return {"total": total, "given_teacher": less}

    def is_stored(self, unit: Teacher | Student) -> bool:
        """True if the store holds a teacher's run or a student's result."""
        kind = "teacher" if isinstance(unit, Teacher) else "student"
        return self.store.has(kind, unit.config(self.dataset))

    def lacking_teachers(self, wanted: Iterable[Teacher]) -> list[Teacher]:
        """Teachers that the store lacks, each after those whose runs it needs, as far as the store lacks these too."""
        found: dict[Teacher, None] = {}
        for teacher in wanted:
            if teacher not in found and not self.is_stored(teacher):
                found |= dict.fromkeys(self.lacking_teachers(workers.runs_before(self.store, self.dataset, teacher)))
                found[teacher] = None
        return list(found)

    def teachers_of(self, wanted: Iterable[Student]) -> list[Teacher]:
        """Teachers without whose runs these students cannot be trained: of those whose responses the store lacks."""
        return [s.teacher for s in wanted if not workers.has_responses(self.store, self.dataset, s)]

    def train_teachers(self, wanted: Iterable[Teacher]) -> None:
        """Train what the store lacks of these teachers, as many at once as there are workers."""
        wanted = list(dict.fromkeys(wanted))
        lacking = [t for t in wanted if not self.is_stored(t)]
        if above := [before for t in lacking for before in workers.runs_before(self.store, self.dataset, t)]:
            self.train_teachers(above)
        self._compute_missing(workers.train_and_store, lambda: [t for t in wanted if not self.is_stored(t)], "teachers")

    def teacher_result(self, teacher: Teacher) -> dict[str, Tensor]:
        """A teacher's tensors (see `train_teacher`), trained if the store lacks them."""
        self.train_teachers([teacher])
        return self._use(workers.get_or_train_teacher(self.store, self.dataset, teacher))

    def responses(self, student: Student) -> Tensor:
        """Logits [N, C] of a student's teacher, by data-set index; zeros where the student needs none."""
        return workers.responses(self.store, self.dataset, student)

    def student_results(self, wanted: Iterable[Student]) -> list[dict[str, Tensor]]:
        """Results of students (see `distill`), in order; what the store lacks is trained, many at once."""
        if isinstance(wanted, Student):
            raise InputError("a list of students is needed, got one: put it into brackets")
        wanted = list(wanted)
        students.check_students(wanted, self.dataset)
        units = [self.store.get("student", s.config(self.dataset)) for s in wanted]
        lacking = [s for s, unit in zip(wanted, units, strict=True) if unit is None]
        if lacking:
            self.train_teachers(self.teachers_of(lacking))
            lacking = list(dict.fromkeys(lacking))
            self._compute_missing(workers.distill_and_store, lambda: self._groups(lacking), "students")
            units = [u or self.store.get("student", s.config(self.dataset)) for s, u in zip(wanted, units, strict=True)]
        return [self._use(unit) for unit in units]

    def student_table(
        self, cells: Iterable[Cell], columns: Callable[[Student, dict[str, Tensor]], dict[str, Any]]
    ) -> pd.DataFrame:
        """A row for each cell, a pair of its columns and its student; what the store lacks is trained, many at once.

        Arguments: `columns(student, its result)`, see `distill`, gives the further columns.
        """
        cells = list(cells)
        results = self.student_results(student for _, student in cells)
        return pd.DataFrame([cell | columns(s, r) for (cell, s), r in zip(cells, results, strict=True)])

    def measure(self, name: str, config: dict[str, Any], compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """A small result that is derived from teachers, stored so that it can be read without them.

        Arguments: `name` and `config`, its identity; `compute`, called if the store lacks it. Returns named tensors.
        """
        identity = self._measure_identity(name, config)
        unit = self.store.get("measure", identity)
        return self._use(unit or self._compute("measure", name, identity, compute))

    def activations(self, config: dict[str, Any], compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Named tensors from which a figure is drawn, stored so that it needs no teacher; in no page's record."""
        identity = self._measure_identity("activations", config)
        unit = self.store.get("activations", identity)
        return (unit or self._compute("activations", "activations", identity, compute)).tensors

    def has_measure(self, name: str, config: dict[str, Any]) -> bool:
        """True if a measure is stored, so that its teacher is not needed."""
        return self.store.has("measure", self._measure_identity(name, config))

    def measure_students(
        self, name: str, wanted: list[Student], compute: Callable[[Student, Dataset, Tensor], dict[str, Tensor]]
    ) -> list[dict[str, Tensor]]:
        """A measure of each student, in order; what the store lacks is computed, many at once.

        Arguments: `compute(student, data set, its teacher's logits [N, C])` returns named tensors.
        """
        students.check_students(wanted, self.dataset)
        identities = {student: self._student_identity(name, student) for student in wanted}
        found = {student: self.store.get("measure", identity) for student, identity in identities.items()}
        if lacking := [student for student, unit in found.items() if unit is None]:
            self.train_teachers(self.teachers_of(lacking))

            def find_lacking() -> list[tuple]:
                return [(compute, s, identities[s]) for s in lacking if not self.has_student_measure(name, s)]

            self._compute_missing(workers.measure_and_store, find_lacking, name)
            found |= {student: self.store.get("measure", identities[student]) for student in lacking}
        return [self._use(found[student]) for student in wanted]

    def has_student_measure(self, name: str, student: Student) -> bool:
        """True if a measure of a student is stored."""
        return self.store.has("measure", self._student_identity(name, student))

    def provenance(self) -> dict[str, dict[str, Any]]:
        """Provenance of every unit used, by key, with its `kind` and `what` (network, or name of the measure).

        Teachers behind the units are among them, as far as the store has them.
        """
        found = dict(self.used)
        for teacher in self.teachers:
            config = teacher.config(self.dataset)
            if provenance := self.store.provenance("teacher", config):
                found[unit_key("teacher", config)] = {"kind": "teacher", "what": teacher.network, **provenance}
        return found

    def _compute(
        self, kind: str, name: str, identity: dict[str, Any], compute: Callable[[], dict[str, Tensor]]
    ) -> Unit:
        """A unit of a kind, computed in this process, and stored."""
        found: list[Unit] = []

        def task() -> None:
            found.append(workers.compute_and_store(self.store, kind, identity, self.dataset, compute))

        queue = Queue(self.deadline, name, [0.0])
        for position in queue:
            queue.done(position, workers.run_task(task))
        queue.check_all_begun()
        return found[0]

    def _measure_identity(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        return {"measure": name, "data": self.dataset.digest, **config}

    def _student_identity(self, name: str, student: Student) -> dict[str, Any]:
        return self._measure_identity(name, {"student": student.config(self.dataset)})

    def _use(self, unit: Unit) -> dict[str, Tensor]:
        what = unit.config.get("measure") or unit.config["network"]
        self.used[unit.key] = {"kind": unit.kind, "what": what, **unit.provenance}
        return unit.tensors

    def _groups(self, wanted: list[Student]) -> list[list[Student]]:
        """Those students that the store lacks, in groups of one task each."""
        lacking = [student for student in wanted if not self.is_stored(student)]
        return [[lacking[i] for i in chunk] for chunk in students.stacks(lacking, self.dataset)]

    def _compute_missing(self, task: Callable, find_lacking: Callable[[], list], title: str) -> None:
        """Run a task for everything that is lacking; when a worker is killed, go on with what is lacking then."""
        for _ in range(MAX_LOST_WORKERS):
            try:
                return self._parallel(task, find_lacking(), title)
            except BrokenProcessPool:
                print(f"{title}: a worker was killed; going on with what the store lacks", file=sys.stderr)
        raise StoreError(
            f"{title}: workers were killed {MAX_LOST_WORKERS} times. What is finished is kept; if memory ran out, set "
            "KDLIB_WORKERS to fewer, and run again to go on."
        )

    def _parallel(self, task: Callable, arguments: list, title: str) -> None:
        if not arguments:
            return
        if self.deadline is None:  # else what is wanted first comes first
            arguments = sorted(arguments, key=self._examples_seen, reverse=True)  # no long task is left to the end
        source = registry.find_source(self.settings.dataset)
        context = workers.TaskContext(
            self.settings,
            None if source.builtin or source.plugin else source,
            models.registered_networks(),
            systems.registered_systems(),
            str(self.store.root),
            self.dataset.digest,
            self.store.rules,
            plugins.folder(),
            paths.data_dir().resolve(),
        )
        count = min(self.workers or workers.worker_count(self.settings.device), len(arguments))
        queue = Queue(self.deadline, title, [self._estimate(argument, count) for argument in arguments])
        if count == 1:
            context.set_dataset(self.dataset)
            for position in progress(queue, title, len(arguments)):
                queue.done(position, workers.run_task(task, context, arguments[position]))
        else:
            self._in_workers(partial(workers.run_in_worker, task, context), arguments, count, queue)
        queue.check_all_begun()

    def _in_workers(
        self, run: Callable[[Any, int], tuple[int, float]], arguments: list, count: int, queue: Queue
    ) -> None:
        """Call `run(argument, position)` in `count` processes, for every argument that the queue lets begin."""
        from joblib import Parallel, delayed
        from joblib.externals.loky import get_reusable_executor

        # With a deadline a task's turn is decided as late as can be: when a worker is free.
        how = {"pre_dispatch": count, "batch_size": 1} if self.deadline else {}
        jobs = (delayed(run)(arguments[k], k) for k in queue)
        try:
            results = Parallel(count, return_as="generator_unordered", **processes.of_this_process(), **how)(jobs)
            for done in progress(results, queue.kind, len(arguments)):
                queue.done(*done)
        except (BrokenProcessPool, PicklingError) as error:
            if isinstance(error, BrokenProcessPool) and "task has failed to un-serialize" not in str(error):
                raise
            raise InputError(
                f"what was registered in this process ({self._registered_here()}) cannot be sent to workers: put it "
                "into a file of plugins/, which they import by themselves, or set KDLIB_WORKERS=1"
            ) from error
        except (StoreError, OutOfTime, KeyboardInterrupt):
            # Else each complains when the process ends, which waits for what they have in hand.
            get_reusable_executor(reuse=True).shutdown(kill_workers=True)
            raise

    def _examples_seen(self, argument: Any) -> int:
        """How many training examples the networks of a task see, each as often as it is seen; 0 of a measure."""
        units = argument if isinstance(argument, list) else [argument]
        sizes = [students.batch_size_and_steps(unit, self.dataset) for unit in units if isinstance(unit, Student)]
        epochs = sum(unit.epochs for unit in units if isinstance(unit, Teacher))
        return epochs * len(self.dataset.train) + sum(size * steps for size, steps in sizes)

    def _registered_here(self) -> str:
        """The data set, networks and systems that no worker imports by itself, as a phrase."""
        source = registry.find_source(self.settings.dataset)
        own = [] if source.builtin or source.plugin else [f"the data set {self.dataset.name}"]
        own += [f"the network {name}" for name in models.registered_networks()]
        return ", ".join([*own, *(f"the system {name}" for name in systems.registered_systems())]) or "nothing"

    def _estimate(self, argument: Any, count: int) -> float:
        """Estimated seconds of a task among `count` at once: on an accelerator each has its share alone."""
        if self.deadline is None:
            return 0.0
        units = argument if isinstance(argument, list) else [argument]
        seconds = sum(self.cost(unit) for unit in units if isinstance(unit, Teacher | Student))
        return seconds if self.dataset.images.device.type == "cpu" else seconds * count
