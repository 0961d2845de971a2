"""Faults of every kind while `make book` runs: does it, or the next one, go on to the numbers of an undisturbed run?

    python -m tests.faults                               # all kinds
    python -m tests.faults --engine 20 --worker 0 ...    # so many of each kind

- engine: kill -9 of the whole process group at a random moment; no finished unit is computed again.
- worker: kill -9 of a single worker process; the run goes on by itself.
- twins: two engines at the same time on one store.
- export: the disk is full in the middle of `kdlib store export`; the export that was there stays.
- data: the data set's file changes while the book is made; the next run's pages are of the new data.

The others each end the run with one clear error and no traceback; once what was wrong is mended, the next run goes on:

- interrupt: Ctrl-C, `kill` of make, or a closed terminal, at a random moment of the set-up or the workflow (Python,
  which imports snakemake, has a traceback); no process is left behind.
- disk: the store's disk is full from a random moment on.
- readonly: the store cannot be written from a random moment on.
- kernel: kill -9 of the kernel that executes a page.
- plugin: a plug-in cannot be imported from a random moment on.

Works on copies of the tree in a temporary folder, with their own store. Their environment is a stand-in, made slowly
out of links to the one that runs this script: it shows what becomes of a set-up cut short, and downloads nothing.
`tests/test_cluster.py` adds `scancel` of a cluster's job.
"""

import argparse
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
import numpy as np
import psutil

from kdlib import Store
from kdlib.book.pages import page_record

ROOT = Path(__file__).resolve().parent.parent
PAGE = 4096  # bytes in which a disk in memory grows
SET_UP = 3  # seconds that the stand-in takes, about
SECTIONS = ("missing_class",)  # with teachers and students, and short
PLUGIN = """import numpy as np

import kdlib


def load(data_dir):
    held = np.load(data_dir / "mine.npz")
    return held["x"][100:], held["y"][100:], held["x"][:100], held["y"][:100]


kdlib.register_dataset("mine", load)
"""
STAND_IN = """#!/bin/sh
case "$1 $2" in
"-m venv") rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
"-m pip")
    for part in {real}/[!b]*; do ln -sf "$part" .venv/ && sleep 0.2; done
    rm -f .venv/ready
    for part in {real}/bin/*; do ln -sf "$part" .venv/bin/ && sleep 0.01; done ;;
*) exec {real}/bin/python "$@" ;;
esac
"""
# How many of each kind are tried.
COUNTS = {"engine": 10, "worker": 5, "twins": 2, "export": 2, "data": 3, "interrupt": 6, "disk": 4, "readonly": 3}
COUNTS |= {"kernel": 2, "plugin": 3}


