import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from kdlib import entropy, kd_loss, label_smoothing_labels, label_smoothing_loss, soft_labels
from kdlib.training.losses import kd_gradient, kd_gradient_norms, kd_targets

B, C = 16, 10


def draw(seed=0, scale=3.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = scale * torch.randn(2, B, C, generator=generator, dtype=dtype)
    return student, teacher, torch.randint(0, C, (B,), generator=generator)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.6, 1.0])
def test_label_smoothing_loss_is_torchs(alpha):
    student, _, labels = draw()
    expected = F.cross_entropy(student, labels, label_smoothing=alpha)
    torch.testing.assert_close(label_smoothing_loss(student, labels, alpha), expected)


def test_label_smoothing_labels_are_table_1():
    labels = label_smoothing_labels(torch.tensor([6]), 10, 0.6)[0]
    assert labels[6].item() == pytest.approx(0.46)
    assert all(labels[c].item() == pytest.approx(0.06) for c in range(10) if c != 6)


@settings(max_examples=40, deadline=None)
@given(
    temperature=st.floats(0.5, 30),
    alpha=st.floats(0, 1),
    t_squared=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_kd_gradient_is_its_formula(temperature, alpha, t_squared, seed):
    student, teacher, labels = draw(seed)
    student.requires_grad_()
    kd_loss(student, teacher, labels, temperature=temperature, alpha=alpha, t_squared=t_squared).backward()
    p, q = F.softmax(student.detach(), -1), F.one_hot(labels, C).double()
    soft = (F.softmax(student.detach() / temperature, -1) - F.softmax(teacher / temperature, -1)) / temperature
    scale = temperature**2 if t_squared else 1
    torch.testing.assert_close(student.grad, ((1 - alpha) * (p - q) + alpha * scale * soft) / B)


@settings(max_examples=40, deadline=None)
@given(temperature=st.floats(0.5, 30), alpha=st.floats(0, 1), t_squared=st.booleans(), seed=st.integers(0, 10_000))
def test_the_gradient_by_formula_is_autograds_for_one_and_for_many_students(temperature, alpha, t_squared, seed):
    student, teacher, labels = draw(seed)
    student.requires_grad_()
    chosen = {"temperature": temperature, "alpha": alpha, "t_squared": t_squared}
    kd_loss(student, teacher, labels, **chosen).backward()
    z = student.detach()
    one = kd_gradient(z, kd_targets(teacher, labels, **chosen), **chosen)
    torch.testing.assert_close(one, student.grad)
    stack = {
        name: torch.tensor([value, other])[:, None, None]
        for (name, value), other in zip(chosen.items(), (1.0, 0.0, True), strict=True)
    }
    targets = kd_targets(teacher.expand(2, -1, -1), labels.expand(2, -1), **stack)
    torch.testing.assert_close(
        kd_gradient(z.expand(2, -1, -1), targets, **stack)[0], student.grad, rtol=1e-5, atol=1e-8
    )


def test_kd_from_a_uniform_teacher_at_t_1_is_label_smoothing_up_to_a_constant():
    student, _, labels = draw()
    other = draw(1)[0]
    uniform, alpha = torch.zeros(B, C, dtype=torch.float64), 0.6
    differences = [
        label_smoothing_loss(s, labels, alpha) - kd_loss(s, uniform, labels, temperature=1, alpha=alpha)
        for s in (student, other)
    ]
    assert differences[0].item() == pytest.approx(alpha * math.log(C))
    assert differences[1].item() == pytest.approx(alpha * math.log(C))


def test_kd_from_a_uniform_teacher_at_t_3_has_another_gradient():
    student, _, labels = draw()
    gradients = []
    for loss in (
        lambda z: label_smoothing_loss(z, labels, 0.6),
        lambda z: kd_loss(z, torch.zeros_like(z), labels, temperature=3, alpha=0.6),
    ):
        z = student.clone().requires_grad_()
        loss(z).backward()
        gradients.append(z.grad)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3


def test_kd_is_zero_for_a_student_equal_to_its_teacher():
    _, teacher, labels = draw()
    assert kd_loss(teacher, teacher, labels, temperature=9, alpha=1.0).item() == pytest.approx(0, abs=1e-12)


def test_kd_sums_over_classes_and_averages_over_the_batch():
    student, teacher, labels = draw()
    p, log_q = F.softmax(teacher / 5, -1), F.log_softmax(student / 5, -1)
    expected = F.kl_div(log_q, p, reduction="batchmean")
    torch.testing.assert_close(kd_loss(student, teacher, labels, temperature=5, alpha=1.0), expected)


def test_entropy_tends_to_0_as_t_tends_to_0_and_to_log_c_as_t_grows():
    _, teacher, _ = draw()
    torch.testing.assert_close(entropy(soft_labels(teacher, 1e-3)), torch.zeros(B, dtype=torch.float64))
    torch.testing.assert_close(
        entropy(soft_labels(teacher, 1e6)), torch.full((B,), math.log(C), dtype=torch.float64), atol=1e-9, rtol=0
    )


@settings(max_examples=30, deadline=None)
@given(cold=st.floats(0.3, 10), factor=st.floats(1.05, 5), seed=st.integers(0, 1000))
def test_entropy_grows_with_temperature(cold, factor, seed):
    _, teacher, _ = draw(seed)
    assert (entropy(soft_labels(teacher, cold * factor)) > entropy(soft_labels(teacher, cold)) - 1e-12).all()


def test_entropy_of_a_one_hot_label_is_0():
    assert entropy(F.one_hot(torch.arange(C), C).double()).abs().max() == 0


def test_label_smoothing_loses_no_precision_to_its_labels():
    logits = torch.randn(20, C, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(20) % C
    (gradient,) = torch.autograd.grad(label_smoothing_loss(logits, labels, 0.6), logits)
    expected = (logits.softmax(-1) - 0.4 * torch.eye(C, dtype=torch.float64)[labels] - 0.6 / C) / 20
    assert (gradient - expected).abs().max() < 1e-15


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_and_gradients_stay_finite_at_logits_of_1e4(dtype):
    student = torch.zeros(B, C, dtype=dtype)
    student[:, 0] = 1e4
    teacher = -student
    labels = torch.ones(B, dtype=torch.long)
    student.requires_grad_()
    loss = kd_loss(student, teacher, labels, temperature=3, alpha=0.5) + label_smoothing_loss(student, labels, 0.1)
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()
    assert entropy(soft_labels(teacher, 1.0)).isfinite().all()


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_a_temperature_that_is_not_positive_and_finite_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be positive"):
        soft_labels(torch.zeros(1, 3), temperature)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_an_alpha_outside_0_to_1_is_refused(alpha):
    student, teacher, labels = draw()
    with pytest.raises(ValueError, match="alpha"):
        kd_loss(student, teacher, labels, temperature=1, alpha=alpha)
    with pytest.raises(ValueError, match="alpha"):
        label_smoothing_labels(labels, C, alpha)


@pytest.mark.parametrize("t_squared", [False, True])
def test_gradient_norms_are_the_lengths_of_the_two_terms_gradients(t_squared):
    source = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(5, 4, generator=source) for _ in range(2))
    labels = torch.tensor([0, 1, 2, 3, 0])
    settings = {"temperature": 4.0, "t_squared": t_squared}
    hard, soft = kd_gradient_norms(student, teacher, labels, alpha=0.7, **settings)
    for i in range(5):
        one = student[i : i + 1].clone().requires_grad_()
        part = (one, teacher[i : i + 1], labels[i : i + 1])
        for norm, alpha, weight in ((hard, 0.0, 0.3), (soft, 1.0, 0.7)):
            (gradient,) = torch.autograd.grad(kd_loss(*part, alpha=alpha, **settings), one)
            torch.testing.assert_close(norm[i], weight * gradient.norm())


@pytest.mark.parametrize("temperature", [1.0, 9.0])
@pytest.mark.parametrize("alpha", [0.6, 1.0])
def test_a_class_that_the_teacher_gives_exactly_0_adds_nothing_to_the_loss(alpha, temperature):
    """Its logit is -inf; the loss is that of the other classes, to which the student's own are compared."""
    student, teacher, labels = draw()
    teacher[:, 3] = -math.inf
    small = teacher.clone()
    small[:, 3] = -1e6  # 0 but for rounding
    student.requires_grad_()
    ours, theirs = (kd_loss(student, z, labels, temperature=temperature, alpha=alpha) for z in (teacher, small))
    assert ours.isfinite()
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(loss, student)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients)
