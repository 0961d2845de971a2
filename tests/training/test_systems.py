"""Distillation systems: their terms' identities and limits, and the registry."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from kdlib import (
    Gradient,
    InputError,
    Parameter,
    State,
    System,
    entropy,
    kd_loss,
    label_smoothing_loss,
    register_system,
    soft_labels,
    system_loss,
)
from kdlib.training.systems import teacher_free
from kdlib.training.systems.decoupled import powers, soft_label_weights
from kdlib.training.systems.registry import check_loss, systems
from kdlib.training.systems.taught import evenly_spaced, largest_only, nearest_to_mean, path
from kdlib.training.systems.terms import standardized
from kdlib.training.targets import smooth_similarity

B, C = 16, 10
NAMES = list(systems())
seeds = st.integers(0, 10_000)
temperatures = st.floats(0.5, 30)


def draw(seed: int = 0, scale: float = 3.0, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    """Student's and teacher's logits [B, C], and labels [B]."""
    source = torch.Generator().manual_seed(seed)
    student, teacher = scale * torch.randn(2, B, C, generator=source, dtype=dtype)
    return student, teacher, torch.randint(0, C, (B,), generator=source)


def kl(teacher: torch.Tensor, student: torch.Tensor, temperature: float) -> torch.Tensor:
    """KL(t_T || p_T) of each example by PyTorch's own function."""
    softened = (F.log_softmax(logits / temperature, -1) for logits in (student, teacher))
    return F.kl_div(*softened, reduction="none", log_target=True).sum(-1)


def gradient_of(name: str, z: torch.Tensor, v: torch.Tensor, y: torch.Tensor, **settings) -> torch.Tensor:
    z = z.clone().requires_grad_()
    (found,) = torch.autograd.grad(system_loss(name, z, v, y, **settings).sum(), z)
    return found


def confidence(logits: torch.Tensor, labels: torch.Tensor, temperature: float) -> torch.Tensor:
    return soft_labels(logits, temperature).gather(1, labels[:, None])[:, 0]


# What every system has.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_term_and_its_gradient_are_finite_at_logits_of_1e4(name, dtype):
    z = torch.zeros(B, C, dtype=dtype)
    z[:, 0] = 1e4
    z[1::2] *= -1
    labels = torch.arange(B) % C
    for v in (-z, z, z.roll(1, 1)):
        for temperature in (1.0, 4.0):
            student = z.clone().requires_grad_()
            term = system_loss(name, student, v, labels, temperature=temperature)
            assert term.shape == (B,) and term.isfinite().all()
            if term.requires_grad:
                assert torch.autograd.grad(term.sum(), student)[0].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_term_and_its_gradient_are_finite_for_logits_that_are_all_equal(name):
    labels = torch.arange(B) % C
    for teacher in (torch.zeros(B, C), draw(dtype=torch.float32)[1]):
        student = torch.zeros(B, C, requires_grad=True)
        term = system_loss(name, student, teacher, labels, temperature=4.0)
        assert term.isfinite().all() and torch.autograd.grad(term.sum(), student)[0].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_an_examples_term_depends_on_its_own_logits_alone_unless_the_system_says_so(name):
    z, v, y = draw()
    other = z.clone()
    other[1:] += draw(1)[0][1:]
    first, second = (system_loss(name, logits, v, y, temperature=4.0) for logits in (z, other))
    assert (first[0].item() == pytest.approx(second[0].item(), rel=1e-12)) == (not systems()[name].coupled)


CLOSED = [name for name in NAMES if systems()[name].gradient]


def closed_form(name: str, z: torch.Tensor, v: torch.Tensor, y: torch.Tensor, **settings) -> torch.Tensor:
    """The gradient of the batch mean by a system's closed form."""
    gradient = systems()[name].gradient
    settings = systems()[name].defaults("term") | settings
    return gradient.by_logits(z, gradient.fixed(v, y, **settings), y, **settings)


