"""People's labels of CIFAR-10: checked before anything is read, in the order of the images, never in the project."""

import hashlib
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from kdlib import InputError, cli, load_dataset, register_dataset
from kdlib.data import human_labels
from kdlib.data.human_labels import HUMAN_LABELS
from kdlib.paths import data_dir

from ..conftest import ROOT

here = pytest.mark.skipif(
    not all(map(human_labels.is_here, HUMAN_LABELS)) or not (data_dir() / "cifar-10-batches-py").exists(),
    reason="CIFAR-10, CIFAR-10H and CIFAR-10N are not all in the data folder: `kdlib data NAME --from DIR` gets them",
)


@pytest.fixture
def ours(tmp_path, monkeypatch):
    """A data folder with nothing in it."""
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "ours"))
    return tmp_path / "ours"


def publish(folder, name, monkeypatch, examples=200):
    """Write made-up votes as a publisher does, whose sha256 then is the known one. Returns votes and labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(examples) % 10
    people = np.where(rng.random((3, examples)) < 0.8, labels, rng.integers(0, 10, (3, examples)))
    path = folder / HUMAN_LABELS[name].file
    path.parent.mkdir(parents=True)
    counts = np.eye(10, dtype=np.int64)[people].sum(0)
    if name == "cifar10h":
        np.save(path, counts)
    else:
        torch.save({"clean_label": labels, **{f"random_label{k + 1}": part for k, part in enumerate(people)}}, path)
    known = replace(HUMAN_LABELS[name], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(HUMAN_LABELS, name, known)
    return counts, labels


def kdlib(monkeypatch, capsys, *arguments):
    """(exit code, standard output, standard error) of a command line."""
    monkeypatch.setattr(sys, "argv", ["kdlib", *map(str, arguments)])
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


@pytest.mark.parametrize("name", HUMAN_LABELS)
def test_votes_are_those_of_the_images_at_these_places(name, ours, monkeypatch):
    counts, labels = publish(ours, name, monkeypatch)
    places = np.array([3, 5, 8, 150, 0])
    assert np.array_equal(human_labels.votes(name, places, labels[places]), counts[places])


@pytest.mark.parametrize("name", HUMAN_LABELS)
def test_votes_of_images_in_another_order_are_refused(name, ours, monkeypatch):
    _, labels = publish(ours, name, monkeypatch)
    with pytest.raises(InputError, match=r"is not in the order of these images: .* is the label of \d+% of them"):
        human_labels.votes(name, np.arange(200), np.roll(labels, 1))


class Run:
    """What runs code where it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("an altered file was unpickled",)


@pytest.mark.parametrize("name", HUMAN_LABELS)
@pytest.mark.parametrize("way", ["read", "checked", "fetched"])
def test_an_altered_file_is_refused_before_it_is_loaded(name, way, ours, tmp_path):
    place = (tmp_path / "theirs" if way == "fetched" else ours) / HUMAN_LABELS[name].file
    place.parent.mkdir(parents=True)
    place.write_bytes(pickle.dumps(Run()))
    does = {
        "read": lambda: human_labels.votes(name, np.arange(3), np.arange(3)),
        "checked": lambda: human_labels.checked(name),
        "fetched": lambda: human_labels.fetch(name, tmp_path / "theirs"),
    }
    with pytest.raises(InputError, match=f"its sha256 is another.: nothing of it was read.*`kdlib data {name} --from"):
        does[way]()
    assert way != "fetched" or not ours.exists()


@pytest.mark.parametrize("layout", ["{folder}/{file}", "data/{file}", "{file}"])
@pytest.mark.parametrize("name", HUMAN_LABELS)
def test_the_command_that_an_error_names_puts_a_checked_copy_in_its_place(
    name, layout, ours, tmp_path, monkeypatch, capsys
):
    publish(tmp_path / "published", name, monkeypatch)
    file = tmp_path / "published" / HUMAN_LABELS[name].file
    theirs = tmp_path / "theirs"
    (theirs / layout.format(folder=name, file=file.name)).parent.mkdir(parents=True)
    file.rename(theirs / layout.format(folder=name, file=file.name))
    code, _, err = kdlib(monkeypatch, capsys, "data", name)
    assert (code, len(err.splitlines())) == (2, 1)
    [command] = re.findall(r"`kdlib (.*) DIR`", err)
    code, out, _ = kdlib(monkeypatch, capsys, *command.split(), theirs)
    assert code == 0 and out.startswith(f"{name}: complete") and HUMAN_LABELS[name].licence in out
    assert human_labels.is_here(name) and human_labels.checked(name)


def test_a_folder_without_it_and_a_download_are_refused_in_one_line(ours, tmp_path, monkeypatch, capsys):
    for arguments, said in ((("--from", tmp_path), "holds no CIFAR-10_human.pt"), (("--download",), "not downloaded")):
        code, _, err = kdlib(monkeypatch, capsys, "data", "cifar10n", *arguments)
        assert (code, len(err.splitlines())) == (2, 1)
        assert said in err and "CC BY-NC 4.0" in err and "https://github.com/UCSC-REAL/cifar-10-100n" in err


def test_they_are_listed_with_their_licences(ours, monkeypatch, capsys):
    publish(ours, "cifar10h", monkeypatch)
    code, out, _ = kdlib(monkeypatch, capsys, "data", "--list")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert "here: CIFAR-10H" in lines["cifar10h"] and "CC BY-NC-SA 4.0" in lines["cifar10h"]
    assert "not here: CIFAR-10N" in lines["cifar10n"] and "CC BY-NC 4.0" in lines["cifar10n"]


@pytest.mark.parametrize("name", HUMAN_LABELS)
def test_they_are_no_data_set_to_train_on_and_nobody_elses_can_have_the_name(name):
    with pytest.raises(InputError, match=f"unknown data set '{name}'"):
        load_dataset(name)
    with pytest.raises(InputError, match=f"cannot be named '{name}'"):
        register_dataset(name, lambda root: None)


def test_none_of_them_is_in_the_repository():
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert not re.search(r"cifar10h-|CIFAR-10_human", tracked)


@here
@pytest.mark.parametrize(("name", "right"), [("cifar10h", 0.952), ("cifar10n", 1 - (0.1723 + 0.1812 + 0.1764) / 3)])
def test_the_published_files_are_in_the_order_of_the_images_also_of_a_subset(name, right):
    """Of CIFAR-10N the share of wrong labels of each of three people is published, of CIFAR-10H it was measured."""
    whole, part = load_dataset("cifar10"), load_dataset("cifar10", examples=5000, test_examples=500)
    for dataset, tolerance in ((whole, 1e-3), (part, 0.02)):
        labels, places = dataset.labels, dataset.positions
        if HUMAN_LABELS[name].split == "test":
            labels, places = dataset.open_test("test")[1], dataset.test_positions
        counts = human_labels.votes(name, places.numpy(), labels.numpy())
        shares = counts[np.arange(len(labels)), labels.numpy()] / counts.sum(1)
        assert shares.mean() == pytest.approx(right, abs=tolerance)
        assert counts.shape == (len(labels), 10) and counts.sum(1).min() >= 3
