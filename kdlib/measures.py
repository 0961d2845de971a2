"""Measures of responses, students and activations, and intervals over seeds. Pure functions."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of examples [N, C] whose largest logit is the label's."""
    return (logits.argmax(-1) == labels).float().mean().item()


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts [C, C] of labels (rows) and predictions (columns)."""
    classes = logits.shape[-1]
    return torch.bincount(labels * classes + logits.argmax(-1), minlength=classes**2).view(classes, classes)


def correct_bias(logits: Tensor, missing_class: int, prior: float) -> Tensor:
    """The shift of one class's logit that makes its mean predicted probability equal its prior. Takes no labels.

    Hinton et al. (2015, section 3) raise the bias of a class that the transfer set lacks, tuned on test data; this
    takes only unlabelled inputs. Arguments: student `logits` [N, C] on held-out inputs at temperature 1,
    `missing_class`, `prior` in (0, 1). Returns a scalar; found by bisection, since the mean grows with the shift.
    """
    if not 0 < prior < 1:
        raise ValueError(f"prior must lie in (0, 1), got {prior}")
    logits = logits.cpu().double()  # not every accelerator has doubles
    others = torch.cat([logits[:, :missing_class], logits[:, missing_class + 1 :]], dim=1).logsumexp(1)
    margin = logits[:, missing_class] - others
    low, high = (-margin.max() - 50).item(), (-margin.min() + 50).item()
    for _ in range(100):
        middle = (low + high) / 2
        if torch.sigmoid(margin + middle).mean() < prior:
            low = middle
        else:
            high = middle
    return torch.tensor(high, dtype=torch.float32)


def variance_in_response(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """How much the similarity labels vary (paper, section 3.3), raw and relative to their mean.

    Arguments: responses [N, C], `labels` [N]. Row-wise: the variance of the C-1 non-target probabilities within an
    example, averaged over examples. Column-wise: the variance of each non-target probability across the examples of
    one class, averaged over classes and columns. Relative: standard deviation over mean non-target probability.
    """
    classes = probabilities.shape[-1]
    target = F.one_hot(labels, classes).bool()
    similarity = probabilities[~target].view(-1, classes - 1)
    row = similarity.var(1).mean()
    column = torch.stack(
        [probabilities[labels == c][:, torch.arange(classes) != c].var(0).mean() for c in labels.unique()]
    ).mean()
    mean = similarity.mean()
    return {
        "row_variance": row.item(),
        "column_variance": column.item(),
        "row_relative": (row.sqrt() / mean).item(),
        "column_relative": (column.sqrt() / mean).item(),
    }


def distance_to_label_smoothing(probabilities: Tensor, labels: Tensor) -> Tensor:
    """KL of each response from its label-smoothing surrogate of equal confidence, in nats: [N, C] -> [N].

    The surrogate keeps the probability of the label and spreads the rest evenly: what is left of the response when
    its similarity information is taken away (paper, section 3.4 and figure 2). 0 for a label-smoothing response.
    """
    rest = probabilities.scatter(1, labels[:, None], 0.0)
    # Summed, not 1 minus the confidence, which is 0 where the confidence rounds to 1 and the rest is not.
    mean = rest.sum(-1, keepdim=True) / (probabilities.shape[-1] - 1)
    ratio = rest / mean.where(mean > 0, 1.0)
    return torch.xlogy(rest, ratio).sum(-1)


def within_between_scatter(activations: Tensor, labels: Tensor) -> float:
    """NC1 of Papyan et al. (2020): tr(S_W pinv(S_B)) / K. Smaller is tighter.

    Arguments: `activations` [N, D], `labels` [N] with K distinct values.
    """
    activations, labels = activations.cpu().double(), labels.cpu()
    means = torch.stack([activations[labels == c].mean(0) for c in labels.unique()])
    centred = activations - means[torch.searchsorted(labels.unique(), labels)]
    spread = means - means.mean(0)  # S_B = spread^T spread / K has rank K - 1: no D x D matrix is needed
    inverse = torch.linalg.pinv(spread, rtol=1e-6)  # [D, K]
    return ((centred @ inverse).square().sum() / len(labels)).item()


def penultimate_projection(activations: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
    """Coordinates on the plane through three classes' templates (Müller et al. 2019, section 2).

    A template is a row of the last layer with its bias; activations get a 1 appended. Q is an orthonormal basis of
    [w2 - w1, w3 - w1]; the coordinates are (x - w1)^T Q.

    Arguments: `activations` [N, D], `weights` [3, D] and `biases` [3] of the three classes. Returns [N, 2].
    """
    templates = torch.cat([weights, biases[:, None]], dim=1).cpu().double()
    points = torch.cat([activations, torch.ones(len(activations), 1).to(activations)], dim=1).cpu().double()
    basis, upper = torch.linalg.qr((templates[1:] - templates[0]).T)
    basis = basis * upper.diagonal().sign()  # QR's signs are arbitrary: make the edges point the positive way
    return ((points - templates[0]) @ basis).float()


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95% interval over `n` units; `kind` says how it was made."""

    mean: float
    low: float
    high: float
    n: int
    kind: str = "t"

    def __str__(self) -> str:
        mean, low, high = (self.printed(value) for value in (self.mean, self.low, self.high))
        return f"{mean} (n = {self.n})" if math.isnan(self.low) else f"{mean} [{low}, {high}] (n = {self.n})"

    def printed(self, value: float, decimals: int | None = None) -> str:
        """A number with so many decimals, or as many as the interval deserves; never "-0"."""
        decimals = self.decimals if decimals is None else decimals
        return f"{round(value, decimals) + 0.0:.{decimals}f}"

    def shown_ends(self, unit: str | None) -> tuple[float, float]:
        """Its ends, no farther than what is measured in this unit can go."""
        least, most = {"rank correlation": (-1.0, 1.0), "%": (0.0, 100.0)}.get(unit, (-math.inf, math.inf))
        return max(self.low, least), min(self.high, most)

    @property
    def has_width(self) -> bool:
        """Whether there are two bounds, farther apart than rounding in the arithmetic puts them."""
        return self.high - self.low > 1e-9 * max(abs(self.low), abs(self.high))

    @property
    def decimals(self) -> int:
        """To print: two digits of the half-width (JCGM 100:2008, 7.2.6), up to two more to show a bound's sign.

        Without a width, three digits of the mean.
        """
        if not self.has_width:
            return max(0, 2 - _exponent(self.mean))
        shown = 1 - _exponent((self.high - self.low) / 2)
        return max(0, shown, min(shown + 2, max(-_exponent(bound) for bound in (self.low, self.high))))


