import ast
import bz2
import dataclasses
import gzip
import hashlib
import os

import numpy as np
import pytest
import torch

from kdlib import InputError, Store, draw_shapes, load_dataset, open_study, register_dataset, select_examples
from kdlib.data import at_hand, registry, sources
from kdlib.data.sources import SHA256, TORCHVISION
from kdlib.paths import data_dir
from kdlib.study.store import from_bytes
from kdlib.training.models import TABLE7

from ..conftest import PLUGIN, ROOT, registered_meanwhile_forgotten

RAW = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
COMMAND = "kdlib data {} --from DIR.*--download"
THREE_COLOURS = PLUGIN.format(name="three_colours", title="Three colours", examples=300, train=210)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a plug-in file into a folder that KDLIB_PLUGINS names."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.setenv("KDLIB_PLUGINS", str(folder))
    return lambda text: (folder / "mine.py").write_text(text)


def arrays(examples: int = 80, classes: int = 4, seed: int = 0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (examples, 6, 6), dtype=np.uint8)
    return images, np.arange(examples) % classes, images[:20].copy(), np.arange(20) % classes


def registered(loaded, **options):
    register_dataset("made_up", lambda root: loaded, **options)
    return load_dataset("made_up")


@pytest.mark.parametrize("examples", [None, 400, 1000])
def test_the_split_is_stratified_disjoint_complete_and_a_tenth(examples):
    dataset = load_dataset("digits", examples=examples)
    total = len(dataset.labels)
    assert total == (examples or 1287)
    assert torch.equal(torch.cat([dataset.train, dataset.validation]).sort().values, torch.arange(total))
    assert len(dataset.validation) == -(-total // 10)
    whole, held_out = (torch.bincount(dataset.labels[part]) for part in (torch.arange(total), dataset.validation))
    assert (held_out - whole / 10).abs().max() < 1


def test_the_split_is_the_same_each_time(digits):
    again = load_dataset("digits", examples=400)
    assert torch.equal(digits.validation, again.validation) and torch.equal(digits.images[:], again.images[:])
    assert digits.digest == again.digest


def test_a_subset_is_stratified_and_leaves_the_test_split_whole(digits):
    whole = load_dataset("digits")
    counts = torch.bincount(digits.labels) - torch.bincount(whole.labels) * 400 / 1287
    assert counts.abs().max() < 1
    assert digits.test_size == whole.test_size == 510


def test_train_and_test_share_no_image_of_the_digits():
    dataset = load_dataset("digits")
    ours = {image.numpy().tobytes() for image in dataset.images[:]}
    theirs = [image.numpy().tobytes() for image in dataset.open_test("test")[0][:]]
    assert len(ours) == 1287 and not ours & set(theirs)


def test_the_digest_depends_on_the_subset_and_not_on_the_device(digits):
    digests = {load_dataset("digits", examples=n).digest for n in (None, 300, 400, 500)}
    assert len(digests) == 4 and digits.digest in digests
    assert digits.to("cpu").digest == digits.digest


@pytest.mark.parametrize("changed", range(4))
def test_the_digest_depends_on_each_byte_of_the_data(changed):
    first = registered(arrays()).digest
    assert registered(arrays()).digest == first
    other = arrays()
    other[changed][7] = (other[changed][7] + 1) % 4
    assert registered(other).digest != first


def test_images_are_floats_from_0_to_1_and_labels_indices(digits):
    for images, labels in ((digits.images, digits.labels), digits.open_test("test")):
        assert images[:].dtype == torch.float32 and images.shape[1:] == images[0].shape == (1, 8, 8)
        assert images[:].min() == 0 and images[:].max() == 1
        assert labels.dtype == torch.int64 and set(labels.tolist()) == set(range(10))


def test_the_test_split_is_reached_by_open_test_alone_and_the_reason_is_kept_in_the_units(tmp_path):
    users = [
        (path.name, node.lineno)
        for path in (ROOT / "kdlib").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "_test"
    ]
    assert users and {name for name, _ in users} == {"dataset.py"}

    settings = {"profile": "smoke", "seeds": 1, "teacher_epochs": 1}
    study = open_study("entropy", settings, store=Store(tmp_path))
    assert study.dataset.openings == []
    teacher = study.teacher("small", 0)
    study.teacher_result(teacher)
    study.student_results([study.student(teacher, 9)])
    openings = {
        path.parent.name: from_bytes(path.read_bytes()).provenance["test_openings"] for path in study.store.paths()
    }
    assert "teacher: accuracy and responses at the last epoch" in openings["teacher"]
    assert "student: confusion matrix of the trained student" in openings["student"]


@pytest.mark.parametrize("examples", [199, 1280, 1288, 10**6])
def test_a_subset_that_cannot_be_taken_is_refused(examples):
    with pytest.raises(InputError, match=f"examples={examples} .*allowed are 200 to 1277, or all"):
        load_dataset("digits", examples=examples)


def test_a_subset_of_a_set_with_a_rare_class_has_some_of_it():
    images, labels, test_images, test_labels = arrays(examples=2000)
    labels, test_labels = (
        np.where(np.arange(2000) < 12, 3, labels % 3),
        np.where(np.arange(20) == 7, 3, test_labels % 3),
    )
    register_dataset("made_up", lambda root: (images, labels, test_images, test_labels))
    dataset = load_dataset("made_up", examples=300, test_examples=5)
    counts = dataset.labels.bincount()
    assert counts[3] == 10 and counts[:3].min() > 70
    assert len(dataset.labels) == 300 and dataset.test_size == 5
    assert dataset.labels[dataset.validation].bincount().min() >= 1 and dataset.smallest_test_class == 1
    assert load_dataset("made_up", examples=300, test_examples=5).digest == dataset.digest


def test_a_subset_larger_than_the_set_is_the_set_where_clipping_is_asked_for():
    assert load_dataset("digits", examples=10**6, clip=True).digest == load_dataset("digits").digest


@pytest.mark.parametrize("order", ["highest", "lowest", "random"])
def test_classes_without_examples_are_passed_over_in_a_selection(order):
    labels = torch.tensor([0, 2, 2, 0, 5, 5, 5])
    chosen = select_examples(labels, 2, scores=torch.arange(7.0), order=order)
    assert torch.bincount(labels[chosen]).tolist() == [2, 0, 2, 0, 0, 2]
    with pytest.raises(InputError, match="allowed: 1 to 2"):
        select_examples(labels, 3, scores=torch.arange(7.0), order=order)


def test_a_selection_without_scores_or_in_an_unknown_order_is_refused():
    with pytest.raises(InputError, match="needs scores"):
        select_examples(torch.tensor([0, 1]), 1)
    with pytest.raises(InputError, match="allowed: highest, lowest, random"):
        select_examples(torch.tensor([0, 1]), 1, order="best")


def test_a_registered_data_set_of_three_classes_of_colour_images_is_taken_as_it_is(plugin, tmp_path):
    plugin(THREE_COLOURS)
    study = open_study(
        "missing_class", {"dataset": "three_colours", "profile": "smoke"}, store=Store(tmp_path / "store")
    )
    assert (study.dataset.shape, study.dataset.class_names) == ((3, 12, 12), ("red", "green", "blue"))
    assert len(study.dataset.labels) == 210 and study.settings.examples is None  # the profile's are 400
    assert study.dataset.test_size == 90 and study.settings.test_examples is None  # the profile's are 300
    assert study.missing_classes == (0,)  # the profile's are 0 and 6


@pytest.mark.parametrize("name", ["Upper", "two words", "a-b", "", "_static", "_ext"])
def test_a_data_set_needs_a_name_that_fits_into_a_command(name):
    with pytest.raises(InputError, match="lower-case identifier"):
        register_dataset(name, lambda root: arrays())


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("sections", "taken by the book or a command"),
        ("performance", "taken by the book or a command"),
        ("units", "taken by the book or a command"),
        ("all", "taken by the book or a command"),
        ("mnist", "a data set that kdlib knows"),
        ("digits", "a data set that kdlib knows"),
    ],
)
def test_a_name_that_means_something_else_is_refused_where_it_is_registered(name, taken):
    """Also one that was sent to a worker."""
    before = registry._sources.get(name)
    ways = (lambda load: register_dataset(name, load), lambda load: registry.enter(name, registry.Source(load)))
    for way in ways:
        with pytest.raises(InputError, match=f"{name!r}: that is {taken}"):
            way(lambda root: arrays())
    assert registry._sources.get(name) is before


