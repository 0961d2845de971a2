"""What a reader added is a data set like any other: known to all commands, checked before use, gone once removed."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdlib import InputError, Store, load_dataset, open_study, register_dataset
from kdlib.data import added, at_hand, registry, sources
from kdlib.data.adding.add import add
from kdlib.sections import SECTIONS

from ..conftest import command_line
from .adding.made import patches, write_folder


@pytest.fixture
def keras(tmp_path):
    """A file of 160 training and 40 test images of four classes."""
    x, y = patches(200, 4)
    np.savez(tmp_path / "mine.npz", x_train=x[:160], y_train=y[:160], x_test=x[160:], y_test=y[160:])
    return tmp_path / "mine.npz"


def test_the_commands_on_data_add_show_list_and_remove_a_set(data, keras):
    done = command_line("data", "add", "mine", str(keras), "--title", "My own")
    assert done.returncode == 0 and done.stdout.splitlines()[0] == "mine: added"
    for words in (
        "read as an .npz file of x_train, y_train, x_test, y_test",
        "160 training images (10% validation), 40 test images",
        "images of 1 channel, 8 pixels high, 8 wide",
        "4 classes (0, 1, 2, 3); the smallest, 0, has 40 training images",
        "next: `kdlib run all --dataset mine`, and `make book`",
    ):
        assert words in done.stdout
    shown = command_line("data", "mine", "--verify").stdout
    assert shown.startswith("mine: complete (its sha256 is the known one)\n") and f"added from {keras}" in shown
    assert "networks of table 7's mnist, with parameters: large teacher " in shown
    assert command_line("data", "show", "mine", "--verify").stdout == shown
    assert "mine           here: 160 training and 40 test images of 1x8x8" in command_line("data").stdout
    assert load_dataset("mine").title == "My own" and at_hand.digest("mine") == load_dataset("mine").digest
    assert command_line("data", "remove", "mine").stdout == "mine: removed\n"
    assert os.listdir(data / "added") == [".lock"]
    again = command_line("data", "remove", "mine")
    assert again.returncode == 2 and again.stderr == "kdlib: no data set 'mine' was added here; added were: none\n"
    assert "unknown data set 'mine'" in command_line("data", "mine").stderr


def test_two_sets_of_one_content_share_it_until_the_last_is_removed(data, keras):
    for name in ("one", "two"):
        add(name, keras)
    assert len(list((data / "added").glob("*.safetensors"))) == 1
    added.remove("one")
    assert load_dataset("two").classes == 4
    added.remove("two")
    assert not list((data / "added").glob("*.safetensors"))


def test_nothing_is_removed_while_the_declaration_of_a_set_cannot_be_read(data, keras, monkeypatch):
    """Any file may be what it names: its arrays would be gone when it can be read again."""
    add("one", keras)
    read_text = Path.read_text

    def failing(path, **how):
        if path.name == "one.json":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_text(path, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", failing)
        x, y = patches(100, 3)
        np.savez(data / "other.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
        add("two", data / "other.npz")
        added.remove("two")
    assert load_dataset("one").classes == 4


def test_workers_read_what_was_added_wherever_their_own_environment_points(data, keras):
    """They are sent the source and the folder: a worker that lives on may have been started with another one."""
    add("mine", keras)
    code = """
import pickle, sys
from pathlib import Path
from kdlib.data import registry
from kdlib.data.dataset import load_dataset
registry.enter("mine", pickle.loads(bytes.fromhex(sys.argv[1])))
print(load_dataset("mine", root=Path(sys.argv[2])).digest)
"""
    sent = pickle.dumps(registry.find_source("mine")).hex()
    environment = os.environ | {"KDLIB_DATA": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", code, sent, str(data)], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == load_dataset("mine").digest, done.stderr


@pytest.mark.parametrize("damage", ["flipped", "short", "gone", "declaration"])
def test_what_was_altered_since_is_refused_before_use_and_can_be_removed(damage, data, keras):
    add("mine", keras)
    [content] = (data / "added").glob("*.safetensors")
    whole = bytearray(content.read_bytes())
    match damage:
        case "flipped":
            whole[-2000] ^= 1
            content.write_bytes(whole)
        case "short":
            content.write_bytes(whole[:-100])
        case "gone":
            content.unlink()
        case "declaration":
            (data / "added" / "mine.json").write_text("{")
    with pytest.raises(InputError, match="^[^\n]*data set 'mine'[^\n]*`kdlib data remove mine`[^\n]*$"):
        load_dataset("mine")
    added.remove("mine")
    add("mine", keras)
    assert load_dataset("mine").classes == 4


def test_a_process_that_was_killed_half_way_leaves_nothing_that_is_taken_for_a_set(data, keras):
    code = """
