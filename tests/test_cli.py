import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import jupytext
import pandas as pd
import papermill
import pytest
import torch

from kdlib import Store, StoreError
from kdlib.book import pages
from kdlib.cli import main
from kdlib.data import registry
from kdlib.data.human_labels import HUMAN_LABELS
from kdlib.data.paper import paper_table
from kdlib.data.sources import FILES
from kdlib.sections import SECTIONS
from kdlib.training.systems.registry import systems

from .conftest import ROOT, as_project

SMALL = [
    "--profile", "smoke", "-p", "seeds=1", "-p", "temperatures=9", "-p", "missing_classes=0",
    "-p", "teacher_epochs=1", "-p", "student_epochs=1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    monkeypatch.setenv("KDLIB_WORKERS", "1")


@pytest.fixture
def kdlib(monkeypatch, capsys):
    """The command line in this process: (exit code, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kdlib", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the notebooks and what is checked beside them, without any executed page."""
    root = tmp_path / "project"
    for name in ("notebooks", "data/paper"):
        shutil.copytree(ROOT / name, root / name)
    shutil.copy(ROOT / "jupytext.toml", root)
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(root)))
    return root


def test_the_scoreboard_is_for_a_program_to_read_also_where_nothing_was_run(kdlib, project):
    code, out, _ = kdlib("scoreboard", "--json")
    assert code == 0 and json.loads(out) == {"rules": None, "verdicts": []}
    assert kdlib("scoreboard")[:2] == (0, "")


def assert_one_line(result: tuple[int, str, str], message: str, code: int = 2) -> None:
    assert result[0] == code and result[1] == ""
    [line] = result[2].splitlines()
    assert line.startswith("kdlib: ") and message in line


def test_models_is_table_7(kdlib):
    code, out, _ = kdlib("models", "--json")
    rows = {(row["dataset"], row["network"]): row for row in json.loads(out)}
    printed = [row for row in paper_table(7).itertuples() if pd.notna(row.parameters)]
    assert code == 0 and len(rows) == 12 and len(printed) >= 9
    for row in printed:
        ours = rows[row.dataset, row.role]
        assert ours["parameters"] == ours["paper"] == row.parameters and ours["equal"] is True
    assert sum(row["paper"] is not None for row in rows.values()) == len(printed)


def test_models_in_words_names_every_network_and_what_is_not_legible(kdlib):
    _, out, _ = kdlib("models")
    assert len(out.splitlines()) == 13
    assert "not legible" in out and "large_teacher" in out


def test_systems_lists_every_one_with_its_parameters_and_for_programs_their_origins(kdlib):
    code, out, _ = kdlib("systems")
    named = [line.split()[0] for line in out.splitlines()[1:] if not line.startswith("class ")]
    assert code == 0 and named == list(systems())
    assert "beta* 8" in out and "B: another loss" in out
    rows = {row["name"]: row for row in json.loads(kdlib("systems", "--json")[1])}
    assert list(rows) == named and rows["dkd"]["closed_form_gradient"] and not rows["alr"]["closed_form_gradient"]
    assert rows["dist"]["couples_the_batch"] and rows["ctkd"]["keeps_a_state"] and rows["takd"]["only_another_teacher"]
    for row in rows.values():
        assert row["verified"] and all(p["origin"] for p in row["parameters"])


def test_data_lists_every_data_set_and_which_are_here(kdlib, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "none"))
    code, out, _ = kdlib("data", "list")
    assert kdlib("data")[1] == kdlib("data", "--list")[1] == out
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0 and set(lines) == {*registry.dataset_names(), *HUMAN_LABELS}
    assert all(lines.pop(name).startswith("not here: ") for name in HUMAN_LABELS)
    assert lines.pop("digits") == "here: 1287 training and 510 test images of 1x8x8"
    assert set(lines.values()) == {"not here"}


def test_data_says_what_is_wrong_with_files_that_are_here(kdlib, tmp_path, monkeypatch):
    for name in FILES["cifar10"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"short")
    (tmp_path / "usps.bz2").write_bytes(b"short")
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    _, out, _ = kdlib("data", "--list")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert "cannot be read" in lines["cifar10"] and "kdlib data cifar10 --from DIR" in lines["cifar10"]
    assert "is incomplete, it lacks usps.t.bz2. `kdlib data usps --from DIR`" in lines["usps"]


