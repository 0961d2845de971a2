"""`kdlib campaign`: the most from an accelerator that is at hand for some minutes, on a machine that may go away.

Parity of the fast paths, the benchmark, then units in order of value until the time is over. What there is goes into a
folder as it comes: `campaign.json`, and files for `kdlib store import`. A later campaign goes on from such folders.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .. import paths
from ..data import processes
from ..data.dataset import load_dataset
from ..data.sources import TORCHVISION
from ..progress import format_duration
from ..sections import order
from ..sections.opening import open_studies
from ..study import workers
from ..study.checks import asked_workers
from ..study.deadline import Deadline
from ..study.parcels import Parcels, parcels_in
from ..study.store import Store, unit_key
from ..study.study import Study
from ..training import devices, parity
from ..training.config import Student
from ..training.costs import operations_of_example
from . import bench, performance

REPORT = "campaign.json"
FILES, FILE_BYTES = 8, 16 << 20  # what comes back from a lent machine: the report is one of the files
SHARING = 4  # processes that share an accelerator
PARITY_SECONDS, PARITY_SHARE, PARITY_EXAMPLES = 60.0, 0.15, 4000  # of all time
BENCH_SHARE = 0.25
EXPORT_EVERY = 20.0  # seconds
RESPONSES = 64  # most that are sent: more than that have no room beside the units
SAME_MACHINE = ("device", "torch", "commit")  # what parity and benchmark depend on

Given = Mapping[str, Mapping[str, Mapping[str, Any]]]  # by data set and section: parameters


@dataclass
class Log:
    """The report of a campaign, written whole after each change."""

    path: Path
    content: dict[str, Any] = field(default_factory=dict)

    def set(self, **values: Any) -> None:
        """Replace parts of the report."""
        self.content |= values
        paths.write_whole(self.path, (json.dumps(self.content, indent=1) + "\n").encode())


def run(
    given: Given, out: Path, ends: float, *, sources: Iterable[Path], store: Path | None, device: str
) -> Iterator[str]:
    """Run a campaign until a time of `time.monotonic`, and yield what it says.

    Arguments: `given`, the checked parameters of each section for each data set; `out`, the folder that comes back;
    `sources`, folders of earlier campaigns, from which it goes on as from what is in `out`.
    """
    seconds = ends - time.monotonic()
    where = devices.find_device(device)
    machine = devices.environment(where)
    log = Log(out / REPORT)
    folders = [out, *sources]
    earlier = _earlier(folders, machine)
    place = Store(store)
    parcels = Parcels(place, out, FILES - 1, FILE_BYTES)
    taken = sum(place.import_file(file) for folder in folders for file in parcels_in(folder))
    log.set(machine=machine, started=datetime.now(UTC).isoformat(timespec="seconds"), taken_in=taken, **earlier)
    yield f"{machine['device']}, torch {machine['torch']}, code {machine['commit']}; {taken} units taken in"
    first = next(iter(given))
    if "parity" not in earlier:
        share = min(PARITY_SECONDS, PARITY_SHARE * seconds)
        yield from _measured(log, "parity", share, _parity_line, parity_checks, first, device)
    if "bench" not in earlier and first in TORCHVISION:
        yield from _measured(log, "bench", BENCH_SHARE * seconds, performance.line, bench.run, first, device)
    studies = [study for own in given.values() for study in open_studies(own, store)]
    yield from _compute(studies, ends, log, parcels)


def parity_checks(dataset: str, device: str) -> Iterator[dict[str, Any]]:
    """Rows of `parity.checks` on part of a data set, as a process of its own computes them."""
    where = devices.find_device(device)
    devices.make_deterministic(where)
    yield from parity.checks(load_dataset(dataset, examples=PARITY_EXAMPLES, clip=True, device=where))


def rows_within(
    seconds: float, generator: Callable[..., Iterator[dict[str, Any]]], *arguments: Any
) -> Iterator[dict[str, Any]]:
    """Rows of a generator that runs in a process of its own, which is ended with all of its own when time is over.

    Then, where it fails, and where there is no time at all, the last row has `ended` with the reason: no fault of a
    device reaches this process.
    """
    if seconds <= 0:
        yield {"ended": "not begun: no time was left"}
        return
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, os.getpid(), generator, arguments))
    process.start()
    sender.close()
    ends = time.monotonic() + seconds
    try:
        while receiver.poll(max(0.0, ends - time.monotonic())):
            yield receiver.recv()
        yield {"ended": f"after its {seconds:.0f} s"}
    except EOFError:
        process.join(10)
        if process.exitcode:
            yield {"ended": f"its process died (exit code {process.exitcode})"}
    finally:
        if process.is_alive():
            with suppress(ProcessLookupError):  # it has not got so far as to lead a group
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
        process.join()


def _send(
    sender: Connection, parent: int, generator: Callable[..., Iterator[dict[str, Any]]], arguments: tuple
) -> None:
    os.setsid()  # the processes that it starts end with it
    processes.end_with(parent)
    try:
        for row in generator(*arguments):
            sender.send(row)
    except Exception as error:
        sender.send({"ended": f"{type(error).__name__}: {error}"})


def _measured(log: Log, name: str, seconds: float, line: Callable[[dict[str, Any]], str], *task: Any) -> Iterator[str]:
    """Lines for rows that are measured in a bounded time; each row is in the report at once."""
    rows = []
    for row in rows_within(seconds, *task):
        rows.append(row)
        log.set(**{name: rows})
        yield f"{name}: {row['ended'] if 'ended' in row else line(row)}"


def _parity_line(row: dict[str, Any]) -> str:
    said = {True: "holds", False: "DOES NOT HOLD", None: "not on this device"}[row["holds"]]
    more = {k: v for k, v in row.items() if k not in ("check", "holds", "seconds")}
    return f"{row['check']}: {said} ({', '.join(f'{k} {v}' for k, v in more.items())}; {row['seconds']} s)"


def _earlier(folders: Iterable[Path], machine: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What earlier campaigns measured on the same kind of machine with this code, and need not be measured again.

    A parity that was not checked to its end is checked again; of a benchmark what there is has to do.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for folder in folders:
        try:
            report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(report, dict) and all(
            report.get("machine", {}).get(part) == machine[part] for part in SAME_MACHINE
        ):
            rows = {name: report.get(name, []) for name in ("parity", "bench")}
            if rows["parity"] and not any("ended" in row for row in rows["parity"]):
                found["parity"] = rows["parity"]
            if any("row" in row for row in rows["bench"]):
                found["bench"] = rows["bench"]
    return found


def _compute(studies: Sequence[Study], ends: float, log: Log, parcels: Parcels) -> Iterator[str]:
    """Units in the order of value until the end, exported as they come; then what is left, and the teachers' shares."""
    started = time.time()
    stages = teachers_first(studies)
    for study in studies:
        if study.dataset.images.device.type != "cpu":
            study.workers = asked_workers() or SHARING
    begun = time.monotonic()
    export = _Export(studies, stages, parcels)
    export(0.0)
    reserve = 4 + 4 * (time.monotonic() - begun)  # the last export and what is left take as long, of more
    deadline = Deadline(ends - time.monotonic() - reserve)
    deadline.after_task = lambda: export(EXPORT_EVERY)
    done: list[dict[str, Any]] = []

    def after(stage: order.Stage) -> None:
        done.append(asdict(stage) | {"left_s": round(ends - time.monotonic(), 1)})
        log.set(stages=done)
        export(0.0)

    if deadline.remaining > 0:
        order.compute_within(studies, stages, deadline, after)
    export(0.0)
    shares = teacher_shares(studies, started, _bf16_rate(log.content.get("bench", ())))
    left = order.left(studies)
    log.set(stages=done, teachers=shares, left=left or "nothing", left_out=parcels.left_out)
    yield from (f"done: {s['dataset']} {s['section']}, the first {s['seeds']} of its seeds" for s in done)
    yield from shares_in_words(shares)
    if parcels.left_out:
        yield f"{parcels.left_out} units found no room in {FILES} files: `kdlib store export` sends them"
    yield f"left: {left}. A campaign --from {parcels.folder} goes on." if left else "nothing is left"


