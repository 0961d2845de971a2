"""Words for tables, figures and sentences: names of teachers, and numbers with their intervals."""

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from ..claims.claims import Verdict, count_verdicts, load_claims
from ..claims.intervals import Interval, ratio_interval, t_interval, wilson_interval

NAMES = {"small": "small teacher", "large": "large teacher", "large_sweet": "large, sweet spot", "none": "labels alone"}
TEACHERS = {"small": "small", "large": "large", "large_sweet": NAMES["large_sweet"]}


def setting_name(teacher: str, setting: str) -> str:
    """Name of a panel of figure 7: "small teacher", or "large, 4096 × 50" (batch size, epochs) for another setting."""
    return NAMES[teacher] if setting == "default" else f"{teacher}, {setting.replace('x', ' × ')}"


class Markdown(str):
    """Text in Markdown, which a notebook renders."""

    def _repr_markdown_(self) -> str:
        return str(self)


def as_written(text: str) -> str:
    """Markdown that shows a text as it is, whatever Markdown, mathematics or HTML would make of its characters."""
    return re.sub(r"([\\`*_{}\[\]<>&$|#~^])", r"\\\1", text)


def index_name_as_header(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose index name stands in the header row, which then is the only one; the index itself stays."""
    return table.rename_axis(index=None, columns=table.index.name)


def temperature_headings(temperatures: Iterable[float]) -> list[str]:
    """Headings of columns, "T = 3" for each temperature; a narrow column breaks them before the number alone."""
    return [f"T\N{NO-BREAK SPACE}= {t:g}" for t in temperatures]


def first_seed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table that belong to its first teacher seed."""
    return table[table.seed == table.seed.min()]


def ratio_and_ends(values: Sequence[float], decimals: int) -> str:
    """Geometric mean of positive numbers over seeds and the ends of its 95% interval as text, "1.23 [0.84, 1.80]".

    Numbers that are not positive have no logarithm, and are left out.
    """
    interval = ratio_interval([value for value in values if value > 0])
    if interval.n == 0:
        return "–"
    ends = f" [{interval.low:.{decimals}f}, {interval.high:.{decimals}f}]" if interval.n > 1 else ""
    return f"{interval.mean:.{decimals}f}{ends}".replace(" ", "\N{NO-BREAK SPACE}")


def mean_and_half_width(values: Sequence[float], decimals: int = 1, trials: int | None = None) -> str:
    """Mean and half-width of the 95% t interval over seeds as text, "97.1 ± 0.3".

    With one seed, a percentage of `trials` with Wilson's interval, which is not symmetric: "0.0 [0.0, 0.4]".
    """
    interval = t_interval(values)
    if interval.n == 0:
        return "–"
    text = f"{interval.mean:.{decimals}f}"
    if interval.n > 1:
        text += f" ± {(interval.high - interval.low) / 2:.{decimals}f}"
    elif trials:
        share = wilson_interval(round(interval.mean / 100 * trials), trials)
        text += f" [{100 * share.low:.{decimals}f}, {100 * share.high:.{decimals}f}]"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def mean_over_seeds(table: pd.DataFrame, column: str) -> Interval:
    """The t interval over teacher seeds of a column's mean within each seed."""
    return t_interval(table.groupby("seed")[column].mean())


def format_interval(interval: Interval, unit: str, decimals: int | None = 1) -> str:
    """An interval as words of a sentence: "1.23 nats (95% interval 1.20 to 1.26, n = 3)".

    Arguments: `unit`, with the space before it; percentages and rank correlations are cut at the ends of their range.
    `decimals`: None gives as many as the interval deserves.
    """
    ends = interval.shown_ends(unit.strip())
    mean, low, high = (interval.printed(value, decimals) for value in (interval.mean, *ends))
    if interval.low != interval.low:
        return f"{mean}{unit} (n = {interval.n})"
    if not interval.has_width:
        return f"{mean}{unit} (the same in all {interval.n} seeds)"
    return f"{mean}{unit} (95% interval {low} to {high}, n = {interval.n})"


def by_temperature(table: pd.DataFrame, column: str, temperatures: Sequence[float], decimals: int = 2) -> pd.DataFrame:
    """A table of a column's mean ± half-width: a row for each teacher, a column for each temperature.

    Where the table has splits, only rows of training examples are taken.
    """
    part = table[table.temperature.isin(temperatures)]
    part = part[part.split == "train"] if "split" in part else part
    grid = part.groupby(["teacher", "temperature", "seed"])[column].mean().groupby(level=[0, 1], sort=False)
    shown = grid.apply(lambda v: mean_and_half_width(v, decimals)).unstack("temperature")
    shown.columns = temperature_headings(shown.columns)
    return index_name_as_header(shown.loc[[t for t in TEACHERS if t in shown.index]].rename(index=TEACHERS))


def page_verdicts(verdicts: Sequence[Verdict], *main: str) -> Markdown:
    """Sentences on the verdict on a page's main claim, the first that `main` names, and on how all its claims fared."""
    claims = {claim.id: claim for claim in load_claims()}
    sentences = []
    for v in [v for v in verdicts if v.claim in main][:1]:
        unit = claims[v.claim].unit
        number = format_interval(v.estimate, "" if unit == "ratio" else f" {unit}", None) if v.estimate else ""
        size = "" if v.paper is None else f"the paper has {v.paper:.4g}"
        remarks = (remark[0].lower() + remark[1:] for remark in v.remarks())
        said = "; ".join(filter(None, [number, v.said, size, *remarks]))
        sentences.append(f"*{claims[v.claim].title}*: **{v.verdict}**{f', {said}' * bool(said)}.")
    sentences.append(f"Of {len(verdicts)} claims that this page decides (its last table): {count_verdicts(verdicts)}.")
    return Markdown(" ".join(sentences))
