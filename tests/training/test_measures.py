import math
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kdlib import (
    Interval,
    confusion,
    correct_bias,
    distance_to_label_smoothing,
    entropy,
    label_smoothing_labels,
    penultimate_projection,
    ratio_interval,
    soft_labels,
    t_interval,
    variance_in_response,
    wilson_interval,
    within_between_scatter,
)
from kdlib.training.measures import nearest


def test_bias_correction_reaches_the_prior_and_changes_no_other_class_order():
    logits = torch.randn(500, 10, generator=torch.Generator().manual_seed(0)) * 3
    logits[:, 3] -= 12
    shift = correct_bias(logits, 3, 0.1)
    moved = logits.clone()
    moved[:, 3] += shift
    assert soft_labels(moved, 1)[:, 3].mean().item() == pytest.approx(0.1, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(offset=st.floats(-30, 30), prior=st.floats(0.01, 0.9))
def test_bias_correction_undoes_any_offset(offset, prior):
    logits = torch.randn(200, 5, generator=torch.Generator().manual_seed(1))
    shifted = logits.clone()
    shifted[:, 2] += offset
    assert (correct_bias(shifted, 2, prior) + offset).item() == pytest.approx(
        correct_bias(logits, 2, prior).item(), abs=1e-3
    )


def test_confusion_counts_labels_in_rows_and_predictions_in_columns():
    logits = F.one_hot(torch.tensor([0, 1, 1, 2]), 3).float()
    counts = confusion(logits, torch.tensor([0, 0, 1, 2]))
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_projection_of_templates_is_a_triangle_with_the_templates_distances():
    generator = torch.Generator().manual_seed(0)
    weights, biases = torch.randn(3, 20, generator=generator), torch.randn(3, generator=generator)
    # An activation whose appended 1 is kept lies on a template when the bias is 1.
    corners = penultimate_projection(weights, weights, torch.ones(3))
    assert corners[0].abs().max() < 1e-5
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (corners[a] - corners[b]).norm().item() == pytest.approx(
            (weights[a] - weights[b]).norm().item(), rel=1e-5
        )
    assert penultimate_projection(weights, weights, biases).shape == (3, 2)


def test_projection_of_a_made_up_case_is_read_off():
    weights = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    points = torch.tensor([[2.0, 3.0, 7.0], [0.0, 0.0, -4.0]])
    projected = penultimate_projection(points, weights, torch.zeros(3))
    torch.testing.assert_close(projected, torch.tensor([[2.0, 3.0], [0.0, 0.0]]))


def test_projection_ignores_what_is_orthogonal_to_the_plane():
    generator = torch.Generator().manual_seed(2)
    weights, biases, points = (
        torch.randn(3, 6, generator=generator),
        torch.zeros(3),
        torch.randn(4, 6, generator=generator),
    )
    basis = torch.linalg.svd(weights[1:] - weights[0]).Vh
    moved = points + 5 * basis[3]
    torch.testing.assert_close(
        penultimate_projection(points, weights, biases),
        penultimate_projection(moved, weights, biases),
        atol=1e-4,
        rtol=0,
    )


def test_of_two_classes_the_projection_is_the_place_on_the_line_through_both_templates_and_the_distance_from_it():
    weights, biases = torch.randn(2, 6, generator=torch.Generator().manual_seed(0)), torch.zeros(2)
    templates = torch.cat([weights, torch.zeros(2, 1)], dim=1)
    edge = templates[1] - templates[0]
    points = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    along, away = penultimate_projection(points, weights, biases).T
    offset = torch.cat([points, torch.ones(20, 1)], dim=1) - templates[0]
    assert torch.allclose(along, offset @ edge / edge.norm(), atol=1e-5)
    assert torch.allclose(along**2 + away**2, (offset**2).sum(1), atol=1e-4)


def test_nc1_is_the_trace_of_within_times_the_pseudo_inverse_of_between():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    points = torch.randn(90, 5, generator=generator).double() + 3 * F.one_hot(labels, 5)
    means = torch.stack([points[labels == c].mean(0) for c in range(3)])
    centred, spread = points - means[labels], means - means.mean(0)
    within, between = centred.T @ centred / 90, spread.T @ spread / 3
    expected = torch.trace(within @ torch.linalg.pinv(between, rtol=1e-8)) / 3
    assert within_between_scatter(points, labels) == pytest.approx(expected.item())


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.01, 100))
def test_nc1_does_not_depend_on_scale_and_grows_with_the_spread_within(scale):
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(60) % 3
    centres = 4 * torch.randn(3, 8, generator=generator)[labels]
    noise = torch.randn(60, 8, generator=generator)
    tight, loose = (within_between_scatter(centres + s * noise, labels) for s in (0.1, 0.5))
    assert tight < loose
    assert within_between_scatter(scale * (centres + 0.1 * noise), labels) == pytest.approx(tight, rel=1e-3)


