"""Nothing runs on when the process that started it has ended, whoever then adopts its children."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from kdlib.data import processes

from ..conftest import ROOT, as_project, started_by

LAST = 15.0  # seconds in which all must have ended; each looks for its parent every half second
JOBLIB = """
from joblib import Parallel, delayed
from kdlib.data import processes

Parallel(2, **processes.of_this_process())(delayed(time.sleep)(60) for _ in range(2))
"""
STANDARD = """
from kdlib.data import processes

with processes.fresh(2) as pool:
    list(pool.map(time.sleep, [60, 60]))
"""
CAMPAIGN = """
from kdlib.book import campaign

next(campaign.rows_within(60, time.sleep, 60))
"""
KERNEL = """
import subprocess
from pathlib import Path

import papermill
import nbformat

from kdlib.book import kernels

nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import time; time.sleep(60)")]), "slow.ipynb")
with kernels.surroundings(Path("store")) as given:
    papermill.execute_notebook("slow.ipynb", "page.ipynb", progress_bar=False, **given)
"""
# Not process 1 but this one adopts what its children leave behind, as a user's systemd does on a desktop.
ADOPTS = """
import ctypes, signal, subprocess, sys, time

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
started = subprocess.Popen([sys.executable, "started.py"])
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # and it buries them
print(started.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="another system has no such adoption")
@pytest.mark.parametrize(
    ("program", "word"),
    [
        (JOBLIB, "LokyProcess"),
        (STANDARD, "multiprocessing.spawn"),
        (CAMPAIGN, "multiprocessing.spawn"),
        pytest.param(KERNEL, "ipykernel_launcher", marks=pytest.mark.notebook),
    ],
    ids=["joblib", "standard library", "campaign", "kernel"],
)
def test_what_a_killed_process_started_ends_with_it(program, word, tmp_path):
    (tmp_path / "started.py").write_text(f"import time\n\nif __name__ == '__main__':\n    exec({program!r})\n")
    (tmp_path / "adopts.py").write_text(ADOPTS)
    places = os.environ | {"PYTHONPATH": str(ROOT), "KDLIB_ROOT": str(as_project(tmp_path))}
    adopts = subprocess.Popen(
        [sys.executable, "adopts.py"], cwd=tmp_path, env=places, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        main = psutil.Process(int(adopts.stdout.readline()))
        found = started_by(main, word)
        time.sleep(1)  # it begins to look
        main.kill()
        assert psutil.wait_procs(found, timeout=LAST)[1] == []
    finally:
        for one in psutil.Process(adopts.pid).children(recursive=True):
            one.kill()
        adopts.kill()


def test_fresh_processes_are_ended_with_what_they_have_in_hand_where_something_else_ends_the_work():
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), processes.fresh(1) as pool:
        waiting = pool.submit(time.sleep, 60)
        while not waiting.running():
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert time.monotonic() - start < 30


def test_a_fresh_process_is_prepared_before_it_is_given_work():
    with processes.fresh(1, os.putenv, "KDLIB_PREPARED", "yes") as pool:
        shown = pool.submit(subprocess.check_output, ["printenv", "KDLIB_PREPARED"]).result()
    assert shown == b"yes\n"


def test_what_a_process_leaves_that_ended_at_once_is_removed_without_a_word():
    """A worker that `timeout` ends with its parent, say, whose semaphores nobody closes."""
    program = (
        "import os, multiprocessing; from kdlib.data import processes; processes.of_this_process(); "
        "left = multiprocessing.get_context('spawn').Lock(); os._exit(0)"
    )
    places = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    done = subprocess.run([sys.executable, "-c", program], env=places, capture_output=True, text=True, timeout=LAST)
    assert (done.returncode, done.stderr) == (0, "")  # which waits until the tracker has closed it


@pytest.mark.parametrize("program", [JOBLIB, STANDARD], ids=["joblib", "standard library"])
def test_files_of_the_working_folder_are_imported_by_no_process_where_the_first_does_not(program, tmp_path):
    """As the installed command does not, wherever it is called."""
    for name in ("numpy", "random", "json"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a file of the reader was imported')\n")
    elsewhere = tmp_path / "bin"
    elsewhere.mkdir()
    quick = program.replace("60", "0")
    (elsewhere / "started.py").write_text(f"import time\n\nif __name__ == '__main__':\n    exec({quick!r})\n")
    places = os.environ | {"PYTHONPATH": str(ROOT), "KDLIB_ROOT": str(as_project(elsewhere))}
    command = [sys.executable, elsewhere / "started.py"]
    done = subprocess.run(command, cwd=tmp_path, env=places, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long
def test_a_command_that_is_told_to_end_takes_its_workers_with_it(tmp_path):
    command = [sys.executable, "-m", "kdlib", "compute", "missing_class", "--store", tmp_path / "store"]
    places = os.environ | {"KDLIB_WORKERS": "2", "KDLIB_PROFILE": "smoke"}
    started = psutil.Popen(command, env=places, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = started_by(started, "LokyProcess")
    started.send_signal(signal.SIGTERM)
    said = started.communicate()[1]
    assert started.returncode == 128 + signal.SIGTERM and psutil.wait_procs(found, timeout=LAST)[1] == []
    assert said.count("kdlib: interrupted; ") == 1 and "Traceback" not in said
