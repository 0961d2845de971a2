"""Whatever a reader's data lie in, they are read as what they are: the same arrays from every form."""

import gzip
import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import savemat

from kdlib import InputError, load_dataset
from kdlib.data import added, registry
from kdlib.data.adding.add import add
from kdlib.data.adding.parts import Options

from .made import patches, png, write_folder

X, Y = patches(120, 4)
COLOURS, _ = patches(120, 4, channels=3)
OBLONG, _ = patches(120, 4, 12, 8, 3)
TRAIN, TEST = slice(0, 80), slice(80, 120)
WORDS = ["ash", "beech", "cedar", "date"]


def npz(place, **names):
    np.savez(place / "set.npz", **names)
    return place / "set.npz"


def csv(place, name, x, y, label="label", header=True):
    table = pd.DataFrame(x.reshape(len(x), -1), columns=[f"pixel{i}" for i in range(x[0].size)])
    if y is not None:
        table.insert(0, label, y)
    table.to_csv(place / name, index=False, header=header)
    return place / name


def arff(place, x, y):
    attributes = "".join(f"@attribute pixel{i} real\n" for i in range(x[0].size))
    rows = "".join(",".join(map(str, image.ravel())) + f",{label}\n" for image, label in zip(x, y, strict=True))
    (place / "set.arff").write_text(f"@relation r\n{attributes}@attribute class {{0,1,2,3}}\n@data\n{rows}")
    return place / "set.arff"


def parquet(place, name, x, y, names=None):
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"image": [{"bytes": png(image), "path": None} for image in x], "label": y})
    features = {"label": {"names": names, "_type": "ClassLabel"}} if names else {}
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(meta), place / name)


def idx(place, names, packed):
    for name, array in names.items():
        shape = np.array(array.shape, dtype=">u4").tobytes()
        content = bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()
        (place / f"{name}{'.gz' * packed}").write_bytes(gzip.compress(content) if packed else content)
    return place


def divided_folder(place):
    write_folder(place / "train", X[TRAIN], Y[TRAIN], WORDS)
    write_folder(place / "test", X[TEST], Y[TEST], WORDS)
    return place


def divided_parquet(place):
    (place / "data").mkdir()
    parquet(place / "data", "train-00000-of-00002.parquet", COLOURS[:40], Y[:40], WORDS)
    parquet(place / "data", "train-00001-of-00002.parquet", COLOURS[40:80], Y[40:80], WORDS)
    parquet(place / "data", "test-00000-of-00001.parquet", COLOURS[TEST], Y[TEST], WORDS)
    return place


def divided_mat(place):
    for name, part in (("train_32x32.mat", TRAIN), ("test_32x32.mat", TEST)):
        savemat(place / name, {"X": OBLONG[part].transpose(1, 2, 3, 0), "y": Y[part][:, None] + 1})
    return place


def divided_csv(place, header=True):
    csv(place, "mine_train.csv", X[TRAIN], Y[TRAIN], header=header)
    csv(place, "mine_test.csv", X[TEST], Y[TEST], header=header)
    return place


def with_validation(place):
    parts = (("train", slice(0, 60)), ("valid", slice(60, 80)), ("test", TEST))
    for name, part in parts:
        write_folder(place / name, X[part], Y[part], WORDS)
    return place


