"""Estimated cost, on this device, of what a study still lacks: a few seconds of calibration, then arithmetic."""

import heapq
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial

import torch

from .. import paths
from ..training import stacked, students, teachers
from ..training.config import Schedule, Student, Teacher
from ..training.devices import GraphedStep, peak_memory, timings
from ..training.models import build_model, find_architecture
from ..training.teachers import MICRO_BATCH
from .store import unit_key
from .study import Study
from .workers import has_responses, worker_count

Unit = Teacher | Student
CALIBRATION_STEPS = (10, 40)  # of the two students that are trained for their times


@dataclass(frozen=True)
class Cost:
    """Estimated cost of one unit on one worker; a student has its share of the stack that it is trained in."""

    seconds: float
    mebibytes: float  # largest resident size of the process


@dataclass(frozen=True)
class Plan:
    """The units that a study lacks, with what each will cost, and the wall time of all on so many workers."""

    costs: dict[Unit, Cost]
    workers: int
    seconds: float

    @property
    def mebibytes(self) -> float:
        """Largest resident size of any worker's process, in MiB; 0 where nothing is lacking."""
        return max((cost.mebibytes for cost in self.costs.values()), default=0.0)


def missing_by_section(studies: Sequence[Study]) -> list[tuple[list[Unit], list[Unit]]]:
    """Units that the store lacks and no earlier section computes, for each section: its teachers, and its students.

    Measures are not counted. While the sweet spot is not known, the students of a provisional pair stand for its own:
    as many, as costly.
    """
    seen: set[Unit] = set()
    found = []
    for study in studies:
        teachers_asked, wanted = study.units()
        lacking = [s for s in dict.fromkeys(wanted) if s not in seen and not study.is_stored(s)]
        needed = [*teachers_asked, *(s.teacher for s in lacking if not has_responses(study.store, study.dataset, s))]
        runs = [t for t in study.lacking_teachers(needed) if t not in seen]
        seen |= {*runs, *lacking}
        found.append((runs, lacking))
    return found


def teacher_runs(studies: Sequence[Study]) -> list[Teacher]:
    """All teachers behind the sections' tables, stored or not, in an order that does not depend on the store.

    Without assistants and fine-tuned ones, whose training waits for that of others.
    """
    for study in studies:
        study.units()
    return list(dict.fromkeys(run for study in studies for run in study.teachers if not run.builds_on))


def make_plan(studies: Sequence[Study]) -> Plan:
    """Estimate the cost of every unit that studies of one data set lack.

    The estimates are also written into the store, for `compare_estimates`.
    """
    started = time.process_time()  # a worker spends it too before it begins: imports and the data set
    study = studies[0]
    calibration = Calibration(study)
    lacking = [part for section in missing_by_section(studies) for part in section]
    costs = {unit: calibration.cost(unit) for part in lacking for unit in part}
    workers = worker_count(study.settings.device)
    loading = 2 * started if workers > 1 else started  # the workers start after the process that starts them
    seconds = loading * bool(costs)
    for part in lacking:  # each ends before the next begins
        seconds += makespan([costs[unit].seconds for unit in part], workers)
    _save_estimates(study, costs)
    return Plan(costs, workers, seconds)


def makespan(durations: Iterable[float], workers: int) -> float:
    """Wall time of jobs that are given to the first free worker, the longest first, in the unit of their durations."""
    free = [0.0] * workers
    for duration in sorted(durations, reverse=True):
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def compare_estimates(studies: Sequence[Study]) -> dict[Unit, tuple[float, float]]:
    """Estimated and actual seconds of every unit of some studies that was planned, and then computed here."""
    found = {}
    for study in studies:
        estimates = _estimates(study)
        _, wanted = study.units()
        for unit in dict.fromkeys([*study.teachers, *wanted]):
            kind, config = _identity(study, unit)
            estimate, actual = estimates.get(unit_key(kind, config)), study.store.provenance(kind, config)
            here = study.store.path(kind, config).exists()  # what was published took another machine's time
            if here and estimate and actual:
                found[unit] = (estimate["seconds"], actual["seconds"])
    return found