def _exponent(value: float) -> int:
    """Of ten, in scientific notation; 0 for 0 and nan."""
    return math.floor(math.log10(abs(value))) if abs(value) > 0 else 0


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval of the mean over seeds; nan are left out. With one value the bounds are nan."""
    from scipy import stats

    sample = torch.tensor([float(v) for v in values], dtype=torch.float64)
    sample = sample[~sample.isnan()]
    n = len(sample)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = sample.mean().item()
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = stats.t.ppf((1 + level) / 2, n - 1) * sample.std().item() / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def ratio_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The t interval on the log scale: of positive ratios, around their geometric mean."""
    if any(v <= 0 for v in values):
        raise ValueError("ratios must be positive")
    logs = t_interval([math.log(v) for v in values], level)
    return Interval(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high), logs.n, "t of logarithms")


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share: what one seed's accuracy on `trials` test examples says (Wilson 1927)."""
    from scipy import stats

    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} of {trials} is no share")
    z = stats.norm.ppf((1 + level) / 2)
    share = successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return Interval(share, centre - half, centre + half, trials, "Wilson, one seed")


def nearest(values: Iterable[float], wanted: float) -> float:
    """The value of a grid that is nearest to the one wanted; of two as near, the first."""
    return min(values, key=lambda value: abs(value - wanted))