import os, signal, sys
from pathlib import Path
from kdlib import paths
from kdlib.data.adding.add import add
write = paths.write_whole
def killed(path, content):
    if path.suffix == ".json":
        (path.parent / ".mine.123.abc").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
paths.write_whole = killed
add("mine", Path(sys.argv[1]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(keras)])
    assert done.returncode == -signal.SIGKILL and len(os.listdir(data / "added")) == 3
    assert added.names() == [] and "mine" not in registry.dataset_names()
    add("mine", keras)
    [declaration] = (data / "added").glob("*.json")
    content = f"{json.loads(declaration.read_text())['sha256']}.safetensors"
    assert sorted(os.listdir(data / "added")) == sorted([".lock", content, "mine.json"])


def test_what_is_a_known_sets_own_content_is_taken_as_that_set(data, keras, monkeypatch):
    add("mine", keras)
    monkeypatch.setitem(sources.SHA256, "mnist", added.find("mine").sha256)
    source = registry.find_source("mnist")
    monkeypatch.setitem(registry._sources, "mnist", replace(source, sha256=added.find("mine").sha256))
    assert registry.is_absent("mnist")
    name, said = add("other", keras)
    assert name == "mnist" and "these are the images and labels of MNIST" in said[0] and added.find("other") is None
    assert load_dataset("mnist").builtin and load_dataset("mnist").title == "MNIST"
    assert add("third", keras)[1][1] == "it is here already, and nothing was stored"


def test_a_known_set_in_another_order_is_taken_as_that_set_where_it_is_here(data, tmp_path):
    """As a folder by class has it."""
    arrays = sources.load_digits(data)
    order = [np.random.default_rng(0).permutation(len(part)) for part in arrays[::2]]
    shuffled = [part[order[i // 2]] for i, part in enumerate(arrays)]
    np.savez(tmp_path / "digits.npz", **dict(zip(("x_train", "y_train", "x_test", "y_test"), shuffled, strict=True)))
    assert add("mine", tmp_path / "digits.npz")[0] == "digits" and added.names() == []
    shuffled[1][0] = (shuffled[1][0] + 1) % 10
    np.savez(tmp_path / "other.npz", **dict(zip(("x_train", "y_train", "x_test", "y_test"), shuffled, strict=True)))
    assert add("mine", tmp_path / "other.npz")[0] == "mine"


def test_a_plugin_cannot_take_the_name_of_a_set_that_was_added(data, keras):
    add("mine", keras)
    with pytest.raises(InputError, match="a data set 'mine' was added already"):
        register_dataset("mine", lambda root: None)


@pytest.mark.parametrize("section", ["missing_class", "penultimate_layer", "similarity_information"])
def test_an_oblong_set_of_two_classes_has_all_tables(section, data, tmp_path):
    x, y = patches(200, 2, 10, 8, 3)
    add("pair", write_folder(tmp_path / "given", x, y), family="mnist")
    small = {"seeds": 1, "teacher_epochs": 1, "student_epochs": 1, "temperatures": [9]}
    small = {name: value for name, value in small.items() if name in SECTIONS[section].parameters}
    study = open_study(section, {"dataset": "pair", "profile": "smoke", **small}, store=Store(tmp_path / "store"))
    empty = [name for name, table in study.tables().items() if not len(table)]
    assert study.dataset.shape == (3, 10, 8) and set(empty) <= {"structure"}  # of these nothing is known beforehand