class Copy:
    """A copy of the working tree in which `make book` is run and killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.log = folder, folder / "store", folder / "make.log"
        folder.mkdir(parents=True, exist_ok=True)
        listed = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in filter(None, subprocess.check_output(listed, text=True).split("\0")):
            published = Path(name).match("book/*/*.ipynb") or name.startswith("results/")
            if (ROOT / name).is_file() and not published:  # which make the book larger
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        python = folder / "stand-in"
        python.write_text(STAND_IN.format(real=sys.prefix))
        python.chmod(0o755)
        own = {k: v for k, v in os.environ.items() if not k.startswith(("KDLIB_", "MAKE", "MFLAGS", "PYTEST_"))}
        self.environment = own | {"KDLIB_STORE": str(self.store), "PYTHONPATH": str(folder)}
        sections = ",".join(SECTIONS)
        self.command = ["make", "book", f"PYTHON={python}", "PROFILE=smoke", f"SECTIONS={sections}", "CORES=2"]
        self.dataset = "digits"

    def of_mine(self, seed: int) -> None:
        """Make the book of a data set of one's own from now on, which a plug-in reads; `seed` gives its images."""
        self.dataset = "mine"
        (self.folder / "plugins").mkdir(exist_ok=True)
        (self.folder / "plugins" / "mine.py").write_text(PLUGIN)
        random_numbers, labels = np.random.default_rng(seed), np.arange(400) % 4
        images = random_numbers.integers(0, 60, (400, 8, 8)) + 40 * labels[:, None, None]
        partial = self.folder / "data" / "mine.partial.npz"
        np.savez(partial, x=images.astype(np.uint8), y=labels)
        partial.rename(self.folder / "data" / "mine.npz")

    def clear(self) -> None:
        """As after cloning."""
        for name in (".venv", "store", "_build", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.rmtree(self.store, ignore_errors=True)
        self.log.write_text("")

    def start(self) -> subprocess.Popen:
        """`make book` in a process group of its own."""
        with open(self.log, "a") as log:
            return subprocess.Popen(
                [*self.command, f"DATASETS={self.dataset}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def make(self, kill_after: float | None = None) -> tuple[int, float]:
        """`make book`, its whole process group killed after some seconds. Returns exit code and seconds."""
        start, process = time.monotonic(), self.start()
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return process.returncode, time.monotonic() - start

    def units(self) -> dict[str, tuple[int, int]]:
        """Inode and time of every finished unit: a unit computed again has others."""
        stats = {path: path.stat() for path in self.store.glob("*/*.safetensors")}
        return {str(path.relative_to(self.store)): (s.st_ino, s.st_mtime_ns) for path, s in stats.items()}

    def pages(self) -> list[Path]:
        return sorted((self.folder / "_build" / "pages").glob("*/[!.]*.ipynb"))

    def digests(self) -> dict[str, str]:
        """For each page, the digest of its tables."""
        return {path.stem: page_record(nbformat.read(path, as_version=4))["digest"] for path in self.pages()}

    def stage(self) -> str:
        if not (self.folder / ".venv" / "ready").exists():
            return "set-up"
        if not list((self.folder / "_build" / "computed").glob("*/*.done")):
            return "computing"
        return "notebooks" if len(self.pages()) < len(SECTIONS) else "book"

    def tail(self) -> str:
        return "\n".join(self.log.read_text().splitlines()[-15:])


def kill_engine(copy: Copy, expected: dict[str, str], duration: float, kills: int, seed: int, in_a_row: int) -> int:
    """Kill so many times, and say what became of it. Returns how many faults were survived.

    Rounds of `in_a_row` kills start from a fresh clone and end with a run that must complete. A round's first kill hits
    the set-up, the others any moment of `duration`, the seconds of an undisturbed run.
    """
    moments = random.Random(seed)
    tried = survived = 0
    while tried < kills:
        copy.clear()
        ends = [SET_UP] + [duration] * (min(in_a_row, kills - tried) - 1)
        finished: dict[str, tuple[int, int]] = {}
        faults, hit = [], 0
        for end in ends:
            code, seconds = copy.make(kill_after=moments.uniform(0, end))
            if code != -signal.SIGKILL:
                print(f"ended after {seconds:.1f} s, before its moment came", flush=True)
                faults += [f"exit code {code}:\n{copy.tail()}"] * bool(code)
                break
            hit += 1
            faults += _repeated(finished, copy.units())
            finished = copy.units()
            print(f"killed after {seconds:.1f} s, in {copy.stage()}, {len(finished)} units finished", flush=True)
        code, seconds = copy.make()
        faults += _repeated(finished, copy.units()) + _differences(copy, code, expected)
        tried += hit
        survived += hit * (not faults)
        print(*(faults or [f"then completed in {seconds:.0f} s, with the same tables"]), sep="\n", flush=True)
    return survived


def kill_workers(copy: Copy, expected: dict[str, str], kills: int, seed: int) -> int:
    """In each run one worker is killed, some time after it appeared; the run must complete by itself."""
    moments, survived = random.Random(seed), 0
    for _ in range(kills):
        copy.clear()
        process = copy.start()
        while process.poll() is None and not _workers(process.pid):
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 4))
        workers = _workers(process.pid)
        if workers:
            os.kill(moments.choice(workers), signal.SIGKILL)
        code = process.wait()
        faults = _differences(copy, code, expected) + ["no worker was there to kill"] * (not workers)
        survived += not faults
        print(*(faults or ["a worker was killed; the run completed, with the same tables"]), sep="\n", flush=True)
    return survived


def end_with_one_error(
    copy: Copy, expected: dict[str, str], times: int, seed: int, words: str, fault: Callable[[Copy, int], Callable]
) -> int:
    """Runs that a fault ends; afterwards another must complete. Returns how many did, with one error before.

    Arguments: `fault(process, moment)` waits for its moment, of 1 to 12, does harm, and returns what mends it; `words`
    of its error, a regular expression that fits the log once.
    """
    moments, survived = random.Random(seed), 0
    tried = 0
    while tried < times:
        copy.clear()
        process = copy.start()
        mend = fault(process, moments.randint(1, 12))
        if process.poll() == 0:
            mend()
            print("ended before its moment came", flush=True)
            continue
        tried += 1
        code, finished, said = process.wait(), copy.units(), copy.log.read_text()
        mend()
        faults = ["it went on in spite of the fault"] * (not code)
        if left := psutil.wait_procs(_processes(copy), timeout=10)[1]:
            faults.append(f"left behind: {left}")
        if len(re.findall(words, said)) != 1 or "Traceback" in said:
            faults.append(f"not one clear error:\n{copy.tail()}")
        code, _ = copy.make()
        faults += _repeated(finished, copy.units()) + _differences(copy, code, expected)
        survived += not faults
        ended = f"{words!r} after {len(finished)} units; then completed, with the same tables"
        print(*(faults or [ended]), sep="\n", flush=True)
    return survived


@contextmanager
def small_disk(copy: Copy) -> Iterator[Path]:
    """Meanwhile the store lies on a disk of its own. Needs root: it mounts."""
    disk = copy.folder / "disk"
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", disk], check=True)
    before, copy.store = copy.store, disk / "store"
    copy.environment["KDLIB_STORE"] = str(copy.store)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)
        copy.store = before
        copy.environment["KDLIB_STORE"] = str(before)