KERAS = {"x_train": X[TRAIN], "y_train": Y[TRAIN], "x_test": X[TEST], "y_test": Y[TEST]}
MEDICAL = {
    "train_images": X[:60],
    "train_labels": Y[:60, None],
    "val_images": X[60:80],
    "val_labels": Y[60:80, None],
    "test_images": X[TEST],
    "test_labels": Y[TEST, None],
}
MNIST = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
EMNIST = tuple(f"emnist-mine-{name.replace('t10k', 'test')}" for name in MNIST)
DOTTED = tuple(name.replace("-idx", ".idx") for name in MNIST)
# What a reader has, made in a folder, that comes divided into the first 80 and the last 40 examples of: their images.
DIVIDED = {
    "a folder with train/ and test/": (divided_folder, X),
    "a folder with train/, valid/ and test/": (with_validation, X),
    "an archive's folder around it": (lambda place: divided_folder(place / "wrapped").parent, X),
    "Keras' .npz": (lambda place: npz(place, **KERAS), X),
    "MedMNIST's .npz": (lambda place: npz(place, **MEDICAL), X),
    "a folder of two CSV files": (divided_csv, X),
    "a folder of two CSV files without headers": (lambda place: divided_csv(place, header=False), X),
    "Hugging Face's Parquet files": (divided_parquet, COLOURS),
    "SVHN's .mat files": (divided_mat, OBLONG),
    "IDX": (lambda place: idx(place, dict(zip(MNIST, KERAS.values(), strict=True)), False), X),
    "IDX, packed": (lambda place: idx(place, dict(zip(MNIST, KERAS.values(), strict=True)), True), X),
    "IDX, with dots": (lambda place: idx(place, dict(zip(DOTTED, KERAS.values(), strict=True)), False), X),
    "IDX, as EMNIST names it": (lambda place: idx(place, dict(zip(EMNIST, KERAS.values(), strict=True)), True), X),
}


def images_of(dataset, part):
    """Images and labels of a part, sorted by their content: folders have an order of their own."""
    images, labels = (dataset.images, dataset.labels) if part == "train" else dataset.open_test("test")
    rows = np.round(255 * images[:].numpy()).astype(np.uint8).reshape(len(images), -1)
    order = np.lexsort(rows.T)
    return rows[order], labels.numpy()[order]


def trained_and_validated(dataset):
    """The bytes of each training image that trains, and of each that validates."""
    return [
        {image.numpy().tobytes() for image in dataset.images.pixels[part]}
        for part in (dataset.train, dataset.validation)
    ]


def people(place, rows, person):
    """A table of examples with a column of groups, one of each example of X."""
    table = pd.DataFrame(X[rows].reshape(len(X[rows]), -1)).assign(label=Y[rows], person=person[rows])
    table.rename(columns=str).to_csv(place, index=False)
    return place


def wanted(images, labels):
    rows = (np.moveaxis(images, -1, 1) if images.ndim == 4 else images).reshape(len(images), -1)
    order = np.lexsort(rows.T)
    return rows[order], labels[order]


@pytest.mark.parametrize("form", DIVIDED)
def test_each_form_that_comes_divided_gives_its_examples_and_becomes_a_data_set(form, data, tmp_path):
    make, images = DIVIDED[form]
    place = tmp_path / "given"
    place.mkdir()
    name, said = add("mine", make(place))
    dataset = load_dataset("mine")
    assert name == "mine" and said[0].startswith("read as ")
    assert dataset.shape == ((1, 8, 8) if images.ndim == 3 else (3, *images.shape[1:3]))
    assert dataset.family == ("mnist" if images.ndim == 3 else "cifar10") and dataset.classes == 4
    for part, rows in (("train", TRAIN), ("test", TEST)):
        for ours, theirs in zip(images_of(dataset, part), wanted(images[rows], Y[rows]), strict=True):
            assert np.array_equal(ours, theirs)


UNDIVIDED = {
    "a folder of classes": (lambda place: write_folder(place, X, Y, WORDS), X),
    "an .npz of x and y": (lambda place: npz(place, x=X, y=Y), X),
    "an .npz of floats and rows": (lambda place: npz(place, x=(X / 255).reshape(120, -1), y=Y), X),
    "a CSV file": (lambda place: csv(place, "set.csv", X, Y), X),
    "a CSV file without a header": (lambda place: csv(place, "set.csv", X, Y, header=False), X),
    "a CSV file of words": (lambda place: csv(place, "set.csv", X, np.array(WORDS)[Y], label="class"), X),
    "OpenML's ARFF": (lambda place: arff(place, X, Y), X),
}


