"""Similarity information: closed forms, and what temperature and confidence do not change."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kdlib import InputError
from kdlib.training import similarity
from kdlib.training.losses import entropy, soft_labels
from kdlib.training.targets import class_means, shuffle_similarity, smooth_similarity

LABELS = torch.arange(6000) % 10


def made_up(seed: int = 0, examples: int = 6000) -> torch.Tensor:
    """Logits with similar classes: each class has its own mean, examples scatter around it."""
    source = torch.Generator().manual_seed(seed)
    means = torch.randn(10, 10, generator=source) + 6 * torch.eye(10)
    return means[LABELS[:examples]] + 0.5 * torch.randn(examples, 10, generator=source)


def ranks(a: torch.Tensor, b: torch.Tensor) -> float:
    cells = (similarity.class_cells(part).numpy() for part in (a, b))
    return float(stats.spearmanr(*cells).statistic)


def test_class_similarity_of_known_probabilities():
    """Two examples of class 0 and one each of the others; shares of the other two classes are typed in."""
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3], [0.25, 0.5, 0.25], [0.09, 0.01, 0.9]])
    found = similarity.class_similarity(probabilities.log(), torch.tensor([0, 0, 1, 2]), 1)
    expected = [[0, (2 / 3 + 1 / 2) / 2, (1 / 3 + 1 / 2) / 2], [0.5, 0, 0.5], [0.9, 0.1, 0]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)


def test_the_confidence_enters_no_similarity():
    """Raising the label's logit changes entropy and confidence, and nothing else."""
    logits = made_up()
    surer = logits.scatter_add(1, LABELS[:, None], torch.full((len(LABELS), 1), 30.0))
    assert entropy(soft_labels(surer, 9)).mean() < 0.7 * entropy(soft_labels(logits, 9)).mean()
    for function in (
        lambda z: similarity.class_similarity(z, LABELS, 9),
        lambda z: similarity.mean_non_target_logits(z, LABELS),
    ):
        torch.testing.assert_close(function(surer), function(logits), atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 20), st.floats(1, 20))
def test_logits_times_a_number_are_another_temperature_and_keep_the_ranks_without_one(factor, temperature):
    logits = made_up(examples=200).double()
    scaled = similarity.class_similarity(factor * logits, LABELS[:200], factor * temperature)
    torch.testing.assert_close(scaled, similarity.class_similarity(logits, LABELS[:200], temperature))
    free = similarity.mean_non_target_logits(logits, LABELS[:200])
    torch.testing.assert_close(similarity.mean_non_target_logits(factor * logits, LABELS[:200]), factor * free)
    assert ranks(similarity.mean_non_target_logits(factor * logits, LABELS[:200]), free) == pytest.approx(1)


def test_rows_are_distributions_over_the_other_classes_also_of_a_certain_network():
    found = similarity.class_similarity(1e4 * made_up(), LABELS, 1)
    torch.testing.assert_close(found.sum(1), torch.ones(10, dtype=torch.float64))
    assert found.diagonal().abs().max() == 0
    free = similarity.mean_non_target_logits(made_up(), LABELS)
    assert free.sum(1).abs().max() < 1e-5 and free.diagonal().abs().max() == 0


def test_shuffling_takes_similarity_away_and_class_means_keep_that_of_classes():
    logits = made_up()
    own = similarity.class_similarity(logits, LABELS, 9)
    shuffled = similarity.class_similarity(shuffle_similarity(logits, LABELS, 0), LABELS, 9)
    assert abs(ranks(shuffled, own)) < 3 / math.sqrt(90)
    means = similarity.class_similarity(class_means(logits, LABELS, torch.arange(6000), 9), LABELS, 9)
    assert ranks(means, own) > 0.99
    smooth = similarity.class_similarity(smooth_similarity(logits, LABELS, 9), LABELS, 9).float()
    assert len(similarity.class_cells(smooth).unique()) == 1  # no order at all


@settings(max_examples=30, deadline=None)
@given(st.floats(0.2, 20), st.integers(0, 1000))
def test_average_entropy_is_that_of_the_class_less_what_single_examples_say(temperature, seed):
    parts = similarity.entropy_parts(8 * made_up(seed, 300), LABELS[:300], temperature)
    assert (parts.entropy - parts.of_class_mean + parts.instance).abs().max() < 1e-6
    assert parts.instance.min() >= 0
    mean = entropy(soft_labels(8 * made_up(seed, 300).double(), temperature)).mean()
    assert parts.entropy.mean() == pytest.approx(mean.item(), abs=1e-9)


def test_a_class_of_one_example_or_of_equal_ones_has_no_information_on_single_examples():
    parts = similarity.entropy_parts(made_up(examples=10), LABELS[:10], 3)
    assert parts.instance.abs().max() == 0 and torch.equal(parts.entropy, parts.of_class_mean)
    certain = torch.tensor([[1e4, 0.0, 0.0], [0.0, 1e4, 0.0]])
    parts = similarity.entropy_parts(certain, torch.tensor([0, 0]), 1)
    assert parts.entropy[0] == 0 and parts.instance[0] == pytest.approx(math.log(2))
    assert all(part[1:].isnan().all() for part in parts)


def test_cosines_of_non_target_parts_are_by_hand():
    ours = torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.0, 0.5], [0.2, 0.8, 0.0]])
    theirs = torch.tensor([[50.0, 3.0, 0.0], [1.0, 0.0, 1.0], [0.0, 4.0, 0.0]])
    found = similarity.non_target_cosines(ours, theirs, torch.tensor([0, 0, 1]))
    norm = math.hypot(0.1, 0.5)
    expected = [[1, 0.1 / norm], [1, 0.5 / norm], [math.nan, math.nan]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), equal_nan=True, atol=1e-7, rtol=0)


def test_class_means_know_no_more_of_an_example_than_class_means():
    labels, logits = LABELS[:300], made_up(examples=300)
    means = class_means(logits, labels, torch.arange(300), 9)
    pairs = similarity.non_target_cosines(soft_labels(means, 9), soft_labels(made_up(1, 300), 9), labels)
    torch.testing.assert_close(pairs[:, 0], pairs[:, 1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("temperature", [0.5, 4.0, 30.0])
def test_the_best_temperature_is_the_one_that_made_the_distributions(temperature):
    logits = 5 * made_up(examples=100)
    people = soft_labels(logits.double(), temperature)
    found, cross_entropy = similarity.best_temperature(logits, people)
    assert found == pytest.approx(temperature, rel=1e-2)
    assert cross_entropy == pytest.approx(entropy(people).mean().item(), abs=1e-5)


def test_what_cannot_be_used_is_said():
    with pytest.raises(InputError, match="C must be at least 2"):
        similarity.class_similarity(torch.rand(4, 1), torch.tensor([0, 0, 0, 0]), 1)
    with pytest.raises(InputError, match="labels from 0 to 9 cannot be used; allowed: 0 to 3"):
        similarity.mean_non_target_logits(torch.rand(10, 4), LABELS[:10])
    with pytest.raises(InputError, match="temperature must be positive"):
        similarity.class_similarity(torch.rand(10, 10), LABELS[:10], 0)
