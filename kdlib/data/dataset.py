"""Data sets as tensors in memory: a stratified validation split held out of train, a test split that logs its use."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import paths
from ..errors import InputError
from . import division, forms, plugins
from .images import Images
from .registry import Arrays, Source, check_files, find_source
from .tensors import is_dense, of_classes, of_floats

LEAST_IN_SUBSET = 10  # training examples of a class: one of them validates
NAMED = 10  # classes that are named where examples of them are lacking


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory, on one device.

    `images` [N, C, H, W], float32 in [0, 1] where they are indexed, and `labels` [N] hold train and validation
    together; `train` and `validation` index them. The test split is reached by `open_test` alone, which notes the
    reason in `openings`. `digest` identifies the content, the subset and the split.
    """

    name: str
    family: str
    title: str
    class_names: tuple[str, ...]
    images: Images | Tensor
    labels: Tensor
    train: Tensor
    validation: Tensor
    digest: str
    builtin: bool  # one of the data sets that kdlib brings: see `Source`
    subset: bool  # whether training examples were left out
    seen_in_training: int  # validation examples that equal a training one or are of its group; 0 of a builtin set
    positions: Tensor  # [N], of `images` in their publisher's training split
    test_positions: Tensor  # of the test images in theirs
    _test: tuple[Images | Tensor, Tensor] = field(repr=False)
    openings: list[str] = field(default_factory=list)
    readings: tuple[str, ...] = ()  # how its arrays were read, where that is not as documented

    @property
    def classes(self) -> int:
        """Number of classes C of the data set."""
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (channels, height, width) of one image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def test_size(self) -> int:
        """Number of test examples; asking for it does not count as an opening of the test split."""
        return len(self._test[1])

    @property
    def smallest_test_class(self) -> int:
        """Number of test examples of the class that has the fewest."""
        return int(torch.bincount(self._test[1]).min())

    def open_test(self, reason: str) -> tuple[Images | Tensor, Tensor]:
        """Test images, as `images` are, and labels.

        The reason is added to `openings`, and from there to the provenance of the result.
        """
        self.openings.append(reason)
        return self._test

    def to(self, device: torch.device | str) -> "Dataset":
        """A copy whose images, labels and split are on a device; it shares the list of `openings` with this one.

        Raises `InputError` for a device that this machine lacks.
        """
        _check_device(device)
        moved = {name: getattr(self, name).to(device) for name in ("images", "labels", "train", "validation")}
        return replace(self, **moved, _test=tuple(t.to(device) for t in self._test))


