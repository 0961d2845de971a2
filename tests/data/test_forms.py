"""What a loader may return: clear forms have one reading, said aloud; each other is one error that says what to do."""

from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.datasets import FakeData

from kdlib import InputError, load_dataset, register_dataset
from kdlib.data import forms
from kdlib.data.dataset import describe

SIDE = 12
rng = np.random.default_rng(0)
Y = np.arange(300) % 10
X = rng.integers(0, 256, (300, SIDE, SIDE), dtype=np.uint8)
COLOURS = rng.integers(0, 256, (300, SIDE, SIDE, 3), dtype=np.uint8)
U, V = X[:120], Y[:120]
F = X / 255
PLAIN = (X, Y, U, V)


def file_of(**arrays):
    file = BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    return np.load(file)


def images(change, *given):
    """The same change of both splits' images."""
    return lambda: (change(X), Y, change(U), V)


def labels(change):
    return lambda: (X, change(Y), U, change(V))


# What is read: the arrays, what is said, and the four arrays that are meant.
READ = {
    "as documented": (lambda: PLAIN, "", PLAIN),
    "floats": (images(lambda x: x / 255), "", (F, Y, F[:120], V)),
    "Keras' two pairs": (lambda: ((X, Y), (U, V)), "two pairs", PLAIN),
    "Keras' names": (lambda: dict(zip(forms.KERAS, PLAIN, strict=True)), "a dictionary is read by its names", PLAIN),
    "Keras' file": (lambda: file_of(**dict(zip(forms.KERAS, PLAIN, strict=True))), "a dictionary", PLAIN),
    "train_test_split's order": (lambda: (X, U, Y, V), "as train_test_split gives them", PLAIN),
    "tensors": (lambda: tuple(map(torch.from_numpy, PLAIN)), "", PLAIN),
    "lists": (lambda: (list(X), Y.tolist(), list(U), V.tolist()), "", PLAIN),
    "labels [N, 1]": (labels(lambda y: y[:, None]), "labels [N, 1] are read as [N]", PLAIN),
    "labels one-hot": (labels(lambda y: np.eye(10)[y]), "one-hot labels are read as integers", PLAIN),
    "labels as pandas reads them": (labels(lambda y: y.astype(float)), "whole floats are read as integers", PLAIN),
    "big-endian labels": (labels(lambda y: y.astype(">i4")), "", PLAIN),
    "[N, H, W, 3]": (
        lambda: (COLOURS, Y, COLOURS[:120], V),
        "images [300, 12, 12, 3] are read as [N, H, W, C]: 12 x 12 pixels of 3 channels",
        (np.moveaxis(COLOURS, -1, 1), Y, np.moveaxis(COLOURS, -1, 1)[:120], V),
    ),
    "[N, H, W, 1]": (images(lambda x: x[..., None]), "of 1 channel", (X[:, None], Y, U[:, None], V)),
    "[N, H, W, 1] beside [N, H, W]": (
        lambda: (X[..., None], Y, U, V),
        "training images [300, 12, 12, 1] and test images [120, 12, 12] are read as 12 x 12 pixels of 1 channel",
        PLAIN,
    ),
    "[N, H, W] beside [N, 1, H, W]": (lambda: (X, Y, U[:, None], V), "12 x 12 pixels of 1 channel", PLAIN),
    "[N, 3, H, W] beside [N, H, W, 3]": (
        lambda: (np.moveaxis(COLOURS, -1, 1), Y, COLOURS[:120], V),
        "training images [300, 3, 12, 12] and test images [120, 12, 12, 3] are read as 12 x 12 pixels of 3 channels",
        (np.moveaxis(COLOURS, -1, 1), Y, np.moveaxis(COLOURS, -1, 1)[:120], V),
    ),
    "0 and 1": (
        images(lambda x: (x > 127).astype(np.uint8)),
        "black and white",
        (255 * (X > 127), Y, 255 * (U > 127), V),
    ),
    "truth values": (images(lambda x: x > 127), "black and white", (255 * (X > 127), Y, 255 * (U > 127), V)),
    "int64, as from a CSV file": (
        images(lambda x: x.astype(int)),
        "whole numbers to 255 (int64) are read as uint8",
        PLAIN,
    ),
    "floats to 255": (images(lambda x: x.astype(float)), "whole numbers to 255 (float64) are read as uint8", PLAIN),
    "big-endian floats": (images(lambda x: (x / 255).astype(">f8")), "", (F, Y, F[:120], V)),
    "long doubles": (images(lambda x: (x / 255).astype(np.longdouble)), "", (F, Y, F[:120], V)),
    "a rounding above 1": (images(lambda x: x / 255 * (1 + 2.4e-7)), "cut off there", (F, Y, F[:120], V)),
}

