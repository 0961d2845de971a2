"""`make book` killed at random moments: does the next one go on, without repeating a unit, and to the same numbers?

    python tests/faults.py --kills 20 --seed 0

Works on a copy of the tree in a temporary folder, with its own store. Its environment is a stand-in, made slowly out of
links to the one that runs this script: it shows what becomes of a set-up cut short, without downloading anything.
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
from pathlib import Path

import nbformat

from kdlib.cli.pages import page_record

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
        self.command = ["make", "book", f"PYTHON={python}", "PROFILE=smoke", "DATASETS=digits"]

    def clear(self) -> None:
        """As after cloning."""
        for name in (".venv", "store", "_build", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def make(self, kill_after: float | None = None) -> tuple[int, float]:
        """`make book`, its whole process group killed after some seconds. Returns exit code and seconds."""
        start = time.monotonic()
        with open(self.log, "a") as log:
            process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
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
        return "notebooks" if len(self.pages()) < 5 else "book"

    def tail(self) -> str:
        return "\n".join(self.log.read_text().splitlines()[-15:])


def try_faults(copy: Copy, expected: dict[str, str], duration: float, kills: int, seed: int, in_a_row: int) -> int:
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
        faults += _repeated(finished, copy.units())
        if code:
            faults.append(f"exit code {code}:\n{copy.tail()}")
        elif copy.digests() != expected:
            faults.append(f"tables {copy.digests()} instead of {expected}")
        tried += hit
        survived += hit * (not faults)
        print(*(faults or [f"then completed in {seconds:.0f} s, with the same tables"]), sep="\n", flush=True)
    print(f"{tried} faults tried, {survived} survived")
    return survived


def _repeated(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> list[str]:
    return [f"unit {name} was finished and is computed again" for name in before if after.get(name) != before[name]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--in-a-row", type=int, default=5, help="kills before the run that must complete")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kdlib-faults-") as folder:
        copy = Copy(Path(folder))
        code, duration = copy.make()
        if code:
            raise SystemExit(f"`make book` fails undisturbed:\n{copy.tail()}")
        print(f"undisturbed: {duration:.0f} s, {len(copy.units())} units, {len(copy.pages())} pages", flush=True)
        survived = try_faults(copy, copy.digests(), duration, given.kills, given.seed, given.in_a_row)
    raise SystemExit(survived != given.kills)


if __name__ == "__main__":
    main()