def test_data_verifies_one_and_claims_no_checksum_that_it_does_not_have(kdlib, monkeypatch):
    code, out, _ = kdlib("data", "digits", "--verify")
    assert (code, out.splitlines()[0]) == (0, "digits: complete (its sha256 is the known one)")
    unknown = replace(registry.find_source("digits"), sha256=None)
    monkeypatch.setitem(registry._sources, "digits", unknown)
    code, out, _ = kdlib("data", "digits", "--verify")
    assert (code, out.splitlines()[0]) == (0, "digits: complete (its form was checked; no checksum of it is known)")


def test_run_all_checks_every_section_before_the_first_is_run(kdlib, tmp_path):
    assert_one_line(kdlib("run", "all", "--profile", "smoke", "-o", tmp_path / "x.ipynb"), "-o names one page")
    last = "spread_settings=[[64,7]]"  # of a section that is not the first
    assert_one_line(kdlib("run", "all", "--profile", "smoke", "-p", last), "responses are kept after epochs 1, 2")
    assert not list(tmp_path.rglob("*.ipynb")) and not list((tmp_path / "store").rglob("*.safetensors"))


def test_compute_fills_the_store_and_then_computes_nothing_twice(kdlib, tmp_path):
    code, out, _ = kdlib("compute", "missing_class", "--profile", "smoke")
    units = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("*/*.safetensors")}
    assert (code, out) == (0, f"missing_class: {len(units)} units in {tmp_path / 'store'}\n")
    kinds = [path.parent.name for path in units]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"teacher": 4, "measure": 4, "student": 24}
    assert kdlib("compute", "missing_class", "--profile", "smoke")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("*/*.safetensors")} == units


def test_all_shares_units_between_sections_and_takes_each_sections_parameters(kdlib, tmp_path):
    code, out, _ = kdlib("compute", "all", *SMALL, "-p", "examples_per_class=5", "--store", tmp_path / "other")
    assert code == 0 and [line.split(":")[0] for line in out.splitlines()] == list(SECTIONS)
    teachers = list((tmp_path / "other" / "teacher").iterdir())
    # Both capacities, each at the other batch size, the large one so with a scaled learning rate, an assistant; then of
    # `capacity` four widths, the large one plain, the small one regularized, the large one of smoothed labels; of
    # `related_systems` two trials each of class distance and of information, another assistant for the second trial of
    # assistants, the smaller assistant directly and through the first, both untaught, the student's own network.
    assert len(teachers) == 6 + 7 + 10
    assert not (tmp_path / "store").exists()


def test_the_store_is_listed_verified_and_removed_from_by_key(kdlib, tmp_path):
    kdlib("compute", "missing_class", *SMALL)
    store = Store(tmp_path / "store")
    keys = [path.stem for path in store.paths()]
    _, listed, _ = kdlib("store", "list")
    assert kdlib("store", "ls")[1] == listed
    assert [line.split()[1] for line in listed.splitlines()] == keys
    assert all(" digits " in line and " B " in line and " s " in line for line in listed.splitlines())
    verified = f"{len(keys)} sound, 0 damaged or unreadable (a run computes damaged ones again)\n"
    assert kdlib("store", "verify")[:2] == (0, verified)

    assert_one_line(kdlib("store", "rm", "zz"), "key 'zz' names 0 units; `kdlib store list` lists them")
    assert_one_line(kdlib("store", "rm", keys[0], ""), f"key '' names {len(keys)} units")
    assert [path.stem for path in store.paths()] == keys
    assert kdlib("store", "remove", keys[0][:12], keys[1], keys[0]) == (0, "2 removed\n", "")
    assert [path.stem for path in store.paths()] == keys[2:]


@pytest.mark.parametrize("kind", ["student", "measure"])
def test_a_damaged_unit_is_listed_makes_verify_fail_and_is_computed_again(kind, kdlib, tmp_path):
    kdlib("compute", "missing_class", *SMALL)
    path = next(path for path in Store(tmp_path / "store").paths() if path.parent.name == kind)
    path.write_bytes(path.read_bytes()[:-1])
    code, out, err = kdlib("store", "verify")
    assert code == 1 and " 1 damaged" in out and f"{kind}/{path.name}: damaged" in err
    assert f"{path.stem} damaged" in kdlib("store", "ls")[1]
    assert path.name in kdlib("compute", "missing_class", *SMALL)[2]
    assert kdlib("store", "verify")[0] == 0


