"""The workflow's order of sections, without running it: test_cluster.py runs it."""

import inspect
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys

import psutil
import pytest
import snakemake_executor_plugin_slurm as slurm
import yaml

import kdlib
from kdlib.sections import SECTIONS

from .conftest import ROOT, as_project, started_by

PROFILES = {path.parent.name: yaml.safe_load(path.read_text()) for path in ROOT.glob("workflow/profiles/*/config.yaml")}
PLUGIN = """
import numpy as np
import kdlib


def load(data_dir):
    labels = np.arange(300) % 5
    images = np.load(data_dir / "mine.npy") + labels[:, None, None].astype(np.uint8)
    return images, labels, images[:100], labels[:100]


kdlib.register_dataset("mine", load)
"""
# Does what the workflow asks of `python -m kdlib` without computing anything.
STAND_IN = """#!/bin/sh
[ "$2" = kdlib.book.own_data ] && touch _build/own_data.ipynb
while [ $# -gt 1 ]; do [ "$1" = -o ] && touch "$2"; shift; done
"""


def test_sections_that_share_students_run_one_after_another():
    """Trained at once by two jobs, a student would be trained twice."""

    def before(section: str) -> set[str]:
        return {section, *(name for first in SECTIONS[section].after for name in before(first))}

    settings = {"dataset": "digits", "profile": "quick", "seeds": 1}
    students = {name: set(kdlib.open_study(name, settings).units()[1]) for name in SECTIONS}
    sharing = [(a, b) for a, b in itertools.combinations(SECTIONS, 2) if students[a] & students[b]]
    assert len(sharing) > 2
    assert [(a, b) for a, b in sharing if a not in before(b) and b not in before(a)] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_after_a_kill_the_same_command_goes_on_with_every_profile(profile):
    """No lock is left, and what is half there is made again."""
    assert PROFILES[profile].get("nolock") is True
    assert PROFILES[profile].get("rerun-incomplete") is True


def test_each_option_of_slurm_is_one_that_its_plug_in_reads():
    source = inspect.getsource(slurm)
    options = [name.removeprefix("slurm-") for name in PROFILES["slurm"] if name.startswith("slurm-")]
    assert options
    for option in options:
        assert f"executor_settings.{option.replace('-', '_')}" in source, option


@pytest.fixture
def workflow(tmp_path):
    """A tree with a data set in a plug-in of its own, its book made; gives a function that says what would be done."""
    tree, data, plugins = (tmp_path / name for name in ("tree", "data", "own_plugins"))
    shutil.copytree(ROOT / "kdlib", tree / "kdlib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "workflow", tree / "workflow")
    for folder in (data, plugins, tmp_path / "bin"):
        folder.mkdir()
    (plugins / "mine.py").write_text(PLUGIN)
    kdlib_python = tmp_path / "bin" / "python"
    kdlib_python.write_text(STAND_IN)
    kdlib_python.chmod(0o755)
    own = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "KDLIB_ROOT": str(as_project(tree)),
        "PYTHONPATH": str(tree),
    }
    places = {"KDLIB_DATA": str(data), "KDLIB_PLUGINS": str(plugins)}
    arguments = ["--snakefile", "workflow/Snakefile", "--workflow-profile", "workflow/profiles/local", "--cores", "1"]
    arguments += ["--config", "datasets=mine", "profile=smoke"]

    def run(*more, **changes):
        command = [sys.executable, "-m", "snakemake", *arguments, *more]
        environment = os.environ | own | places | changes
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout + done.stderr

    save(data)
    run()
    return data, plugins, lambda **changes: "Nothing to be done" not in run("-n", **changes)


def save(folder, value=0):
    import numpy as np

    np.save(folder / "mine.npy", np.full((300, 8, 8), value, np.uint8))


def test_whatever_the_numbers_depend_on_makes_the_book_anew(workflow, tmp_path):
    data, plugins, to_be_done = workflow
    save(tmp_path)  # equal data, elsewhere and of another time
    assert not to_be_done(KDLIB_DATA=str(tmp_path))
    save(data, 1)
    assert to_be_done()
    save(data)
    (plugins / "mine.py").write_text(PLUGIN.replace('register_dataset("mine"', 'register_dataset("mine", title="M"'))
    assert to_be_done()


