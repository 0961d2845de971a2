"""Teachers whose loss moves the clusters of their classes, that are smoothed, or that go on from another."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from kdlib import (
    InputError,
    Student,
    Teacher,
    build_model,
    configure_cpu,
    responses,
    train_teacher,
    within_between_scatter,
)
from kdlib.training import teachers
from kdlib.training.systems import clusters
from kdlib.training.systems.features import initial_network, transfer_features
from kdlib.training.teachers import load_teacher, predict

B, C, D = 12, 4, 7


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    configure_cpu(1)


def draw() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features [B, D], labels [B], and means [C, D]."""
    source = torch.Generator().manual_seed(0)
    features, means = (torch.randn(n, D, generator=source, dtype=torch.float64) for n in (B, C))
    return features, torch.arange(B) % C, means


def test_class_distance_pulls_to_the_own_mean_and_pushes_from_the_nearest_other_within_the_bound():
    features, labels, means = draw()
    distances = torch.cdist(features, means).square() / D
    own = distances[range(B), labels]
    others = distances.masked_fill(F.one_hot(labels, C).bool(), torch.inf)
    bound = others.amin(1).median().item()
    inside = others.amin(1) < bound
    assert 0 < inside.sum() < B
    expected = own - others.amin(1).clamp(max=bound)
    features.requires_grad_()
    found = clusters.class_distance(features, labels, means, bound)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found.sum(), features)
    pull = 2 * (features - means[labels]) / D
    push = -2 * (features - means[others.argmin(1)]) / D
    beyond = others.amin(1) > bound
    torch.testing.assert_close(gradient[inside], (pull + push)[inside])
    torch.testing.assert_close(gradient[beyond], pull[beyond])


def test_class_distance_with_a_bound_of_0_is_the_center_loss():
    features, labels, means = draw()
    expected = (features - means[labels]).square().sum(1) / D
    torch.testing.assert_close(clusters.class_distance(features, labels, means, 0.0), expected)


def test_the_distance_between_means_is_that_of_all_pairs():
    _, _, means = draw()
    pairs = torch.pdist(means).square() / D
    torch.testing.assert_close(clusters.distance_between(means), pairs.mean())