def _check_device(device: torch.device | str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={device!r} cannot be used: {str(error).splitlines()[0]}") from error


def describe(dataset: Dataset) -> list[str]:
    """Lines that tell what was read: sizes, layout, range, classes and the smallest of them, and how it was read."""
    counts = [torch.bincount(labels).numpy() for labels in (dataset.labels, dataset._test[1])]
    arrays = [getattr(images, "pixels", images).numpy() for images in (dataset.images, dataset._test[0])]
    lines = forms.sizes(arrays, counts, dataset.class_names)
    return [*lines, *dataset.readings]


def load_dataset(
    name: str,
    *,
    root: Path | str | None = None,
    examples: int | None = None,
    test_examples: int | None = None,
    clip: bool = False,
    device: str | torch.device = "cpu",
) -> Dataset:
    """Read, check and split a data set.

    Arguments: `root`, the folder of data sets (default `data/`, or KDLIB_DATA); `examples`, the size of a stratified,
    seeded subset of the training examples (None: all), which `clip` moves into the range that the data set allows;
    `test_examples`, so many of the test split, stratified, at least one of each class (all, where less than one a class
    were left out); `device` that holds the tensors.
    10% of the training examples, stratified and seeded, become the validation split; of a reader's own set those that
    are equal or of one group stay together, where every class can then be on both sides.
    Raises `InputError` if the set is unknown, missing, damaged or smaller than asked, or the device not there.
    """
    for what, size in (("examples", examples), ("test_examples", test_examples)):
        if size is not None and (not isinstance(size, Integral) or size < 1):
            raise InputError(f"{what}={size!r} cannot be used; allowed: a whole number from 1, or None for all")
    _check_device(device)
    root = paths.at_home(root) if root else paths.data_dir()
    source = find_source(name, root)
    check_files(name, root)
    arrays, readings = read_arrays(name, source, root)
    train_x, train_y, test_x, test_y = arrays
    classes = int(train_y.max()) + 1
    least, most = 20 * classes, len(train_y) - classes
    if examples == len(train_y) or (clip and examples is not None and (examples > len(train_y) or least > most)):
        examples = None
    positions, test_positions = np.arange(len(train_y)), np.arange(len(test_y))
    if examples is not None:
        examples = min(max(examples, least), most) if clip else examples
        if not least <= examples <= most:
            raise InputError(f"examples={examples} cannot be taken from {name}: allowed are {least} to {most}, or all")
        positions = _subset(train_y, examples, LEAST_IN_SUBSET)
        train_x, train_y = train_x[positions], train_y[positions]
    together = None if source.builtin else _together(name, source, root, train_x, positions)
    class_names = source.class_names or tuple(str(c) for c in range(classes))
    train, validation = _validating(name, class_names, train_y, together)
    if test_examples is not None and max(test_examples, classes) < len(test_y) - classes:
        test_positions = _subset(test_y, max(test_examples, classes), 1)
        test_x, test_y = test_x[test_positions], test_y[test_positions]
    digest = forms.sha256(train_x, train_y, test_x, test_y, train, validation)
    dataset = Dataset(
        name=name,
        family=source.family,
        title=source.title,
        class_names=class_names,
        images=_as_images(train_x),
        labels=torch.from_numpy(train_y.astype(np.int64)),
        train=torch.from_numpy(train),
        validation=torch.from_numpy(validation),
        digest=digest,
        builtin=source.builtin,
        subset=examples is not None,
        seen_in_training=_seen(together, train, validation),
        positions=torch.from_numpy(positions),
        test_positions=torch.from_numpy(test_positions),
        readings=(*source.readings, *readings),
        _test=(_as_images(test_x), torch.from_numpy(test_y.astype(np.int64))),
    )
    return dataset.to(device)


def _together(name: str, source: Source, root: Path, images: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Numbers [N] of what must stay together: equal images, and what is of one group as the source has it."""
    keys = [division.digests(images)]
    if source.groups is not None:
        try:
            keys.append(source.groups(root)[positions])
        except Exception as error:
            raise InputError(
                f"data set {name!r}: the groups of its training examples cannot be read under {root}: "
                f"{plugins.told(error)}. `kdlib data remove {name}`, then add it again"
            ) from error
    return division.units(*keys)


def _validating(
    name: str, class_names: Sequence[str], labels: np.ndarray, together: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the examples that train and of those that validate, each sorted.

    They are drawn one by one where that divides nothing that belongs `together` [N], or where a class would otherwise
    lack one of the parts. Raises `InputError`, naming the class, where one of few examples has none that validates.
    """
    classes, counts = np.unique(labels, return_counts=True)
    try:
        train, validation = _split(labels, division.VALIDATING)
        lacking = ~np.isin(classes, labels[validation])
    except ValueError:  # scikit-learn's: a class has one example, or a tenth of all has fewer than classes
        lacking = np.ones(len(classes), dtype=bool)
    if lacking.any():
        few, rarest = min(zip(counts[lacking].tolist(), classes[lacking].tolist(), strict=True))
        raise InputError(
            f"data set {name!r} is too small to be split: the class {class_names[rarest]!r} has {few} training "
            f"example{'s' * (few != 1)}, too few for one among the validating {division.VALIDATING:.0%}; "
            f"{LEAST_IN_SUBSET} of each class are enough. Add some, or leave the class out of both splits"
        )
    if not _seen(together, train, validation):
        return train, validation
    whole = division.validating(labels, together)
    return (train, validation) if whole is None else (np.flatnonzero(~whole), np.flatnonzero(whole))


def _seen(together: np.ndarray | None, train: np.ndarray, validation: np.ndarray) -> int:
    """How many validation examples belong `together` [N] with a training one; 0 where nothing does."""
    return 0 if together is None else int(np.isin(together[validation], together[train]).sum())


def _split(labels: np.ndarray, second: int | float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of two stratified, seeded parts, each sorted; `second` is the size or share of the second part."""
    from sklearn.model_selection import train_test_split

    first, rest = train_test_split(np.arange(len(labels)), test_size=second, stratify=labels, random_state=0)
    return np.sort(first), np.sort(rest)


def _subset(labels: np.ndarray, size: int, least: int) -> np.ndarray:
    """Indices of a stratified, seeded subset, sorted; of a rare class it has `least` examples, or all that there are.

    Without rare classes it is what `_split` leaves, and nothing else; with them the others give up their share.
    """
    there = np.bincount(labels)
    divisible = np.flatnonzero(there[labels] > 1)  # one alone cannot be divided, and is taken below
    chosen = divisible[_split(labels[divisible], len(divisible) - size)[0]]
    wanted = np.bincount(labels[chosen], minlength=len(there))
    lacking = np.maximum(np.minimum(least, there) - wanted, 0)
    if not lacking.any():
        return chosen
    spare = np.maximum(wanted - least, 0)
    given = spare * lacking.sum() // spare.sum()
    given[np.argsort(-spare, kind="stable")[: lacking.sum() - given.sum()]] += 1  # what was lost by rounding
    rng, kept = np.random.default_rng(0), []
    for label, count in enumerate(wanted + lacking - given):
        own = chosen[labels[chosen] == label]
        rest = np.setdiff1d(np.flatnonzero(labels == label), own)
        kept += [rng.permutation(own)[:count], rng.permutation(rest)[: max(0, count - len(own))]]
    return np.sort(np.concatenate(kept))


def select_examples(
    labels: Tensor,
    per_class: int,
    *,
    scores: Tensor | None = None,
    order: str = "highest",
    seed: int = 0,
) -> Tensor:
    """Indices of `per_class` examples of each class, by score or at random (paper, section 4.2).

    Arguments: `labels` [N]; `scores` [N], such as the entropy of each response; `order` is `"highest"`, `"lowest"` or
    `"random"` (which needs no scores and uses `seed`). Returns indices [classes * per_class], sorted.
    Raises `InputError` where a class has fewer examples, the order is unknown, or the shapes do not fit.
    """
    is_dense("labels", labels, values=True)
    if scores is not None:
        is_dense("scores", scores, values=True)
        of_floats("scores", scores)
    if labels.ndim != 1 or not len(labels) or (scores is not None and scores.shape != labels.shape):
        given = f"labels {list(labels.shape)}" + ("" if scores is None else f" and scores {list(scores.shape)}")
        raise InputError(f"{given} cannot be used; allowed: labels [N] and scores [N], N at least 1")
    of_classes("labels", labels)
    if order not in ("highest", "lowest", "random"):
        raise InputError(f"unknown order of examples {order!r}; allowed: highest, lowest, random")
    smallest = int(labels.unique(return_counts=True)[1].min())  # of the classes that are there
    if not isinstance(per_class, Integral) or not 1 <= per_class <= smallest:
        raise InputError(f"{per_class!r} examples per class were asked for; allowed: 1 to {smallest}")
    if order == "random":
        if not isinstance(seed, Integral):
            raise InputError(f"seed {seed!r} cannot be used; allowed: a whole number")
        source = torch.Generator("cpu").manual_seed(int(seed))
        scores = torch.rand(len(labels), generator=source, dtype=torch.float32, device="cpu").to(labels.device)
    elif scores is None:
        raise InputError(f"order {order!r} needs scores")
    chosen = []
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        ranks = scores[members].argsort(descending=order != "lowest", stable=True)
        chosen.append(members[ranks[:per_class]])
    return torch.cat(chosen).sort().values


def read_arrays(name: str, source: Source, root: Path) -> tuple[Arrays, tuple[str, ...]]:
    """The four arrays of a set, in one form and checked, and how they were read where that is not as documented."""
    try:
        given = source.load(root)
    except InputError:
        raise
    except Exception as error:
        if source.added:
            advice = f"`kdlib data remove {name}`, then add it again"
        elif source.builtin:
            advice = (
                f"`kdlib data {name} --from DIR` puts a checked copy from a folder in torchvision's layout in its "
                f"place, `kdlib data {name} --download` its publisher's"
            )
        else:
            advice = f"The loader was given data_dir={root}"
        raise InputError(f"data set {name!r} cannot be read under {root}: {plugins.told(error)}. {advice}.") from error
    try:
        arrays, readings = forms.read(given)
    except InputError as error:
        raise InputError(f"data set {name!r}: {error}") from error
    _check_classes(name, source, arrays)
    if source.sha256 and forms.sha256(*arrays) != source.sha256:
        again = f"`kdlib data {name} --from DIR` or `kdlib data {name} --download`"
        if source.added:
            again = f"`kdlib data remove {name}`, then `kdlib data add`"
        raise InputError(
            f"data set {name!r} under {root} is complete but altered: its checksum differs from the original's. "
            f"Get it again: {again}."
        )
    return arrays, readings


def _check_classes(name: str, source: Source, arrays: Arrays) -> None:
    train_x, train_y, test_x, test_y = arrays
    if train_x.shape[1:] != test_x.shape[1:]:
        raise InputError(
            f"data set {name!r}: training images of {train_x.shape[1:]}, test images of {test_x.shape[1:]}; all must "
            "be of one size and have as many channels"
        )
    there = {"training": np.unique(train_y), "test": np.unique(test_y)}
    classes = max(int(labels[-1]) for labels in there.values()) + 1
    if lacking := [split for split, labels in there.items() if len(labels) != classes]:
        none = " and ".join(f"no {split} examples of {_absent(there[split], classes, source)}" for split in lacking)
        advice = "Add some, or leave the class out of both splits"
        if there["training"][0] == there["test"][0] == 1:
            advice = "Labels begin with 1: subtract 1"
        elif np.array_equal(*there.values()):
            advice = "Number the classes without gaps: `names, y = np.unique(labels, return_inverse=True)` does"
        raise InputError(
            f"data set {name!r}: every class from 0 to {classes - 1} must have training and test examples, and there "
            f"are {none}. {advice}"
        )
    if classes < 2:
        raise InputError(f"data set {name!r} has one class; at least 2 are needed, to tell one from another")
    if source.class_names is not None and len(source.class_names) != classes:
        raise InputError(f"data set {name!r}: {len(source.class_names)} names for {classes} classes")


def _absent(labels: np.ndarray, classes: int, source: Source) -> str:
    """The first classes of which there is no label, with their names where the source has them."""
    absent = np.setdiff1d(np.arange(min(classes, 10**6)), labels)
    names = dict(enumerate(source.class_names or ()))
    shown = [f"{c} ({names[c]!r})" if c in names else str(c) for c in absent[:NAMED].tolist()]
    return ", ".join(shown) + (", ..." if len(absent) > NAMED else "")


def _as_images(array: np.ndarray) -> Images | Tensor:
    images = torch.from_numpy(np.require(array, requirements=("C", "W")))  # a copy of what cannot be written
    images = images.unsqueeze(1) if images.ndim == 3 else images
    return Images(images) if images.dtype == torch.uint8 else images.float()
