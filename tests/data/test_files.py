"""Files of data sets: checked, then renamed into place; nothing good is lost, nothing stale or altered is taken."""

import gzip
import re
import shlex
import stat
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import torch

from kdlib import InputError, cli, load_dataset, paths
from kdlib.data import files

from .test_data import RAW, arrays, idx, md5, write_kmnist, write_usps

KMNIST = "KMNIST/raw"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def digest(folder):
    return load_dataset("kmnist", root=folder).digest


@pytest.fixture
def theirs(tmp_path):
    """A folder in torchvision's layout, of unpacked files."""
    folder = tmp_path / "theirs"
    write_kmnist(folder)
    return folder


@pytest.fixture
def archives(theirs, monkeypatch):
    """The same packed, with their md5 as the publisher's."""
    from torchvision import datasets

    known = []
    for name in RAW:
        path = theirs / KMNIST / name
        packed = path.with_name(f"{name}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        known.append((packed.name, md5(packed)))
    monkeypatch.setattr(datasets.KMNIST, "resources", known)
    monkeypatch.setitem(files.ARCHIVE_MD5, "kmnist", tuple(own for _, own in known))
    return theirs


@pytest.mark.parametrize("name", files.IN_IDX)
def test_the_checksums_of_archives_are_those_that_torchvision_has(name):
    from torchvision import datasets

    theirs = dict(getattr(datasets, files.TORCHVISION[name][0]).resources)
    names = [f"{file.rpartition('/')[2]}.gz" for file in files.FILES[name]]
    assert dict(zip(names, files.ARCHIVE_MD5[name], strict=True)) == theirs


def test_archives_are_read_and_checked_without_torchvision(archives, monkeypatch):
    """As on a bare machine with a GPU, to which the archives alone were carried."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert len(load_dataset("kmnist", root=archives).labels) > 0
    assert files.checked_by("kmnist", archives) == "the md5 of its archives are the publisher's"


@pytest.fixture
def publisher(archives, monkeypatch):
    """Where torchvision downloads them from."""
    from torchvision import datasets

    serve = partial(SimpleHTTPRequestHandler, directory=archives / KMNIST)
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
        monkeypatch.setattr(datasets.KMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        yield archives
        server.shutdown()


@pytest.fixture
def ours(tmp_path, monkeypatch):
    folder = tmp_path / "ours"
    monkeypatch.setenv("KDLIB_DATA", str(folder))
    return folder


def kdlib(monkeypatch, capsys, *arguments):
    """(exit code, standard output, standard error) of a command line."""
    monkeypatch.setattr(sys, "argv", ["kdlib", *map(str, arguments)])
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def test_archives_are_read_where_they_lie_and_nothing_is_written_there(archives, theirs):
    before = contents(archives)
    assert torch.equal(load_dataset("kmnist", root=archives).labels, torch.arange(120) % 10)
    assert contents(archives) == before
    assert files.checked_by("kmnist", archives) == "the md5 of its archives are the publisher's"
    assert not list(paths.store_dir().glob("first_readings/*"))


def test_an_archive_wins_over_unpacked_files_beside_it(archives):
    right = digest(archives)
    other = arrays(examples=120, classes=10, seed=1)
    for name, array in zip(RAW, other, strict=True):
        (archives / KMNIST / name).write_bytes(idx(array))
    assert digest(archives) == right


def test_a_stale_folder_processed_never_wins(theirs):
    right = digest(theirs)
    (theirs / "KMNIST" / "processed").mkdir()
    images, labels, *_ = arrays(examples=120, classes=10, seed=1)
    for name in ("training.pt", "test.pt"):
        stale = torch.from_numpy(images), torch.from_numpy(labels)
        torch.save(stale, theirs / "KMNIST" / "processed" / name)
    assert digest(theirs) == right


def test_names_with_a_dot_as_some_programs_unpack_them_are_read(theirs, ours):
    right = digest(theirs)
    for path in (theirs / KMNIST).iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert digest(theirs) == right
    files.fetch("kmnist", ours, theirs)
    assert digest(ours) == right and {*RAW} <= {path.name for path in (ours / KMNIST).iterdir()}


@pytest.mark.parametrize("name", RAW)
def test_unpacked_files_are_held_against_what_was_read_first_until_they_are_fetched_anew(name, theirs, tmp_path):
    assert "equal to what was read first" in files.checked_by("kmnist", theirs)
    digest(theirs)
    altered(theirs / KMNIST / name)
    with pytest.raises(InputError, match=r"is not what was read first .its sha256 is recorded in .*`kdlib data kmn"):
        load_dataset("kmnist", root=theirs)
    copy = tmp_path / "copy"
    files.fetch("kmnist", copy, theirs)
    assert load_dataset("kmnist", root=copy).classes == 10


@pytest.mark.parametrize("file", ["usps.bz2", "usps.t.bz2"])
def test_an_altered_file_of_usps_is_refused_when_it_is_read(file, tmp_path, monkeypatch):
    write_usps(tmp_path, monkeypatch)
    load_dataset("usps", root=tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with monkeypatch.context() as patched:
        write_usps(other, patched)
    (tmp_path / file).write_bytes((other / file).read_bytes() + b"\n")
    with pytest.raises(InputError, match=f"{file} is damaged or altered .*`kdlib data usps --from DIR`"):
        load_dataset("usps", root=tmp_path)


def altered(path):
    """Another file that is as complete: its last two bytes, pixels or labels, are exchanged."""
    content = path.read_bytes()
    path.write_bytes(content[:-2] + content[:-3:-1])


def damaged(path):
    path.write_bytes(path.read_bytes()[:-1])


def lost(path):
    path.unlink()


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("fault", [damaged, lost])
def test_a_damaged_source_leaves_the_good_copy_as_it_was(fault, name, theirs, ours):
    files.fetch("kmnist", ours, theirs)
    before = contents(ours)
    fault(theirs / KMNIST / name)
    with pytest.raises(InputError, match=str(theirs)):
        files.fetch("kmnist", ours, theirs)
    assert contents(ours) == before and digest(ours)


def test_a_good_source_replaces_a_damaged_copy(theirs, ours):
    files.fetch("kmnist", ours, theirs)
    right = digest(ours)
    damaged(ours / KMNIST / RAW[0])
    files.fetch("kmnist", ours, theirs)
    assert digest(ours) == right


def test_a_read_only_source_gives_a_copy_that_can_be_replaced(theirs, ours):
    for path in theirs.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        files.fetch("kmnist", ours, theirs)
        files.fetch("kmnist", ours, theirs)
        assert all(path.stat().st_mode & stat.S_IWUSR for path in ours.rglob("*"))
        assert digest(ours)
    finally:
        for path in theirs.rglob("*"):
            path.chmod(0o755)


def test_the_data_folder_itself_as_source_is_checked_and_nothing_else(theirs, monkeypatch, capsys):
    before = contents(theirs)
    monkeypatch.setenv("KDLIB_DATA", str(theirs))
    code, out, err = kdlib(monkeypatch, capsys, "data", "kmnist", "--from", theirs)
    assert (code, err) == (0, "") and out.startswith("kmnist: complete")
    assert contents(theirs) == before


def test_other_files_of_the_data_folder_stay(theirs, ours):
    (ours / "KMNIST").mkdir(parents=True)
    (ours / "KMNIST" / "notes.txt").write_text("mine")
    (ours / "mine.npz").write_text("mine")
    files.fetch("kmnist", ours, theirs)
    assert (ours / "KMNIST" / "notes.txt").read_text() == (ours / "mine.npz").read_text() == "mine"
    assert {path.name for path in ours.iterdir()} == {"KMNIST", "mine.npz"}


def test_a_download_that_fails_changes_nothing(publisher, ours):
    files.fetch("kmnist", ours, publisher)
    before = contents(ours)
    damaged(publisher / KMNIST / f"{RAW[2]}.gz")
    with pytest.raises(InputError, match="^[^\n]*cannot be downloaded[^\n]*`kdlib data kmnist --from DIR` copies it.$"):
        files.fetch("kmnist", ours, None)
    assert contents(ours) == before


FAULTS = {
    "nothing there": lambda ours: None,
    "a file lacking": lambda ours: lost(ours / KMNIST / RAW[1]),
    "a file cut short": lambda ours: damaged(ours / KMNIST / RAW[0]),
    "a file altered": lambda ours: altered(ours / KMNIST / RAW[0]),
    "an archive damaged": lambda ours: [
        lost(ours / KMNIST / RAW[3]),
        (ours / KMNIST / f"{RAW[3]}.gz").write_bytes(b"short"),
    ],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", ["--from DIR", "--download"])
def test_every_command_that_an_error_names_mends_what_it_is_about(way, fault, publisher, ours, monkeypatch, capsys):
    if fault != "nothing there":
        files.fetch("kmnist", ours, publisher)
        for packed in (ours / KMNIST).glob("*.gz"):
            packed.unlink()
        digest(ours)
    FAULTS[fault](ours)
    code, _, err = kdlib(monkeypatch, capsys, "data", "kmnist")
    assert code == 2 and len(err.splitlines()) == 1 and not re.search("(?i)remove|delete", err)
    named = [command for command in re.findall(r"`(kdlib [^`]*)`", err) if command.endswith(way)]
    assert named == [f"kdlib data kmnist {way}"]
    words = [str(publisher) if word == "DIR" else word for word in shlex.split(named[0])[1:]]
    code, out, err = kdlib(monkeypatch, capsys, *words)
    assert code == 0 and out.startswith("kmnist: complete"), err
    assert "120 training images (10% validation), 20 test images" in out
    assert kdlib(monkeypatch, capsys, "data", "kmnist", "--verify")[0] == 0


def test_digits_of_one_form_are_on_one_side():
    """A form begins with the digits 0 to 9 thrice, and with a sequence that is the same on all."""
    _, labels = load_dataset("digits").open_test("test")
    train = load_dataset("digits").labels
    head = [*range(10)] * 3 + [0, 9, 5, 5, 6, 5, 0, 9, 8, 9]
    assert labels[: len(head)].tolist() == head
    assert train[:30].tolist() == head[:30] and len(train) + len(labels) == 1797
    assert np.bincount(labels).min() > 40