@pytest.mark.parametrize("name", CLOSED)
def test_a_gradient_in_closed_form_is_autograds(name):
    z, v, y = draw()
    found = closed_form(name, z, v, y, temperature=3.0)
    torch.testing.assert_close(found, gradient_of(name, z, v, y, temperature=3.0) / B, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", CLOSED)
def test_a_gradient_in_closed_form_is_autograds_where_classes_tie_and_where_a_softmax_is_one_hot(name):
    _, v, y = draw()
    flat, huge = torch.zeros_like(v), torch.zeros_like(v)
    huge[:, 0] = 1e4
    huge[1::2] *= -1
    for student, teacher in ((flat, v), (v, flat), (huge, v), (v, huge), (huge.roll(1, 1), huge)):
        found = closed_form(name, student, teacher, y, temperature=4.0)
        expected = gradient_of(name, student, teacher, y, temperature=4.0) / B
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        assert closed_form(name, student.float(), teacher.float(), y, temperature=4.0).isfinite().all()


def test_abkds_gradient_in_closed_form_holds_in_the_limit_that_is_the_divergence():
    z, v, y = draw()
    for alpha, beta in ((1.0, 0.0), (0.5, 0.0), (1.0, 1.0)):
        settings = {"temperature": 3.0, "alpha": alpha, "beta": beta}
        torch.testing.assert_close(
            closed_form("abkd", z, v, y, **settings), gradient_of("abkd", z, v, y, **settings) / B
        )


def test_the_systems_with_a_closed_form_include_those_that_the_engine_is_to_have_it_for():
    closed = {name for name, system in systems().items() if system.gradient}
    assert {"rbkd", "kd", "label_smoothing", "tfkd_reg", "dkd", "logit_standardization", "ttm"} <= closed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"system": "none"}, "unknown system 'none'; allowed: rbkd, "),
        ({"temperature": 0.0}, "temperature must be positive and finite"),
        ({"gamma": 1.0}, "the term of dkd has no parameter 'gamma'; allowed: alpha, beta"),
        ({"weight": 1.0}, "the term of dkd has no parameter 'weight'; allowed: alpha, beta"),
        ({"beta": -1.0}, "dkd: beta=-1.0 cannot be used; allowed: a number from 0"),
        ({"beta": math.nan}, "dkd: beta=nan cannot be used"),
        ({"beta": "8"}, "dkd: beta='8' cannot be used"),
        ({"progress": 2.0}, r"progress must lie in \[0, 1\]"),
        ({"labels": torch.full((B,), C)}, "labels from 10 to 10 cannot be used; allowed: 0 to 9"),
        ({"labels": torch.zeros(B)}, "labels must be class indices"),
        ({"student_logits": torch.zeros(B, C + 1)}, "shapes .* cannot be used"),
        ({"student_logits": torch.zeros(B, 1), "teacher_logits": torch.zeros(B, 1)}, "C must be at least 2"),
    ],
)
def test_what_a_term_does_not_take_is_refused_with_what_it_does(arguments, message):
    z, v, y = draw()
    given = {"system": "dkd", "student_logits": z, "teacher_logits": v, "labels": y, "temperature": 4.0}
    with pytest.raises(InputError, match=message):
        system_loss(**(given | arguments))


def test_a_parameter_may_be_a_number_for_each_example():
    z, v, y = draw()
    betas = torch.linspace(0, 8, B, dtype=torch.float64)
    together = system_loss("dkd", z, v, y, temperature=4.0, beta=betas)
    for i in (0, 7, 15):
        alone = system_loss("dkd", z[i : i + 1], v[i : i + 1], y[i : i + 1], temperature=4.0, beta=betas[i].item())
        assert together[i].item() == pytest.approx(alone.item(), rel=1e-12)


# Equation 4, and what only teaches otherwise.


@settings(max_examples=20, deadline=None)
@given(seeds, temperatures, st.floats(0, 1), st.booleans())
def test_rbkd_is_equation_4(seed, temperature, alpha, t_squared):
    z, v, y = draw(seed)
    found = system_loss("rbkd", z, v, y, temperature=temperature, alpha=alpha, t_squared=t_squared)
    expected = kd_loss(z, v, y, temperature=temperature, alpha=alpha, t_squared=t_squared)
    torch.testing.assert_close(found.mean(), expected)


def test_kd_is_a_tenth_of_the_hard_labels_and_nine_tenths_of_t_squared_kl_at_a_temperature_of_4():
    z, v, y = draw()
    assert systems()["kd"].temperature == 4.0
    found = system_loss("kd", z, v, y, temperature=4.0)
    torch.testing.assert_close(found, 0.9 * 16 * kl(v, z, 4.0) + 0.1 * F.cross_entropy(z, y, reduction="none"))
    by_hand = 0.9 * 4 * (soft_labels(z, 4.0) - soft_labels(v, 4.0)) + 0.1 * (z.softmax(-1) - F.one_hot(y, C))
    torch.testing.assert_close(gradient_of("kd", z, v, y, temperature=4.0), by_hand)


@pytest.mark.parametrize("name", [name for name, system in systems().items() if system.path or system.prepare])
def test_what_only_teaches_otherwise_has_equation_4_as_its_term(name):
    z, v, y = draw()
    found, expected = (system_loss(n, z, v, y, temperature=4.0, alpha=0.7) for n in (name, "rbkd"))
    assert torch.equal(found, expected)