def test_conditional_information_is_the_divergence_from_the_classs_centroid():
    logits = 3 * torch.randn(B, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.arange(B) % C
    p = logits.softmax(-1)
    centroids = torch.stack([p[labels == c].mean(0) for c in range(C)])
    found = clusters.conditional_information(logits, labels, centroids)
    torch.testing.assert_close(found, (p * (p / centroids[labels]).log()).sum(-1))
    assert (found >= 0).all()
    alone = clusters.conditional_information(logits[:C], labels[:C], p[:C])  # each class has one member
    torch.testing.assert_close(alone, torch.zeros(C, dtype=torch.float64))
    huge = clusters.conditional_information(1e4 * logits.float(), labels, torch.eye(C))
    assert huge.isfinite().all()


@pytest.fixture(scope="module")
def plain():
    return Teacher("small_teacher", seed=0, epochs=4, batch_size=64)


@pytest.fixture(scope="module")
def plain_run(plain, digits):
    return train_teacher(plain, digits)


def scatter(teacher: Teacher, run: dict, digits) -> float:
    model = load_teacher(teacher, run, digits)
    return within_between_scatter(predict(model.features, digits.images), digits.labels)


def test_clusters_get_tighter_with_the_weight_of_the_class_distance(plain, plain_run, digits):
    tighter = [replace(plain, class_distance=weight) for weight in (1.0, 10.0)]
    found = [scatter(teacher, train_teacher(teacher, digits), digits) for teacher in tighter]
    assert scatter(plain, plain_run, digits) > found[0] > found[1]


def test_until_there_are_means_a_class_distance_teacher_is_the_plain_one(plain, plain_run, digits):
    run = train_teacher(replace(plain, class_distance=10.0, epochs=2), digits)
    assert torch.equal(responses(run, 1), responses(plain_run, 1))
    assert not torch.equal(responses(run, 2), responses(plain_run, 2))


def test_which_epochs_are_kept_moves_no_weight_of_a_class_distance_teacher(plain, digits):
    every = replace(plain, class_distance=10.0, epochs=2)
    runs = [train_teacher(teacher, digits) for teacher in (every, replace(every, kept_epochs=(2,)))]
    assert torch.equal(*(responses(run, 2) for run in runs)) and len(runs[1]["logits"]) == 1


def test_means_by_class_are_those_of_the_training_set_after_the_epoch(plain, plain_run, digits):
    model = load_teacher(plain, plain_run, digits)
    loss = teachers.TeacherLoss(replace(plain, class_distance=0.5), digits, model, None)
    loss.renew_means()
    features = predict(model.features, digits.images[digits.train])
    for c in range(10):
        torch.testing.assert_close(loss.means[c], features[digits.labels[digits.train] == c].mean(0))
    assert loss.weight == 0.5 and loss.bound > 0
    bound = loss.bound.clone()
    loss.model.head.weight.data.zero_()
    loss.renew_means()
    assert torch.equal(loss.bound, bound)


@pytest.mark.parametrize("changes", [{"class_distance": 0.5}, {"information": -0.15}])
def test_dropout_in_training_is_no_distance_from_the_means_of_evaluation(changes, plain, digits):
    """Where each example is its class's mean it has no distance from it, and no divergence."""
    teacher = replace(plain, network="small_teacher_regularized", **changes)
    model = build_model(teacher.network, digits.family, digits.shape, digits.classes)
    loss = teachers.TeacherLoss(teacher, digits, model, None)
    loss.weight.fill_(1.0)
    batch = torch.stack([(digits.labels == c).nonzero()[0, 0] for c in range(digits.classes)])
    alone = predict(model.features if teacher.class_distance else model, digits.images[batch])
    loss.means.copy_(alone if teacher.class_distance else alone.softmax(-1))
    terms, answers = [], []

    def term(features, logits, part):
        value = loss(features, logits, part)
        terms.append(value.item() - F.cross_entropy(logits, digits.labels[part]).item())
        answers.append(logits.detach())
        return value

    teachers.train_step(model, teachers.adam(list(model.parameters()), 1e-3), digits, batch, "fp32", term)
    assert (answers[0] - model.head(predict(model.features, digits.images[batch]))).abs().max() > 0.01  # dropout is on
    assert terms == [pytest.approx(0, abs=1e-5)]


def test_teachers_of_moved_clusters_are_other_units_than_before_and_all_others_are_not(plain, digits):
    assert "clusters_version" not in plain.config(digits)
    for changes in ({"class_distance": 0.5}, {"information": -0.15}):
        assert replace(plain, **changes).config(digits)["clusters_version"] == 2


@pytest.mark.parametrize("changes", [{}, {"class_distance": 0.5}, {"information": -0.15}])
@pytest.mark.parametrize("fine_tuned", [False, True])
def test_means_by_class_take_a_pass_before_each_epoch_that_has_them_and_that_is_what_is_counted(
    changes, fine_tuned, plain, plain_run, digits, monkeypatch
):
    seen = []

    def count(values, labels, classes):
        seen.append(len(labels))
        return clusters.sums_by_class(values, labels, classes)

    monkeypatch.setattr(teachers, "sums_by_class", count)
    teacher = replace(plain, epochs=2, continues=plain if fine_tuned else None, **changes)
    train_teacher(teacher, digits, first_run=plain_run if fine_tuned else None)
    assert sum(seen) == (1 + fine_tuned) * bool(changes) * len(digits.train)
    assert sum(seen) == teachers.passes_for_means(teacher, 2) * len(digits.train)


def test_a_student_of_features_answers_by_its_teachers_last_layer_whatever_else_would_teach_it(
    plain, plain_run, digits
):
    model = load_teacher(plain, plain_run, digits)
    head = model.head.weight.clone()
    student = Student(plain, 4, 9.0, batch_size=32, steps=100, learning_rate=0.02)
    first, other = (
        transfer_features(s, digits, model) for s in (student, replace(student, temperature=3.0, alpha=0.0))
    )
    assert all(torch.equal(first[name], other[name]) for name in first) and torch.equal(model.head.weight, head)
    assert first["confusion"].sum() == digits.test_size and first["validation_accuracy"][-1] > 0.5
    assert len(first["validation_accuracy"]) == student.epochs
    swapped = load_teacher(plain, plain_run, digits)
    swapped.head.weight.data, swapped.head.bias.data = swapped.head.weight.roll(1, 0), swapped.head.bias.roll(1, 0)
    assert torch.equal(transfer_features(student, digits, swapped)["confusion"], first["confusion"].roll(1, 1))


def test_the_map_to_a_teachers_features_repeats_no_random_number_of_the_students_layers(plain, plain_run, digits):
    student = Student(plain, 4, 9.0)
    first = initial_network(student, digits, load_teacher(plain, plain_run, digits)).features
    body, mapped = (next(layer.parameters()).detach().flatten() for layer in first)
    both = torch.stack([body, mapped[: len(body)]])
    assert torch.corrcoef(both)[0, 1].abs() < 0.5
    alone = build_model("general_student", digits.family, digits.shape, seed=student.seed())
    assert torch.equal(body, next(alone.parameters()).detach().flatten())


def test_a_smoothed_teacher_is_less_sure_and_smoothing_by_0_is_the_plain_teacher_bit_for_bit(plain, plain_run, digits):
    assert replace(plain, label_smoothing=0.0).config(digits) == plain.config(digits)
    smoothed = train_teacher(replace(plain, label_smoothing=0.3), digits)
    sure, less = (responses(run).softmax(-1).amax(-1).mean() for run in (plain_run, smoothed))
    assert less < sure - 0.1


def test_fine_tuning_raises_the_information_between_image_and_response(plain, plain_run, digits):
    tuned = replace(plain, continues=plain, epochs=3)
    assert tuned.config(digits)["continues"]["epochs"] == 4

    def information(weight: float) -> torch.Tensor:
        run = train_teacher(replace(tuned, information=weight), digits, first_run=plain_run)
        logits, labels = responses(run)[digits.train], digits.labels[digits.train]
        centroids = clusters.sums_by_class(logits.softmax(-1), labels, 10) / torch.bincount(labels)[:, None]
        return clusters.conditional_information(logits, labels, centroids).mean()

    assert information(-0.15) > information(0.0)


def test_fine_tuning_without_a_weight_is_plain_training_from_there(plain, plain_run, digits):
    tuned = train_teacher(replace(plain, continues=plain, epochs=1), digits, first_run=plain_run)
    model = load_teacher(plain, plain_run, digits).train()
    optimizer = teachers.adam(list(model.parameters()), plain.learning_rate)
    order = torch.randperm(len(digits.train), generator=torch.Generator().manual_seed(plain.seed))
    for batch in digits.train[order].split(plain.batch_size):
        optimizer.zero_grad()
        F.cross_entropy(model(digits.images[batch]), digits.labels[batch]).backward()
        optimizer.step()
    assert torch.equal(responses(tuned), predict(model, digits.images))


def test_what_a_teacher_builds_on_is_asked_for(plain, plain_run, digits):
    tuned = replace(plain, continues=plain)
    assert tuned.builds_on == (plain,) and plain.builds_on == ()
    with pytest.raises(InputError, match="`first_run` belongs to a teacher that is fine-tuned"):
        train_teacher(tuned, digits)
    with pytest.raises(InputError, match="`first_run` belongs to a teacher that is fine-tuned"):
        train_teacher(plain, digits, first_run=plain_run)
    with pytest.raises(InputError, match="'assistant' cannot go on from the weights of 'small_teacher'"):
        train_teacher(replace(tuned, network="assistant"), digits, first_run=plain_run)
    with pytest.raises(InputError, match="class_distance and information cannot both be given"):
        train_teacher(replace(plain, class_distance=1.0, information=1.0), digits)
    with pytest.raises(InputError, match="label_smoothing must lie in"):
        train_teacher(replace(plain, label_smoothing=1.5), digits)