@pytest.mark.parametrize("names", [["a\nb", "c", "d"], ["a", "b\x1b[2J", "c"], ["a", "b", "\udce9"]])
def test_a_name_of_a_class_can_be_shown(names):
    with pytest.raises(
        InputError, match="of a class holds a line break, a control character or bytes that are no UTF-8"
    ):
        register_dataset("made_up", lambda root: arrays(), class_names=names)
    assert "made_up" not in registry._sources


@pytest.mark.parametrize(
    "asked",
    [{"per_class": "5"}, {"per_class": 2.0}, {"per_class": True}, {"per_class": 0}, {"seed": -1}, {"seed": None}],
    ids=str,
)
def test_shapes_in_numbers_that_are_none_are_refused_before_a_folder_is_made(asked, tmp_path):
    [(name, value)] = asked.items()
    with pytest.raises(InputError, match=f"{name}={value!r} cannot be used; allowed: a whole number from"):
        draw_shapes(tmp_path / "shapes", **asked)
    assert not os.listdir(tmp_path)


def test_shapes_are_drawn_where_a_folder_can_be_and_elsewhere_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert draw_shapes("~/shapes", per_class=np.int64(1), seed=np.int64(0)) == tmp_path / "shapes"
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    wrong = {5: "must be given as text or pathlib.Path, got 5", tmp_path / "file": "file cannot be used: .* is a file"}
    wrong |= {tmp_path / "file" / "below": "below cannot be used", tmp_path / "link": "is a link to nowhere"}
    for folder, words in wrong.items():
        with pytest.raises(InputError, match=words):
            draw_shapes(folder, per_class=1)
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path)
    with pytest.raises(InputError, match="others cannot be made: there is no permission to write there"):
        draw_shapes(tmp_path / "others", per_class=1)


