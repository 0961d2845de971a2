"""Labels that people gave to images of CIFAR-10: which classes people take for alike. Importing needs no numpy.

Their licences forbid commercial use, so this project does not hold them: they are read from the data folder, into which
`fetch` copies them. Nothing is read of a file whose sha256 is not that of the published one.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import paths
from ..errors import InputError

if TYPE_CHECKING:
    from numpy import ndarray

LEAST_AGREEMENT = 0.5  # share of images whose most frequent vote is their label; in another order it is a tenth


@dataclass(frozen=True)
class HumanLabels:
    """Published labels of people for the images of a split of CIFAR-10."""

    title: str
    file: str  # within the data folder
    sha256: str
    split: str  # whose images they label: test or training
    about: str
    licence: str
    address: str

    def __str__(self) -> str:
        return f"{self.title}, {self.about} ({self.licence}, {self.address})"


HUMAN_LABELS = {
    "cifar10h": HumanLabels(
        "CIFAR-10H",
        "cifar10h/cifar10h-counts.npy",
        "9b36b4550349af56c79083356312eb4af856cc5fd3caf1f669d40b9d0bbb69ff",
        "test",
        "some fifty people's labels of each of CIFAR-10's test images, Peterson et al. 2019",
        "CC BY-NC-SA 4.0",
        "https://github.com/jcpeterson/cifar-10h",
    ),
    "cifar10n": HumanLabels(
        "CIFAR-10N",
        "cifar10n/CIFAR-10_human.pt",
        "873e69c39cb9b5e97fb6bae2d60bb59b38a5cbc31d2b868f7903dcb2b9dd2310",
        "training",
        "three people's labels of each of CIFAR-10's training images, Wei et al. 2022",
        "CC BY-NC 4.0",
        "https://github.com/UCSC-REAL/cifar-10-100n",
    ),
}


def is_here(name: str) -> bool:
    """True if the file of a set of people's labels lies in the data folder, whatever it holds."""
    return (paths.data_dir() / HUMAN_LABELS[name].file).exists()


def checked(name: str) -> bytes:
    """Content of the file of a set of people's labels in the data folder, whose sha256 is the published one's.

    Raises `InputError` where it is not there, or another.
    """
    path = paths.data_dir() / HUMAN_LABELS[name].file
    if not path.exists():
        raise InputError(f"{HUMAN_LABELS[name].title} was not found at {path}. {how_to_get(name)}")
    return _verified(name, path)


def fetch(name: str, source: Path) -> None:
    """Copy the file of a set of people's labels from a folder into the data folder, once its sha256 was checked.

    Arguments: `source` holds it as the data folder would, or as its publisher's repository does, or bare. Raises
    `InputError` where it is not there, or is another; what is in the data folder then stays.
    """
    file = Path(HUMAN_LABELS[name].file)
    places = [source / file, source / "data" / file.name, source / file.name]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise InputError(f"{source} holds no {file.name}. {how_to_get(name)}")
    paths.write_whole(paths.data_dir() / file, _verified(name, found))


def how_to_get(name: str) -> str:
    """Sentence on where a set of people's labels is published, and which command puts it into the data folder."""
    return (
        f"It is published at {HUMAN_LABELS[name].address}, not for commercial use ({HUMAN_LABELS[name].licence}); "
        f"`kdlib data {name} --from DIR` puts a checked copy in its place."
    )


def votes(name: str, positions: "ndarray", labels: "ndarray") -> "ndarray":
    """Counts of people who gave each of ten classes to images of the split of CIFAR-10 that a set labels.

    Arguments: `positions` [N], places of the images in the publisher's order of the split; `labels` [N], their classes.
    Returns whole numbers [N, 10]. Raises `InputError` where the file is not there or altered, before any of it
    is read, and where the votes are not those of images with these labels.
    """
    counts = _counts(name, checked(name))[positions]
    agreeing = float((counts.argmax(1) == labels).mean())
    if agreeing < LEAST_AGREEMENT:
        raise InputError(
            f"{HUMAN_LABELS[name].title} is not in the order of these images: its most frequent vote is the label of "
            f"{agreeing:.0%} of them. Give images of CIFAR-10's {HUMAN_LABELS[name].split} split, by their places in it"
        )
    return counts


def _verified(name: str, path: Path) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != HUMAN_LABELS[name].sha256:
        raise InputError(
            f"{path} is not the published {HUMAN_LABELS[name].title} (its sha256 is another): nothing of it was read. "
            f"{how_to_get(name)}"
        )
    return content


def _counts(name: str, content: bytes) -> "ndarray":
    """Votes [N, 10] from the content of a file that was checked."""
    import numpy as np

    if name == "cifar10h":
        return np.load(io.BytesIO(content), allow_pickle=False)
    import torch

    # A pickle, which could run any code: this content is the published one to the bit.
    labels = torch.load(io.BytesIO(content), weights_only=False)
    return sum(np.eye(10, dtype=np.int64)[labels[f"random_label{person}"]] for person in (1, 2, 3))
