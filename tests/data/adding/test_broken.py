"""What cannot become a data set is one clear line, and nothing of it is left behind."""

import gzip
import io
import os
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from kdlib import InputError, StoreError, paths
from kdlib.data import added
from kdlib.data.adding.add import add
from kdlib.data.adding.parts import Options

from .made import patches, png, write_folder
from .test_reading import KERAS, MNIST, X, Y, arff, csv, idx, npz, parquet, people

COLOURS, _ = patches(120, 4, channels=3)


def with_picture(content, name="0001.png"):
    """A folder of pictures, one of whose files holds something else."""

    def make(place):
        write_folder(place, X, Y)
        (place / "class_1" / name).write_bytes(content)
        return place

    return make


def claiming(width, height):
    """A whole PNG of some bytes whose header claims more."""
    small = bytearray(png(X[0]))
    small[16:24] = struct.pack(">II", width, height)
    small[29:33] = struct.pack(">I", zlib.crc32(small[12:29]))
    return bytes(small)


def deep_png(grey, colour_type):
    """A PNG of 16 bits for each channel, which Pillow does not write: of grey or colour, with or without alpha."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    channels = {2: 3, 4: 2, 6: 4}[colour_type]
    pixels = np.repeat(grey[..., None].astype(">u2") * 257, channels, axis=-1)
    pixels[..., 3 if colour_type == 6 else 1] = 2**16 - 1
    header = struct.pack(">IIBBBBB", *grey.shape[::-1], 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def animated():
    frames = [Image.fromarray(image) for image in X[:3]]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    return file.getvalue()


def gif():
    file = io.BytesIO()
    Image.fromarray(X[0]).save(file, "GIF", save_all=True, append_images=[Image.fromarray(X[1])])
    return file.getvalue()


def cmyk():
    file = io.BytesIO()
    Image.fromarray(COLOURS[0]).convert("CMYK").save(file, "JPEG")
    return file.getvalue()


def transparent():
    image = Image.fromarray(COLOURS[0]).convert("RGBA")
    image.putpixel((0, 0), (1, 2, 3, 0))
    return png(np.asarray(image))


def changed_csv(change, name="set.csv"):
    def make(place):
        path = csv(place, name, X, Y)
        path.write_text(change(path.read_text()))
        return path

    return make


def cut(make):
    """A file of which the last third is lacking."""

    def made(place):
        path = make(place)
        path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
        return path

    return made


def with_nested(place):
    write_folder(place, X, Y)
    write_folder(place / "class_1" / "more", X, Y)
    return place


def one_alone(place):
    return write_folder(place, X, np.where(np.arange(120) == 3, 4, Y))


def mat(**content):
    def make(place):
        savemat(place / "set.mat", content)
        return place / "set.mat"

    return make


def with_empty_class(place):
    (write_folder(place, X, Y) / "class_x").mkdir()
    return place


def with_dangling_link(place):
    write_folder(place, X, Y)
    (place / "class_1" / "link.png").symlink_to("nowhere.png")
    return place


def one_test_class_more(place):
    write_folder(place / "train", X, Y)
    write_folder(place / "test", patches(10, 5, seed=1)[0], np.arange(10) % 5)
    return place


def one_test_class_less(place):
    write_folder(place / "train", X, Y)
    write_folder(place / "test", patches(10, 3, seed=1)[0], np.arange(10) % 3)
    return place


def same_twice(place):
    for part in ("train", "test"):
        write_folder(place / part, X, Y)
    return place


def version_7_3(place):
    (place / "set.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600))
    return place / "set.mat"


def addresses(place):
    pd.DataFrame({"image": ["https://example.org/a.png"] * 120, "label": Y}).to_parquet(place / "set.parquet")
    return place / "set.parquet"


def only_names(place):
    import pyarrow
    from pyarrow import parquet as file

    table = pyarrow.table({"image": [{"bytes": None, "path": "a.png"}] * 120, "label": Y})
    file.write_table(table, place / "set.parquet")
    return place / "set.parquet"


def one_parquet(place):
    parquet(place, "set.parquet", X, Y)
    return place / "set.parquet"


def two_of_one_name(place):
    parquet(place, "set.parquet", X, Y, ["ash", "beech", "cedar", "ash"])
    return place / "set.parquet"


def kept_back(*names, picked=""):
    """Parquet files of pictures whose labels are all -1, or one of them."""

    def make(place):
        for name in names:
            parquet(place, name, X, 0 * Y - 1)
        return place / picked

    return make


def sparse(place):
    path = arff(place, X, Y)
    head, _, _ = path.read_text().partition("@data\n")
    path.write_text(head + "@data\n{0 12, 64 1}\n")
    return path


def lacking_labels(place):
    idx(place, dict(zip(MNIST, KERAS.values(), strict=True)), True)
    (place / f"{MNIST[1]}.gz").unlink()
    return place


def cut_idx(place):
    idx(place, dict(zip(MNIST, KERAS.values(), strict=True)), False)
    (place / MNIST[0]).write_bytes((place / MNIST[0]).read_bytes()[:-100])
    return place


def cut_packed_idx(place):
    idx(place, dict(zip(MNIST, KERAS.values(), strict=True)), False)
    (place / MNIST[0]).unlink()
    (place / f"{MNIST[0]}.gz").write_bytes(gzip.compress(bytes(10_000))[:-20])
    return place


def file_of(name, content):
    def make(place):
        (place / name).write_bytes(content)
        return place / name

    return make


def cells(words):
    """What scipy writes as MATLAB's cell array: a cell for each image."""
    found = np.empty(120, dtype=object)
    found[:] = [np.array(words, dtype=object)] * 120
    return found


