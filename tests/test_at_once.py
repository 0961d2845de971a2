"""Help and errors in what was asked for come at once: before torch, and whatever else is slow, is imported."""

import json
import os
import resource
import subprocess
import sys
from statistics import median

import pytest
import typer

from kdlib.cli import app

from .test_cli import BAD
from .test_layers import SLOW

WITH_DATA = {"class", "examples"}  # what they ask for is held against the examples of a data set
AT_ONCE = [["--help"], ["compute", "missing_class", "-p", "alpha=1.5"]]
ROUNDS = 3
MOST = 1 / 3  # of the time that importing torch takes

# Runs command lines one after another, each in its environment: exit code, what was written, what is slow and new.
RUN = f"""
import contextlib, io, json, os, sys
from kdlib.cli import main

found = []
for arguments, environment in json.load(sys.stdin):
    outside, before, shown = dict(os.environ), set(sys.modules), io.StringIO()
    os.environ.update(environment)
    sys.argv = ["kdlib", *arguments]
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
    os.environ.clear()
    os.environ.update(outside)
    found.append([code, shown.getvalue(), sorted({set(SLOW)!r} & (set(sys.modules) - before))])
json.dump(found, sys.stdout)
"""


def commands(command: typer.main.TyperGroup, *above: str) -> list[tuple[str, ...]]:
    """The command line itself and every command beneath it, as words."""
    inner = getattr(command, "commands", {}).items()
    return [above, *(words for name, one in inner for words in commands(one, *above, name))]


HELP = {" ".join(["kdlib", *words]): [*words, "--help"] for words in commands(typer.main.get_command(app))}
ENVIRONMENT = {
    "workers": ({"KDLIB_WORKERS": "many"}, "KDLIB_WORKERS='many' cannot be used; allowed: a whole number from 1"),
    "engine": ({"KDLIB_ENGINE": "rocket"}, "KDLIB_ENGINE='rocket' cannot be used; allowed: loop, stacked"),
    "profile": ({"KDLIB_PROFILE": "huge"}, "unknown profile 'huge'; allowed: smoke, quick, paper"),
}
ELSEWHERE = {"KDLIB_DATA": "/nowhere"}
MISSING = {
    name: ([*words, "mnist"], "data set 'mnist' was not found under /nowhere. `kdlib data mnist --from DIR`")
    for name, words in {
        "data": ["data"],
        "compute": ["compute", "entropy", "--dataset"],
        "run": ["run", "entropy", "--dataset"],
        "plan": ["plan", "all", "--dataset"],
        "bench": ["bench", "--dataset"],
    }.items()
}
NOT_UNDERSTOOD = {
    "no such command": (["learn"], "No such command 'learn'"),
    "no such option": (["compute", "entropy", "--fast"], "--fast"),
    "no section": (["compute"], "Missing argument"),
    "no number": (["bench", "--epochs", "many"], "'--epochs'"),
    "too few": (["bench", "--epochs", "0"], "'--epochs'"),
}
REFUSED = {
    **{name: (arguments, {}, message) for name, (arguments, message) in BAD.items() if name not in WITH_DATA},
    **{f"KDLIB_: {name}": (["compute", "entropy"], *case) for name, case in ENVIRONMENT.items()},
    **{f"missing: {name}": (arguments, ELSEWHERE, message) for name, (arguments, message) in MISSING.items()},
    **{name: (arguments, {"TERM": "dumb"}, message) for name, (arguments, message) in NOT_UNDERSTOOD.items()},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What every command line of this module gives: they are run in one process, which is quicker."""
    cases = [(arguments, {}) for arguments in HELP.values()] + [case[:2] for case in REFUSED.values()]
    folder = tmp_path_factory.mktemp("at_once")
    places = {"KDLIB_STORE": str(folder / "store"), "COLUMNS": "200", "KDLIB_PROFILE": "smoke"}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=os.environ | places,
    )
    assert list(folder.iterdir()) == []
    return dict(zip([*HELP, *REFUSED], json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("command", HELP)
def test_help_comes_before_what_is_slow(command, results):
    code, shown, slow = results[command]
    assert code == 0 and "--help" in shown and slow == []


@pytest.mark.parametrize("case", REFUSED)
def test_an_error_in_what_was_asked_for_comes_before_what_is_slow(case, results):
    code, shown, slow = results[case]
    assert code == 2 and REFUSED[case][2] in shown and slow == []


def processor_seconds(*arguments: str) -> float:
    """Of a process of its own; how busy the machine is does not change them as it does the time on the wall."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_what_comes_at_once_takes_a_third_of_importing_torch_at_most():
    shares = []
    for _ in range(ROUNDS):
        torch = processor_seconds("-c", "import torch")
        shares.append([processor_seconds("-m", "kdlib", *arguments) / torch for arguments in AT_ONCE])
    assert all(median(share) <= MOST for share in zip(*shares, strict=True)), shares