def started(command, folder, **how) -> psutil.Popen:
    """Snakemake in a folder, with this project's package; what it prints can be read."""
    return psutil.Popen(
        [sys.executable, "-m", "snakemake", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **how,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_the_workflow_before_the_first_job_is_told_in_one_line(number):
    command = ["--snakefile", "workflow/Snakefile", "--cores", "1", "-n", "--config", "datasets=digits"]
    heard = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}  # what starts in a background ignores Ctrl-C
    process = started(command, ROOT, start_new_session=True, **heard)
    while "Building DAG" not in (line := process.stdout.readline()):
        assert line, "it ended before its graph of jobs was built"
    os.killpg(process.pid, number)
    printed, _ = process.communicate()
    assert process.returncode == 128 + number
    assert "interrupted; what was finished is kept" in printed and "Traceback" not in printed


@pytest.mark.long
def test_a_workflow_that_is_told_to_end_ends_its_jobs(tmp_path):
    """Snakemake alone would wait until they have ended, or leave them behind."""
    command = ["--snakefile", ROOT / "workflow/Snakefile", "--workflow-profile", ROOT / "workflow/profiles/local"]
    command += ["--cores", "2", "--config", "sections=missing_class"]
    for name in ("kdlib", "data", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "_toc.yml").touch()
    process = started(command, tmp_path)
    found = started_by(process, "LokyProcess")
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate()
    assert process.returncode and psutil.wait_procs(found, timeout=15)[1] == []
    assert "interrupted; what was finished is kept" in printed and "Traceback" not in printed


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("sections=missing_clas", "kdlib: unknown section 'missing_clas'; allowed: entropy, "),
        ("profile=quik", "kdlib: unknown profile 'quik'; allowed: smoke, quick, "),
        ("teacher_jobs=many", "--config teacher_jobs=many cannot be used; allowed: a whole number"),
    ],
)
def test_what_the_workflow_cannot_use_is_one_line_before_any_job(asked, message, tmp_path):
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        "workflow/Snakefile",
        "--cores",
        "1",
        "--config",
        asked,
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode != 0 and message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "_build").exists()


def test_a_job_that_computes_has_as_many_workers_as_a_containers_quota_gives():
    """To snakemake, all cores are those of the machine: each worker takes the memory that PyTorch needs."""
    command = ["--snakefile", "workflow/Snakefile", "--cores", "8", "-n", "--forceall", "--printshellcmds"]
    command += ["--config", "datasets=digits"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LOKY_MAX_CPU_COUNT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert re.findall(r"KDLIB_WORKERS=(\d+) python -m kdlib compute", done.stdout + done.stderr) == ["1"]


@pytest.mark.parametrize(
    ("asked", "sections", "shown"),
    [
        (["profile=quick"], [name for name, section in SECTIONS.items() if not section.long], ""),
        (["profile=quick", "sections=all"], list(SECTIONS), ""),
        (
            ["profile=quick", "sections=missing_class,capacity", "only=1"],
            ["missing_class", "capacity"],
            "--only digits",
        ),
        (["profile=smoke"], list(SECTIONS), ""),
        (["KDLIB_PROFILE=smoke"], list(SECTIONS), ""),
    ],
)
def test_a_book_is_of_what_was_asked_for_and_a_quick_one_leaves_out_a_long_section(asked, sections, shown):
    """It shows all pages that there are, or those of the data sets that were asked for."""
    command = ["--snakefile", "workflow/Snakefile", "--cores", "1", "-n", "--forceall"]
    by_environment = dict(one.split("=") for one in asked if one.startswith("KDLIB"))
    asked = [one for one in asked if not one.startswith("KDLIB")]
    command += ["--config", "datasets=digits", *asked, "--printshellcmds"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | by_environment
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-2000:]
    assert f"kdlib compute {','.join(sections)} --dataset" in printed
    assert set(re.findall(r"kdlib run (\w+)", printed)) == set(sections)
    assert f"kdlib book {shown} >" in printed
    assert ("kdlib.book.own_data" in printed) == (not any("=" in one and "profile" not in one for one in asked))