def fill_disk(copy: Copy, expected: dict[str, str], times: int, seed: int) -> int:
    """The store's disk is full from a random moment of the computation on."""

    def fault(process: subprocess.Popen, moment: int) -> Callable:
        _wait_for(process, lambda: len(copy.units()) >= moment)
        _fill(disk / "filler")
        return (disk / "filler").unlink

    with small_disk(copy) as disk:
        return end_with_one_error(copy, expected, times, seed, "No space left on device", fault)


def forbid_writing(copy: Copy, expected: dict[str, str], times: int, seed: int) -> int:
    """The store's disk cannot be written from a random moment of the computation on."""

    def fault(process: subprocess.Popen, moment: int) -> Callable:
        _wait_for(process, lambda: len(copy.units()) >= moment)
        # Over itself, since a disk with a file that is open for writing, as locks are, cannot be made read-only.
        for how in (["--bind", copy.store, copy.store], ["-o", "remount,bind,ro", copy.store]):
            subprocess.run(["mount", *how], check=True)
        return lambda: subprocess.run(["umount", copy.store], check=True)

    with small_disk(copy):
        return end_with_one_error(copy, expected, times, seed, "Read-only file system", fault)


def interrupt(copy: Copy, expected: dict[str, str], times: int, seed: int, duration: float) -> int:
    """Ctrl-C, which every process of the group gets, `kill`, which make alone gets, and a closed terminal, in turn."""
    turns = itertools.cycle([(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM), (os.killpg, signal.SIGHUP)])

    def fault(process: subprocess.Popen, moment: int) -> Callable:
        with suppress(subprocess.TimeoutExpired):
            process.wait(SET_UP + moment / 13 * duration)
        _wait_for(process, lambda: "Building DAG" in copy.log.read_text() or not (copy.folder / ".venv/ready").exists())
        send, number = next(turns)
        with suppress(ProcessLookupError):
            send(process.pid, number)
        return lambda: None

    # Of the workflow, of make.
    words = r"(?m)Terminating processes on user request|^interrupted; |ready\] (?:Interrupt|Terminated|Hangup)"
    return end_with_one_error(copy, expected, times, seed, words, fault)


