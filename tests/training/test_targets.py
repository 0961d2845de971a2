"""Targets of the controls: what each keeps of a teacher's responses, and what it takes away."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kdlib import entropy, label_smoothing_labels, soft_labels
from kdlib.training.measures import distance_to_label_smoothing
from kdlib.training.targets import class_means, confidence, scale_to_confidence, shuffle_similarity, smooth_similarity

seeds = st.integers(0, 10_000)
temperatures = st.floats(1, 30)


def responses(seed: int, examples: int = 40, classes: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(examples, classes, generator=source)
    return logits, torch.randint(classes, (examples,), generator=source)


@settings(max_examples=30, deadline=None)
@given(seeds, temperatures)
def test_shuffling_keeps_entropy_and_confidence_at_every_temperature(seed, temperature):
    logits, labels = responses(seed)
    before, after = (soft_labels(z, temperature) for z in (logits, shuffle_similarity(logits, labels, seed)))
    torch.testing.assert_close(entropy(after), entropy(before))
    torch.testing.assert_close(after.gather(1, labels[:, None]), before.gather(1, labels[:, None]))


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_shuffling_permutes_each_examples_other_logits_and_nothing_else(seed):
    logits, labels = responses(seed)
    shuffled = shuffle_similarity(logits, labels, seed)
    assert torch.equal(shuffled.sort(1).values, logits.sort(1).values)
    assert torch.equal(shuffled.gather(1, labels[:, None]), logits.gather(1, labels[:, None]))
    assert torch.equal(shuffled, shuffle_similarity(logits, labels, seed))
    assert not torch.equal(shuffled, logits)


def test_shuffling_leaves_no_class_more_probable_than_another():
    logits, labels = torch.tensor([9.0, 5.0, 1.0, 1.0, 1.0]).repeat(6000, 1), torch.zeros(6000, dtype=torch.long)
    means = shuffle_similarity(logits, labels, 0)[:, 1:].mean(0)
    torch.testing.assert_close(means, torch.full((4,), 2.0), atol=0.1, rtol=0)


@settings(max_examples=30, deadline=None)
@given(seeds, temperatures)
def test_smoothing_gives_label_smoothing_of_each_examples_confidence(seed, temperature):
    logits, labels = responses(seed)
    smoothed = soft_labels(smooth_similarity(logits, labels, temperature), temperature)
    sure = soft_labels(logits, temperature).gather(1, labels[:, None])
    torch.testing.assert_close(smoothed.gather(1, labels[:, None]), sure)
    assert distance_to_label_smoothing(smoothed, labels).abs().max() < 1e-5
    alpha = (1 - sure) * 6 / 5
    one_hot, uniform = label_smoothing_labels(labels, 6, 0.0), torch.full((40, 6), 1 / 6)
    torch.testing.assert_close(smoothed, (1 - alpha) * one_hot + alpha * uniform, atol=1e-6, rtol=1e-4)


def test_smoothing_of_a_teacher_that_is_sure_is_finite():
    logits = torch.tensor([[500.0, 0.0, 0.0]])
    assert smooth_similarity(logits, torch.tensor([0]), 1.0).isfinite().all()


@settings(max_examples=30, deadline=None)
@given(seeds, temperatures)
def test_class_means_are_the_mean_response_of_the_members_of_the_class(seed, temperature):
    logits, labels = responses(seed)
    members = torch.arange(0, 40, 2)
    means = soft_labels(class_means(logits, labels, members, temperature), temperature)
    for c in labels[members].unique():
        of_class = members[labels[members] == c]
        expected = soft_labels(logits[of_class], temperature).mean(0)
        torch.testing.assert_close(means[labels == c], expected.expand((labels == c).sum(), -1), atol=1e-5, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(0.4, 0.95))
def test_a_scale_is_found_that_gives_the_wanted_confidence(seed, wanted):
    logits, _ = responses(seed)
    labels = logits.argmax(1)
    assume(wanted < confidence(100 * logits, labels, 9.0))
    scale = scale_to_confidence(logits, labels, 9.0, wanted)
    assert confidence(scale * logits, labels, 9.0) == pytest.approx(wanted, abs=1e-4)


def test_where_no_scale_gives_the_wanted_confidence_the_nearest_end_is_taken():
    logits = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    assert scale_to_confidence(logits, torch.tensor([0, 1]), 1.0, 0.9) == pytest.approx(100)
