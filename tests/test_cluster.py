"""The workflow on a real one-node SLURM: the tables of a local run, also when a job is cancelled on the way."""

import os
import signal
import subprocess
import sys
import time

import pytest

from kdlib import open_study
from kdlib.book.record import digest
from kdlib.sections import SECTIONS

from .cluster import Cluster, missing_programs
from .faults import Copy

pytestmark = pytest.mark.cluster
SECTION = "missing_class"
# A plug-in: it notes each unit that is computed, and holds all until it is let go on.
OBSERVED = """
import time
from pathlib import Path
from kdlib import Store

here, put = Path(__file__).parent, Store.put


def observed(store, unit):
    with open(here / "computed", "a") as log:
        print(unit.key, file=log)
    while not (here / "go-on").exists():
        time.sleep(0.2)
    return put(store, unit)


Store.put = observed
"""
QUICKLY = ("--latency-wait", "5", "--seconds-between-status-checks", "2")


@pytest.fixture(scope="module")
def cluster():
    if missing := missing_programs():
        reason = f"{', '.join(missing)} of Debian's munge, slurmctld, slurmd and slurm-client are not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with Cluster() as running:
        yield running


@pytest.fixture
def copy(cluster, tmp_path):
    """A copy of the tree whose workflow runs on the cluster."""
    copy = Copy(tmp_path / "copy")
    python_folder = os.path.dirname(sys.executable)
    copy.environment |= cluster.environment | {
        "KDLIB_STORE": str(copy.store),
        "KDLIB_ROOT": str(copy.folder),
        "PATH": f"{python_folder}:{cluster.environment['PATH']}",
    }
    copy.command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile"),
        *("--workflow-profile", "workflow/profiles/slurm", "--set-threads", "students=2", *QUICKLY),
        *("--slurm-init-seconds-before-status-checks", "2"),
        *("--config", "datasets=digits", "profile=smoke", "teacher_jobs=3", "megabytes=2000"),
    ]
    return copy


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The tables' digests of a computation on this machine, without the workflow."""
    os.environ["KDLIB_STORE"] = str(tmp_path_factory.mktemp("local"))
    return {section: digest(open_study(section, {"profile": "smoke"}).tables()) for section in SECTIONS}


def running_jobs(cluster, copy, engine) -> list[str]:
    """Waits until jobs run and have finished units; their ids."""
    running: list[str] = []
    while engine.poll() is None and not (running and len(copy.units()) > 2):
        running = cluster.call("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()
        time.sleep(0.2)
    return running


def test_the_whole_paper_on_slurm_has_the_tables_of_a_local_run(copy, expected):
    code, _ = copy.make()
    assert code == 0, copy.tail()
    log = copy.log.read_text()
    assert "SLURM jobid" in log and "Unable to guess SLURM account" in log
    assert copy.digests() == expected
    assert (copy.folder / "_build" / "html" / "index.html").exists()


def test_a_cancelled_job_is_submitted_again_and_repeats_no_finished_unit(copy, cluster, expected):
    sections = ("entropy", SECTION)
    copy.command.append(f"sections={','.join(sections)}")
    process = copy.start()
    running = running_jobs(cluster, copy, process)
    finished = copy.units()
    subprocess.run(["scancel", running[0]], env=cluster.environment, check=True)
    assert process.wait() == 0, copy.tail()
    assert copy.digests() == {section: expected[section] for section in sections}
    assert {name: copy.units()[name] for name in finished} == finished
    print("1 fault tried, 1 survived")


def test_after_kill_9_of_the_engine_the_same_command_goes_on_and_no_unit_is_computed_twice(copy, cluster):
    """Jobs that the first engine left go on running, while the second engine has submitted them again."""
    (copy.folder / "plugins").mkdir()
    (copy.folder / "plugins" / "observed.py").write_text(OBSERVED)
    copy.command.insert(3, f"_build/pages/digits-smoke/{SECTION}.ipynb")
    first = copy.start()
    while not (computed := copy.folder / "plugins" / "computed").exists():
        assert first.poll() is None, copy.tail()
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert cluster.call("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()
    second, deadline = copy.start(), time.monotonic() + 600
    while not any("waiting for it" in log.read_text() for log in copy.folder.glob(".snakemake/slurm_logs/**/*.log")):
        assert second.poll() is None and time.monotonic() < deadline, copy.tail()
        time.sleep(1)
    (copy.folder / "plugins" / "go-on").touch()
    assert second.wait() == 0, copy.tail()
    assert copy.digests() == {SECTION: digest(open_study(SECTION, {"profile": "smoke"}).tables())}
    units = computed.read_text().split()
    assert len(units) == len(set(units)) == len(copy.units())
    print("1 fault tried, 1 survived")