def kill_kernels(copy: Copy, expected: dict[str, str], times: int, seed: int) -> int:
    """The kernel of a page is killed some time after it appeared."""

    def fault(process: subprocess.Popen, moment: int) -> Callable:
        _wait_for(process, lambda: _processes(copy, "ipykernel_launcher"))
        time.sleep(moment / 4)
        for kernel in _processes(copy, "ipykernel_launcher")[:1]:
            kernel.kill()
        return lambda: None

    return end_with_one_error(copy, expected, times, seed, "the kernel died", fault)


def break_plugins(copy: Copy, expected: dict[str, str], times: int, seed: int) -> int:
    """A plug-in that the book needs cannot be imported from a random moment of the computation on."""
    plugin = copy.folder / "plugins" / "mine.py"

    def fault(process: subprocess.Popen, moment: int) -> Callable:
        _wait_for(process, lambda: len(copy.units()) >= moment)
        plugin.write_text("import a_package_that_is_not_there\n" + PLUGIN)
        return lambda: plugin.write_text(PLUGIN)

    return end_with_one_error(copy, expected, times, seed, "a_package_that_is_not_there", fault)


def change_data(copy: Copy, times: int, seed: int) -> int:
    """The data change while the book is made; whatever becomes of that run, the next one's pages are of the new."""
    moments, survived = random.Random(seed), 0
    verify = [copy.folder / ".venv" / "bin" / "python", "-m", "kdlib", "verify"]
    for turn in range(times):
        copy.clear()
        copy.of_mine(2 * turn)
        process, moment = copy.start(), moments.randint(1, 12)
        _wait_for(process, lambda moment=moment: len(copy.units()) >= moment)
        copy.of_mine(2 * turn + 1)
        process.wait()
        code, _ = copy.make()
        said = copy.log.read_text()
        checked = subprocess.run(verify, cwd=copy.folder, env=copy.environment, capture_output=True, text=True)
        faults = [f"exit code {code}:\n{copy.tail()}"] * bool(code) + [copy.tail()] * ("Traceback" in said)
        faults += [f"kdlib verify: {checked.stdout}{checked.stderr}"] * bool(checked.returncode)
        survived += not faults
        print(*(faults or [f"data changed after {moment} units; then all pages are of them"]), sep="\n", flush=True)
    return survived


