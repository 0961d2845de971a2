"""A reader's own teacher: whatever its file, its logits are the data set's, or one line says why they are not."""

import errno

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import kdlib
from kdlib import InputError, Teacher, load_dataset, open_study, register_teacher
from kdlib.study.store import unit_key
from kdlib.training import own_teachers
from kdlib.training.logits_files import read

from ..conftest import command_line

SMALL = {"profile": "smoke", "seeds": 1, "examples": 200, "student_epochs": 1, "teacher_epochs": 1}


@pytest.fixture(scope="module")
def arrays():
    """Logits of digits that are right on most images, and the labels."""
    whole = load_dataset("digits")
    _, test_labels = whole.open_test("test")
    rng = np.random.default_rng(0)
    found = {}
    for part, labels in (("train", whole.labels.numpy()), ("test", test_labels.numpy())):
        noise = rng.normal(size=(len(labels), 10)).astype(np.float32)
        found[part], found[f"{part}_labels"] = noise + 3 * np.eye(10, dtype=np.float32)[labels], labels
    return found


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def write(arrays, path):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    else:
        rows = [
            pd.DataFrame(
                {
                    "split": part,
                    "index": range(len(arrays[part])),
                    "logits": list(arrays[part]),
                    "label": arrays[f"{part}_labels"],
                }
            )
            for part in ("test", "train")
        ]
        pd.concat(rows).sample(frac=1, random_state=0).to_parquet(path)
    return path


@pytest.mark.parametrize("form", ["npz", "safetensors", "parquet"])
def test_every_form_gives_the_same_teacher_whatever_the_order_of_its_rows_by_index(form, arrays, tmp_path):
    said = own_teachers.add("mine", "digits", write(arrays, tmp_path / f"logits.{form}"))
    own = own_teachers.find("mine")
    correct = arrays["train"].argmax(1) == arrays["train_labels"]
    assert own.train_accuracy == pytest.approx(correct.mean()) and len(said) == 2
    assert f"sha256 {own.sha256[:12]}" in said[1] and f"logits.{form}" in said[1]
    study = open_study("missing_class", SMALL | {"large_teacher": "mine"})
    dataset = study.dataset
    assert torch.equal(
        study.teacher_result(study.teacher("large", 0))["logits"][0],
        torch.from_numpy(arrays["train"])[dataset.positions],
    )
    np.savez(tmp_path / "again.npz", train=arrays["train"], test=arrays["test"])
    own_teachers.add("again", "digits", tmp_path / "again.npz")
    assert own_teachers.find("again").sha256 == own.sha256


def spoiled(arrays, **changes):
    return {name: array for name, array in (arrays | changes).items() if array is not None}