@pytest.mark.parametrize("names", [["a", "b", "a"], [0, 1, "0"]], ids=str)
def test_no_two_classes_have_one_name(names):
    with pytest.raises(InputError, match="the classes 0 and 2 are both named '.': give each a name of its own"):
        register_dataset("made_up", lambda root: arrays(), class_names=names)
    assert "made_up" not in registry._sources


@pytest.mark.parametrize("title", ["", "one\ntwo", 5])
def test_a_title_is_one_line(title):
    with pytest.raises(InputError, match="must be one line"):
        register_dataset("made_up", lambda root: arrays(), title=title)


@pytest.mark.parametrize("names", [{0: "cat", 1: "dog", 2: "owl"}, {"cat", "dog", "owl"}, "cdo", 3], ids=type)
def test_names_of_classes_need_an_order(names):
    with pytest.raises(InputError, match=f"a name for each label from 0, got {type(names).__name__}"):
        register_dataset("made_up", lambda root: arrays(), class_names=names)
    assert "made_up" not in registry._sources


@pytest.mark.parametrize("family", ["mnits", None, ["mnist"]], ids=str)
def test_a_family_that_table_7_does_not_have_is_refused_where_it_is_registered(family):
    assert tuple(TABLE7) == registry.FAMILIES
    with pytest.raises(InputError, match="unknown family of networks .*; allowed: mnist, fashion_mnist, cifar10"):
        register_dataset("made_up", lambda root: arrays(), family=family)
    assert "made_up" not in registry._sources


@pytest.mark.parametrize("load", [None, "data.npz", arrays()], ids=type)
def test_arrays_or_a_path_in_the_place_of_a_loader_are_refused(load):
    with pytest.raises(InputError, match="load must be a function of the data folder"):
        register_dataset("made_up", load)