def test_the_largest_k_probabilities_are_kept_and_the_rest_is_even():
    _, v, y = draw()
    for k in (1, 3, 9):
        before, after = (soft_labels(logits, 4.0) for logits in (v, largest_only(v, k, 4.0)))
        order = before.argsort(dim=1, descending=True)
        kept, rest = (after.gather(1, part) for part in (order[:, :k], order[:, k:]))
        torch.testing.assert_close(kept, before.gather(1, order[:, :k]))
        torch.testing.assert_close(rest, rest[:, :1].expand_as(rest))
    torch.testing.assert_close(soft_labels(largest_only(v, C, 4.0), 4.0), soft_labels(v, 4.0))


def test_a_teacher_that_is_right_leaves_with_k_of_1_its_confidence_alone():
    _, v, _ = draw()
    y = v.argmax(1)
    torch.testing.assert_close(
        soft_labels(largest_only(v, 1, 4.0), 4.0), soft_labels(smooth_similarity(v, y, 4.0), 4.0)
    )


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 12))
def test_snapshots_are_evenly_spaced_among_the_kept_epochs_and_end_with_the_last(seed, count):
    kept = tuple(sorted(torch.randperm(30, generator=torch.Generator().manual_seed(seed))[:10].tolist()))
    last = kept[6]
    found = evenly_spaced(kept, last, snapshots=count)
    assert found == tuple(sorted(set(found))) and set(found) <= set(kept[:7])
    assert len(found) == min(count, 7) and found[-1] == last
    gaps = {kept.index(b) - kept.index(a) for a, b in zip(found, found[1:], strict=False)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_one_snapshot_is_the_epoch_itself():
    assert evenly_spaced((1, 2, 3, 4), 3, snapshots=1) == (3,)


def test_the_mean_entropy_of_a_class_is_that_of_its_centroid_minus_the_mean_divergence_from_it():
    v = draw()[1]
    t = soft_labels(v, 4.0)
    centroid = t.mean(0)
    divergence = (t * (t / centroid).log()).sum(1)
    assert (divergence >= 0).all()
    torch.testing.assert_close(entropy(t).mean(), entropy(centroid) - divergence.mean())


# Without a teacher.


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_label_smoothing_is_equation_3_whatever_the_teacher_and_the_temperature(smoothing):
    z, v, y = draw()
    found = [
        system_loss("label_smoothing", z, teacher, y, temperature=t, smoothing=smoothing)
        for teacher, t in ((v, 1.0), (-v, 20.0))
    ]
    torch.testing.assert_close(found[0].mean(), label_smoothing_loss(z, y, smoothing))
    assert torch.equal(*found)


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(0.05, 0.95), st.floats(0.5, 0.99))
def test_tfkd_reg_at_temperature_1_is_label_smoothing_up_to_a_constant(seed, alpha, q):
    z, _, y = draw(seed)
    given_settings = {"temperature": 1.0, "alpha": alpha, "confidence": q}
    smoothing = alpha * (1 - q) * C / (C - 1)
    difference = system_loss("tfkd_reg", z, z, y, **given_settings) - system_loss(
        "label_smoothing", z, z, y, temperature=1.0, smoothing=smoothing
    )
    virtual = torch.tensor([q] + [(1 - q) / (C - 1)] * (C - 1), dtype=torch.float64)
    torch.testing.assert_close(difference, -alpha * entropy(virtual).expand(B), rtol=1e-9, atol=1e-9)


def test_tfkd_regs_virtual_teacher_gives_the_label_its_probability_and_the_rest_evenly():
    y = torch.arange(C)
    v = teacher_free.virtual_teacher(torch.zeros(C, C, dtype=torch.float64), y, 0.99)
    plain = F.one_hot(y, C) * 0.99 + (1 - F.one_hot(y, C)) * 0.01 / 9
    torch.testing.assert_close(soft_labels(v, 1.0), plain.double())
    softened = plain.double() ** (1 / 20)
    torch.testing.assert_close(soft_labels(v, 20.0), softened / softened.sum(1, keepdim=True))
    assert soft_labels(v, 20.0)[0, 0].item() == pytest.approx(0.1350, abs=5e-5)


def test_at_its_defaults_tfkd_regs_virtual_teacher_decides_how_sure_the_student_becomes():
    """Labels alone want a student that is surer than any number."""
    reg, y = systems()["tfkd_reg"], torch.zeros(1, dtype=torch.int64)

    def slope(confidence: float) -> float:
        z = teacher_free.virtual_teacher(torch.zeros(1, C, dtype=torch.float64), y, confidence)
        return gradient_of("tfkd_reg", z, z, y, temperature=reg.temperature)[0, 0].item()

    assert slope(0.995) < 0 < slope(0.996)


def test_tfkd_reg_with_alpha_0_is_the_hard_labels():
    z, v, y = draw()
    found = system_loss("tfkd_reg", z, v, y, temperature=20.0, alpha=0.0)
    torch.testing.assert_close(found, F.cross_entropy(z, y, reduction="none"))