BAD = {
    "section": (["compute", "conclusion"], "unknown section 'conclusion'; allowed: entropy, missing_class"),
    "data set": (["compute", "entropy", "--dataset", "imagenet"], "unknown data set 'imagenet'; allowed: "),
    "profile": (["compute", "entropy", "--profile", "huge"], "unknown profile 'huge'; allowed: smoke, quick, paper"),
    "name": (["compute", "missing_class", "-p", "temprature=9"], "unknown parameter temprature; allowed: dataset"),
    "name for all, of some": (["plan", "all", "-p", "batch_size=9"], "did you mean batch_sizes?"),
    "name for all": (["compute", "all", "-p", "temprature=9"], "unknown parameter temprature; allowed: "),
    "no value": (["compute", "entropy", "-p", "seeds"], "-p 'seeds' is not name=value"),
    "word": (["compute", "entropy", "-p", "temperatures=hot"], "temperatures='hot' cannot be used; allowed: "),
    "empty": (["compute", "entropy", "-p", "temperatures=[]"], "temperatures='[]' cannot be used; allowed: "),
    "0": (["compute", "entropy", "-p", "temperatures=[0]"], "temperatures='[0]' cannot be used; allowed: "),
    "alpha": (["compute", "missing_class", "-p", "alpha=1.5"], "alpha='1.5' cannot be used; allowed: a number from 0"),
    "class": (["compute", "missing_class", "-p", "missing_classes=[10]"], "digits has classes 0 to 9"),
    "examples": (["compute", "example_efficiency", "-p", "examples_per_class=[500]"], "training examples in the small"),
    "both": (
        ["compute", "entropy", "--dataset", "digits", "-p", "dataset=mnist"],
        "--dataset digits and -p dataset=mnist disagree: give one of them",
    ),
    "one twice": (
        ["compute", "entropy", "-p", "seeds=1", "-p", "seeds=2"],
        "-p seeds=2 and -p seeds=1 disagree: give one of them",
    ),
    "both profiles": (
        ["run", "entropy", "--profile", "smoke", "-p", "profile=quick"],
        "--profile smoke and -p profile=quick disagree: give one of them",
    ),
    "run: word": (["run", "entropy", "-p", "temperatures=hot"], "temperatures='hot' cannot be used; allowed: "),
    "run: name": (["run", "entropy", "-p", "alpha=0.5"], "unknown parameter alpha; allowed: dataset"),
    "publish": (["run", "entropy", "--publish", "-p", "seeds=1"], "leave out -p seeds"),
    "only": (["compute", "entropy", "--only", "students"], "--only 'students' cannot be used; allowed: teachers"),
    "part": (
        ["compute", "entropy", "--only", "teachers", "--part", "3/2"],
        "--part '3/2' cannot be used; allowed: i/n",
    ),
    "part of all": (["compute", "entropy", "--part", "1/2"], "give --only teachers with it"),
    "within": (["compute", "entropy", "--within", "soon"], "'soon' is no duration; allowed: "),
    "within fresh": (["compute", "entropy", "--within", "8m", "--fresh"], "leave out --only and --fresh"),
    "plan": (["plan", "entropy", "-p", "temprature=9"], "unknown parameter temprature; allowed: dataset"),
    "bench": (
        ["bench", "--dataset", "digits"],
        "bench needs a data set of torchvision's, got 'digits'; allowed: mnist",
    ),
    "bench's device": (["bench", "--device", "tpu"], "device='tpu' cannot be used; allowed: auto, cpu, cuda"),
    "fetch": (["data", "digits", "--download"], "'digits' needs no files"),
    "fetch from": (["data", "mnist", "--from", "nowhere"], "nowhere holds no MNIST (torchvision's layout for 'mnist')"),
    "fetch twice": (["data", "mnist", "--from", ".", "--download"], "--from and --download exclude each other"),
    "download what": (["data", "--download"], "which data set is meant? `kdlib data list` names them"),
    "from, what": (["data", "--from", "nowhere"], "which data set is meant?"),
    "verify what": (["data", "--verify"], "which data set is meant?"),
    "a book of nothing": (["book", "--only", ""], "unknown data set ''; allowed: "),
    "spaces around": (["compute", "entropy", "-p", "seeds = 0"], "seeds='0' cannot be used; allowed: a whole number"),
    "no such set": (["data", "imagenet"], "unknown data set 'imagenet'; allowed: "),
    "page: section": (["page", "all"], "unknown section 'all'; allowed: entropy, missing_class"),
    "page: word": (["page", "entropy", "-p", "temperatures=hot"], "temperatures='hot' cannot be used; allowed: "),
    "output of all": (["run", "all", "-o", "x.ipynb"], "-o names one page: give it with one section"),
    "output of two": (["run", "missing_class,entropy", "-o", "x.ipynb"], "-o names one page: give it with one section"),
    "fresh teachers": (["compute", "entropy", "--fresh", "--only", "teachers"], "leave out --only teachers"),
    "compare: data set": (["compare", "--dataset", "imagenet"], "unknown data set 'imagenet'; allowed: "),
    "compare: profile": (["compare", "--profile", "huge"], "unknown profile 'huge'; allowed: smoke, quick, paper"),
    "compare: no page": (["compare", "--dataset", "digits", "--profile", "smoke"], "`kdlib run all --dataset digits "),
    "store: key": (["store", "rm", "zz"], "key 'zz' names 0 units; `kdlib store list` lists them"),
    "store: nothing": (["store", "export", "units"], "holds no sound unit: there is nothing to export"),
    "campaign: nothing brought": (
        ["campaign", "--out", "out", "--from", "nowhere"],
        "--from nowhere holds nothing: the folder --out of an earlier campaign is meant",
    ),
    "store: no file": (["store", "import", "nowhere.parquet"], "there is no file nowhere.parquet"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_no_trace(case, kdlib, tmp_path, monkeypatch):
    arguments, message = BAD[case]
    monkeypatch.setattr(pages, "pages_dir", lambda: tmp_path / "pages")
    assert_one_line(kdlib(*arguments), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has cuda")
def test_a_device_that_is_not_there_is_one_line(kdlib, tmp_path):
    assert_one_line(kdlib("compute", "entropy", "-p", "device=cuda"), "device 'cuda' was asked for and is not on this")
    assert list(tmp_path.iterdir()) == []


def test_data_that_is_not_there_is_one_line(kdlib, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "none"))
    assert_one_line(kdlib("compute", "entropy", "--dataset", "mnist"), "`kdlib data mnist --from DIR`")
    assert list(tmp_path.iterdir()) == []


def test_the_command_itself_ends_with_one_line_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "kdlib", "compute", "missing_class", "-p", "alpha=1.5"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert_one_line((done.returncode, done.stdout, done.stderr), "alpha='1.5' cannot be used")
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_not_installed_is_one_line_that_says_what_brings_it(kdlib, monkeypatch):
    monkeypatch.setitem(sys.modules, "papermill", None)
    result = kdlib("run", "entropy", "--profile", "smoke")
    assert_one_line(result, "papermill is not installed: `pip install -e '.[book]'`")


def test_an_interruption_is_one_line_that_says_what_is_kept(kdlib, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "dataset_names", interrupted)
    later = []  # what becomes of a second Ctrl-C
    monkeypatch.setattr(signal, "signal", lambda *given: later.append(given))
    monkeypatch.setattr(logging, "disable", lambda: None)  # for the tests after this one
    said = "kdlib: interrupted; what was finished is kept, and the same command goes on from there\n"
    assert kdlib("data", "--list") == (130, "", said)
    assert later[-3:] == [(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("before", ["SIG_DFL", "SIG_IGN"])
def test_a_command_that_is_told_to_end_does_so_in_one_line_unless_it_was_started_to_ignore_it(number, before):
    code = f"""
import signal, sys
from kdlib import cli
from kdlib.data import registry

signal.signal({number}, signal.{before})
registry.dataset_names = lambda: signal.raise_signal({number}) or []
sys.argv = ["kdlib", "data", "--list"]
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    said = "kdlib: interrupted; what was finished is kept, and the same command goes on from there\n"
    assert (done.returncode, done.stderr) == ((128 + number, said) if before == "SIG_DFL" else (0, ""))


def test_a_command_whose_output_nobody_takes_does_its_work(tmp_path):
    """As of a service that was started with closed streams: what is opened next would be written into."""
    code = """
import sys
from pathlib import Path
from kdlib import cli
from kdlib.data import registry
from kdlib.progress import progress

def names():
    Path("done").write_text(" ".join(progress(["all"], "of", 1)))
    return []

registry.dataset_names = names
sys.argv = ["kdlib", "data", "--list"]
cli.main()
"""
    (tmp_path / "command.py").write_text(code)
    closed = f"{sys.executable} command.py <&- >&- 2>&-"
    places = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(closed, shell=True, cwd=tmp_path, env=places).returncode == 0
    assert (tmp_path / "done").read_text() == "all"


def test_an_interruption_that_python_loses_in_a_callback_is_sent_again():
    code = """
import signal, sys, time, weakref
from kdlib import cli
from kdlib.data import registry

signal.signal(signal.SIGINT, signal.default_int_handler)


def names():
    thing = type("Thing", (), {})()
    kept = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    time.sleep(60)


registry.dataset_names = names
sys.argv = ["kdlib", "data", "--list"]
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=50)
    said = "kdlib: interrupted; what was finished is kept, and the same command goes on from there\n"
    assert (done.returncode, done.stderr) == (130, said)


def test_an_interruption_while_the_command_line_is_imported_is_no_traceback(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    found_first = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    command = [sys.executable, "-m", "kdlib", "data", "--list"]
    done = subprocess.run(command, capture_output=True, text=True, env=found_first, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_option_and_a_parameter_that_agree_are_accepted(kdlib):
    assert kdlib("compute", "missing_class", "--dataset", "digits", "-p", "dataset=digits", *SMALL)[0] == 0


def test_null_means_the_profiles_value(kdlib, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_PROFILE", "smoke")
    code, out, _ = kdlib("compute", "entropy", "-p", "seeds=1", "-p", "temperatures=null", "-p", "examples=None")
    assert (code, out) == (0, f"entropy: 6 units in {tmp_path / 'store'}\n")


def test_too_little_room_is_one_line_before_any_work(kdlib, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    assert_one_line(kdlib("compute", "missing_class", *SMALL), "1 MiB of room, about ")
    assert list((tmp_path / "store").iterdir()) == []


def test_a_store_that_fills_meanwhile_is_one_line_and_another_exit_code(kdlib, monkeypatch):
    def full(self, unit):
        raise StoreError("the store cannot be written: No space left on device")

    monkeypatch.setattr(Store, "put", full)
    code, _, err = kdlib("compute", "missing_class", *SMALL)
    assert (code, err) == (3, "kdlib: the store cannot be written: No space left on device\n")


@pytest.mark.parametrize(("name", "code"), [("InputError", 2), ("StoreError", 3)])
def test_an_error_inside_of_a_notebook_is_one_line_and_leaves_no_page(name, code, kdlib, tmp_path, monkeypatch):
    def fail(source, target, *args, **kwargs):
        shutil.copy(source, target)
        raise papermill.PapermillExecutionError(0, 1, "study", name, "what went wrong", ["a", "traceback"])

    monkeypatch.setattr(papermill, "execute_notebook", fail)
    result = kdlib("run", "entropy", "--profile", "smoke", "-o", tmp_path / "pages" / "entropy.ipynb")
    assert_one_line(result, "what went wrong", code)
    assert list((tmp_path / "pages").iterdir()) == []


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("notebooks/entropy.ipynb", "notebooks/ holds the sources"),
        ("book/digits/entropy.ipynb", "book/ holds the reference pages, which --publish writes"),
        ("there", "allowed: a file whose name ends in .ipynb"),
        ("there.ipynb", "allowed: a file whose name ends in .ipynb"),
        ("page.html", "allowed: a file whose name ends in .ipynb"),
    ],
)
def test_a_page_is_written_over_nothing_else(output, why, kdlib, project, monkeypatch):
    for name in ("there", "there.ipynb"):
        (project / name).mkdir()
    monkeypatch.chdir(project)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert_one_line(kdlib("run", "entropy", "--profile", "smoke", "-o", output), f"-o {output} cannot be used")
    assert why in kdlib("run", "entropy", "--profile", "smoke", "-o", project / output)[2]
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def pair(root) -> list[list[tuple[str, str]]]:
    paths = (root / "notebooks" / f"entropy.{end}" for end in ("py", "ipynb"))
    return [[(cell.cell_type, cell.source) for cell in jupytext.read(path).cells] for path in paths]


@pytest.mark.parametrize("end", ["py", "ipynb"])
def test_a_notebook_whose_pair_differs_is_refused_and_each_named_command_mends_it(end, kdlib, project, monkeypatch):
    text = project / "notebooks" / "entropy.py"
    text.write_text(text.read_text().replace("\nstudy = ", "\n# changed\nstudy = "))
    changed = dict(zip(("py", "ipynb"), pair(project), strict=True))
    assert changed["py"] != changed["ipynb"]
    code, out, err = result = kdlib("run", "entropy", "--profile", "smoke")
    assert_one_line(result, "notebooks/entropy.py and .ipynb differ from cell 3 on")
    commands = {end: command for command in err.split("`")[1::2] for end in ("py", "ipynb") if command.endswith(end)}
    assert set(commands) == {"py", "ipynb"}
    assert not (project / "_build").exists() and not (project.parent / "store").exists()

    monkeypatch.chdir(project)
    subprocess.run([sys.executable, "-m", *commands[end].split()], check=True, capture_output=True)
    assert pair(project) == [changed[end]] * 2
    pages.check_pair("entropy")


@pytest.mark.parametrize("end", ["py", "ipynb"])
def test_a_missing_file_of_a_pair_is_refused(end, kdlib, project):
    (project / "notebooks" / f"entropy.{end}").unlink()
    assert_one_line(kdlib("run", "entropy", "--profile", "smoke"), f"notebooks/entropy.{end} is missing: `jupytext")


def test_verify_finds_nothing_in_a_fresh_copy_and_then_what_was_changed(kdlib, project):
    assert kdlib("verify") == (0, "0 units sound; 0 problems\n", "")
    text = project / "notebooks" / "entropy.py"
    text.write_text(text.read_text() + "\n# %%\nstudy\n")
    (project / "_build" / "pages" / "digits-smoke").mkdir(parents=True)
    shutil.copy(project / "notebooks" / "missing_class.ipynb", project / "_build" / "pages" / "digits-smoke")
    code, out, err = kdlib("verify")
    assert (code, out) == (1, "0 units sound; 2 problems\n")
    assert "notebooks/entropy.py and .ipynb differ" in err
    assert "_build/pages/digits-smoke/missing_class.ipynb has no record" in err


def test_the_parts_of_the_teachers_are_disjoint_and_all_of_them(kdlib, tmp_path):
    parts = []
    for part in ("1/2", "2/2"):
        before = set((tmp_path / "store").rglob("*.safetensors"))
        code, out, _ = kdlib("compute", "entropy", "--profile", "smoke", "--only", "teachers", "--part", part)
        assert (code, out) == (0, f"2 teachers in {tmp_path / 'store'}\n")
        parts.append(set((tmp_path / "store").rglob("*.safetensors")) - before)
    assert [len(part) for part in parts] == [2, 2]
    assert kdlib("compute", "entropy", "--profile", "smoke")[0] == 0
    assert {p for p in (tmp_path / "store").rglob("*.safetensors") if p.parent.name == "teacher"} == parts[0] | parts[1]


def test_within_a_time_what_it_allows_is_computed_and_the_rest_is_named(kdlib, tmp_path):
    code, out, _ = kdlib("compute", "missing_class", *SMALL, "--within", "1s")
    assert code == 0 and "left: digits: " in out and out.endswith("The same command goes on.\n")
    code, out, _ = kdlib("compute", "missing_class", *SMALL, "--within", "1h")
    assert (code, out) == (0, "digits missing_class: the first 1 of its seeds are done\nnothing is left\n")
    stored = set((tmp_path / "store").rglob("*.safetensors"))
    assert kdlib("compute", "missing_class", *SMALL)[0] == 0
    assert set((tmp_path / "store").rglob("*.safetensors")) == stored


def test_a_plan_shows_the_order_in_which_a_deadline_would_be_used(kdlib):
    order = json.loads(kdlib("plan", "missing_class", *SMALL, "--json")[1])["order"]
    assert order == [{"dataset": "digits", "section": "missing_class", "seeds": 1, "reason": "headline"}]
    assert "headline, seed 1: missing_class\n" in kdlib("plan", "missing_class", *SMALL)[1]


def test_a_plan_says_what_is_missing_and_gives_the_command_for_it(kdlib, tmp_path):
    code, out, _ = kdlib("plan", "missing_class", *SMALL, "--json")
    report = json.loads(out)
    assert code == 0 and report["dataset"] == "digits" and report["done"]["units"] == 0
    words = report["command"].split()
    assert words[:3] == ["kdlib", "compute", "missing_class"]
    planned = sum(kind["units"] for kind in report["missing"])
    assert kdlib(*shlex.split(report["command"])[1:])[0] == 0
    assert len([p for p in Store(tmp_path / "store").paths() if p.parent.name != "measure"]) == planned
    code, out, _ = kdlib("plan", "missing_class", *SMALL)
    assert code == 0 and "nothing is missing" in out and f"planned before and done: {planned} units" in out