@pytest.mark.parametrize(
    "asked", [{"examples": "100"}, {"examples": 100.0}, {"test_examples": -3}, {"test_examples": 0}, {"device": "gpu"}]
)
def test_a_size_that_is_none_and_a_device_that_is_none_are_refused_before_anything_is_read(asked, monkeypatch):
    [(name, value)] = asked.items()
    monkeypatch.setitem(registry._sources, "digits", registry.Source(lambda root: pytest.fail("it was read")))
    with pytest.raises(InputError, match=f"{name}={value!r} cannot be used"):
        load_dataset("digits", **asked)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda a: (a[0][:-1], *a[1:]), "do not fit together"),
        (lambda a: (a[0], a[1] / 2, *a[2:]), "labels must be integers from 0"),
        (lambda a: (a[0], a[1] - 1, *a[2:]), "labels must be integers from 0"),
        (
            lambda a: (a[0], a[1] + 1, a[2], a[3] + 1),
            "no training examples of 0 and no test examples of 0. Labels begin",
        ),
        (
            lambda a: (*a[:3], np.minimum(a[3], 2)),
            "from 0 to 3 must .* there are no test examples of 3. Add some, or leave",
        ),
        (lambda a: (*a[:3], a[3] + (a[3] == 3)), "no training examples of 4 and no test examples of 3. Add some"),
        (lambda a: (a[0], np.minimum(a[1], 2), *a[2:]), "from 0 to 3 must .* there are no training examples of 3. Add"),
        (lambda a: (a[0], a[1] * 2, a[2], a[3] * 2), "no test examples of 1, 3, 5. Number the classes without gaps"),
        (lambda a: (a[0], a[1] * 0, a[2], a[3] * 0), "one class; at least 2"),
        (lambda a: (*a[:2], a[2][:, 1:], a[3]), r"training images of \(6, 6\), test images of \(5, 6\)"),
        (lambda a: (a[0][:0], a[1][:0], *a[2:]), "there is nothing in them"),
    ],
)
def test_a_loader_that_gives_something_else_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        registered(wrong(arrays()))


@pytest.mark.parametrize("split", ["training", "test"])
def test_a_class_without_examples_is_named_with_the_split_that_lacks_it(split):
    images, labels, test_images, test_labels = arrays()
    train, test = (
        np.flatnonzero((y != 3) | (split != own)) for y, own in ((labels, "training"), (test_labels, "test"))
    )
    given = images[train], labels[train], test_images[test], test_labels[test]
    with pytest.raises(InputError, match=rf"and there are no {split} examples of 3 \('owl'\). Add some, or leave"):
        registered(given, class_names=["ant", "bee", "cat", "owl"])


def test_a_set_too_small_to_split_is_refused():
    """Of 30 examples 3 validate, and there are four classes."""
    with pytest.raises(InputError, match="'made_up' is too small to be split: the class '2' has 7 training examples"):
        registered(arrays(examples=30))


@pytest.mark.parametrize("few", [1, 2])
def test_a_class_that_would_be_missing_from_the_validation_split_is_refused_by_its_name(few):
    images, labels, test_images, test_labels = arrays(examples=800)
    kept = np.flatnonzero((labels != 2) | (np.arange(800) < 4 * few))
    given = images[kept], labels[kept], test_images, test_labels
    with pytest.raises(InputError) as caught:
        registered(given, class_names=["ant", "bee", "cat", "owl"])
    assert str(caught.value) == (
        f"data set 'made_up' is too small to be split: the class 'cat' has {few} training example{'s' * (few > 1)}, "
        "too few for one among the validating 10%; 10 of each class are enough. Add some, or leave the class out of "
        "both splits"
    )


def test_a_clipped_subset_has_as_many_examples_as_the_classes_take():
    register_dataset("made_up", lambda root: arrays(examples=2000, classes=10))
    assert len(load_dataset("made_up", examples=50, clip=True).labels) == 200
    study = open_study("entropy", {"dataset": "made_up", "profile": "smoke", "seeds": 1})
    assert study.settings.examples == len(study.dataset.labels) == 400


def test_what_was_registered_in_between_is_known_no_more_by_name_or_digest():
    with registered_meanwhile_forgotten():
        register_dataset("made_up", lambda root: arrays())
        assert "made_up" in registry.dataset_names() and at_hand.digest("made_up") is not None
    assert "made_up" not in registry.dataset_names() and at_hand.digest("made_up") is None


