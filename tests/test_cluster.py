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
    process = copy.start()
    running = running_jobs(cluster, copy, process)
    finished = copy.units()
    subprocess.run(["scancel", running[0]], env=cluster.environment, check=True)
    assert process.wait() == 0, copy.tail()
    assert copy.digests() == expected
    assert {name: copy.units()[name] for name in finished} == finished
    print("1 fault tried, 1 survived")


def test_after_kill_9_of_the_engine_the_same_command_goes_on_and_no_unit_is_computed_twice(copy, cluster, expected):
    """Jobs that the first engine left go on running, while the second submits them again."""
    first = copy.start()
    running_jobs(cluster, copy, first)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    left = cluster.call("squeue", "--noheader", "--format=%i").split()
    assert left
    second, written = copy.start(), {}
    while second.poll() is None:
        for unit in copy.units().items():  # of one that is written again the inode changes
            written.setdefault(unit[0], set()).add(unit[1])
        time.sleep(0.05)
    assert second.returncode == 0, copy.tail()
    assert copy.digests() == expected
    assert set(written) == set(copy.units())
    assert [name for name, times in written.items() if len(times) > 1] == []
    print("1 fault tried, 1 survived")