BROKEN = {
    "no test part": (lambda a: spoiled(a, test=None), "no array 'test' among"),
    "a row too few": (lambda a: spoiled(a, train=a["train"][1:]), "train logits are [1286, 10]; needed: [1287, 10]"),
    "a class too few": (lambda a: spoiled(a, test=a["test"][:, 1:]), "test logits are [510, 9]; needed: [510, 10]"),
    "whole numbers": (lambda a: spoiled(a, train=a["train"].astype(int)), "train logits are torch.int64; allowed"),
    "a nan": (lambda a: spoiled(a, train=np.where(a["train"] > 5, np.nan, a["train"])), "train logits must be finite"),
    "too large for 32 bits": (lambda a: spoiled(a, test=a["test"].astype(float) * 1e300), "test logits must be finite"),
    "probabilities": (
        lambda a: spoiled(a, train=np.exp(a["train"]) / np.exp(a["train"]).sum(1, keepdims=True)),
        "train rows are probabilities",
    ),
    "another order": (
        lambda a: spoiled(a, train=a["train"][::-1].copy(), train_labels=a["train_labels"][::-1].copy()),
        "train labels are not the data set's (row 0 has",
    ),
    "a label that is nan": (
        lambda a: spoiled(a, train_labels=np.where(np.arange(1287) == 7, np.nan, a["train_labels"])),
        "train labels: row 7 has nan; allowed: integers from 0",
    ),
    "labels between the classes": (
        lambda a: spoiled(a, test_labels=a["test_labels"] + 0.5),
        "test labels: row 0 has ",
    ),
    "words of no class": (
        lambda a: spoiled(a, test_labels=np.where(np.arange(510) == 3, "ten", a["test_labels"].astype(str))),
        "test labels: row 3 has 'ten'; allowed: integers from 0, or words of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    ),
    "labels as objects": (
        lambda a: spoiled(a, train_labels=a["train_labels"].astype(object)),
        "array 'train_labels' cannot be read (ValueError: Object arrays cannot be loaded",
    ),
    "logits as words": (lambda a: spoiled(a, test=a["test"].astype(str)), "test logits are <U32; allowed: floats"),
    "labels of another length": (lambda a: spoiled(a, test_labels=a["test_labels"][1:]), "test labels are not"),
}


@pytest.mark.parametrize(("spoil", "words"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_the_data_sets_logits_is_refused_in_one_line_and_leaves_nothing(
    spoil, words, arrays, tmp_path, data
):
    file = write(spoil(arrays), tmp_path / "logits.npz")
    done = command_line("teacher", "add", "mine", str(file), "--dataset", "digits")
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert not data.exists() and own_teachers.names() == []


def test_a_file_that_is_cut_missing_or_of_another_kind_is_refused(arrays, tmp_path):
    whole = write(arrays, tmp_path / "logits.npz").read_bytes()
    (tmp_path / "logits.npz").write_bytes(whole[:-100])
    (tmp_path / "logits.txt").write_text("1 2 3")
    pd.DataFrame({"index": [0], "logits": [[1.0]]}).to_parquet(tmp_path / "no_split.parquet")
    twice = pd.DataFrame({"split": ["train"] * 2, "index": [0, 0], "logits": [[1.0], [2.0]]})
    twice.to_parquet(tmp_path / "twice.parquet")
    pd.DataFrame({"split": ["dev"], "index": [0], "logits": [[1.0]]}).to_parquet(tmp_path / "dev.parquet")
    for name, words in (
        ("logits.npz", "cannot be read as logits"),
        ("logits.txt", "allowed: .npz, .safetensors, .parquet"),
        ("none.npz", "is no file"),
        ("no_split.parquet", "no column 'split' among index, logits"),
        ("twice.parquet", "the 2 train rows must have the indices from 0 to 1, each once"),
        ("dev.parquet", "split 'dev' cannot be used; allowed: train, test"),
    ):
        with pytest.raises(InputError, match=words.replace(".", r"\.")):
            read(tmp_path / name)


def columns(labels, classes=10):
    return np.eye(classes, dtype=int)[labels]


FORMS = {
    "words": lambda a: {f"{part}_labels": a[f"{part}_labels"].astype(str) for part in ("train", "test")},
    "bytes": lambda a: {"train_labels": a["train_labels"].astype("S")},
    "columns": lambda a: {"train_labels": a["train_labels"][:, None], "test_labels": columns(a["test_labels"])},
    "whole floats": lambda a: {"train_labels": a["train_labels"].astype(np.float32)},
    "another order of bytes": lambda a: {
        "train": a["train"].astype(">f4"),
        "test_labels": a["test_labels"].astype(">i8"),
    },
    "long floats": lambda a: {"test": a["test"].astype(np.longdouble)},
    "other arrays": lambda a: {"class_names": np.array(["zero", "one"]), "history": np.array([{"loss": 1}], object)},
}


@pytest.mark.parametrize("form", FORMS)
def test_labels_and_logits_may_be_of_any_type_that_is_clear_and_what_else_is_in_the_file_is_not_looked_at(
    form, arrays, tmp_path
):
    own_teachers.add("plain", "digits", write(arrays, tmp_path / "plain.npz"))
    own_teachers.add("mine", "digits", write(arrays | FORMS[form](arrays), tmp_path / "mine.npz"))
    assert own_teachers.find("mine").sha256 == own_teachers.find("plain").sha256
    other = arrays | FORMS[form](arrays)
    other["train"], other["train_labels"] = other["train"][::-1], other["train_labels"][::-1]
    with pytest.raises(InputError, match="train labels are not the data set's"):  # they were compared
        own_teachers.add("other", "digits", write(other, tmp_path / "other.npz"))


def test_labels_in_parquet_may_be_words_and_the_row_that_lacks_one_is_named(arrays, tmp_path):
    path = write(arrays, tmp_path / "logits.parquet")
    frame = pd.read_parquet(path)
    names = [*"abcdefghij"]
    words = frame.assign(label=[names[label] for label in frame.label])
    for labels in (words.label, words.label.astype("category")):
        words.assign(label=labels).to_parquet(path)
        for part, (_, found) in read(path, names).items():
            assert found.tolist() == arrays[f"{part}_labels"].tolist()
    lacking = (frame.split == "train") & (frame["index"] == 5)
    for labels, told in ((frame.label.astype("Int64"), "nan"), (words.label, "None")):
        frame.assign(label=labels.mask(lacking)).to_parquet(path)
        with pytest.raises(InputError, match=f"train labels: row 5 has {told}; allowed: integers from 0"):
            read(path, names)


def test_rows_in_another_order_without_labels_and_a_class_that_is_not_known_are_warned_of(arrays, tmp_path):
    np.savez(tmp_path / "turned.npz", train=arrays["train"][::-1], test=arrays["test"][::-1])
    assert "no more often than a guess" in own_teachers.add("turned", "digits", tmp_path / "turned.npz")[-1]
    blind = {part: np.where(np.arange(10) == 4, -9, arrays[part]) for part in ("train", "test")}
    np.savez(tmp_path / "blind.npz", **blind)
    assert "it does not know class 4" in own_teachers.add("blind", "digits", tmp_path / "blind.npz")[-1]


def test_a_registered_network_is_asked_about_every_image_and_its_failure_is_one_line(data):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 10))
    register_teacher("linear", network)
    register_teacher("broken", lambda images: images[:, 0].reshape(-1, 3))
    own_teachers.add("linear", "digits")
    whole = load_dataset("digits")
    run = own_teachers.run_of(own_teachers.find("linear"), whole)
    with torch.no_grad():
        assert torch.allclose(run["logits"][0], network.eval()(whole.images[:]), atol=1e-6)
    with pytest.raises(InputError, match="teacher 'broken' cannot respond to train images: RuntimeError"):
        own_teachers.add("broken", "digits")
    with pytest.raises(InputError, match=r"no network is registered as 'none' \(registered are: linear, broken\)"):
        own_teachers.add("none", "digits")
    for name, respond in (("large_teacher", network), ("Mine", network), ("mine", 3)):
        with pytest.raises(InputError):
            register_teacher(name, respond)


@pytest.mark.parametrize(
    ("respond", "message"),
    [
        (lambda images: torch.zeros(len(images), 3), r"train logits are \[256, 3\]; needed: \[256, 10\]"),
        (lambda images: torch.zeros(len(images), 10).long(), "train logits are torch.int64; allowed: floats"),
        (lambda images: torch.full((len(images), 10), torch.nan), "train logits must be finite"),
        (lambda images: torch.full((len(images), 10), 0.1), "train rows are probabilities"),
    ],
)
def test_a_registered_network_whose_first_answers_are_no_logits_is_asked_no_more(respond, message):
    seen = []
    register_teacher("mine", lambda images: seen.append(len(images)) or respond(images))
    with pytest.raises(InputError, match=message):
        own_teachers.add("mine", "digits")
    assert seen == [256] and own_teachers.names() == []


def test_a_registered_network_whose_later_answers_have_another_width_is_one_error():
    widths = iter([10, 3, 10, 10, 10, 10, 10, 10])
    register_teacher("mine", lambda images: torch.ones(len(images), next(widths)))
    with pytest.raises(InputError, match="teacher 'mine' cannot respond to train images: RuntimeError"):
        own_teachers.add("mine", "digits")


def test_a_folder_that_cannot_be_written_is_told_before_a_network_is_asked(data, monkeypatch):
    register_teacher("mine", lambda images: pytest.fail("the network was asked"))

    def refuse(dir):
        assert dir == data.parent
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:  # root may write everywhere
        patch.setattr(own_teachers, "TemporaryFile", refuse)
        with pytest.raises(InputError, match=f"'mine' cannot be stored under {data}/teachers: Permission denied"):
            own_teachers.add("mine", "digits")
    data.mkdir()
    (data / "teachers").write_text("a file in its place")
    with pytest.raises(InputError, match=f"'mine' cannot be stored under {data}/teachers: Not a directory"):
        own_teachers.add("mine", "digits")


def test_its_digest_is_in_the_key_of_all_that_is_computed_from_it_and_training_settings_are_not(arrays, tmp_path):
    for name, shift in (("one", 0), ("other", 1)):
        np.savez(tmp_path / f"{name}.npz", train=arrays["train"] + shift, test=arrays["test"])
        own_teachers.add(name, "digits", tmp_path / f"{name}.npz")

    def key(**given):
        study = open_study("missing_class", SMALL | given)
        return unit_key("student", study.student(study.teacher("large", 0), 9.0).config(study.dataset))

    keys = [key(large_teacher=name) for name in ("one", "other", "large_teacher")]
    assert len({*keys}) == 3 and key(large_teacher="one", teacher_epochs=2) == keys[0]
    assert "logits" not in Teacher("small_teacher", 0, 2, 64).config(load_dataset("digits"))


def test_what_was_altered_since_or_is_of_another_set_is_refused_before_any_work(arrays, tmp_path, data):
    own_teachers.add("mine", "digits", write(arrays, tmp_path / "logits.npz"))
    with pytest.raises(InputError, match="'mine' was added already"):
        own_teachers.add("mine", "digits", tmp_path / "logits.npz")
    with pytest.raises(InputError, match="gives logits of digits, and mnist is asked for"):
        own_teachers.find("mine", "mnist")
    with pytest.raises(InputError, match="no teacher 'yours' was added; added were: mine"):
        open_study("missing_class", SMALL | {"small_teacher": "yours"})
    file = data / "teachers" / "mine.safetensors"
    content = bytearray(file.read_bytes())
    content[-10] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="altered since it was added|other test labels|other train labels"):
        open_study("missing_class", SMALL | {"large_teacher": "mine"})
    file.write_bytes(content[:100])
    with pytest.raises(InputError, match="cannot be read"):
        own_teachers.find("mine")
    own_teachers.remove("mine")
    with pytest.raises(InputError, match="added were: none"):
        own_teachers.remove("mine")


def test_it_is_not_trained_and_has_no_weights(arrays, tmp_path):
    own_teachers.add("mine", "digits", write(arrays, tmp_path / "logits.npz"))
    own, whole = own_teachers.find("mine"), load_dataset("digits")
    with pytest.raises(InputError, match="responses alone"):
        kdlib.train_teacher(own.configuration(0), whole)


def test_the_commands_add_list_and_remove_it(arrays, tmp_path):
    file = write(arrays, tmp_path / "logits.npz")
    done = command_line("teacher", "add", "mine", str(file), "--dataset", "digits")
    assert done.returncode == 0 and done.stdout.splitlines()[0] == "mine: added"
    assert "--dataset digits -p large_teacher=mine` puts it in" in done.stdout
    assert command_line("teacher", "list").stdout.startswith("digits         mine, a teacher of the reader's own")
    assert command_line("teacher", "remove", "mine").stdout == "mine: removed\n"
    assert command_line("teacher", "list").stdout == ""