def test_alr_is_invariant_to_the_students_logit_of_the_label():
    z, v, y = draw()
    moved = z.scatter_add(1, y[:, None], torch.full((B, 1), 5.0, dtype=torch.float64))
    state = draw(3)[0][:C]
    first, second = (system_loss("alr", logits, v, y, temperature=1.0, state=state) for logits in (z, moved))
    torch.testing.assert_close(first, second)


def test_alr_with_a_uniform_matrix_moves_the_network_like_label_smoothing_among_the_other_classes():
    z, v, y = draw()
    gradient = gradient_of("alr", z, v, y, temperature=1.0)
    target = F.one_hot(y, C).bool()
    others = z.masked_fill(target, -math.inf).softmax(-1)
    torch.testing.assert_close(gradient, (others - 1 / (C - 1)).masked_fill(target, 0.0))


def test_alrs_matrix_is_best_where_it_is_the_class_mean_of_the_networks_own_residual_responses():
    z, v, _ = draw()
    y = torch.arange(B) % 4
    target = F.one_hot(y, C).bool()
    others = z.masked_fill(target, -math.inf).softmax(-1)
    means = torch.stack([others[y == c].mean(0) if c < 4 else torch.ones(C).double() for c in range(C)])
    state = means.clamp(min=1e-300).log().requires_grad_()
    (gradient,) = torch.autograd.grad(system_loss("alr", z, v, y, temperature=1.0, state=state).sum(), state)
    assert gradient.abs().max() < 1e-12


def test_ols_has_no_term_in_its_first_epoch_and_that_of_class_means_in_the_next():
    z, v, y = draw(dtype=torch.float32)
    y[:8] = z[:8].argmax(1)  # classified rightly
    state = torch.zeros(1, 2, C, C)
    assert system_loss("ols", z, v, y, temperature=1.0, state=state[0]).abs().max() == 0
    teacher_free.count_responses(state, z[None], y[None])
    teacher_free.turn_responses(state)
    right = z.argmax(1) == y
    for c in range(C):
        chosen = right & (y == c)
        expected = z[chosen].softmax(-1).mean(0) if chosen.any() else torch.full((C,), 1 / C)
        torch.testing.assert_close(state[0, 0, c], expected)
    assert state[0, 1].abs().max() == 0
    expected = -(state[0, 0][y] * z.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(system_loss("ols", z, v, y, temperature=1.0, state=state[0]), expected)


# Scheduled.


def test_eskd_is_equation_4_up_to_its_stop_and_the_hard_labels_after_it():
    z, v, y = draw()
    kd, hard = (system_loss("rbkd", z, v, y, temperature=4.0, alpha=a) for a in (0.9, 0.0))

    def at(progress: float, stop: float) -> torch.Tensor:
        return system_loss("eskd", z, v, y, temperature=4.0, alpha=0.9, stop=stop, progress=progress)

    for progress, stop, expected in ((0.49, 0.5, kd), (0.5, 0.5, hard), (0.99, 1.0, kd), (0.0, 0.0, hard)):
        torch.testing.assert_close(at(progress, stop), expected, rtol=1e-6, atol=0)


def test_ctkd_begins_as_t_squared_kl_at_the_temperature_of_its_start():
    z, v, y = draw()
    start = 1 + 20 / (1 + math.exp(-1))
    assert start == pytest.approx(15.6, abs=0.05)
    torch.testing.assert_close(system_loss("ctkd", z, v, y, temperature=4.0), start**2 * kl(v, z, start))


def test_ctkds_temperature_ascends_the_students_loss_by_the_curriculum():
    z, v, y = draw()
    state = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)

    def gradient(progress: float, **changes: float) -> float:
        term = system_loss("ctkd", z, v, y, temperature=4.0, progress=progress, state=state, **changes).mean()
        return torch.autograd.grad(term, state)[0].item()

    t = (1 + 20 * torch.sigmoid(state)).squeeze()
    (plain,) = torch.autograd.grad((t**2 * kl(v, z, t)).mean(), state)
    ramp = 10 / 240
    assert gradient(0.0) == 0 and gradient(0.5, reversal=0.0) == 0
    assert gradient(ramp / 2) == pytest.approx(-plain.item() / 2, rel=1e-6)
    assert gradient(ramp) == gradient(1.0) == pytest.approx(-plain.item(), rel=1e-6)
    stepped = (state - 1e-3 * gradient(1.0)).detach()
    before, after = (system_loss("ctkd", z, v, y, temperature=4.0, state=s).mean() for s in (state, stepped))
    assert after > before


# Decoupled.