def teachers_first(studies: Sequence[Study]) -> list[order.Stage]:
    """The stages of a campaign: sections of teachers alone with all seeds, then all in the order of value.

    A teacher's weights and its responses at every epoch stay on the machine: what is measured of them comes first.
    """
    stages = order.stages(studies)
    alone = {(study.dataset.name, study.section) for study in studies if not study.units()[1]}
    last = {(s.dataset, s.section): s for s in stages}  # of each section the one with all seeds
    return [
        *(last[name] for name in last if name in alone),
        *(s for s in stages if (s.dataset, s.section) not in alone),
    ]


class _Export:
    """Writes what is new, and the responses that the most valuable missing students need."""

    def __init__(self, studies: Sequence[Study], stages: Sequence[order.Stage], parcels: Parcels) -> None:
        self.parcels, self.last = parcels, 0.0
        rank = {(s.dataset, s.section, s.seeds): k for k, s in enumerate(stages)}
        wanted = [
            (rank.get((study.dataset.name, study.section, student.teacher.seed + 1), 0), study, student)
            for study in studies
            for student in order.lacking(study)[1]
        ]
        self.students = [(study, student) for _, study, student in sorted(wanted, key=lambda item: item[0])]

    def __call__(self, pause: float) -> None:
        """Export, unless that was done in the last `pause` seconds."""
        if time.monotonic() - self.last >= pause:
            self.parcels.update(list(self._responses()))
            self.last = time.monotonic()

    def _responses(self) -> Iterator[str]:
        """Keys of the stored responses that missing students need, in the students' order of value."""
        chosen: dict[Study, list[Student]] = {}
        pairs: set[tuple] = set()
        for study, student in self.students:
            if not student.needs_responses or study.is_stored(student):
                continue
            own = {(study.dataset.name, student.teacher, epoch) for epoch in student.response_epochs}
            if len(pairs | own) > RESPONSES:
                break
            chosen.setdefault(study, []).append(student)
            pairs |= own
        for study, students in chosen.items():
            yield from workers.responses_to_send(study.store, study.dataset, students)


