"""A campaign, rehearsed: on a second device made of the CPU, killed and resumed, brought home, and made into a page."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch.utils import backend_registration

import kdlib
from kdlib import needs
from kdlib.book import campaign, pages
from kdlib.sections import SECTIONS, order
from kdlib.sections.asked import parameters_of
from kdlib.study import workers
from kdlib.study.parcels import parcels_in
from kdlib.study.store import published_units
from kdlib.training import parity

from .. import accelerator
from ..conftest import ROOT, command_line
from ..training.test_accelerator import on

SMALL = ["seeds=1", "teacher_epochs=1", "student_epochs=1", "temperatures=9", "missing_classes=0"]
SMALL += ["examples_per_class=5", "selections=random", "batch_sizes=64", "spread_settings=[[64, 1]]"]
GIVEN = [word for text in SMALL for word in ("-p", text)]
REHEARSED = ("missing_class", "penultimate_layer")


def given_to(section: str) -> dict:
    """Those of the small parameters that a section has."""
    own = [text for text in SMALL if text.partition("=")[0] in SECTIONS[section].parameters]
    return parameters_of(section, "digits", "smoke", own)[section]


def report(out: Path) -> dict:
    return json.loads((out / campaign.REPORT).read_text())


def rehearse(out: Path, store: Path, seconds: float, *sources: Path) -> list[str]:
    """A campaign on the digits in this process, of two sections: one of teachers alone, and one of students."""
    given = {"digits": {name: given_to(name) for name in REHEARSED}}
    ends = time.monotonic() + seconds
    return list(campaign.run(given, out, ends, sources=sources, store=store, device="auto"))


def on_the_accelerator(folder: str) -> tuple[list[str], list[str], dict]:
    out, rows = Path(folder) / "out", []
    with on(remote=True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaign, "rows_within", lambda seconds, checks, *given: rows)
        lines = rehearse(out, Path(folder) / "store", 3600)
        again = rehearse(out, Path(folder) / "another", 3600)
    return lines, again, report(out)


@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this version of torch knows no device that is written in Python",
)
def test_a_campaign_on_an_accelerator_comes_home_and_its_tables_need_nothing_computed(tmp_path):
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=accelerator.device) as process:
        lines, again, found = process.submit(on_the_accelerator, str(tmp_path)).result()
    assert lines[-1] == "nothing is left" and again[-1] == "nothing is left"
    assert [s["section"] for s in found["stages"]] and found["left"] == "nothing"
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(files) <= campaign.FILES and {path.suffix for path in (tmp_path / "out").iterdir()} == {
        ".json",
        ".parquet",
    }
    home = kdlib.Store(tmp_path / "home")
    for path in parcels_in(tmp_path / "out"):
        home.import_file(path)
    for name in REHEARSED:
        study = kdlib.open_study(name, given_to(name), store=home)
        assert all(len(table) for table in study.tables().values())
    assert list(home.paths()) == [], "it is read, and nothing is computed"


@pytest.mark.notebook
@pytest.mark.long
def test_a_killed_campaign_goes_on_from_its_exports_on_another_machine_and_gives_a_page(tmp_path):
    """Killed as a machine goes away: only the folder is left, its files are whole, and nothing in them is redone."""
    out, resumed = tmp_path / "out", tmp_path / "resumed"
    words = [sys.executable, "-m", "kdlib", "campaign", "--dataset", "digits", "--profile", "smoke", *GIVEN]
    first = subprocess.Popen(
        [*words, "--within", "30m", "--out", out, "--store", tmp_path / "store"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    while not (parcels_in(out) and report(out).get("stages")):
        assert first.poll() is None, "it ended by itself"
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    kept = {key for path in parcels_in(out) for key in published_units(path)}
    assert kept
    lines = rehearse(resumed, tmp_path / "fresh", 1800, out)
    assert lines[-1] == "nothing is left" and f"{len(kept)} units taken in" in lines[0]
    assert not {path.stem for path in (tmp_path / "fresh").glob("[sm]*/*.safetensors")} & kept  # students, measures
    home = tmp_path / "home"
    for folder in (out, resumed):
        for path in parcels_in(folder):
            kdlib.Store(home).import_file(path)
    page = pages.run("missing_class", given_to("missing_class"), store=home, output=tmp_path / "page.ipynb")
    assert page.exists() and not list(home.glob("teacher/*")) and not list(home.glob("student/*"))


def test_a_deadline_of_a_campaign_ends_it_and_says_what_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "rows_within", lambda *_: [{"ended": "not now"}])
    lines = rehearse(tmp_path / "out", tmp_path / "store", 0.1)
    assert lines[-1].startswith("left: digits: ") and lines[-1].endswith(f"--from {tmp_path / 'out'} goes on.")
    assert not list((tmp_path / "store").glob("student/*")) and report(tmp_path / "out")["stages"] == []


def test_sections_of_teachers_alone_come_first_with_all_their_seeds():
    studies = [
        kdlib.open_study(name, {}, profile="smoke") for name in ("missing_class", "penultimate_layer", "entropy")
    ]
    stages = campaign.teachers_first(studies)
    assert {(s.section, s.seeds) for s in stages[:2]} == {("entropy", 2), ("penultimate_layer", 2)}
    assert [(s.section, s.seeds) for s in stages[2:]] == [("missing_class", 1), ("missing_class", 2)]


def test_the_responses_that_missing_students_need_are_exported_and_enough_to_train_them(tmp_path):
    """When a machine goes away between the teachers and their students, the teachers are not lost."""
    study = kdlib.open_study("missing_class", {}, profile="smoke", store=kdlib.Store(tmp_path / "store"))
    study.train_teachers(study.default_teachers())
    parcels = campaign.Parcels(study.store, tmp_path / "out", 7, 16 << 20)
    campaign._Export([study], order.stages([study]), parcels)(0.0)
    home = kdlib.open_study("missing_class", {}, profile="smoke", store=kdlib.Store(tmp_path / "home"))
    for path in parcels_in(tmp_path / "out"):
        home.store.import_file(path)
    [student] = home.units()[1][:1]
    assert workers.has_responses(home.store, home.dataset, student)
    assert home.student_results([student]) and not list((tmp_path / "home").glob("teacher/*"))


def test_of_responses_so_many_are_exported_as_have_room_counted_by_teacher_and_epoch(tmp_path, monkeypatch):
    study = kdlib.open_study("missing_class", {}, profile="smoke", store=kdlib.Store(tmp_path / "store"))
    teacher, other = (study.teacher("large", seed) for seed in (0, 1))
    study.train_teachers([teacher, other])
    wanted = [study.student(teacher, 9.0, alpha=0.0, epoch=1)]  # of labels alone
    wanted += [study.student(teacher, 9.0, system="snapshots", parameters={"snapshots": 2}), study.student(other, 9.0)]
    study.definition = replace(study.definition, units=lambda study: ([], wanted))
    export = campaign._Export([study], [], campaign.Parcels(study.store, tmp_path / "out", 7, 16 << 20))
    for room, taken in ((1, 0), (2, 2), (3, 3)):
        monkeypatch.setattr(campaign, "RESPONSES", room)
        assert len(set(export._responses())) == taken


def test_what_was_measured_on_the_same_machine_is_not_measured_again(tmp_path):
    machine = {"device": "a GPU", "torch": "2", "commit": "abc"}
    rows = {"parity": [{"check": "c", "holds": True}], "bench": [{"row": "machine"}, {"ended": "after its 60 s"}]}
    (tmp_path / campaign.REPORT).write_text(json.dumps({"machine": machine, **rows}))
    assert campaign._earlier([tmp_path], machine) == rows
    ended = {"parity": [*rows["parity"], {"ended": "after its 60 s"}], "bench": rows["bench"][1:]}
    (tmp_path / "ended").mkdir()
    (tmp_path / "ended" / campaign.REPORT).write_text(json.dumps({"machine": machine, **ended}))
    assert campaign._earlier([tmp_path / "ended"], machine) == {}
    assert campaign._earlier([tmp_path], machine | {"torch": "3"}) == {}
    assert campaign._earlier([tmp_path / "none"], machine) == {}


def count_slowly(n: int):
    for k in range(n):
        yield {"k": k}
    time.sleep(600)


def fail():
    yield {"k": 0}
    raise RuntimeError("a fault of the device")


def die():
    yield {"k": 0}
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("generator", "given", "end"),
    [
        pytest.param(count_slowly, (2,), "after its ", marks=pytest.mark.long),
        (fail, (), "RuntimeError: a fault"),
        (die, (), "its process died"),
    ],
)
def test_rows_come_as_they_are_measured_until_time_is_over_or_their_process_fails(generator, given, end):
    begun = time.monotonic()
    *rows, last = campaign.rows_within(20, generator, *given)
    assert rows == [{"k": k} for k in range(len(rows))] and len(rows) >= 1
    assert last["ended"].startswith(end) and time.monotonic() - begun < 300


def test_without_any_time_nothing_is_begun_and_no_negative_time_is_told():
    assert [*campaign.rows_within(-4.2, die)] == [{"ended": "not begun: no time was left"}]


def test_a_share_is_what_a_teacher_reaches_of_the_large_product(tmp_path):
    study = kdlib.open_study("entropy", {}, profile="smoke", seeds=1, store=kdlib.Store(tmp_path))
    study.train_teachers(study.default_teachers())
    slow, fast = (campaign.teacher_shares([study], 0.0, rate) for rate in (1e3, 1e6))
    assert len(slow) == len(fast) == 2
    assert all(a["share"] == pytest.approx(1e3 * b["share"]) for a, b in zip(slow, fast, strict=True))
    assert all(row["share"] > 0 for row in fast)
    assert campaign.teacher_shares([study], time.time() + 60, 1e3) == []
    assert all("% of its rate" in line for line in campaign.shares_in_words(slow))
    assert "was not measured" in next(campaign.shares_in_words(campaign.teacher_shares([study], 0.0, None)))


# Parity of the fast paths.


def test_on_the_cpu_every_fast_path_that_it_has_holds(digits, monkeypatch):
    monkeypatch.setattr(parity, "SIZES", (2, 5))
    rows = list(parity.checks(digits))
    assert [row["holds"] for row in rows] == [True, True, True, None, None, None, None]
    assert rows[0]["difference"] <= rows[0]["allowed"] == 1e-5 and all(campaign._parity_line(row) for row in rows)


def test_a_fast_path_that_gives_something_else_is_noticed(digits, monkeypatch):
    monkeypatch.setattr(parity, "SIZES", (2,))
    train = parity.stacked.train

    def one_bit_off(students, *rest):
        histories, models = train(students, *rest)
        with torch.no_grad():
            models[-1].head.bias += 1e-4 * len(students)
        return histories, models

    monkeypatch.setattr(parity.stacked, "train", one_bit_off)
    assert parity.stack_equals_loop(digits)["holds"] is False
    found = parity.same_bits(digits, "fp32")
    assert found["holds"] is False and "2, place 1" in found["differing"]


def test_a_check_that_fails_leaves_the_others(digits, monkeypatch):
    def fail(dataset, *_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(parity, "same_bits", fail)
    rows = list(parity.checks(digits))
    assert [row["holds"] for row in rows[:3]] == [True, False, False] and "no such kernel" in rows[1]["error"]


# The command.


def test_what_a_campaign_needs_is_listed_and_something_lacking_is_an_error(monkeypatch):
    done = command_line("campaign", "--needs", "--dataset", "digits")
    assert done.returncode == 0 and "torch" in done.stdout and "digits: here" in done.stdout
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = command_line("campaign", "--needs", "--dataset", "digits")
    assert done.returncode == 1 and "this machine lacks pyarrow" in done.stderr


@pytest.mark.parametrize(
    ("there", "enough"),
    [("2.3.1+cu121", False), ("2", False), ("2.4", True), ("2.4.0a0+07cecf4168.nv24.05", True), ("2.14.0", True)],
)
def test_what_is_too_old_for_a_campaign_is_lacking(there, enough, monkeypatch):
    monkeypatch.setattr(torch, "__version__", there)
    monkeypatch.setattr(needs, "requirements", lambda: ["torch>=2.4,<2.14"])
    lines, lacking = needs.report()
    assert lacking == ([] if enough else [f"torch ({there} is too old)"])
    assert ("TOO OLD" in lines[0]) != enough


@pytest.mark.parametrize("module", ["typer", "yaml", "tqdm"])
def test_a_machine_that_lacks_what_the_command_line_is_made_of_is_told_so(module):
    code = f"import runpy, sys; sys.modules[{module!r}] = None; sys.argv[1:] = ['campaign', '--needs']; "
    code += "runpy.run_module('kdlib', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and "this machine lacks" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out FOLDER is needed"),
        (["--out", "x", "--within", "soon"], "'soon' is no duration; allowed: "),
        (["--out", "x", "--dataset", "imagenet"], "unknown data set 'imagenet'"),
        (["--out", "x", "--dataset", "digits", "-p", "temprature=9"], "unknown parameter temprature"),
    ],
)
def test_what_cannot_be_used_is_one_line_before_anything_is_spent(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command_line("campaign", *arguments)
    assert done.returncode == 2 and message in done.stderr and not list(tmp_path.glob("x*"))
