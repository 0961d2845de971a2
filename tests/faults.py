"""Faults of every kind while `make book` runs: does it, or the next one, go on to the numbers of an undisturbed run?

    python tests/faults.py                               # at least forty, some minutes each ten
    python tests/faults.py --engine 20 --worker 0 ...    # so many of each kind

- engine: kill -9 of the whole process group at a random moment; no finished unit is computed again.
- worker: kill -9 of a single worker process; the run goes on by itself.
- disk: the store's disk is full from a random moment on; one clear error, and once there is room the run goes on.
- twins: two engines at the same time on one store.

Works on copies of the tree in a temporary folder, with their own store. Their environment is a stand-in, made slowly
out of links to the one that runs this script: it shows what becomes of a set-up cut short, and downloads nothing.
`tests/test_cluster.py` adds `scancel` of a cluster's job.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import nbformat

from kdlib import Store
from kdlib.book.pages import page_record
from kdlib.sections import SECTIONS

ROOT = Path(__file__).resolve().parent.parent
SET_UP = 3  # seconds that the stand-in takes, about
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


class Copy:
    """A copy of the working tree in which `make book` is run and killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.log = folder, folder / "store", folder / "make.log"
        folder.mkdir(parents=True, exist_ok=True)
        listed = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in filter(None, subprocess.check_output(listed, text=True).split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        python = folder / "stand-in"
        python.write_text(STAND_IN.format(real=sys.prefix))
        python.chmod(0o755)
        own = {k: v for k, v in os.environ.items() if not k.startswith(("KDLIB_", "MAKE", "MFLAGS", "PYTEST_"))}
        self.environment = own | {"KDLIB_STORE": str(self.store), "PYTHONPATH": str(folder)}
        self.command = ["make", "book", f"PYTHON={python}", "PROFILE=smoke", "DATASETS=digits", "CORES=2"]

    def clear(self) -> None:
        """As after cloning."""
        for name in (".venv", "store", "_build", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def start(self) -> subprocess.Popen:
        """`make book` in a process group of its own."""
        with open(self.log, "a") as log:
            return subprocess.Popen(
                self.command,
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


def fill_disk(copy: Copy, expected: dict[str, str], times: int, seed: int) -> int:
    """The store lies on a small disk that is full from a random moment of the computation on. Needs root: it mounts."""
    moments, survived = random.Random(seed), 0
    disk = copy.folder / "disk"
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", disk], check=True)
    own_store, copy.store = copy.store, disk / "store"
    copy.environment["KDLIB_STORE"] = str(copy.store)
    try:
        for _ in range(times):
            copy.clear()
            shutil.rmtree(copy.store, ignore_errors=True)
            copy.log.unlink()
            process, enough = copy.start(), moments.randint(1, 12)
            while process.poll() is None and len(copy.units()) < enough:
                time.sleep(0.02)
            _fill(disk / "filler")
            code, finished = process.wait(), copy.units()
            told = (
                copy.log.read_text().count("No space left on device") == 1 and "Traceback" not in copy.log.read_text()
            )
            (disk / "filler").unlink()
            faults = ["it went on though the disk was full"] * (not code) + [f"no clear error:\n{copy.tail()}"] * (
                not told
            )
            code, _ = copy.make()
            faults += _repeated(finished, copy.units()) + _differences(copy, code, expected)
            survived += not faults
            said = f"full after {len(finished)} units: one error; with room again it completed, with the same tables"
            print(*(faults or [said]), sep="\n", flush=True)
    finally:
        subprocess.run(["umount", disk], check=True)
        copy.store = own_store
        copy.environment["KDLIB_STORE"] = str(own_store)
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
    for kind, count in (("engine", 20), ("worker", 10), ("disk", 6), ("twins", 4)):
        parser.add_argument(f"--{kind}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--in-a-row", type=int, default=5, help="kills of the engine before the run that must complete")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kdlib-faults-") as folder:
        copy, other = Copy(Path(folder) / "one"), Copy(Path(folder) / "other")
        code, duration = copy.make()
        if code:
            raise SystemExit(f"`make book` fails undisturbed:\n{copy.tail()}")
        print(f"undisturbed: {duration:.0f} s, {len(copy.units())} units, {len(copy.pages())} pages", flush=True)
        expected = copy.digests()
        survived = kill_engine(copy, expected, duration, given.engine, given.seed, given.in_a_row)
        survived += kill_workers(copy, expected, given.worker, given.seed)
        survived += fill_disk(copy, expected, given.disk, given.seed) if given.disk else 0
        survived += run_twins(copy, other, expected, given.twins)
    tried = given.engine + given.worker + given.disk + given.twins
    print(f"{tried} faults tried, {survived} survived")
    raise SystemExit(survived != tried)


if __name__ == "__main__":
    main()