def test_a_loader_that_gives_other_data_each_time_is_refused_by_the_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    register_dataset("made_up", lambda root: arrays(examples=800, seed=int.from_bytes(os.urandom(4), "big")))
    study = open_study("entropy", {"dataset": "made_up", "profile": "smoke"}, store=Store(tmp_path))
    with pytest.raises(InputError, match="gives other data each time"):
        study.tables()
    assert not list(tmp_path.glob("teacher/*"))


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_missing_folder_is_one_error_that_names_the_command_and_where_it_was_looked_for(name, tmp_path):
    with pytest.raises(InputError, match=COMMAND.format(name)) as caught:
        load_dataset(name, root=tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_to_copy_from_that_lacks_the_data_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no MNIST"):
        sources.fetch("mnist", tmp_path / "data", tmp_path)
    with pytest.raises(InputError, match="sets to fetch: mnist"):
        sources.fetch("digits", tmp_path / "data", None)


def md5(path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_kmnist(folder):
    """Tiny files in the format of MNIST and its relatives."""
    made = arrays(examples=120, classes=10)
    (folder / "KMNIST" / "raw").mkdir(parents=True)
    for name, array in zip(RAW, made, strict=True):
        (folder / "KMNIST" / "raw" / name).write_bytes(idx(array))
    return made


def write_usps(folder, monkeypatch):
    """Tiny files in libsvm's text format, labels from 1, pixels from -1 to 1, and their md5 as the publisher's."""
    from torchvision import datasets

    images, labels, *_ = made = arrays(examples=120, classes=10)
    images = np.repeat(np.repeat(images[:, :4, :4], 4, 1), 4, 2)
    lines = [
        f"{label + 1} " + " ".join(f"{i}:{v / 127.5 - 1:.6f}" for i, v in enumerate(image.ravel(), 1))
        for image, label in zip(images, labels, strict=True)
    ]
    (folder / "usps.bz2").write_bytes(bz2.compress("\n".join(lines).encode()))
    (folder / "usps.t.bz2").write_bytes(bz2.compress("\n".join(lines[:20]).encode()))
    known = {split: ["", name, md5(folder / name)] for split, name in (("train", "usps.bz2"), ("test", "usps.t.bz2"))}
    monkeypatch.setattr(datasets.USPS, "split_list", known)
    return images, labels, images[:20], made[3]


def write_svhn(folder, monkeypatch):
    """Tiny .mat files: images last, the digit 0 called 10."""
    from scipy.io import savemat
    from torchvision import datasets

    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (120, 3, 32, 32), dtype=np.uint8), np.arange(120) % 10
    for part, n in (("train", 120), ("test", 20)):
        stored = {"X": images[:n].transpose(2, 3, 1, 0), "y": np.where(labels == 0, 10, labels)[:n, None]}
        savemat(folder / f"{part}_32x32.mat", stored)
    monkeypatch.setattr(datasets.SVHN, "_check_integrity", lambda self: True)  # the publisher's md5
    return images, labels, images[:20], labels[:20]


@pytest.mark.parametrize("name", ["kmnist", "usps", "svhn"])
def test_an_adapter_reads_and_copies_files_in_torchvisions_format(name, tmp_path, monkeypatch):
    folder, copy = tmp_path / "theirs", tmp_path / "ours"
    folder.mkdir()
    writers = {"kmnist": lambda f, _: write_kmnist(f), "usps": write_usps, "svhn": write_svhn}
    made = writers[name](folder, monkeypatch)
    sources.fetch(name, copy, folder)
    dataset = load_dataset(name, root=copy)
    test_images, test_labels = dataset.open_test("test")
    images, labels = torch.from_numpy(made[0]), torch.from_numpy(made[1])
    assert torch.equal(dataset.labels, labels) and test_labels.tolist() == made[3].tolist()
    assert (dataset.images[:] * 255 - images.view(dataset.images.shape)).abs().max() <= 1  # USPS rounds
    assert len(test_images) == len(made[2])


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("cut", [-1, 12, 2, 0])
def test_a_raw_file_cut_short_is_one_error_that_names_the_command(cut, name, tmp_path):
    write_kmnist(tmp_path)
    path = tmp_path / "KMNIST" / "raw" / name
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=COMMAND.format("kmnist")):
        load_dataset("kmnist", root=tmp_path)


