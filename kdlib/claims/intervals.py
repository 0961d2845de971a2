"""Estimates with their intervals, over seeds or over test examples."""

import math
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real

import torch

from ..errors import InputError
from ..training.arguments import whole

CORRELATIONS = ("rank correlation", "partial rank correlation")  # units that end at -1 and 1
LOGARITHMS = "t of logarithms"  # an interval's kind
POINTS = ("percentage points", "percentage points above chance")  # at -100 and 100


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval over `n` units; `kind` says how it was made."""

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
        """Ends of the interval, cut at its unit's range: percent 0 to 100, points -100 to 100, correlations -1 to 1."""
        ends = {"%": (0.0, 100.0)} | dict.fromkeys(CORRELATIONS, (-1.0, 1.0)) | dict.fromkeys(POINTS, (-100.0, 100.0))
        least, most = ends.get(unit, (-math.inf, math.inf))
        return max(self.low, least), min(self.high, most)

    def widened(self, factor: float) -> "Interval":
        """With the distances of both ends from the mean multiplied, of ratios on the log scale."""
        if factor == 1:
            return self
        if self.kind == LOGARITHMS:
            low, high = (self.mean * (end / self.mean) ** factor for end in (self.low, self.high))
        else:
            low, high = (self.mean + factor * (end - self.mean) for end in (self.low, self.high))
        return replace(self, low=low, high=high)

    @property
    def has_width(self) -> bool:
        """True if there are two bounds, farther apart than rounding in the arithmetic puts them."""
        return self.high - self.low > 1e-9 * max(abs(self.low), abs(self.high))

    @property
    def decimals(self) -> int:
        """Decimals to print: two digits of the half-width (JCGM 100:2008, 7.2.6), up to two more for a bound's sign.

        Without a width, three digits of the mean.
        """
        if not self.has_width:
            return max(0, 2 - _exponent(self.mean))
        shown = 1 - _exponent((self.high - self.low) / 2)
        return max(0, shown, min(shown + 2, max(-_exponent(bound) for bound in (self.low, self.high))))


def _exponent(value: float) -> int:
    """Exponent of ten in scientific notation; 0 for 0, nan and infinity."""
    return math.floor(math.log10(abs(value))) if 0 < abs(value) < math.inf else 0


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval of the mean over seeds; nan are left out; with one value the bounds are nan.

    Raises `InputError` for what is no list of numbers, and for a level outside of (0, 1).
    """
    from scipy import stats

    _check_level(level)
    sample = torch.tensor(_numbers(values), dtype=torch.float64, device="cpu")
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
    """The t interval of positive ratios on the log scale, around their geometric mean; `InputError` for others."""
    numbers = _numbers(values)
    if any(v <= 0 for v in numbers):
        raise InputError(f"ratios must be positive, got {reprlib.repr(numbers)}")
    logs = t_interval([math.log(v) for v in numbers], level)
    return Interval(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high), logs.n, LOGARITHMS)


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share (Wilson 1927), such as one seed's accuracy on `trials` test examples.

    Raises `InputError` unless 0 <= successes <= trials and trials >= 1.
    """
    from scipy import stats

    whole("trials", trials, 1, kind=Integral)
    whole("successes", successes, 0, trials, kind=Integral)
    _check_level(level)
    test = stats.binomtest(successes, trials)
    bounds = test.proportion_ci(level, method="wilson")
    return Interval(test.statistic, float(bounds.low), float(bounds.high), trials, "Wilson, one seed")


def _numbers(values: Sequence[float]) -> list[float]:
    try:
        return [float(v) for v in values]
    except (TypeError, ValueError) as error:
        raise InputError(f"a list of numbers is needed, got {reprlib.repr(values)}") from error


def _check_level(level: float) -> None:
    if not isinstance(level, Real) or not 0 < level < 1:
        raise InputError(f"level must lie in (0, 1), got {level!r}")