@settings(max_examples=20, deadline=None)
@given(seeds, temperatures)
def test_dkd_with_the_teachers_own_weight_of_similarity_is_kd(seed, temperature):
    z, v, y = draw(seed)
    beta = 1 - confidence(v, y, temperature)
    found = system_loss("dkd", z, v, y, temperature=temperature, alpha=1.0, beta=beta)
    torch.testing.assert_close(found, temperature**2 * kl(v, z, temperature), rtol=1e-9, atol=1e-9)


def test_dkd_with_beta_0_ignores_all_similarity():
    z, v, y = draw()
    shuffled = v.clone()
    for row, label in zip(shuffled, y, strict=True):
        others = [c for c in range(C) if c != label]
        row[others] = row[others].flip(0)
    first, second = (system_loss("dkd", z, t, y, temperature=4.0, beta=0.0) for t in (v, shuffled))
    torch.testing.assert_close(first, second)
    assert not torch.allclose(*(system_loss("dkd", z, t, y, temperature=4.0) for t in (v, shuffled)))


def test_dkd_with_alpha_0_ignores_the_labels_logit_of_both():
    z, v, y = draw()
    moved = [x.scatter_add(1, y[:, None], torch.full((B, 1), 7.0, dtype=torch.float64)) for x in (z, v)]
    first, second = (system_loss("dkd", a, b, y, temperature=4.0, alpha=0.0) for a, b in ((z, v), moved))
    torch.testing.assert_close(first, second)


def test_of_two_classes_dkd_has_no_similarity():
    z, v, y = draw()
    z, v, y = z[:, :2], v[:, :2], y % 2
    found = system_loss("dkd", z, v, y, temperature=4.0, alpha=0.0)
    torch.testing.assert_close(found, torch.zeros(B, dtype=torch.float64))


@settings(max_examples=20, deadline=None)
@given(seeds, temperatures)
def test_rld_is_dkd_where_the_teacher_is_right(seed, temperature):
    z, v, _ = draw(seed)
    y = v.argmax(1)
    found = system_loss("rld", z, v, y, temperature=temperature, confidence_temperature=temperature)
    torch.testing.assert_close(found, system_loss("dkd", z, v, y, temperature=temperature), rtol=1e-9, atol=1e-9)


def test_rld_teaches_no_similarity_where_the_teacher_ranks_the_label_last():
    z, v, _ = draw()
    y = v.argmin(1)
    found = system_loss("rld", z, v, y, temperature=4.0, alpha=0.0)
    assert torch.equal(found, torch.zeros(B, dtype=torch.float64))
    assert gradient_of("rld", z, v, y, temperature=4.0, alpha=0.0).abs().max() == 0


@settings(max_examples=20, deadline=None)
@given(seeds, temperatures)
def test_the_alpha_beta_divergence_is_kl_at_1_0_and_half_the_squared_distance_at_1_1(seed, temperature):
    z, v, y = draw(seed)
    of_kl, of_squares = (
        system_loss("abkd", z, v, y, temperature=temperature, alpha=1.0, beta=beta) for beta in (0.0, 1.0)
    )
    torch.testing.assert_close(of_kl, kl(v, z, temperature), rtol=1e-9, atol=1e-9)
    distance = (soft_labels(v, temperature) - soft_labels(z, temperature)).square().sum(-1)
    torch.testing.assert_close(of_squares, distance / 2, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.7])
def test_the_alpha_beta_divergence_goes_over_into_its_limit_without_a_jump(alpha):
    z, v, y = draw()
    limit, near = (system_loss("abkd", z, v, y, temperature=4.0, alpha=alpha, beta=beta) for beta in (0.0, 1e-6))
    torch.testing.assert_close(near, limit, rtol=1e-4, atol=1e-8)
    assert (system_loss("abkd", z, v, y, temperature=4.0, alpha=alpha, beta=0.3) > 0).all()
    same = system_loss("abkd", v, v, y, temperature=4.0, alpha=alpha, beta=0.3)
    torch.testing.assert_close(same, torch.zeros(B, dtype=torch.float64), rtol=0, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(1.5, 20))
def test_ttm_is_kd_with_a_bonus_of_renyis_entropy(seed, temperature):
    z, v, y = draw(seed)
    p, order = z.softmax(-1), 1 / temperature
    renyi = p.pow(order).sum(-1).log() / (1 - order)
    expected = temperature * kl(v, z, temperature) + (temperature - 1) * (entropy(soft_labels(v, temperature)) - renyi)
    torch.testing.assert_close(system_loss("ttm", z, v, y, temperature=temperature), expected, rtol=1e-8, atol=1e-8)


def test_wttm_weighs_ttm_by_the_power_sum_of_the_response():
    z, v, y = draw()
    weighted, plain = (system_loss(name, z, v, y, temperature=10.0) for name in ("wttm", "ttm"))
    torch.testing.assert_close(weighted / plain, v.softmax(-1).pow(0.1).sum(-1))
    softer = system_loss("wttm", z, 0.1 * v, y, temperature=10.0) / system_loss("ttm", z, 0.1 * v, y, temperature=10.0)
    assert (softer > weighted / plain).all()