def fill_disk_of_export(copy: Copy, times: int) -> int:
    """The disk is full in the middle of an export: the one that was there stays, and nothing half-written."""
    survived = 0
    export = [copy.folder / ".venv" / "bin" / "python", "-m", "kdlib", "store", "export"]
    here = {"cwd": copy.folder, "env": copy.environment, "capture_output": True, "text": True}
    whole, disk = copy.folder / "whole", copy.folder / "exports"
    subprocess.run([*export, whole], check=True, **here)
    pages = sum(-(-path.stat().st_size // PAGE) for path in whole.rglob("*") if path.is_file())
    disk.mkdir()
    for turn in range(times):
        size = PAGE * max(2, pages * (turn + 1) // (times + 1))  # a folder's and the reader's file take two
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
        try:
            (disk / "out").mkdir()
            (disk / "out" / "mine.txt").write_text("of the reader")
            before = sorted(disk.rglob("*"))
            done = subprocess.run([*export, disk / "out"], **here)
            one = done.stderr.count("No space left on device") == 1 and "Traceback" not in done.stderr
            faults = [f"exit code {done.returncode}: {done.stderr}"] * (not done.returncode or not one)
            faults += ["something half-written is left"] * (sorted(disk.rglob("*")) != before)
            survived += not faults
            print(*(faults or ["an export to a full disk: one error, and nothing is left"]), sep="\n", flush=True)
        finally:
            subprocess.run(["umount", disk], check=True)
    return survived


def run_twins(copy: Copy, other: Copy, expected: dict[str, str], times: int) -> int:
    """Two engines on one store, each from a tree of its own: both complete, and every unit is sound."""
    survived = 0
    for _ in range(times):
        copy.clear()
        other.clear()
        other.environment["KDLIB_STORE"] = str(copy.store)
        processes = [one.start() for one in (copy, other)]
        codes = [process.wait() for process in processes]
        faults = [f for one, code in zip((copy, other), codes, strict=True) for f in _differences(one, code, expected)]
        faults += [f"damaged: {path.name} {what}" for path, what in Store(copy.store).verify()[1]]
        survived += not faults
        print(*(faults or ["two engines on one store: both completed, with the same tables"]), sep="\n", flush=True)
    return survived


def _differences(copy: Copy, code: int, expected: dict[str, str]) -> list[str]:
    if code:
        return [f"exit code {code}:\n{copy.tail()}"]
    return [] if copy.digests() == expected else [f"tables {copy.digests()} instead of {expected}"]


def _wait_for(process: subprocess.Popen, condition: Callable[[], object]) -> None:
    """Wait until a condition holds, or the process has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.02)


def _processes(copy: Copy, word: str = "") -> list[psutil.Process]:
    """Processes that use the copy's store, and have a word in their command line."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("KDLIB_STORE") == str(copy.store) and word in " ".join(process.cmdline()):
                found.append(process)
    return found


def _workers(group: int) -> list[int]:
    """Worker processes of a process group."""
    found = subprocess.run(["pgrep", "-g", str(group), "-f", "LokyProcess"], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def _fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))


def _repeated(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> list[str]:
    return [f"unit {name} was finished and is computed again" for name in before if after.get(name) != before[name]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind, count in COUNTS.items():
        parser.add_argument(f"--{kind}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--in-a-row", type=int, default=5, help="kills of the engine before the run that must complete")
    given = parser.parse_args()
    seed = given.seed
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in its background ignores it
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as `nohup` has it, and all that would be started here
        signal.signal(signal.SIGHUP, lambda *_: None)
    with tempfile.TemporaryDirectory(prefix="kdlib-faults-") as folder:
        copy, other, own = (Copy(Path(folder) / name) for name in ("one", "other", "own"))
        expected, duration = undisturbed(copy)
        survived = fill_disk_of_export(copy, given.export)
        survived += kill_kernels(copy, expected, given.kernel, seed)
        survived += interrupt(copy, expected, given.interrupt, seed, duration)
        survived += fill_disk(copy, expected, given.disk, seed) if given.disk else 0
        survived += forbid_writing(copy, expected, given.readonly, seed) if given.readonly else 0
        survived += run_twins(copy, other, expected, given.twins)
        survived += kill_workers(copy, expected, given.worker, seed)
        survived += kill_engine(copy, expected, duration, given.engine, seed, given.in_a_row)
        if given.plugin:
            own.of_mine(0)
            survived += break_plugins(own, undisturbed(own)[0], given.plugin, seed)
        survived += change_data(own, given.data, seed)
    tried = sum(getattr(given, kind) for kind in COUNTS)
    print(f"{tried} faults tried, {survived} survived")
    raise SystemExit(survived != tried)


def undisturbed(copy: Copy) -> tuple[dict[str, str], float]:
    """The digests of the pages of a run without a fault, and its seconds."""
    code, duration = copy.make()
    if code:
        raise SystemExit(f"`make book` fails undisturbed:\n{copy.tail()}")
    print(f"undisturbed: {duration:.0f} s, {len(copy.units())} units, {len(copy.pages())} pages", flush=True)
    return copy.digests(), duration


if __name__ == "__main__":
    main()
