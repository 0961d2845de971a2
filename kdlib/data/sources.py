"""The data sets that kdlib brings: scikit-learn's digits, and torchvision's. Needs neither torch nor numpy."""

from pathlib import Path

from . import registry
from .files import FILES, TORCHVISION, fetch, torchvision_loader
from .registry import Arrays, Source

__all__ = ["FILES", "TORCHVISION", "fetch"]

FASHION = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR = ("plane", "auto", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


# scikit-learn has the publisher's test part in the publisher's order: fourteen forms, each of the digits 0 to 9 thrice
# and then of a fixed sequence, one after the other. Here the eleventh begins, so that no form is on both sides.
DIGITS_TEST = 1287


def load_digits(root: Path) -> Arrays:
    """Read scikit-learn's 1797 embedded digits of 8x8 pixels: the first 1287 for training, the last 510 for testing.

    A random split would have each writer's digits on both sides: the nearest neighbour is then right on 98.2% of the
    test digits, and on 96.1% of those of forms that it has not seen.
    """
    import numpy as np
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return images[:DIGITS_TEST], labels[:DIGITS_TEST], images[DIGITS_TEST:], labels[DIGITS_TEST:]


# Digests of the four arrays, computed from files whose md5 are the publishers', and from scikit-learn 1.9's digits.
SHA256 = {
    "digits": "5b05232ae614dc24fe6c72ea617efcc90f6c8b55bb6e19b1e271c02592c6b15e",
    "mnist": "0f471e2dba70314a622ee4b35ccaebb6b9e9e1039139ea4103e4d4d9e6ce8134",
    "fashion_mnist": "cac48439c9dd11c5e6e8d56495d50486f274a4da06f4d2e8f7f10a0471dc9cec",
    "cifar10": "5a078a53cc8236424f6c8ea3f1078ac49430b2eb71bc0548a50be48f18ca8a6e",
}

# Numbers of training and test images, and digests of the same as sets of labelled images (`division.unordered`):
# a folder by class has another order.
UNORDERED = {
    "digits": (1287, 510, "bfdfa7b740420828f5844cb4b88ccf41"),
    "mnist": (60000, 10000, "ce66b82c9ef4355ad957de98b16b225c"),
    "fashion_mnist": (60000, 10000, "5ba27d6c5cc0ff0849d5d05c350f1ea1"),
    "cifar10": (50000, 10000, "1a4adc3d0fc875c492db2a64424cfccc"),
}

registry.enter(
    "digits", Source(load_digits, "mnist", title="scikit-learn digits", sha256=SHA256["digits"], builtin=True)
)
for _name, _family, _classes, _title in (
    ("mnist", "mnist", None, "MNIST"),
    ("fashion_mnist", "fashion_mnist", FASHION, "Fashion-MNIST"),
    ("cifar10", "cifar10", CIFAR, "CIFAR-10"),
    ("kmnist", "mnist", None, "KMNIST"),
    ("usps", "mnist", None, "USPS"),
    ("svhn", "cifar10", None, "SVHN"),
):
    registry.enter(
        _name,
        Source(
            torchvision_loader(_name), _family, _classes, _title, SHA256.get(_name), builtin=True, files=FILES[_name]
        ),
    )