def test_of_ten_classes_wttm_weighs_a_usual_response_as_ttm_does():
    hard, weight = (systems()["wttm"].defaults()[name] for name in ("hard", "weight"))
    leads = torch.linspace(6, 10, 9, dtype=torch.float64)
    v = F.one_hot(torch.zeros(9, dtype=torch.int64), C) * leads[:, None]
    weights = weight * powers(v, systems()["wttm"].temperature)
    ttm = systems()["ttm"].defaults()
    assert hard == ttm["hard"] and weights.mean().item() == pytest.approx(ttm["weight"], rel=0.05)
    assert ((weights / ttm["weight"] - 1).abs() < 0.25).all()


def test_wsl_weighs_an_example_by_how_much_surer_the_teacher_is():
    z, v, y = draw()
    equal = soft_label_weights(z, z, y)
    torch.testing.assert_close(equal, torch.full((B, 1), 1 - math.exp(-1), dtype=torch.float64))
    sure = 1000 * F.one_hot(y, C).double()
    assert (soft_label_weights(z, sure, y) == 1).all() and (soft_label_weights(sure, z, y) == 0).all()
    assert (soft_label_weights(sure, sure, y) == 0).all()
    soft = soft_labels(v, 4.0)
    expected = 16 * soft_label_weights(z, v, y)[:, 0] * -(soft * (z / 4).log_softmax(-1)).sum(-1)
    torch.testing.assert_close(system_loss("wsl", z, v, y, temperature=4.0), expected)


def test_from_a_teacher_that_is_sure_wsl_has_the_gradient_of_kd():
    z, _, y = draw()
    sure = 50 * F.one_hot(y, C).double() + draw(2)[1]
    found = gradient_of("wsl", z, sure, y, temperature=4.0)
    torch.testing.assert_close(found, 16 * gradient_of("rbkd", z, sure, y, temperature=4.0, alpha=1.0))


# Scale-free.


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(0.1, 50), st.floats(-20, 20), st.sampled_from([0.0, 1.0]))
def test_logit_standardization_is_unchanged_by_affine_maps_of_either_side(seed, scale, shift, correction):
    z, v, y = draw(seed)
    settings = {"temperature": 2.0, "correction": correction}
    plain = system_loss("logit_standardization", z, v, y, **settings)
    for student, teacher in ((scale * z + shift, v), (z, scale * v + shift), (scale * z, scale * v - shift)):
        found = system_loss("logit_standardization", student, teacher, y, **settings)
        torch.testing.assert_close(found, plain, rtol=1e-7, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_logit_standardizations_gradient_sums_to_0_and_is_orthogonal_to_the_logits(seed):
    z, v, y = draw(seed)
    gradient = gradient_of("logit_standardization", z, v, y, temperature=2.0)
    for found in (gradient.sum(-1), (gradient * z).sum(-1)):
        torch.testing.assert_close(found, torch.zeros(B, dtype=torch.float64), rtol=0, atol=1e-10)


def test_at_a_high_temperature_logit_standardization_is_1_minus_the_correlation():
    z, v, y = draw()
    correlation = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(z, v, strict=True)])
    for correction, factor in ((0.0, 1.0), (1.0, (C - 1) / C)):
        found = system_loss("logit_standardization", z, v, y, temperature=1e4, correction=correction)
        torch.testing.assert_close(found, factor * (1 - correlation), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("correction", "highest"), [(0.0, 0.370), (1.0, 0.351)])
def test_logit_standardization_caps_the_confidence_of_any_teacher(correction, highest):
    sure = 100 * torch.eye(C, dtype=torch.float64)
    assert soft_labels(standardized(sure, correction), 2.0).max().item() == pytest.approx(highest, abs=5e-4)


def test_normkd_is_logit_standardization_where_the_teachers_deviation_is_1_and_else_weighs_by_its_square():
    z, v, y = draw()
    plain = system_loss("logit_standardization", z, v, y, temperature=2.0)
    found = system_loss("normkd", z, v, y, temperature=2.0)
    torch.testing.assert_close(found, v.var(-1) * plain)
    torch.testing.assert_close(system_loss("normkd", z, v / v.std(-1, keepdim=True), y, temperature=2.0), plain)


def test_skd_is_equation_4_with_t_squared_where_the_deviations_agree_and_is_unchanged_by_the_students_scale():
    z, v, y = draw()
    same = z * v.std(-1, keepdim=True) / z.std(-1, keepdim=True)
    expected = system_loss("rbkd", same, v, y, temperature=4.0, alpha=0.9, t_squared=1.0)
    torch.testing.assert_close(system_loss("skd", same, v, y, temperature=4.0), expected)
    torch.testing.assert_close(system_loss("skd", 7 * z, v, y, temperature=4.0), expected)


