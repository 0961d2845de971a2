"""Measures of responses, students and activations. Pure functions.

The public ones raise `InputError`, a `ValueError`, for shapes, types and numbers that they do not take.
"""

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .arguments import all_finite, axes, label_range, positive, whole


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of examples [N, C] whose largest logit is the label's."""
    return (logits.argmax(-1) == labels).float().mean().item()


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Confusion matrix: counts [C, C] of labels (rows) and predictions (columns), from logits [N, C] and labels [N]."""
    axes(logits=(logits, "N C"), labels=(labels, "N"), least={"C": 1}, values=True)
    label_range(labels, logits.shape[1])
    classes = logits.shape[-1]
    return torch.bincount(labels * classes + logits.argmax(-1), minlength=classes**2).view(classes, classes)


def correct_bias(logits: Tensor, missing_class: int, prior: float) -> Tensor:
    """The shift of one class's logit that makes its mean predicted probability equal its prior. Takes no labels.

    Hinton et al. (2015, section 3) raise the bias of a class that the transfer set lacks, tuned on test data; this
    takes only unlabelled inputs. Arguments: student `logits` [N, C] on held-out inputs at temperature 1,
    `missing_class`, `prior` in (0, 1). Returns a scalar, fp32. Raises `InputError` for another prior.
    """
    axes(logits=(logits, "N C"), least={"N": 1, "C": 2}, values=True)
    whole("missing_class", missing_class, 0, logits.shape[1] - 1)
    positive("prior", prior)
    if prior >= 1:
        raise InputError(f"prior must lie in (0, 1), got {prior}")
    logits = logits.cpu().double()  # not every accelerator has doubles
    others = torch.cat([logits[:, :missing_class], logits[:, missing_class + 1 :]], dim=1).logsumexp(1)
    margin = logits[:, missing_class] - others
    low, high = (-margin.max() - 50).item(), (-margin.min() + 50).item()
    # By bisection, since the mean grows with the shift. Not by scipy.optimize.brentq: its root differs in the last bit
    # of fp32 in one of some thousand cases, and stored students have this one's.
    for _ in range(100):
        middle = (low + high) / 2
        if torch.sigmoid(margin + middle).mean() < prior:
            low = middle
        else:
            high = middle
    return torch.tensor(high, dtype=torch.float32)


def variance_in_response(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """Variance in response: how much the similarity labels vary (paper, section 3.3), raw and relative to their mean.

    Arguments: `probabilities` [N, C] with C of 2 or more, `labels` [N]. Row-wise: the variance of the C-1 non-target
    probabilities within an example, averaged over examples; nan of two classes, where there is but one. Column-wise:
    the variance of each non-target probability across the examples of one class, averaged over columns and over classes
    of two examples or more.
    Relative: standard deviation over mean non-target probability.
    Returns numbers under `row_variance`, `column_variance`, `row_relative` and `column_relative`.
    """
    axes(probabilities=(probabilities, "N C"), labels=(labels, "N"), least={"N": 1, "C": 2}, values=True)
    classes = probabilities.shape[-1]
    label_range(labels, classes)
    target = F.one_hot(labels, classes).bool()
    similarity = probabilities[~target].view(-1, classes - 1)
    row = similarity.var(1).mean() if classes > 2 else torch.tensor(torch.nan)
    column = torch.stack(
        [probabilities[labels == c][:, torch.arange(classes) != c].var(0).mean() for c in labels.unique()]
    ).nanmean()
    mean = similarity.mean()
    return {
        "row_variance": row.item(),
        "column_variance": column.item(),
        "row_relative": (row.sqrt() / mean).item(),
        "column_relative": (column.sqrt() / mean).item(),
    }


def distance_to_label_smoothing(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Divergence (KL) of each response from its label-smoothing surrogate of equal confidence, in nats.

    The surrogate keeps the probability of the label and spreads the rest evenly: what is left of the response when
    its similarity information is taken away (paper, section 3.4 and figure 2).
    Arguments: probabilities [N, C], `labels` [N]. Returns [N], 0 for a label-smoothing response.
    """
    axes(probabilities=(probabilities, "N C"), labels=(labels, "N"), least={"C": 2})
    label_range(labels, probabilities.shape[1])
    rest = probabilities.scatter(1, labels[:, None], 0.0)
    # Summed, not 1 minus the confidence, which is 0 where the confidence rounds to 1 and the rest is not.
    mean = rest.sum(-1, keepdim=True) / (probabilities.shape[-1] - 1)
    ratio = rest / mean.where(mean > 0, 1.0)
    return torch.xlogy(rest, ratio).sum(-1)