REFUSED = {
    "nothing": (lambda: None, "the loader gave nothing (None): does it end in `return`?; allowed: train images"),
    "three arrays": (lambda: PLAIN[:3], "the loader gave 3 things; allowed: train images, train labels"),
    "other names": (lambda: {"image": X, "label": Y}, "a dictionary of 'image', 'label' was given: name them x_train"),
    "no test labels (Kaggle)": (lambda: (X, Y, U, None), "there are no test labels (None). Accuracies need them: hold"),
    "an empty test split": (
        lambda: (X, Y, U[:0], V[:0]),
        "test images have the shape [0, 12, 12]: there is nothing in",
    ),
    "other numbers": (lambda: (X[:-1], Y, U, V), "training images [299, 12, 12] and labels [300] do not fit together"),
    "height 0": (images(lambda x: x[:, :0]), "training images have the shape [300, 0, 12]: there is nothing in them"),
    "rows of 144": (
        images(lambda x: x.reshape(len(x), -1)),
        "rows of 144 values, whose places are not known: `.reshape(-1, 12, 12)`",
    ),
    "five axes": (images(lambda x: x[:, None, None]), "allowed: [N, H, W], [N, C, H, W] or [N, H, W, C]"),
    "sizes that differ": (
        lambda: ([X[0], X[0][:5]] * 150, Y, U, V),
        "training images (builtins.list) are no array",
    ),
    "torchvision's data set": (
        lambda: (FakeData(300), None, FakeData(120), None),
        "training images (torchvision.datasets.fakedata.FakeData) are no array: images must be numbers of one shape",
    ),
    "not decoded": (
        lambda: ([{"bytes": b""}] * 300, Y, U, V),
        "training images are builtins.list of dict; images must be numbers of one shape: decode each",
    ),
    "text": (
        labels(lambda y: y.astype(str)),
        "labels must be integers from 0: `names, y = np.unique(labels, return_inverse=True)`",
    ),
    "half labels": (labels(lambda y: y / 2), "labels must be integers from 0; training labels are float64, 0.0 to 4.5"),
    "negative labels": (labels(lambda y: y - 1), "labels must be integers from 0; training labels are int64, -1 to 8"),
    "labels of pixels": (
        labels(lambda y: np.repeat(y[:, None], 4, 1)),
        "training labels have the shape [300, 4]; allowed: [N]",
    ),
    "labels from 1": (labels(lambda y: y + 1), "and no test examples of 0. Labels begin with 1: subtract 1"),
    "identity numbers": (
        labels(lambda y: y * 10**12),
        "every class from 0 to 9000000000000 must have training and test examples",
    ),
    "indices of a palette": (
        images(lambda x: x // 32),
        "uint8 from 0 to 7: nearly black, for 255 is white; are they indices of a palette",
    ),
    "divided twice": (images(lambda x: x / 255 / 255), "nearly black, for 1 is white; were they divided by 255 twice?"),
    "divided by nothing": (images(lambda x: x * 0.999), "Divide by their largest possible value, such as 255"),
    "normalised": (images(lambda x: x / 127.5 - 1), "Undo a normalisation first, such as x * std + mean"),
    "16 bit": (images(lambda x: x.astype(np.uint16) * 257), "Divide by their largest possible value, such as 65535"),
    "nan": (
        images(lambda x: np.where(np.arange(len(x))[:, None, None] == 3, np.nan, x / 255)),
        "nan or infinite values, first in image 3",
    ),
    "masked": (images(lambda x: np.ma.masked_equal(x, 0)), "a mask would be lost: fill it, with `.filled(0)`"),
    "complex numbers": (images(lambda x: x + 1j), "training images are numpy.ndarray of complex"),
}


@pytest.fixture
def loaded():
    def load(given):
        register_dataset("mine", lambda root: given())
        return load_dataset("mine")

    return load


@pytest.mark.parametrize("case", READ)
def test_a_clear_form_has_the_reading_that_is_meant_and_it_is_said(case, loaded):
    given, said, meant = READ[case]
    dataset = loaded(given)
    assert dataset.readings == () if not said else any(said in reading for reading in dataset.readings)
    expected = torch.from_numpy(meant[0])
    expected = expected / 255 if expected.max() > 1 else expected
    torch.testing.assert_close(dataset.images[:], expected.float().view(dataset.images.shape))
    torch.testing.assert_close(dataset.open_test("test")[0][:], dataset.images[: len(U)])
    assert torch.equal(dataset.labels, torch.from_numpy(Y))
    assert dataset.readings == tuple(line for line in describe(dataset) if line in dataset.readings)


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_clear_reading_is_one_error_that_says_what_to_do(case, loaded):
    given, said = REFUSED[case]
    with pytest.raises(InputError) as caught:
        loaded(given)
    assert str(caught.value).startswith("data set 'mine': ") and said in str(caught.value)


def test_what_was_documented_before_has_the_digest_that_it_had(loaded):
    """No stored unit of a reader's own set is computed again."""
    for arrays in (
        PLAIN,
        (F, Y, F[:120], V),
        (F.astype(np.float32), Y.astype(np.uint8), F[:120].astype(np.float32), V),
    ):
        read, notes = forms.read(arrays)
        assert notes == () and forms.sha256(*read) == forms.sha256(*arrays)


@given(st.integers(4, 400), st.sampled_from([1, 3]))
def test_square_images_of_one_or_three_channels_are_told_apart_whatever_their_size(side, channels):
    assert forms.channels_last((side, side, channels)) and not forms.channels_last((channels, side, side))


@given(st.integers(4, 400), st.integers(4, 400), st.sampled_from([1, 3]))
def test_so_are_oblong_ones(height, width, channels):
    assert forms.channels_last((height, width, channels)) and not forms.channels_last((channels, height, width))


@given(st.integers(2, 60), st.integers(2, 60).filter(lambda n: n > 1))
def test_square_images_of_any_number_of_channels_are_told_apart(channels, side):
    if channels != side and 3 not in (channels, side):
        assert forms.channels_last((side, side, channels)) and not forms.channels_last((channels, side, side))


def test_where_both_are_possible_the_documented_order_holds():
    assert not forms.channels_last((3, 3, 3)) and not forms.channels_last((5, 5, 5))
