"""What a data set cannot show, in words: said once, when a study is opened, before anything is trained."""

import torch

from ..data.dataset import Dataset

FEW = 10  # test examples of a class below which an accuracy on it moves in large steps
MANY = 20  # classes up to which figures name each and print each number


def limits(dataset: Dataset) -> list[str]:
    """A sentence for each: how its arrays were read, and what is shown otherwise or not at all."""
    found = list(dataset.readings)
    held_out = int(torch.bincount(dataset.labels[dataset.validation]).min())
    if held_out < 2:
        found.append(
            f"{held_out} validation example{'s' * (held_out != 1)} in the smallest class: how tight clusters are is "
            "not measured on held-out examples"
        )
    if dataset.seen_in_training:
        found.append(
            f"{dataset.seen_in_training:,} of {len(dataset.validation):,} validation images equal a training image or "
            "are of its group: what is chosen on them (sweet spots, tuned weights, equal accuracies) favours what was "
            "learned by heart"
        )
    tested = dataset.smallest_test_class
    if tested < FEW:
        found.append(
            f"{tested} test example{'s' * (tested != 1)} in the smallest class: accuracy on it moves in steps of "
            f"{100 / tested:.0f} points"
        )
    channels = dataset.shape[0]
    if channels not in (1, 3):
        found.append(f"{channels} channels: pictures show their mean")
    if dataset.classes == 2:
        found.append(
            "two classes: a student without the examples of one sees the other's alone, and no response can hold which "
            "classes are alike"
        )
    if dataset.classes > MANY:
        found.append(f"{dataset.classes} classes: figures name some of them, and print no numbers")
    return found