def _bf16_rate(rows: Iterable[dict[str, Any]]) -> float | None:
    """GFLOP/s of the device's large product in bf16, None where the benchmark did not come so far."""
    return next((row["bf16"] for row in rows if row.get("row") == "machine"), None)


def teacher_shares(studies: Sequence[Study], started: float, rate: float | None) -> list[dict[str, Any]]:
    """For each teacher that was trained since a time: its seconds, its GFLOP/s, and their share of `rate`.

    The seconds hold the passes over all examples after each epoch, which are no training operations.
    """
    found = []
    for study in studies:
        dataset = study.dataset
        for teacher in study.teachers:
            config = teacher.config(dataset)
            provenance = study.store.provenance("teacher", config)
            if not provenance or datetime.fromisoformat(provenance["finished"]).timestamp() < started:
                continue
            operations = teacher.epochs * len(dataset.train) * operations_of_example(teacher.network, dataset)
            speed = operations / provenance["seconds"] / 1e9
            found.append(
                {"dataset": dataset.name, "network": teacher.network, "seed": teacher.seed}
                | {"batch_size": teacher.batch_size, "epochs": teacher.epochs, "seconds": provenance["seconds"]}
                | {"gflop_per_s": speed, "share": rate and speed / rate, "key": unit_key("teacher", config)}
            )
    return list({row["key"]: row for row in found}.values())


def shares_in_words(shares: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each teacher of `teacher_shares`."""
    for row in shares:
        share = (
            "the large product was not measured" if row["share"] is None else f"{100 * row['share']:.1f}% of its rate"
        )
        yield (
            f"{row['dataset']} {row['network']} seed {row['seed']} batch {row['batch_size']}: "
            f"{format_duration(row['seconds'])}, {row['gflop_per_s']:.0f} GFLOP/s, {share}"
        )