def pipe(name):
    """Whose reading would wait for somebody who writes to it."""

    def make(place):
        os.mkfifo(place / name)
        return place / name

    return make


def with_pipe(place):
    write_folder(place, X, Y)
    os.mkfifo(place / "class_1" / "pipe.png")
    return place


def named(name):
    """A folder of pictures, one of whose classes has this name."""
    return lambda place: write_folder(place, X, Y, names=[name, "a", "b", "c"])


WIDE, _ = patches(120, 4, 8, 10)
BROKEN = {
    "a text by the name of an .npz": (
        file_of("set.npz", b"no arrays"),
        "set.npz is no .npz file, whatever its name says",
    ),
    "a .mat of cells of two words": (mat(X=COLOURS.transpose(1, 2, 3, 0), y=cells(["a", "b"])), "each hold one word"),
    "no examples": (lambda place: npz(place, x=X[:0], y=Y[:0]), "there is no example"),
    "a .mat without examples": (mat(X=np.zeros((8, 8, 3, 0), np.uint8), y=np.zeros((0, 1))), "there is no example"),
    "a pipe for a file": (pipe("set.csv"), "set.csv is a pipe, a socket or a device; allowed: folders and files"),
    "a pipe among files": (lambda place: pipe("train.csv")(place).parent, "train.csv is a pipe, a socket or a device"),
    "a pipe among pictures": (with_pipe, "pipe.png is a pipe, a socket or a device"),
    "a class of two lines": (named("two\nlines"), "the name 'two\\nlines' of a class holds a line break"),
    "a class that commands a terminal": (
        named("\x1b[2J"),
        "the name '\\x1b[2J' of a class holds a line break, a control",
    ),
    "a class in another encoding": (named(os.fsdecode(b"caf\xe9")), "or bytes that are no UTF-8, and cannot be shown"),
    "a path that is not there": (lambda place: place / "nowhere", "is not there: give a folder of pictures by class"),
    "an empty folder": (lambda place: place, "is empty: give a folder"),
    "a class without pictures": (with_empty_class, "the class 'class_x' has no picture"),
    "pictures in no folder": (lambda place: write_folder(place, X[:1], Y[:1]) / "class_0", "and no folders"),
    "a folder in a class": (with_nested, "is a folder in the folder of a class"),
    "one class only": (lambda place: write_folder(place, X, 0 * Y), "there is one class only, 'class_0'"),
    "a class with one example": (one_alone, "the class 'class_4' has 1 training example; each needs 10"),
    "a class that only the test part has": (
        one_test_class_more,
        "have the class 'class_4', of which there is no training",
    ),
    "a class that the test part lacks": (one_test_class_less, "the class 'class_3' has no test example"),
    "the same images twice": (same_twice, "120 of 120 test images are also training images"),
    "a picture that is text": (
        with_picture(b"no picture"),
        "0001.png is no PNG or JPEG picture, whatever its name says",
    ),
    "a picture that is cut short": (with_picture(png(X[1])[:-30]), "0001.png is cut short or damaged"),
    "a JPEG that is cut short": (
        with_picture(png(X[1], format="JPEG")[:-200], "0001.jpg"),
        "0001.jpg is cut short or damaged",
    ),
    "an empty file": (with_picture(b""), "0001.png is no PNG or JPEG picture"),
    "pictures of two sizes": (with_picture(png(WIDE[0])), "pictures must be of one size (height x width)"),
    "a header that claims 60,000 x 60,000": (
        with_picture(claiming(60_000, 60_000)),
        "claims to have more than 67,108,864 pixels",
    ),
    "a header that claims a little more": (
        with_picture(claiming(10_000, 7_000)),
        "claims to have more than 67,108,864 pixels",
    ),
    "an animated PNG": (with_picture(animated()), "0001.png is animated"),
    "an animated GIF": (with_picture(gif(), "a.gif"), "a.gif is no picture that is read here"),
    "a GIF by the name of a PNG": (with_picture(gif()), "0001.png is no PNG or JPEG picture"),
    "16 bits": (with_picture(png(X[0].astype(np.uint16) * 257)), "has more than 8 bits for a pixel"),
    "16 bits of red, green and blue": (with_picture(deep_png(X[0], 2)), "has more than 8 bits for a pixel"),
    "16 bits of grey and alpha": (with_picture(deep_png(X[0], 4)), "has more than 8 bits for a pixel"),
    "16 bits with alpha": (with_picture(deep_png(X[0], 6)), "has more than 8 bits for a pixel"),
    "transparency": (with_picture(transparent()), "0001.png is transparent in places"),
    "the colours of print": (with_picture(cmyk(), "0001.jpg"), "has the four colours of print"),
    "a text among pictures": (with_picture(b"notes", "notes.txt"), "notes.txt is no picture that is read here"),
    "a link that leads nowhere": (with_dangling_link, "link.png cannot be read: it is not there, or a link that leads"),
    "pictures too small": (lambda place: write_folder(place, X[:, :7], Y), "images are 7 x 8 pixels; each side needs"),
    "a missing value": (
        changed_csv(lambda t: t[: t.rindex(",") + 1] + "\n"),
        "row 121 has no value in the column 'pixel63'",
    ),
    "a wrong delimiter": (changed_csv(lambda t: t.replace(",", ";")), "must be separated by commas, and are by ';'"),
    "the header twice": (changed_csv(lambda t: t + t.partition("\n")[0] + "\n"), "line 122 is the header again"),
    "a row that is longer": (changed_csv(lambda t: t + "1," * 99 + "1\n"), "is cut short or damaged: Error tokenizing"),
    "words among pixels": (
        changed_csv(lambda t: t[: t.rindex(",")] + ",dark\n"),
        "'pixel63' holds 'dark', which is no value",
    ),
    "a table of nothing": (file_of("set.csv", b""), "is cut short or damaged: No columns to parse"),
    "a table that is binary": (file_of("set.csv", bytes(range(128, 256)) * 9), "is cut short or damaged"),
    "a table without rows": (changed_csv(lambda t: t.partition("\n")[0] + "\n"), "has no rows"),
    "rows that are no square": (
        lambda place: csv(place, "set.csv", X[:, :7], Y),
        "`--shape HEIGHTxWIDTH` says what they are",
    ),
    "labels with fractions": (
        lambda place: csv(place, "set.csv", X, Y + 0.5),
        "as whole numbers or words; that of set.csv, line 2 is 0.5",
    ),
    "a label that is lacking": (
        lambda place: csv(place, "set.csv", X, np.where(Y == 3, np.nan, Y)),
        "row 5 has no value in the column 'label'",
    ),
    "labels that do not match": (lambda place: npz(place, x=X, y=Y[:-1]), "N must be equal"),
    "pickled objects": (
        lambda place: npz(place, x=np.array([X[0], "x"], dtype=object), y=Y),
        "x holds Python objects (pickled)",
    ),
    "unknown names": (lambda place: npz(place, a=X, b=Y), "holds a, b; allowed: x_train, y_train"),
    "an .npz that is cut short": (cut(lambda place: npz(place, **KERAS)), "set.npz is cut short or damaged"),
    "floats beyond 1": (lambda place: npz(place, x=X * 1.01, y=Y), "images must be uint8, or floats in [0, 1]"),
    "a sparse ARFF file": (sparse, "is sparse (rows in braces)"),
    "an ARFF file that is cut short": (cut(lambda place: arff(place, X, Y)), "is cut short or damaged"),
    "MATLAB's version 7.3": (version_7_3, "version 7.3 (HDF5), which is not read"),
    "a .mat of other names": (mat(data=X), "holds data; needed are X"),
    "a .mat of another order": (mat(X=X, y=Y), "needed is X [H, W, C, N]"),
    "a .mat that is cut short": (cut(mat(X=COLOURS.transpose(1, 2, 3, 0), y=Y)), "is cut short or damaged"),
    "Parquet with addresses": (addresses, "the column 'image' holds addresses ('https://example.org/a.png')"),
    "Parquet with names of files": (only_names, "the picture of row 0 has no bytes, only a name"),
    "Parquet that names two classes alike": (two_of_one_name, "the classes 0 and 3 are both named 'ash': give each"),
    "Parquet whose labels are kept back": (kept_back("set.parquet", picked="set.parquet"), "all in the column 'label'"),
    "a folder of one such file": (kept_back("set.parquet"), "set.parquet has no labels: all in the column 'label' are"),
    "such a training part": (kept_back("train.parquet", "test.parquet"), "train.parquet has no labels: all in the"),
    "a Parquet file that is cut short": (cut(one_parquet), "is cut short or damaged"),
    "IDX without labels": (lacking_labels, "lacks the labels of its train part"),
    "an IDX file that is cut short": (cut_idx, "train-images-idx3-ubyte is cut short or damaged"),
    "a packed IDX file that is cut short": (cut_packed_idx, "train-images-idx3-ubyte.gz is cut short or damaged"),
    "a file of another kind": (file_of("set.zip", b"PK"), "is no file that is read here; allowed: CSV"),
    "more classes than there may be": (
        lambda place: npz(place, x=np.repeat(X, 10, axis=0), y=np.arange(1200)),
        "there are 1,200 classes (0, 1, 2, 3, ...); allowed: 2 to 1000",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_data_are_one_line_that_says_what_and_nothing_is_left_behind(what, data, tmp_path):
    make, words = BROKEN[what]
    place = tmp_path / "given"
    place.mkdir()
    with pytest.raises(InputError) as caught:
        add("mine", make(place))
    [line] = str(caught.value).splitlines()
    assert words in line
    assert not data.exists()


def with_infinity(count):
    """Floats, and an infinite one in this image of theirs."""
    images = X / 255
    images[count, 0, 0] = np.inf
    return images


def validated(place):
    images = with_infinity(65)
    parts = {"x_train": images[:60], "x_val": images[60:80], "x_test": images[80:]}
    return npz(place, **parts, y_train=Y[:60], y_val=Y[60:80], y_test=Y[80:])


INFINITE = {
    "an undivided .npz": (lambda place: npz(place, x=with_infinity(57), y=Y), "images", "set.npz, image 57 of x"),
    "an undivided table": (lambda place: csv(place, "set.csv", with_infinity(57), Y), "images", "set.csv, line 59"),
    "a validation part": (validated, "training images", "set.npz, image 5 of x_val"),
    "a test part": (
        lambda place: npz(place, **KERAS | {"x_test": with_infinity(97)[80:], "x_train": X[:80] / 255}),
        "test images",
        "set.npz, image 17 of x_test",
    ),
}


@pytest.mark.parametrize("what", INFINITE)
def test_an_infinite_pixel_is_named_by_the_place_where_it_was_found_not_by_one_after_the_division(what, data, tmp_path):
    make, images, place = INFINITE[what]
    with pytest.raises(InputError, match=f"^{images} hold nan or infinite values, first in {place};"):
        add("mine", make(tmp_path))
    assert not data.exists()


OPTIONS = {
    "an unknown column of labels": ({"label": "kind"}, "has no column 'kind'; its columns: label, pixel0"),
    "an unknown column of groups": ({"group": "person"}, "has no column 'person' of groups"),
    "a shape that does not fit": ({"shape": (9, 9)}, "--shape 9x9: set.csv, line 2 has 64 pixels"),
}


@pytest.mark.parametrize("what", OPTIONS)
def test_an_option_that_does_not_fit_the_data_is_one_line(what, data, tmp_path):
    options, words = OPTIONS[what]
    with pytest.raises(InputError) as caught:
        add("mine", csv(tmp_path, "set.csv", X, Y), options=Options(**options))
    [line] = str(caught.value).splitlines()
    assert words in line and not data.exists()


GIVEN = {"label": "kind", "group": "person", "shape": (8, 8), "size": (8, 8)}
# What a reader has, and those of the options that it has no use for.
WITHOUT_USE = {
    "an .npz file of x_train": (lambda place: npz(place, **KERAS), ("label", "group", "shape", "size")),
    "an .npz file of x,": (lambda place: npz(place, x=X.reshape(120, -1), y=Y), ("label", "group", "size")),
    "IDX files": (
        lambda place: idx(place, dict(zip(MNIST, KERAS.values(), strict=True)), True),
        ("label", "group", "shape", "size"),
    ),
    "a .mat file": (mat(X=COLOURS.transpose(1, 2, 3, 0), y=Y), ("label", "group", "shape", "size")),
    "a folder of pictures": (lambda place: write_folder(place, X, Y), ("label", "shape")),
    "a CSV file": (lambda place: csv(place, "set.csv", X, Y), ("size",)),
    "an ARFF file": (lambda place: arff(place, X, Y), ("size",)),
    "a Parquet file": (one_parquet, ("shape",)),
}


@pytest.mark.parametrize(
    ("what", "option"), [(what, option) for what, (_, options) in WITHOUT_USE.items() for option in options]
)
def test_an_option_that_the_data_have_no_use_for_is_one_line_that_says_what_has(what, option, data, tmp_path):
    make, _ = WITHOUT_USE[what]
    place = tmp_path / "given"
    place.mkdir()
    with pytest.raises(InputError) as caught:
        add("mine", make(place), options=Options(**{option: GIVEN[option]}))
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"--{option} does nothing for {what}") and line.endswith("or leave the option out")
    assert not data.exists()


def test_groups_of_the_test_part_alone_are_none(data, tmp_path):
    train = npz(tmp_path, x=X[:80], y=Y[:80])
    test = people(tmp_path / "test.csv", slice(80, 120), np.arange(120))
    with pytest.raises(InputError, match="--group does nothing for an .npz file of x, y, its test part from "):
        add("mine", train, test=test, options=Options(group="person"))


@pytest.mark.parametrize("lacking", [[57], range(120)], ids=["one", "all"])
@pytest.mark.parametrize("words", [True, False], ids=["words", "numbers"])
@pytest.mark.parametrize("form", ["CSV", "Parquet", "pictures in Parquet"])
def test_an_example_without_a_group_is_named_where_groups_are_asked_for(form, words, lacking, data, tmp_path):
    table = pd.DataFrame(X.reshape(120, -1)).rename(columns=str).assign(label=Y)
    if form == "pictures in Parquet":
        table = pd.DataFrame({"image": [{"bytes": png(image)} for image in X], "label": Y})
    person = [f"p{i // 6}" if words else i // 6 for i in range(120)]
    table["person"] = pd.Series([None if i in lacking else own for i, own in enumerate(person)])
    path = tmp_path / "set"
    table.to_csv(path.with_suffix(".csv"), index=False)
    table.to_parquet(path.with_suffix(".parquet"))
    end, first = {"CSV": (".csv", 2), "Parquet": (".parquet", 1), "pictures in Parquet": (".parquet", 0)}[form]
    with pytest.raises(InputError, match=f"row {first + lacking[0]} has no value in the column 'person' of groups"):
        add("mine", path.with_suffix(end), options=Options(group="person"))
    assert not data.exists()


@pytest.mark.parametrize("mark", ["", "_"])
def test_a_picture_whose_name_has_nothing_before_the_mark_of_a_group_is_named(mark, data, tmp_path):
    place = write_folder(tmp_path / "given", X, Y)
    for path in place.glob("*/*.png"):
        path.rename(path.with_name(f"{'' if path.stem == '0001' else 'ann'}_{path.name}"))
    with pytest.raises(
        InputError, match=f"--group '{mark}': a group is what precedes this in the name of a file; .* has"
    ):
        add("mine", place, options=Options(group=mark))


def test_groups_that_leave_a_class_out_of_the_test_part_are_named_as_the_cause(data, tmp_path):
    table = people(tmp_path / "people.csv", slice(None), np.where(Y == 3, 3, np.arange(120)))
    with pytest.raises(InputError, match="the class '3' has no test example; each needs one. 91 groups are kept tog"):
        add("mine", table, options=Options(group="person"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnist", "that is a data set that kdlib knows"),
        ("scoreboard", "that is taken by the book or a command"),
        ("remove", "that is taken by the book or a command"),
        ("../mine", "must be a lower-case identifier"),
        ("/tmp/mine", "must be a lower-case identifier"),
        ("Mine", "must be a lower-case identifier"),
        ("", "must be a lower-case identifier"),
        ("there", "a data set 'there' was added already: `kdlib data there` shows it"),
        ("plugged", "is registered by a file of plugins/"),
    ],
)
def test_a_name_that_is_taken_or_means_something_else_is_refused_before_anything_is_read(name, words, data, tmp_path):
    from kdlib import register_dataset

    register_dataset("plugged", lambda root: None)
    path = npz(tmp_path, **KERAS)
    add("there", path)
    before = sorted(data.rglob("*"))
    with pytest.raises(InputError) as caught:
        add(name, tmp_path / "nowhere")
    assert words in str(caught.value) and sorted(data.rglob("*")) == before


@pytest.mark.parametrize("asked", [{"family": "imagenet"}, {"title": "two\nlines"}, {"title": "\x1b[2J"}])
def test_a_family_that_is_none_and_a_title_of_two_lines_are_refused(asked, data, tmp_path):
    with pytest.raises(InputError, match="unknown family of networks 'imagenet'; allowed: mnist|must be one line"):
        add("mine", tmp_path / "nowhere", **asked)


@pytest.mark.parametrize("failing", ["safetensors", "json"])
def test_where_the_disk_is_full_or_closed_nothing_is_left_that_could_be_taken_for_a_data_set(
    failing, data, tmp_path, monkeypatch
):
    write = paths.write_whole

    def full(path, content):
        if path.suffix == f".{failing}":
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(paths, "write_whole", full)
    with pytest.raises(
        StoreError, match="^data set 'mine' cannot be stored under .*: No space left on device. Make room"
    ):
        add("mine", npz(tmp_path, **KERAS))
    assert added.names() == [] and os.listdir(data / "added") == [".lock"]


def test_a_data_folder_that_cannot_be_written_is_one_line(tmp_path, data):
    data.write_text("a file in its place")
    with pytest.raises(InputError, match="^KDLIB_DATA .* cannot be used: .* is a file; allowed: a folder$"):
        add("mine", npz(tmp_path, **KERAS))


IN_THE_WAY = {
    "file": "the folder of added data sets .* is a file; allowed: a folder",
    "link": "the folder of added data sets .* is a link to nowhere, which is not there",
    "permission": "data sets cannot be added under .*: there is no permission .* or let KDLIB_DATA name another folder",
}


@pytest.mark.parametrize("in_the_way", IN_THE_WAY)
def test_a_folder_of_added_sets_that_cannot_be_written_is_one_line_before_anything_is_read(
    in_the_way, tmp_path, data, monkeypatch
):
    data.mkdir()
    if in_the_way == "file":
        (data / "added").write_text("a file in its place")
    elif in_the_way == "link":
        (data / "added").symlink_to("nowhere")
    else:
        monkeypatch.setattr(os, "access", lambda place, mode: place != data)
    before = os.listdir(data)
    with pytest.raises(InputError, match=IN_THE_WAY[in_the_way]):
        add("mine", tmp_path / "nowhere")
    assert os.listdir(data) == before


def test_a_file_without_permission_is_one_line(data, tmp_path, monkeypatch):
    place = write_folder(tmp_path / "given", X, Y)
    opened = Image.open

    def closed(file, **options):
        if str(file).endswith("0001.png"):
            raise PermissionError(13, "Permission denied", file)
        return opened(file, **options)

    monkeypatch.setattr(Image, "open", closed)
    with pytest.raises(InputError, match="0001.png cannot be read: no permission$"):
        add("mine", place)


@pytest.mark.parametrize(("machine", "container"), [(1000, None), (1000, "max"), (1000, str(2**62)), (2**40, "1000")])
def test_images_that_no_memory_holds_are_refused_before_they_are_stored(
    machine, container, data, tmp_path, monkeypatch
):
    pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": machine}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    limit = tmp_path / "limit"
    if container is not None:
        limit.write_text(f"{container}\n")
    monkeypatch.setattr("kdlib.data.adding.add.MEMORY_LIMITS", (limit,))
    with pytest.raises(InputError, match="120 images of 1 x 8 x 8 need .* in memory"):
        add("mine", npz(tmp_path, **KERAS))
    assert not data.exists()