def test_a_label_smoothing_response_has_no_distance_from_label_smoothing_and_no_variance():
    labels = torch.arange(50) % 10
    smooth = label_smoothing_labels(labels, 10, 0.6)
    assert distance_to_label_smoothing(smooth, labels).abs().max() < 1e-6
    assert max(variance_in_response(smooth, labels).values()) < 1e-6


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), temperature=st.floats(1, 20))
def test_the_distance_from_label_smoothing_is_the_entropy_that_the_response_lacks(seed, temperature):
    logits = 5 * torch.randn(40, 10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    labels = torch.arange(40) % 10
    p = soft_labels(logits, temperature)
    confidence = p.gather(1, labels[:, None]).squeeze(1)
    rest = (1 - confidence) / 9
    surrogate = rest[:, None].repeat(1, 10).scatter(1, labels[:, None], confidence[:, None])
    torch.testing.assert_close(distance_to_label_smoothing(p, labels), entropy(surrogate) - entropy(p))


def test_t_interval_is_scipys():
    values = [1.0, 2.0, 4.0, 4.5]
    low, high = stats.t.interval(0.95, 3, loc=stats.tmean(values), scale=stats.sem(values))
    interval = t_interval(values)
    assert (interval.low, interval.high, interval.n) == (pytest.approx(low), pytest.approx(high), 4)


def test_one_value_has_no_interval():
    interval = t_interval([3.0])
    assert interval.mean == 3 and math.isnan(interval.low) and interval.n == 1


def test_a_ratios_interval_is_that_of_its_logarithm():
    values = [2.0, 5.0, 9.0]
    logs = t_interval([math.log(v) for v in values])
    interval = ratio_interval(values)
    assert (interval.low, interval.high) == (pytest.approx(math.exp(logs.low)), pytest.approx(math.exp(logs.high)))
    with pytest.raises(ValueError, match="positive"):
        ratio_interval([1.0, 0.0])


@pytest.mark.parametrize("level", [0.95, 0.9875])
def test_wilsons_bounds_are_the_shares_that_the_score_test_just_does_not_reject(level):
    z = stats.norm.ppf((1 + level) / 2)
    for k in (0, 7, 50):
        interval = wilson_interval(k, 50, level)
        assert interval.mean == k / 50 and 0 <= interval.low < interval.high <= 1
        for bound in {interval.low, interval.high} - {0.0, 1.0}:
            assert (interval.mean - bound) ** 2 == pytest.approx(z**2 * bound * (1 - bound) / 50, rel=1e-9)
    for successes, trials in ((51, 50), (-1, 50), (0, 0)):
        with pytest.raises(ValueError):
            wilson_interval(successes, trials)


@pytest.mark.parametrize("margin", [5.0, 40.0, 800.0, 1e4])
def test_distance_from_label_smoothing_is_finite_and_small_however_confident_the_response(margin):
    """Closed form: the mass of the rest times the KL of its shape from even; at 40 the confidence rounds to 1."""
    z = torch.tensor([[margin, 0.0, 1.0, 2.0]], dtype=torch.float64)
    p = torch.softmax(z, 1)
    shape = torch.softmax(z[:, 1:], 1)
    expected = p[0, 1:].sum() * (shape * (3 * shape).log()).sum()
    found = distance_to_label_smoothing(p, torch.tensor([0]))
    torch.testing.assert_close(found, expected[None], rtol=1e-9, atol=0)


SIZES = st.floats(-1e4, 1e4).filter(lambda size: abs(size) > 1e-4)


@given(mean=SIZES, half=st.floats(1e-3, 1e4))
def test_a_printed_interval_is_off_by_less_than_a_twentieth_of_its_half_width_and_keeps_its_bounds_signs(mean, half):
    interval = Interval(mean, mean - half, mean + half, 3)
    printed = [float(number) for number in re.findall(r"-?[\d.]+(?=[ ,\]])", str(interval))]
    assert printed == pytest.approx([interval.mean, interval.low, interval.high], abs=half / 19.9, rel=0)
    for bound, shown in zip((interval.low, interval.high), printed[1:], strict=True):
        assert shown * bound > 0 or abs(bound) < half / 100
    decimals = {len(number.partition(".")[2]) for number in re.findall(r"-?[\d.]+(?=[ ,\]])", str(interval))}
    assert decimals == {interval.decimals}


def test_an_interval_without_width_is_printed_with_three_digits_of_its_mean():
    assert str(Interval(98.123, math.nan, math.nan, 1)) == "98.1 (n = 1)"
    assert str(Interval(0.5, 0.5, 0.5, 3)) == "0.500 [0.500, 0.500] (n = 3)"
    assert str(Interval(0.3, 0.1 + 0.2 - 1e-16, 0.1 + 0.2, 3)) == "0.300 [0.300, 0.300] (n = 3)"


def test_zero_is_printed_without_a_sign():
    assert str(Interval(-0.1, -13.0, 12.8, 3)) == "0 [-13, 13] (n = 3)"
    assert str(Interval(-0.0, -0.0, -0.0, 3)) == "0.00 [0.00, 0.00] (n = 3)"


def test_the_nearest_value_of_a_grid_is_the_first_of_two_as_near():
    assert nearest([3.0, 6.0, 9.0], 8) == 9.0
    assert nearest([10, 50], 100) == 50
    assert nearest([3, 1], 2) == 3