class Calibration:
    """Estimates costs from timed steps of each kind of training, once for each network and batch size."""

    def __init__(self, study: Study) -> None:
        self.study, self.dataset = study, study.dataset
        self.device = study.dataset.images.device
        self._step, self._predict = cache(self._time_step), cache(self._time_predict)
        self._student_times = cache(self._time_student)
        self._part = cache(lambda network: teachers.micro_batch_size(self._model(network), self.device))

    def cost(self, unit: Unit) -> Cost:
        """Estimated cost of a teacher or a student on one worker of this device."""
        return self._teacher(unit) if isinstance(unit, Teacher) else self._student(unit)

    def _teacher(self, teacher: Teacher) -> Cost:
        examples, everything = len(self.dataset.train), len(self.dataset.labels)
        part = min(teacher.batch_size, examples, self._part(teacher.network))
        kept = len(teacher.epochs_with_responses)
        training = teacher.epochs * examples / part * self._step(teacher.network, teacher.precision, part)
        means = examples * teachers.passes_for_means(teacher, teacher.epochs)
        seen = kept * everything + self.dataset.test_size + means
        predicting = seen * self._predict(teacher.network, teacher.precision)
        logits = 4 * everything * self.dataset.classes * kept / 2**20
        return Cost(training + predicting, peak_memory() + 2 * logits)  # kept in a list, then stacked

    def _student(self, student: Student) -> Cost:
        size, steps = students.batch_size_and_steps(student, self.dataset)
        engine = students.choose_engine(student, self.dataset)
        validated = (min(student.epochs, steps) - 1) * len(self.dataset.validation)  # the first is among the fixed
        at_last = self.dataset.test_size + len(self.dataset.validation) * (student.missing_class is not None)
        predicting = (validated + at_last) * self._predict(student.network, "fp32")
        fixed, step = self._student_times(student.network, size, engine, student.precision)
        return Cost(fixed + steps * step + predicting, peak_memory())

    def _model(self, network: str) -> torch.nn.Module:
        d = self.dataset
        return build_model(network, d.family, d.shape, d.classes).to(self.device)

    def _time_step(self, network: str, precision: str, size: int) -> float:
        model = self._model(network)
        optimizer = teachers.adam(list(model.parameters()), 1e-3)
        batch = self.dataset.train[:size]
        step = GraphedStep(lambda part: teachers.train_step(model, optimizer, self.dataset, part, precision), batch)
        if self.device.type == "cuda":  # what comes before the first replay is not what training consists of
            for _ in range(GraphedStep.WARMUP_CALLS + 1):
                step(batch)
        return _seconds(lambda: step(batch), self.device)

    def _time_predict(self, network: str, precision: str) -> float:
        """Seconds that predicting takes for each image."""
        model, images = self._model(network), self.dataset.images[: MICRO_BATCH[self.device.type]]
        return _seconds(lambda: teachers.predict(model, images, precision), self.device) / len(images)

    def _time_student(self, network: str, size: int, engine: str, precision: str) -> tuple[float, float]:
        """Fixed seconds of a student, one validation included, and seconds of a step; in a full stack, its share.

        Two short trainings of different length tell them apart.
        """
        shape = self.dataset.shape
        architecture = find_architecture(network, self.dataset.family, shape)
        count = stacked.max_stack_size(architecture, shape, size, self.device) if engine == "stacked" else 1
        first = Student(Teacher("small_teacher", 0, 1, size), 1, 9.0, network, batch_size=size, precision=precision)
        group = [replace(first, replicate=k) for k in range(count)]
        logits = torch.zeros(len(self.dataset.labels), self.dataset.classes, device=self.device)
        order = torch.Generator().manual_seed(0)
        rows = torch.randint(len(self.dataset.train), (CALIBRATION_STEPS[1], size), generator=order).to(self.device)

        def train(steps: int) -> None:
            schedules = [Schedule(self.dataset.train[rows[:steps]], (steps,))] * count
            for _ in students.train(group, self.dataset, [logits] * count, schedules, engine):
                pass

        short, long = (_seconds(partial(train, steps), self.device) / count for steps in CALIBRATION_STEPS)
        step = (long - short) / (CALIBRATION_STEPS[1] - CALIBRATION_STEPS[0])
        if step <= 0:  # other work on the machine made the shorter one the longer
            step = long / CALIBRATION_STEPS[1]
        return max(0.0, short - CALIBRATION_STEPS[0] * step), step


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    return statistics.median(timings(work, device, repeats=3))


def _identity(study: Study, unit: Unit) -> tuple[str, dict]:
    return "teacher" if isinstance(unit, Teacher) else "student", unit.config(study.dataset)


def _estimates(study: Study) -> dict[str, dict[str, float]]:
    """What was measured for earlier plans; nothing where the file cannot be read: it is measured again."""
    try:
        found = json.loads((study.store.root / "estimates.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _save_estimates(study: Study, costs: dict[Unit, Cost]) -> None:
    path = study.store.root / "estimates.json"
    known = _estimates(study) | {unit_key(*_identity(study, unit)): asdict(cost) for unit, cost in costs.items()}
    paths.write_whole(path, json.dumps(known).encode())