def within_between_scatter(activations: Tensor, labels: Tensor) -> float:
    """Within-class over between-class scatter, NC1 of Papyan et al. (2020): tr(S_W pinv(S_B)) / K; smaller is tighter.

    Arguments: `activations` [N, D], `labels` [N] with K distinct values, 2 or more.
    """
    axes(activations=(activations, "N D"), labels=(labels, "N"), least={"D": 1}, values=True)
    all_finite("activations", activations)
    activations, labels = activations.detach().cpu(), labels.cpu()
    classes = labels.unique()
    if len(classes) < 2:
        raise InputError(f"labels of {len(classes)} classes cannot be used; allowed: 2 or more")
    # Class by class: of all activations at once, doubles would take gigabytes. In the same two blocks each time: before
    # glibc 2.38 an aligned block that was freed is often too small for the next of its size, and memory grows.
    members = [torch.nonzero(labels == c).flatten() for c in classes]
    largest = max(len(indices) for indices in members)
    singles = activations.new_empty(largest, activations.shape[1])
    doubles = singles.new_empty(singles.shape, dtype=torch.float64)

    def of_class(indices: Tensor) -> Tensor:
        count = len(indices)
        return doubles[:count].copy_(torch.index_select(activations, 0, indices, out=singles[:count]))

    means = torch.stack([of_class(indices).mean(0) for indices in members])
    spread = means - means.mean(0)  # S_B = spread^T spread / K has rank K - 1: no D x D matrix
    inverse = torch.linalg.pinv(spread, rtol=1e-6)  # [D, K]
    within = [
        (of_class(indices).sub_(mean) @ inverse).square().sum() for indices, mean in zip(members, means, strict=True)
    ]
    return (sum(within) / len(labels)).item()


def penultimate_projection(activations: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
    """Coordinates on the plane through three classes' templates (Müller et al. 2019, section 2).

    A template is a row of the last layer with its bias; activations get a 1 appended. Q is an orthonormal basis of
    [w2 - w1, w3 - w1]; the coordinates are (x - w1)^T Q. Of two classes, whose templates span a line, they are the
    coordinate on it and the distance from it.

    Arguments: `activations` [N, D], `weights` [3, D] and `biases` [3] of the three classes, or of two. Returns [N, 2].
    """
    count = 2 if isinstance(weights, Tensor) and weights.ndim and len(weights) == 2 else 3
    shapes = {"weights": (weights, f"{count} D"), "biases": (biases, f"{count}")}
    axes(activations=(activations, "N D"), **shapes, least={"D": 1}, values=True)
    templates = torch.cat([weights, biases[:, None]], dim=1).cpu().double()
    points = torch.cat([activations, torch.ones(len(activations), 1).to(activations)], dim=1).cpu().double()
    basis, upper = torch.linalg.qr((templates[1:] - templates[0]).T)
    basis = basis * upper.diagonal().sign()  # QR's signs are arbitrary: make the edges point the positive way
    coordinates = (points - templates[0]) @ basis
    if count == 2:
        away = torch.linalg.vector_norm(points - templates[0] - coordinates @ basis.T, dim=1, keepdim=True)
        coordinates = torch.cat([coordinates, away], dim=1)
    return coordinates.float()


def nearest(values: Iterable[float], wanted: float) -> float:
    """The value of a grid that is nearest to the one wanted; the first where two are as near."""
    return min(values, key=lambda value: abs(value - wanted))


def cell_accuracies(result: Mapping[str, Tensor], missing: int) -> dict[str, float]:
    """Percent of the missing class and of the other classes recognised, before and after the bias correction.

    Arguments: a student's result (see `students.distill`), its missing class. Returns percentages under `raw`,
    `corrected` (missing class), `others` and `others_corrected`, and `n`, test examples of the missing class.
    """
    row: dict[str, float] = {}
    for column, others, counts in (
        ("raw", "others", result["confusion"]),
        ("corrected", "others_corrected", result["corrected"]),
    ):
        right, total = counts.diagonal(), counts.sum(1)
        row[column] = 100 * (right[missing] / total[missing]).item()
        row[others] = 100 * ((right.sum() - right[missing]) / (total.sum() - total[missing])).item()
    return row | {"n": int(result["confusion"][missing].sum())}


def validation_percent(result: Mapping[str, Tensor]) -> float:
    """Best validation accuracy over a student's epochs, in percent."""
    return 100 * result["validation_accuracy"].max().item()


def last_validation_percent(result: Mapping[str, Tensor]) -> float:
    """Validation accuracy after the last epoch of a student, or the last kept one of a teacher, in percent."""
    return 100 * result["validation_accuracy"][-1].item()


def test_percent(result: Mapping[str, Tensor]) -> float:
    """Test accuracy of a student after its last step, in percent."""
    counts = result["confusion"]
    return 100 * (counts.diagonal().sum() / counts.sum()).item()