def test_an_archive_that_is_not_the_publishers_is_refused_and_not_unpacked(tmp_path):
    write_kmnist(tmp_path)
    raw = tmp_path / "KMNIST" / "raw" / RAW[0]
    (raw.parent / f"{raw.name}.gz").write_bytes(gzip.compress(raw.read_bytes())[:-5])
    raw.unlink()
    with pytest.raises(InputError, match=f"{raw.name}.gz is damaged.*" + COMMAND.format("kmnist")):
        load_dataset("kmnist", root=tmp_path)
    assert not raw.exists()


def test_a_file_that_cannot_be_read_is_one_error_that_names_the_command(tmp_path, monkeypatch):
    write_usps(tmp_path, monkeypatch)
    (tmp_path / "usps.t.bz2").unlink()
    (tmp_path / "usps.t.bz2").mkdir()
    with pytest.raises(InputError, match="IsADirectoryError.*" + COMMAND.format("usps")):
        load_dataset("usps", root=tmp_path)


@pytest.fixture
def real_mnist(tmp_path):
    """A folder with links to the real archives, and their contents."""
    raw = data_dir() / "MNIST" / "raw"
    if not all((raw / f"{name}.gz").exists() for name in RAW):
        pytest.skip("MNIST is not in the data folder: `kdlib data mnist --download` or `--from DIR` gets it")
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    for name in RAW:
        archive = tmp_path / "MNIST" / "raw" / f"{name}.gz"
        archive.symlink_to(raw / archive.name)
        archive.with_suffix("").write_bytes(gzip.decompress(archive.read_bytes()))
    return tmp_path


def alter(path, change):
    """Put a changed copy in the place of a file or link."""
    content = bytearray(path.read_bytes())
    path.unlink()
    path.write_bytes(change(content))


def one_pixel(content: bytearray) -> bytearray:
    content[5000] ^= 1
    return content


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (RAW[0], one_pixel, "complete but altered: its checksum differs.*"),
        (RAW[3], one_pixel, "complete but altered: its checksum differs.*"),
        (RAW[2], lambda content: content[:-1], "cannot be read.*"),
        (f"{RAW[1]}.gz", lambda content: content[:-1], "is damaged.*"),
        (f"{RAW[1]}.gz", one_pixel, "is damaged.*"),
    ],
)
def test_a_damaged_file_of_real_mnist_is_noticed_and_getting_it_again_mends_it(name, change, message, real_mnist):
    folder = real_mnist / "MNIST" / "raw"
    other = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"
    (folder / other).unlink()
    alter(folder / name, change)
    with pytest.raises(InputError, match=message + COMMAND.format("mnist")):
        load_dataset("mnist", root=real_mnist)
    sources.fetch("mnist", real_mnist, data_dir())
    assert load_dataset("mnist", root=real_mnist, examples=1000).shape == (1, 28, 28)


def test_archives_of_real_mnist_are_unpacked_and_known(real_mnist):
    for name in RAW:
        (real_mnist / "MNIST" / "raw" / name).unlink()
    dataset = load_dataset("mnist", root=real_mnist)
    assert (len(dataset.labels), dataset.test_size) == (60_000, 10_000)
    assert dataclasses.replace(registry.find_source("mnist")).sha256 == SHA256["mnist"]


def test_the_places_of_a_subset_lead_to_its_images_in_the_whole_set():
    whole, part = load_dataset("digits"), load_dataset("digits", examples=400, test_examples=100)
    assert torch.equal(whole.positions, torch.arange(1287)) and torch.equal(whole.test_positions, torch.arange(510))
    assert torch.equal(whole.images[part.positions], part.images[:])
    assert torch.equal(whole.open_test("test")[0][part.test_positions], part.open_test("test")[0][:])