@pytest.mark.parametrize("form", UNDIVIDED)
def test_each_form_that_comes_undivided_is_divided_in_strata_and_the_same_way_again(form, data, tmp_path):
    make, images = UNDIVIDED[form]
    place = tmp_path / "given"
    place.mkdir()
    _, said = add("mine", make(place))
    dataset = load_dataset("mine")
    assert any(line.startswith("divided with seed 0: 20%") for line in said)
    assert dataset.labels.bincount().tolist() == [24] * 4 and dataset.test_size == 24
    both = [np.concatenate(pair) for pair in zip(images_of(dataset, "train"), images_of(dataset, "test"), strict=True)]
    order = np.lexsort(both[0].T)
    for ours, theirs in zip(both, wanted(images, Y), strict=True):
        assert np.array_equal(ours[order], theirs)
    digests = {
        name: (add(name, next(iter([make(place)])), seed=seed), load_dataset(name).digest)[1]
        for name, seed in (("again", 0), ("other", 1))
    }
    assert digests["again"] == dataset.digest != digests["other"]


def test_classes_have_the_names_that_come_with_them(data, tmp_path):
    divided_parquet(tmp_path)
    add("hugging", tmp_path / "data")
    assert load_dataset("hugging").class_names == tuple(WORDS)
    add("numbers", write_folder(tmp_path / "numbers", X, Y, ["2", "10", "-1", "100"]))
    assert load_dataset("numbers").class_names == ("-1", "2", "10", "100")


def test_names_of_classes_that_only_look_like_numbers_are_words(data, tmp_path):
    add("dashes", write_folder(tmp_path / "dashes", X, Y, ["--5", "7", "-1", "10"]))
    assert load_dataset("dashes").class_names == ("--5", "-1", "10", "7")


def test_the_words_in_the_cells_of_a_mat_file_are_its_classes(data, tmp_path):
    savemat(tmp_path / "set.mat", {"X": COLOURS.transpose(1, 2, 3, 0), "y": np.array(WORDS, dtype=object)[Y]})
    add("cells", tmp_path / "set.mat")
    assert load_dataset("cells").class_names == tuple(WORDS)


def test_a_folder_that_only_wraps_the_data_is_named(data, tmp_path):
    """Who gave the folder above by mistake sees which one was read."""
    place = write_folder(tmp_path / "above" / "archive", X, Y).parent
    _, said = add("wrapped", place)
    assert said[:2] == ["read as a folder of pictures by class", "the data are in its one folder, archive"]
    _, said = add("whole", place / "archive")
    assert not any("one folder" in line for line in said)


def test_where_files_are_named_in_another_encoding_the_data_are_read_and_what_is_said_can_be_shown(data, tmp_path):
    place = write_folder(tmp_path / os.fsdecode(b"caf\xe9"), X, Y)
    (place / os.fsdecode(b"caf\xe9.txt")).touch()
    _, said = add("cafe", place)
    assert "passed over, beside the folders: caf?.txt" in said and load_dataset("cafe").classes == 4
    assert "\n".join(said).encode() and added.find("cafe").source.endswith("/caf?")


def test_kaggles_test_file_without_labels_is_left_aside_and_this_is_said(data, tmp_path):
    place = tmp_path / "kaggle"
    place.mkdir()
    train, test = csv(place, "train.csv", X[TRAIN], Y[TRAIN]), csv(place, "test.csv", X[TEST], None)
    alone = tmp_path / "alone"
    alone.mkdir()
    csv(alone, "test.csv", X[TEST], None)
    ways = {"folder": (place, None), "files": (train, test), "folder_of_test": (train, alone)}
    for name, (path, other) in ways.items():
        _, said = add(name, path, test=other)
        lacking = (other or test).name
        assert f"{lacking} has no labels, and is left aside: no accuracy can be measured on it" in said
        assert load_dataset(name).test_size == 16


def test_rows_of_three_colours_are_read_in_the_order_that_makes_neighbours_alike(data, tmp_path):
    ramp = np.linspace(0, 120, 8)[None, :, None, None] + np.linspace(0, 80, 8)[None, None, :, None]
    images = (ramp + np.array([0, 25, 50]) + np.random.default_rng(0).integers(0, 4, (120, 8, 8, 3))).astype(np.uint8)
    for name, rows in (("pixels", images), ("planes", np.moveaxis(images, -1, 1))):
        add(name, csv(tmp_path, f"{name}.csv", np.ascontiguousarray(rows), Y))
    assert load_dataset("pixels").digest == load_dataset("planes").digest
    noise = np.random.default_rng(0).integers(0, 256, (120, 192), dtype=np.uint8)
    with pytest.raises(InputError, match="`--shape 3x8x8` .colour by colour. or `--shape 8x8x3`"):
        add("noise", csv(tmp_path, "noise.csv", noise, Y))
    add("noise", tmp_path / "noise.csv", options=Options(shape=(8, 8, 3)))
    assert load_dataset("noise").shape == (3, 8, 8)


