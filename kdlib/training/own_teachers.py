"""Teachers of a reader's own: logits of every image of a data set, kept under a name and known by their digest.

Each is one file in the data folder's `teachers/`, which appears whole or not at all. A teacher has responses alone:
neither weights nor epochs, and nothing here trains it. Needs neither torch nor numpy to be listed.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from .. import paths
from ..data import plugins
from ..errors import InputError, StoreError
from ..progress import progress
from .choices import STAND_INS

if TYPE_CHECKING:
    from torch import Tensor

    from ..data.dataset import Dataset
    from .config import Teacher

NETWORK = "own_teacher"  # what stands for the network in the configuration of such a teacher
PARTS = ("train", "test")
BATCH = 256  # images that a registered teacher sees at once
DEVIATIONS = 3  # by which an accuracy must exceed that of a guess, to be more than chance

_registered: dict[str, Callable[["Tensor"], Any]] = {}


@dataclass(frozen=True)
class OwnTeacher:
    """Everything that is known of such a teacher beside its logits; accuracies are fractions."""

    name: str
    dataset: str
    source: str  # where its logits were read from
    sha256: str  # of its logits
    train_accuracy: float  # on the whole training split
    test_accuracy: float
    least_known: str  # the class that it recognises least
    least_accuracy: float  # on that class's training images

    def configuration(self, seed: int) -> "Teacher":
        """A `Teacher` of a seed with these logits: the seed decides the random numbers of its students alone."""
        from .config import Teacher

        return Teacher(NETWORK, seed, epochs=0, batch_size=0, kept_epochs=(0,), logits=self.sha256)

    def describe(self) -> str:
        """Whose it is, and how good, in one sentence without an end."""
        return (
            f"{self.name}, a teacher of the reader's own (read from {self.source}; sha256 {self.sha256[:12]} of its "
            f"logits), is right on {self.train_accuracy:.1%} of training and {self.test_accuracy:.1%} of test images, "
            f"least on class {self.least_known} ({self.least_accuracy:.1%} of its training images)"
        )


def register_teacher(name: str, respond: Callable[["Tensor"], Any]) -> None:
    """Make a network of your own known by name to `kdlib teacher add`, which keeps its logits of a data set's images.

    Arguments: `respond`, a torch module or a function that gives logits [B, C] of images [B, channels, height, width],
    float32 from 0 to 1, on the CPU; a module is set to evaluation mode. Raises `InputError` for a name that is no
    lower-case identifier or that another plug-in has, and for what cannot be called.
    """
    _check_name(name)
    if not callable(respond):
        raise InputError(f"teacher {name!r} must be a torch module or a function of images, got {respond!r}")
    plugins.claim("teacher", name, _registered)
    _registered[name] = respond


def folder() -> Path:
    """The folder of own teachers within the data folder (`data/`, or KDLIB_DATA)."""
    return paths.data_dir() / "teachers"


def names() -> list[str]:
    """Names of the teachers that were added, sorted."""
    return sorted(path.stem for path in folder().glob("*.safetensors") if not path.name.startswith("."))


def find(name: str, dataset: str | None = None) -> OwnTeacher:
    """The teacher that was added under a name.

    Raises `InputError` where there is none, where it is of another data set than `dataset`, or cannot be read.
    """
    if name not in names():
        there = ", ".join(names()) or "none yet"
        raise InputError(
            f"no teacher {name!r} was added; added were: {there} (`kdlib teacher add NAME FILE --dataset NAME`)"
        )
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_path(name), framework="numpy") as file:
            own = OwnTeacher(**json.loads(file.metadata()["teacher"]))
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"teacher {name!r}: {_path(name)} cannot be read ({type(error).__name__}); {_again(name)}"
        ) from error
    if dataset not in (None, own.dataset):
        raise InputError(f"teacher {name!r} gives logits of {own.dataset}, and {dataset} is asked for")
    return own


def remove(name: str) -> None:
    """Remove a teacher that was added. Raises `InputError` where there is none of this name."""
    if name not in names():
        raise InputError(f"no teacher {name!r} was added here; added were: {', '.join(names()) or 'none'}")
    _path(name).unlink(missing_ok=True)


def add(name: str, dataset: str, path: Path | None = None) -> list[str]:
    """Keep a teacher's logits of all images of a data set under a name, and return what is to be said of them.

    Arguments: `path` of a file with its logits (see `logits_files.read`); None: the network registered under this name
    gives them. Raises `InputError`, before anything is written, for what cannot be this data set's logits.
    """
    _check_name(name)
    plugins.load()
    if name in names():
        raise InputError(
            f"a teacher {name!r} was added already: `kdlib teacher remove {name}` removes it; or give another name"
        )
    if path is None and name not in _registered:
        there = ", ".join(_registered) or "none"
        raise InputError(
            f"no file of logits is given, and no network is registered as {name!r} (registered are: {there}): give the "
            f"file, or kdlib.register_teacher({name!r}, ...) in a file of plugins/{plugins.failures()}"
        )
    from ..data.dataset import load_dataset

    _check_writable(name)
    whole = load_dataset(dataset)
    test_images, test_labels = whole.open_test("own teacher: accuracy of its responses")
    given = _computed(name, whole, test_images, test_labels) if path is None else _read(path, whole)
    parts = {
        part: _checked(part, *given[part], labels, whole.classes)
        for part, labels in zip(PARTS, (whole.labels, test_labels), strict=True)
    }
    source = f"the plug-in's network {name}" if path is None else path.name
    own = _described(name, whole, test_labels, source, parts)
    _write(own, parts | {"train_labels": whole.labels, "test_labels": test_labels})
    shapes = ", ".join(f"{part} {list(logits.shape)}" for part, logits in parts.items())
    return [f"logits: {shapes}", own.describe(), *_doubts(own, whole)]


def run_of(own: OwnTeacher, dataset: "Dataset") -> dict[str, "Tensor"]:
    """Named tensors of a teacher for a data set, or a subset of it, as `train_teacher` gives them, without weights.

    Raises `InputError` where the file was altered, or the data set's labels are others than when it was added.
    """
    import torch
    from safetensors.torch import load_file

    kept = load_file(_path(own.name))
    if _digest({part: kept[part] for part in PARTS}) != own.sha256:
        raise InputError(f"teacher {own.name!r}: {_path(own.name)} was altered since it was added; {_again(own.name)}")
    _, test_labels = dataset.open_test("own teacher: accuracy of its responses")
    found = {}
    for part, labels, positions in (
        ("train", dataset.labels, dataset.positions),
        ("test", test_labels, dataset.test_positions),
    ):
        of_images = kept[f"{part}_labels"]
        if len(of_images) <= int(positions.max()) or not torch.equal(of_images[positions], labels.cpu()):
            raise InputError(
                f"teacher {own.name!r} was added for {dataset.name} with other {part} labels than it now has; "
                f"{_again(own.name)}"
            )
        found[part] = kept[part][positions]
    correct = (found["train"].argmax(-1) == dataset.labels.cpu()).float()
    return {
        "logits": found["train"][None],
        "epochs": torch.tensor([0]),
        "train_accuracy": correct[dataset.train.cpu()].mean()[None],
        "validation_accuracy": correct[dataset.validation.cpu()].mean()[None],
        "test_logits": found["test"],
    }


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name.isidentifier() or not name.islower() or name.startswith("_"):
        raise InputError(f"a teacher's name must be a lower-case identifier, got {name!r}")
    if name in STAND_INS:
        raise InputError(f"a teacher cannot be named {name!r}: that is a network of table 7. Give yours another name")


def _path(name: str) -> Path:
    return folder() / f"{name}.safetensors"


def _again(name: str) -> str:
    return f"`kdlib teacher remove {name}`, then add it again"


def _read(path: Path, dataset: "Dataset") -> dict[str, tuple[Any, Any]]:
    from .logits_files import read

    return read(path, dataset.class_names)


def _computed(
    name: str, dataset: "Dataset", test_images: "Tensor", test_labels: "Tensor"
) -> dict[str, tuple[Any, None]]:
    """Logits of a registered network for all images, with no labels: the first ones are looked at before the rest."""
    import torch

    respond = _registered[name]
    if isinstance(respond, torch.nn.Module):
        respond.eval()

    def answers(part: str, images: "Tensor", labels: "Tensor") -> Iterator["Tensor"]:
        batches = progress(images.split(BATCH), f"teacher {name}, {part} images", -(-len(images) // BATCH))
        for k, some in enumerate(batches):
            answer = torch.as_tensor(respond(some)).cpu()
            if k == 0:
                _checked(part, answer, None, labels[:BATCH], dataset.classes)
            yield answer

    found = {}
    for part, images, labels in zip(PARTS, (dataset.images, test_images), (dataset.labels, test_labels), strict=True):
        try:
            with torch.no_grad():
                found[part] = torch.cat([*answers(part, images, labels)]), None
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"teacher {name!r} cannot respond to {part} images: {plugins.told(error)}") from error
    return found


def _checked(part: str, logits: Any, given: Any, labels: "Tensor", classes: int) -> "Tensor":
    """Logits of a part as float32. Raises `InputError` for what cannot be those of images with these labels."""
    import torch

    if not logits.dtype.is_floating_point:
        raise InputError(f"{part} logits are {logits.dtype}; allowed: floats")
    if list(logits.shape) != [len(labels), classes]:
        raise InputError(
            f"{part} logits are {list(logits.shape)}; needed: {[len(labels), classes]}, a row for each {part} image in "
            "the data set's order, a column for each class"
        )
    logits = logits.float().contiguous()
    if not logits.isfinite().all():
        row = int((~logits.isfinite()).any(1).nonzero()[0])
        raise InputError(f"{part} logits must be finite: row {row} is not (the logarithm of 0 is none: clip it)")
    if (logits >= 0).all() and torch.allclose(logits.sum(1), torch.ones(len(logits)), atol=1e-3):
        raise InputError(
            f"{part} rows are probabilities, each sums to 1; needed are logits: their logarithms are some, such as "
            "np.log(p.clip(1e-7))"
        )
    if given is None:
        return logits
    if not torch.equal(given, labels):
        other = int((given != labels).nonzero()[0]) if given.shape == labels.shape else None
        where = (
            f"row {other} has {int(given[other])}, the data set {int(labels[other])}" if other is not None else "length"
        )
        raise InputError(
            f"{part} labels are not the data set's ({where}): its rows are in another order, or another set's"
        )
    return logits


def _described(
    name: str, dataset: "Dataset", test_labels: "Tensor", source: str, parts: dict[str, "Tensor"]
) -> OwnTeacher:
    import torch

    correct = parts["train"].argmax(-1) == dataset.labels
    of_class = torch.stack([correct[dataset.labels == c].float().mean() for c in range(dataset.classes)])
    tested = parts["test"].argmax(-1) == test_labels
    least = int(of_class.argmin())
    return OwnTeacher(
        name=name,
        dataset=dataset.name,
        source=source,
        sha256=_digest(parts),
        train_accuracy=correct.float().mean().item(),
        test_accuracy=tested.float().mean().item(),
        least_known=dataset.class_names[least],
        least_accuracy=of_class[least].item(),
    )


def _doubts(own: OwnTeacher, dataset: "Dataset") -> list[str]:
    """What speaks against these being the logits of a teacher of this data set."""
    guess = 1 / dataset.classes
    chance = guess + DEVIATIONS * (guess * (1 - guess) / len(dataset.labels)) ** 0.5
    if own.train_accuracy <= chance:
        return [
            f"WARNING: it is right no more often than a guess ({guess:.1%}): are its rows in the data set's order, and "
            "its columns in that of the classes?"
        ]
    if own.least_accuracy <= guess:
        return [
            f"WARNING: it does not know class {own.least_known}: nothing that a student says of it when it is removed "
            "is learned from this teacher"
        ]
    return []


def _digest(parts: dict[str, "Tensor"]) -> str:
    digest = hashlib.sha256()
    for part in PARTS:
        digest.update(f"{part}{tuple(parts[part].shape)}".encode())
        digest.update(parts[part].numpy())
    return digest.hexdigest()


def _write(own: OwnTeacher, tensors: dict[str, "Tensor"]) -> None:
    from safetensors.torch import save

    content = save(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, {"teacher": json.dumps(asdict(own))}
    )
    try:
        paths.write_whole(_path(own.name), content)
    except OSError as error:
        raise StoreError(_unwritable(own.name, error)) from error


def _check_writable(name: str) -> None:
    """Raise `InputError` where a teacher could not be stored: before its logits are asked for, and nothing is left."""
    try:
        there = next(place for place in (folder(), *folder().absolute().parents) if place.exists())
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise InputError(_unwritable(name, error)) from error


def _unwritable(name: str, error: OSError) -> str:
    return (
        f"teacher {name!r} cannot be stored under {folder()}: {error.strerror or error}. Make room there, or let "
        "KDLIB_DATA name another folder"
    )
