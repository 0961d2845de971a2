"""Where things lie is said by the environment or on the command line, in the forms in which people write folders."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from kdlib import Store, StoreError, paths
from kdlib.book import assembly
from kdlib.data import added, plugins
from kdlib.study.store import Unit

from .conftest import ROOT, as_project, command_line

PLACES = {
    "KDLIB_ROOT": paths.checkout,
    "KDLIB_DATA": paths.data_dir,
    "KDLIB_STORE": paths.store_dir,
    "KDLIB_PLUGINS": plugins.folder,
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.chdir(tmp_path)
    return place


@pytest.mark.parametrize("variable", PLACES)
def test_an_empty_variable_is_one_that_is_not_set(variable, home, monkeypatch):
    monkeypatch.delenv("KDLIB_ROOT")
    monkeypatch.delenv(variable, raising=False)
    usual = PLACES[variable]()
    monkeypatch.setenv(variable, "")
    assert PLACES[variable]() == usual != Path.cwd()


@pytest.mark.parametrize("variable", PLACES)
def test_a_tilde_that_no_shell_has_expanded_is_the_home_folder(variable, home, monkeypatch):
    as_project(home / "a place")
    monkeypatch.setenv(variable, "~/a place")
    assert PLACES[variable]() == home / "a place"


def test_a_tilde_after_an_equals_sign_is_the_home_folder(home):
    Store("~/store").put(Unit("measure", {"measure": "a"}, {}))
    assert command_line("store", "verify", "--store=~/store").stdout.startswith("1 sound")
    assert command_line("store", "export", "~/units", "--store=~/store").returncode == 0
    assert [path.name for path in (home / "units").iterdir()] == ["units-001.parquet"]
    assert [path.name for path in home.parent.iterdir()] == ["home"]


FOLDERS = {  # each way to name one
    **{name: (["data", "--list"], {name: "{}"}) for name in ("KDLIB_DATA", "KDLIB_ROOT", "KDLIB_PLUGINS")},
    "KDLIB_STORE": (["store", "ls"], {"KDLIB_STORE": "{}"}),
    "store": (["store", "verify", "--store", "{}"], {}),
    "--out": (["campaign", "--out", "{}"], {}),
    "--output": (["book", "--output", "{}"], {}),
    "FOLDER": (["store", "export", "{}"], {}),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_in_the_place_of_a_folder_is_one_line_before_any_work(name, tmp_path):
    file = tmp_path / "file"
    file.write_text("kept")
    arguments, environment = FOLDERS[name]
    for place in (file, file / "below"):
        given = {variable: text.format(place) for variable, text in environment.items()}
        done = command_line(*(word.format(place) for word in arguments), **given)
        said = f"kdlib: {name} {place} cannot be used: {file} is a file; allowed: a folder\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]


def test_a_link_that_leads_nowhere_in_the_place_of_a_folder_is_one_line(tmp_path):
    """As where the disk that it leads to is not mounted."""
    (tmp_path / "store").symlink_to("/nowhere/store")
    done = command_line("compute", "entropy", "--store", str(tmp_path / "store"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "is a link to /nowhere/store, which is not there; allowed: a folder" in done.stderr


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_a_store_that_is_not_there_is_told_and_not_made(command, tmp_path):
    done = command_line("store", command, "--store", str(tmp_path / "stor"))
    assert (done.returncode, done.stdout) == (2, "") and f"there is no store {tmp_path / 'stor'}" in done.stderr
    assert [*tmp_path.iterdir()] == []


def test_a_working_directory_that_was_removed_is_told_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.delenv("KDLIB_ROOT")
    done = command_line("models")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("kdlib: the working directory is no longer there") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_with_the_folder_and_what_to_do(number, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(tmp_path)))
    told = rf"gives no locks \({os.strerror(number)}\), .* put it elsewhere"
    with pytest.raises(StoreError, match=f"^{tmp_path / 'added'} lies on .* {told}"):
        added.add("mine", added.Declaration("mnist", "Mine", (), "0", "", ()), ())
    with pytest.raises(StoreError, match=f"^{tmp_path / '_build'} lies on .* {told}"):
        next(assembly.make())


def test_git_tells_of_a_project_itself_and_of_no_repository_around_it(tmp_path, monkeypatch):
    """Units would be said to be computed at a commit of whatever a wheel is installed into."""
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))
    assert paths.git(tmp_path, "init", "--quiet").returncode == 0
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    assert paths.git(tmp_path, *who, "commit", "--quiet", "--allow-empty", "-m", "First").returncode == 0
    (tmp_path / "inner").mkdir()
    describe = ("describe", "--always")
    assert paths.git(tmp_path, *describe).stdout and not paths.git(tmp_path / "inner", *describe).stdout


def test_git_tells_of_the_code_that_runs_though_another_user_owns_it_and_of_no_other_users_project(
    tmp_path, monkeypatch
):
    """Units that are computed in a colleague's clone would be said to be of an unknown commit."""
    for name in ("ours", "theirs"):
        assert paths.git(tmp_path, "init", "--quiet", name).returncode == 0
    monkeypatch.setattr(paths, "SOURCE", tmp_path / "ours")
    monkeypatch.setattr(paths, "KEPT", (*paths.KEPT, "GIT_TEST"))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert paths.git(tmp_path / "ours", "status").returncode == 0
    assert b"dubious ownership" in paths.git(tmp_path / "theirs", "status").stderr


@pytest.mark.parametrize(
    "words", [["run", "entropy"], ["compute", "entropy"], ["verify"], ["book"], ["data", "--list"]]
)
@pytest.mark.parametrize("there", ["nothing", "another book"])
def test_a_root_that_is_no_clone_is_told_in_one_line_and_nothing_is_written_there(words, there, tmp_path):
    if there == "another book":
        (tmp_path / "_toc.yml").write_text("format: jb-book")
    before = sorted(tmp_path.iterdir())
    done = command_line(*words, KDLIB_ROOT=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"kdlib: KDLIB_ROOT {tmp_path} cannot be used: it is no clone of the project")
    assert sorted(tmp_path.iterdir()) == before