def test_dist_is_0_for_equal_logits_and_each_half_lies_between_0_and_2():
    z, v, y = draw()
    torch.testing.assert_close(
        system_loss("dist", v, v, y, temperature=4.0), torch.zeros(B, dtype=torch.float64), rtol=0, atol=1e-12
    )
    for half in ({"gamma": 0.0}, {"beta": 0.0}):
        found = system_loss("dist", z, v, y, temperature=1.0, **half)
        assert (found >= 0).all() and (found <= 2).all()
    assert len(system_loss("dist", z, v, y, temperature=4.0, beta=0.0).unique()) == 1  # of the whole batch


def test_at_a_high_temperature_dists_inter_part_is_1_minus_the_correlation_of_the_logits():
    z, v, y = draw()
    correlation = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(z, v, strict=True)])
    found = system_loss("dist", z, v, y, temperature=1e3, gamma=0.0) / 1e6
    torch.testing.assert_close(found, 1 - correlation, rtol=1e-2, atol=1e-3)


def test_t_squared_kl_goes_over_into_the_regression_on_centred_logits_as_the_temperature_grows():
    z, v, y = draw()
    z, v = (x - x.mean(-1, keepdim=True) for x in (z, v))
    found = system_loss("logit_regression", z, v, y, temperature=1.0)
    torch.testing.assert_close(1e8 * kl(v, z, 1e4), found, rtol=1e-2, atol=1e-6)


# torchdistill's losses, written by others.


@pytest.fixture(scope="module")
def theirs():
    return pytest.importorskip("torchdistill.losses.mid_level")


PLACES = {
    "student_module_path": ".",
    "student_module_io": "out",
    "teacher_module_path": ".",
    "teacher_module_io": "out",
}


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_dist_and_logit_standardization_are_torchdistills(theirs, temperature):
    z, v, y = draw()
    given = ({".": {"out": z}}, {".": {"out": v}})
    # Without a weight of the hard labels their losses leave out T^2 and the weight of the soft ones.
    kd = theirs.KDLoss(**PLACES, temperature=temperature, alpha=0.1)(*given, y)
    ours = kd_loss(z, v, y, temperature=temperature, alpha=0.9, t_squared=True)
    torch.testing.assert_close(ours, kd)
    torch.testing.assert_close(
        system_loss("rbkd", z, v, y, temperature=temperature, alpha=0.9, t_squared=1.0).mean(), kd
    )
    dist = theirs.DISTLoss(**PLACES, beta=1.0, gamma=2.0, tau=temperature)(*given)
    torch.testing.assert_close(system_loss("dist", z, v, y, temperature=temperature, gamma=2.0).mean(), dist)
    standard = theirs.LogitStdKDLoss(**PLACES, temperature=temperature, alpha=0.1, beta=9.0)(*given, y)
    ours = 0.1 * F.cross_entropy(z, y)
    ours = ours + 9 * system_loss("logit_standardization", z, v, y, temperature=temperature).mean()
    torch.testing.assert_close(ours, standard, rtol=1e-6, atol=1e-6)


# The registry.


