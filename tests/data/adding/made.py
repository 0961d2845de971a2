"""Images that can be told apart, and pictures of them."""

import io

import numpy as np
from PIL import Image


def patches(examples, classes, height=8, width=8, channels=1, seed=0):
    """Images of classes that can be told apart, no two equal, and their labels: [N, H, W] or [N, H, W, C]."""
    rng = np.random.default_rng(seed)
    labels = np.arange(examples) % classes
    means = np.random.default_rng(1).integers(0, 200, (classes, 1, 1, channels))
    images = (means[labels] + rng.integers(0, 56, (examples, height, width, channels))).astype(np.uint8)
    return (images if channels > 1 else images[..., 0]), labels


def png(image, **options):
    """The bytes of a picture."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, options.pop("format", "PNG"), **options)
    return file.getvalue()


def write_folder(place, images, labels, names=None):
    """A folder for each class."""
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = place / (names[label] if names else f"class_{label}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:04}.png").write_bytes(png(image))
    return place