def test_what_belongs_together_is_on_one_side_of_the_division(data, tmp_path):
    """Groups by a column or by the names of files; and equal images, which would be learned by heart."""
    group = np.arange(120) // 6
    people(tmp_path / "people.csv", slice(None), group)
    place = write_folder(tmp_path / "people", X, Y)
    for path in place.glob("*/*.png"):
        path.rename(path.with_name(f"p{int(path.stem) // 6}_{path.name}"))
    of_image = {image.tobytes(): person for image, person in zip(X, group, strict=True)}
    for name, path, option in (("column", tmp_path / "people.csv", "person"), ("prefix", place, "_")):
        add(name, path, options=Options(group=option))
        dataset = load_dataset(name)
        sides = [{of_image[row.tobytes()] for row in images_of(dataset, part)[0]} for part in ("train", "test")]
        assert not sides[0] & sides[1] and len(sides[0] | sides[1]) == 20 and len(sides[1]) == 4
        parts = [{of_image[image] for image in part} for part in trained_and_validated(dataset)]
        assert not parts[0] & parts[1] and len(dataset.validation) == 6 and dataset.seen_in_training == 0

    add("twice", npz(tmp_path, x=np.concatenate([X, X]), y=np.concatenate([Y, Y])))
    dataset = load_dataset("twice")
    sides = [{row.tobytes() for row in images_of(dataset, part)[0]} for part in ("train", "test")]
    assert not sides[0] & sides[1] and dataset.test_size == 48
    parts = trained_and_validated(dataset)
    assert not parts[0] & parts[1] and len(dataset.validation) in range(16, 24) and dataset.seen_in_training == 0


def test_rows_of_pixels_in_parquet_may_have_labels_and_groups_of_words(data, tmp_path):
    table = pd.DataFrame(X.reshape(120, -1)).rename(columns=str)
    person = [f"p{i // 6}" for i in range(120)]
    table.assign(tree=np.array(WORDS)[Y], person=person).to_parquet(tmp_path / "set.parquet")
    _, said = add("trees", tmp_path / "set.parquet", options=Options(label="tree", group="person"))
    assert load_dataset("trees").class_names == tuple(WORDS) and any("20 groups are kept" in line for line in said)


def test_groups_of_a_training_part_with_a_test_part_are_kept_together_where_a_tenth_validates(data, tmp_path):
    person, options = np.arange(120) // 6, Options(group="person")
    train = people(tmp_path / "train.csv", TRAIN, person)
    test = people(tmp_path / "test.csv", TEST, person)
    _, said = add("people", train, test=test, options=options)
    assert "14 groups of training images are kept together where a tenth validates" in said
    dataset = load_dataset("people")
    there = [set(person[TRAIN][part]) for part in (dataset.train, dataset.validation)]
    assert not there[0] & there[1] and len(dataset.validation) in range(6, 13)


def test_of_groups_that_cannot_validate_without_a_class_it_is_said_that_they_are_divided(data, tmp_path):
    two = people(tmp_path / "two.csv", slice(None), np.arange(120) >= 90)
    _, said = add("two", two, options=Options(group="person"))
    assert any("; 2 groups are kept together" in line for line in said)
    assert sum(line.startswith("1 group of training images cannot be kept together") for line in said) == 1
    assert load_dataset("two").seen_in_training == 9  # all that validate


def test_what_cannot_be_kept_together_with_every_class_on_both_sides_validates_image_by_image_and_is_counted(data):
    own = np.where(Y == 0, 0, 1 + np.arange(120))  # class 0 is one group
    registry.enter("whole", registry.Source(lambda root: (X, Y, 255 - X, Y), groups=lambda root: own))
    dataset = load_dataset("whole")
    assert (dataset.labels[dataset.validation] == 0).sum() == dataset.seen_in_training == 3
    registry.enter("apart", registry.Source(lambda root: (X, Y, 255 - X, Y)))
    assert torch.equal(load_dataset("apart").validation, dataset.validation)  # as if nothing belonged together


