"""The workflow on a real one-node SLURM: the tables of a local run, also when a job is cancelled on the way."""

import os
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


def test_the_whole_paper_on_slurm_has_the_tables_of_a_local_run(copy, expected):
    code, _ = copy.make()
    assert code == 0, copy.tail()
    assert "SLURM jobid" in copy.log.read_text()
    assert copy.digests() == expected
    assert (copy.folder / "_build" / "html" / "index.html").exists()


def test_a_cancelled_job_is_submitted_again_and_repeats_no_finished_unit(copy, cluster, expected):
    process = copy.start()
    running: list[str] = []
    while process.poll() is None and not (running and len(copy.units()) > 2):
        running = cluster.call("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()
        time.sleep(0.2)
    finished = copy.units()
    subprocess.run(["scancel", running[0]], env=cluster.environment, check=True)
    assert process.wait() == 0, copy.tail()
    assert copy.digests() == expected
    assert {name: copy.units()[name] for name in finished} == finished
    print("1 fault tried, 1 survived")
