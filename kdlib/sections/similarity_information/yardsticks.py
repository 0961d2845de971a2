"""Yardsticks of similarity from outside of a teacher: pixels, a linear classifier, people; agreement with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data import human_labels
from ...data.dataset import Dataset, select_examples
from ...data.human_labels import HUMAN_LABELS
from ...study.study import Study
from ...training.measures import accuracy
from ...training.similarity import class_cells, class_means_of, class_similarity, non_target_cosines

OF_THE_IMAGES = ("linear", "pixels")  # yardsticks that need the data set alone
MOST_PER_CLASS = 500  # training examples of the linear classifier
LEAST_VOTES = 5  # for another class: of fewer, an image's people say too little

# What is alike is evident: tops and footwear, animals and vehicles.
GROUPS = {
    "fashion_mnist": {"tops": (0, 2, 3, 4, 6), "footwear": (5, 7, 9)},
    "cifar10": {"animals": (2, 3, 4, 5, 6, 7), "vehicles": (0, 1, 8, 9)},
}
DIGITS = ("mnist", "digits", "usps", "svhn")
# Pairs of digits between which images that confuse people are made most and least easily (after Wei et al. 2025).
CONFUSABLE, DISTINCT = ((1, 7), (1, 2), (4, 9)), ((1, 8), (2, 9), (7, 8))


def of_the_images(study: Study) -> dict[str, Tensor]:
    """Class similarities [C, C] that need no teacher and no people, stored: `linear` and `pixels`; `linear_accuracy`.

    `linear`: the class similarity of a linear classifier's held-out responses. `pixels`: the inverse distance between
    the mean images of two classes. Rows sum to 1.
    """

    def compute() -> dict[str, Tensor]:
        dataset = study.dataset
        logits, labels = linear_logits(study), dataset.labels[dataset.validation].cpu()
        return {
            "linear": class_similarity(logits, labels, 1),
            "linear_accuracy": torch.tensor(accuracy(logits, labels)),
            "pixels": pixel_similarity(dataset.images[dataset.train], dataset.labels[dataset.train]),
        }

    return study.measure("yardsticks", {"version": 1, "dataset": study.dataset.name}, compute)


def linear_logits(study: Study) -> Tensor:
    """Logits [N, C] of a linear classifier for the validation images: discriminant analysis of up to 500 a class.

    Its covariances are shrunk by the formula of Ledoit and Wolf (2004): there is nothing to tune.
    """

    def compute() -> dict[str, Tensor]:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        dataset = study.dataset
        labels = dataset.labels[dataset.train].cpu()
        most = min(MOST_PER_CLASS, int(torch.bincount(labels).min()))
        members = dataset.train.cpu()[select_examples(labels, most, order="random")]
        images = dataset.images[:].cpu().flatten(1).numpy()
        classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        classifier.fit(images[members], dataset.labels.cpu()[members].numpy())
        logits = torch.from_numpy(classifier.decision_function(images[dataset.validation.cpu()])).float()
        return {"logits": logits if logits.ndim == 2 else torch.stack([-logits, logits], dim=1) / 2}  # of two: log odds

    return study.activations({"linear_classifier": 1, "dataset": study.dataset.name}, compute)["logits"]


def pixel_similarity(images: Tensor, labels: Tensor) -> Tensor:
    """Inverse Euclidean distance between the mean images of two classes, rows scaled to sum to 1.

    Arguments: `images` [N, ...], `labels` [N]. Returns [C, C], 0 on the diagonal.
    """
    images, labels = images.cpu().flatten(1).double(), labels.cpu()
    means = torch.stack([images[labels == c].mean(0) for c in range(int(labels.max()) + 1)])
    near = (1 / torch.cdist(means, means)).fill_diagonal_(0)
    return near / near.sum(1, keepdim=True)


def people_similarity(votes: Tensor, labels: Tensor) -> Tensor:
    """People's class similarity: shares of the other classes among the votes that are not for an image's label.

    Arguments: `votes` [N, C], counts; `labels` [N]. Returns [C, C], 0 on the diagonal, rows sum to 1; nan for a class
    of whose images every vote is the label.
    """
    confused = class_means_of(votes.double(), labels).fill_diagonal_(0)
    return confused / confused.sum(1, keepdim=True)


def votes(dataset: Dataset, name: str) -> tuple[Tensor, Tensor]:
    """People's votes [N, C], and labels [N], of those images of CIFAR-10 that are in the data set."""
    labels, places = dataset.labels.cpu(), dataset.positions
    if HUMAN_LABELS[name].split == "test":
        reason = "similarity information: the test images that people labelled"
        labels, places = dataset.open_test(reason)[1].cpu(), dataset.test_positions
    return torch.from_numpy(human_labels.votes(name, places.numpy(), labels.numpy())), labels


def clear_images(votes: Tensor, labels: Tensor) -> Tensor:
    """True for images [N] of which enough votes [N, C] are for another class than the label [N]."""
    return votes.scatter(1, labels[:, None], 0).sum(1) >= LEAST_VOTES


def halves(votes: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two sets of votes [N, C] from one: each vote falls into either half at random."""
    half = np.random.default_rng(seed).binomial(votes.numpy(), 0.5)
    return torch.from_numpy(half), votes - torch.from_numpy(half)


def agreement(similarity: Tensor, yardstick: Tensor) -> Tensor:
    """Spearman's and Pearson's correlation [2] of the off-diagonal cells of two class similarities [C, C].

    nan with fewer than three cells that both have, or where one is constant.
    """
    from scipy import stats

    pair = torch.stack([class_cells(similarity.double()), class_cells(yardstick.double())])
    pair = pair[:, pair.isfinite().all(0)]
    if pair.shape[1] < 3 or (pair == pair[:, :1]).all(1).any():
        return torch.full((2,), torch.nan, dtype=torch.float64)
    both = pair.numpy()
    return torch.tensor([stats.spearmanr(*both).statistic, stats.pearsonr(*both).statistic], dtype=torch.float64)


def between_people(study: Study, names: Sequence[str]) -> dict[str, Tensor]:
    """Agreement of people's labels with other yardsticks, stored, so that it is known where those labels are not.

    Returns for each set of people's labels `<set>/itself` (one half of its votes with the other), its pairs with the
    yardsticks of the images and with the other set, each [2] as of `agreement`; and for CIFAR-10H `images` [2], what
    `non_target_cosines` gives for the halves, mean over the `clear_images` of which both halves have such a vote.
    """

    def compute() -> dict[str, Tensor]:
        similarities = dict(of_the_images(study))
        similarities.pop("linear_accuracy")
        found = {}
        for name in names:
            counts, labels = votes(study.dataset, name)
            first, second = halves(counts)
            found[f"{name}/itself"] = agreement(people_similarity(first, labels), people_similarity(second, labels))
            for other, yardstick in similarities.items():
                found[f"{name}/{other}"] = agreement(people_similarity(counts, labels), yardstick)
            similarities[name] = people_similarity(counts, labels)
            if name == "cifar10h":
                clear = clear_images(counts, labels)
                halved = (half[clear].double() for half in (first, second))
                found["images"] = non_target_cosines(*halved, labels[clear]).nanmean(0)
        return found

    return study.measure("people", between_people_config(names), compute)


def between_people_config(names: Sequence[str]) -> dict[str, Any]:
    """The identity of what `between_people` stores for some sets of people's labels."""
    return {"people": {name: HUMAN_LABELS[name].sha256 for name in names}, "version": 2}