def test_groups_that_were_altered_or_lost_are_refused_in_one_line(data, tmp_path):
    add("people", people(tmp_path / "people.csv", slice(None), np.arange(120) // 6), options=Options(group="person"))
    groups = data / "added" / f"{added.find('people').groups}.safetensors"
    content = groups.read_bytes()
    for damaged in (content[:-8] + bytes(8), content[:40]):
        groups.write_bytes(damaged)
        with pytest.raises(
            InputError, match="the groups of its training .* cannot be read .*`kdlib data remove people`"
        ):
            load_dataset("people")
    groups.unlink()
    with pytest.raises(InputError, match="`kdlib data remove people`, then add it again"):
        load_dataset("people")
    added.remove("people")
    assert os.listdir(data / "added") == [".lock"]


def test_two_sets_of_equal_arrays_and_unlike_groups_are_two_and_one_can_be_removed(data, tmp_path):
    for name, size in (("sixes", 6), ("fours", 4)):
        train, test = (people(tmp_path / f"{rows.start}.csv", rows, np.arange(120) // size) for rows in (TRAIN, TEST))
        add(name, train, test=test, options=Options(group="person"))
    assert added.find("sixes").sha256 == added.find("fours").sha256
    digests = [load_dataset(name).digest for name in ("sixes", "fours")]
    assert digests[0] != digests[1]
    added.remove("sixes")
    assert load_dataset("fours").digest == digests[1] and len(os.listdir(data / "added")) == 4


def test_few_training_images_that_are_test_images_too_are_left_out_of_training(data, tmp_path):
    x, y = patches(800, 4)
    _, said = add(
        "mine",
        npz(tmp_path, x_train=np.concatenate([x[:400], x[400:403]]), y_train=y[:403], x_test=x[400:], y_test=y[400:]),
    )
    assert "3 training images are left out: they are also test images" in said
    assert len(load_dataset("mine").labels) == 400


GREY = {"[N, H, W]": X, "[N, H, W, 1]": X[..., None], "[N, 1, H, W]": X[:, None]}
COLOURED = {"[N, H, W, 3]": COLOURS, "[N, 3, H, W]": np.moveaxis(COLOURS, -1, 1)}


@pytest.mark.parametrize("of_rest", [*GREY, *COLOURED])
@pytest.mark.parametrize("of_train", [*GREY, *COLOURED])
def test_parts_whose_channels_are_in_other_places_are_read_as_one_form(data, tmp_path, of_train, of_rest):
    """Also a validation part, which goes with the training part; grey images are coloured where others are."""
    train, rest = ((GREY | COLOURED)[form] for form in (of_train, of_rest))
    grey = {of_train, of_rest} <= {*GREY}
    add("mine", npz(tmp_path, **KERAS | {"x_train": train[TRAIN], "x_test": rest[TEST]}))
    validated = {"x_train": train[:60], "y_train": Y[:60], "x_val": rest[60:80], "y_val": Y[60:80]}
    add("validated", npz(tmp_path, **validated, x_test=train[TEST], y_test=Y[TEST]))

    def seen(images):
        return {image.tobytes() for image in (images if grey or images.ndim == 4 else np.stack([images] * 3, -1))}

    of = {form: X if form in GREY else COLOURS for form in (of_train, of_rest)}
    wanted_of = {"mine": [(of_train, TRAIN), (of_rest, TEST)]}
    wanted_of |= {"validated": [(of_train, slice(0, 60)), (of_rest, slice(60, 80)), (of_train, TEST)]}
    for name, pieces in wanted_of.items():
        dataset = load_dataset(name)
        assert dataset.shape == ((1, 8, 8) if grey else (3, 8, 8))
        pixels = [dataset.images.pixels.numpy(), dataset.open_test("test")[0].pixels.numpy()]
        ours = {np.moveaxis(image, 0, -1).tobytes() for part in pixels for image in part}
        assert ours == set().union(*(seen(of[form][rows]) for form, rows in pieces))


TYPES = {
    "whole": lambda images: images.astype(np.int64),
    "half": lambda images: (images / 255).astype(np.float16),
    "single": lambda images: (images / 255).astype(np.float32),
    "double": lambda images: images / 255,
}


@pytest.mark.parametrize("of_test", TYPES)
@pytest.mark.parametrize("of_train", ["bytes", *TYPES])
def test_test_images_that_are_training_images_are_found_whatever_the_type_of_either(data, tmp_path, of_train, of_test):
    x, y = patches(200, 4)
    train, test = ({"bytes": np.array, **TYPES}[kind](x) for kind in (of_train, of_test))
    with pytest.raises(InputError, match=r"200 of 200 test images are also training images \(such as set.npz, image 0"):
        add("mine", npz(tmp_path, x_train=train, y_train=y, x_test=test, y_test=y))
    add("mine", npz(tmp_path, x_train=train, y_train=y, x_test=test[:, ::-1], y_test=y))


@pytest.mark.parametrize("kind", ["whole", "single", "yes or no"])
def test_a_validation_part_of_another_type_is_taken_with_the_training_part_as_what_it_shows(data, tmp_path, kind):
    x, y = patches(120, 4)
    if kind == "yes or no":
        x[60:80] = 255 * (x[60:80] > 100)
    seen = x[60:80] > 100 if kind == "yes or no" else TYPES[kind](x[60:80])
    parts = {"x_train": x[:60], "y_train": y[:60], "x_val": seen, "y_val": y[60:80], "x_test": x[80:], "y_test": y[80:]}
    add("mine", npz(tmp_path, **parts))
    for ours, theirs in zip(images_of(load_dataset("mine"), "train"), wanted(x[:80], y[:80]), strict=True):
        assert np.array_equal(ours, theirs)


def test_palettes_opaque_alpha_orientation_and_grey_pictures_in_colour_are_read_and_said(data, tmp_path):
    from PIL import Image

    place = write_folder(tmp_path / "given", OBLONG, Y)
    first, second, third, fourth = sorted(place.glob("class_0/*.png"))[:4]
    Image.open(first).quantize(256).save(first)
    Image.open(second).convert("RGBA").save(second)
    turned, exif = Image.open(third).transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6
    turned.save(third.with_suffix(".jpg"), exif=exif)
    third.unlink()
    Image.open(fourth).convert("L").save(fourth)
    _, said = add("mine", place)
    assert load_dataset("mine").shape == (3, 12, 8)
    for words in (
        "have a palette",
        "an alpha channel that hides nothing",
        "turned as their EXIF says",
        "1 grey pictures",
    ):
        assert sum(words in line for line in said) == 1


def test_an_option_that_one_part_alone_has_a_use_for_is_taken(data, tmp_path):
    table = csv(tmp_path, "set.csv", OBLONG[TRAIN], Y[TRAIN], label="kind")
    array = npz(tmp_path, x=OBLONG[TEST], y=Y[TEST])
    options = Options(label="kind", shape=(12, 8, 3))
    add("table", table, test=array, options=options)
    add("array", array, test=table, options=options)
    assert load_dataset("table").shape == load_dataset("array").shape == (3, 12, 8)


def test_pictures_of_many_sizes_are_resized_where_this_is_asked_for(data, tmp_path):
    place = write_folder(tmp_path / "given", X, Y)
    write_folder(place, patches(8, 4, 16, 10)[0], np.arange(8) % 4)
    with pytest.raises(InputError, match="`--size HEIGHTxWIDTH` resizes all"):
        add("mine", place)
    add("mine", place, options=Options(size=(9, 11)))
    assert load_dataset("mine").shape == (1, 9, 11)


def test_several_processes_read_what_one_reads(data, tmp_path, monkeypatch):
    from kdlib.data.adding import pictures

    place = write_folder(tmp_path / "given", X, Y)
    add("one", place, options=Options(workers=1))
    monkeypatch.setattr(pictures, "CHUNK", 50)
    monkeypatch.setattr(pictures, "WORTH", 0.0)
    add("two", place, options=Options(workers=2))
    assert load_dataset("two").digest == load_dataset("one").digest