SQUARES = System(
    name="squares",
    title="Squared differences",
    reference="bucila2006compression",
    kind="B",
    loss=lambda z, v, y, *, temperature, scale: scale * (z - v).square().sum(-1, keepdim=True),
    parameters=(Parameter("scale", 1.0, "this test"),),
    main="scale",
    grid=(0.5, 1.0),
    verified="nothing",
    gradient=Gradient(
        fixed=lambda v, y, *, temperature, scale: v,
        by_logits=lambda z, fixed, y, *, temperature, scale: 2 * scale * (z - fixed) / z.shape[-2],
    ),
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "dkd"}, "cannot be registered as 'dkd': kdlib brings it"),
        ({"name": "two words"}, "must be an identifier"),
        ({"kind": "D"}, "the kind of a system 'D' cannot be used; allowed: A, B, C"),
        ({"main": "beta"}, "the main parameter of a system 'beta' cannot be used; allowed: scale"),
        ({"parameters": (Parameter("scale", -1.0, "this test"),)}, "scale=-1.0 cannot be used"),
        ({"name": 5}, "a system's name"),
        (
            {"parameters": (Parameter("scale", 1.0, "this test", of="totl"),)},
            "decides 'totl' cannot be used; allowed: term",
        ),
        (
            {"parameters": (Parameter("weight", 1.0, "", of="total"),), "main": "weight"},
            "it needs both hard and weight",
        ),
        ({"needs": ("response",)}, "what a system needs 'response' cannot be used; allowed: responses, labels"),
        ({"fields": ("alpha",)}, "a field of a student that a system has 'alpha' cannot be used; allowed: scale"),
        ({"grid": (-1.0, 1.0)}, "scale=-1.0 cannot be used"),
        ({"grid": ("wide",)}, "scale='wide' cannot be used"),
        ({"grid": 0.1}, r"the grid of a system another type is needed, such as \(0.3, 1.0, 3.0\), got 0.1"),
        ({"title": None}, "the title of a system another type is needed, such as 'My system', got None"),
        ({"reference": 3}, "the reference of a system another type is needed"),
        ({"loss": None}, "the loss of a system another type is needed, such as a function .*, got None"),
        ({"loss": "x"}, "the loss of a system another type is needed, such as a function .*, got 'x'"),
        ({"parameters": Parameter("scale", 1.0, "this test")}, "parameters of a system another type is needed, .* got"),
        ({"parameters": {"scale": 0.1}}, "parameters of a system another type is needed, .* got {'scale': 0.1}"),
        ({"parameters": (0.1,)}, "a parameter of a system is needed, such as kdlib.Parameter.*, got 0.1"),
        ({"parameters": (Parameter(5, 1.0, "this test"),)}, "a parameter's name is needed, such as 'weight', got 5"),
        ({"parameters": (Parameter("scale", 1.0, 7),)}, "the origin of the parameter scale is needed"),
        ({"parameters": (Parameter("scale", 1.0, "it", most="all"),)}, "a number is needed, such as 0.0, got 'all'"),
        ({"needs": "labels"}, "the needs of a system another type is needed, such as .*, got 'labels'"),
        ({"main": ["scale"]}, "the main parameter of a system .* cannot be used; allowed: scale"),
        ({"state": 5}, r"the state of a system another type is needed, such as kdlib.State\(start\) or None, got 5"),
        ({"state": State(5)}, "for start a function is needed"),
        ({"state": State(torch.zeros, count=5)}, "for count a function is needed"),
        ({"gradient": 3}, "the gradient of a system another type is needed, such as kdlib.Gradient.* or None, got 3"),
        ({"gradient": Gradient(None, None)}, "for fixed a function is needed"),
        ({"prepare": "x"}, "the prepare of a system another type is needed, such as a function or None, got 'x'"),
        ({"temperature": -1.0}, "the temperature of a system must be positive and finite, got -1.0"),
        ({"timed": "yes"}, "timed 'yes' cannot be used; allowed: True or False"),
        ({"version": "1"}, "the version of a system '1' cannot be used; allowed: a whole number from 1"),
    ],
)
def test_an_entry_that_does_not_hold_together_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        register_system(replace(SQUARES, **changes))


@pytest.mark.parametrize("name", NAMES)
def test_every_systems_loss_and_gradient_hold_for_several_students_at_once(name):
    for classes in (2, 3, C):
        check_loss(systems()[name], classes, torch.device("cpu"))


def test_each_entry_is_complete():
    for name, system in systems().items():
        assert system.name == name and system.title and system.verified and system.kind in "ABC"
        assert len(system.grid) == 3 == len(set(system.grid)), name  # as many trials for each
        main = next(p for p in system.parameters if p.name == system.main)
        assert all(p.origin for p in system.parameters)
        for value in (*system.grid, main.default):
            main.check(name, value)
        assert {"hard", "weight"} <= set(system.defaults("total")) or not system.defaults("total")


def as_weight(parameter: Parameter, value: float) -> float:
    """How much a value weighs: of a share of 1, against the rest of it."""
    return abs(value) / (1 - value) if parameter.most == 1 else abs(value)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_tried_beside_a_default_are_its_neighbours_on_either_side_the_one_nearer_to_the_labels_first(name):
    system = systems()[name]
    main = next(p for p in system.parameters if p.name == system.main)
    default, others = main.default, [value for value in system.grid if value != main.default]
    weights = [as_weight(main, value) for value in others]
    if default == main.least:
        assert default < others[0] < others[1]
    else:
        own = as_weight(main, default)
        assert weights[0] < own < weights[1] or (main.name == "hard" and weights[1] < own < weights[0])
        assert max(own / min(weights), max(weights) / own) < 4
    assert len(others) == 2


def test_the_assistant_is_chosen_by_the_mean_accuracy_not_by_size():
    assert nearest_to_mean({"8": 0.82, "6": 0.78, "4": 0.70}, teacher=0.84, student=0.60) == "4"


def test_a_path_without_assistants_is_the_teacher_itself(tiny_teacher):
    assert path(tiny_teacher, (), temperature=9.0, alpha=0.99) == tiny_teacher
    last = path(tiny_teacher, ("assistant", "baseline_student"), temperature=9.0, alpha=0.99)
    assert (last.network, last.taught_by.network, last.taught_by.taught_by) == (
        "baseline_student", "assistant", tiny_teacher,
    )  # fmt: skip
