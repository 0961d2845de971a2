"""Tables and sentences on all systems beside equation 4 and labels alone."""

from collections.abc import Sequence

import pandas as pd

from ...claims.inference import LEVEL
from ...claims.intervals import Interval
from ...report.formatting import TEACHERS, Markdown, index_name_as_header, mean_and_half_width
from ...training.systems.registry import is_own
from .arms import DEFAULT, LABELS
from .comparison import ARM, BASE, COSTS, EQUAL, differences, without_repeats

SPENT = {
    "total": "at equal total computation, the teacher's training included",
    "given_teacher": "at equal computation, given a trained teacher",
}
STARTS = TEACHERS | {"none": "none"}
VARIANTS = {
    ("takd", "direct"): "directly from the large teacher",
    ("takd", "assistant"): "through the first assistant",
    ("takd", "second_assistant"): "through the second, smaller assistant",
    ("takd", "small_teacher"): "through the small teacher",
    ("takd", "both"): "through both assistants, one after the other",
    ("takd", "assistant_untaught"): "from the first assistant, trained on labels",
    ("takd", "second_assistant_untaught"): "from the second assistant, trained on labels",
    ("takd", "small_teacher_untaught"): "from the small teacher, trained on labels",
    ("residual", "progressive"): "residual: one network after the other",
    ("residual", "joint"): "residual: both at once",
    ("residual", "ensemble"): "two independent networks of these sizes",
    ("tfkd_self", "itself"): "from a copy of the student",
    ("tfkd_self", "small_teacher"): "from the small teacher",
    ("tfkd_reg", "formula"): "TF-KD reg, equation 9 of its paper",
    ("tfkd_reg", "code"): "TF-KD reg, its public code (label smoothing)",
    ("class_distance", "responses"): "class-distance teacher, responses",
    ("class_distance", "features"): "class-distance teacher, features and last layer",
    ("class_distance", "plain_features"): "plain large teacher, features and last layer",
}


def equal_compute_finding(cells: pd.DataFrame, missing: pd.DataFrame, costs: Sequence[str] = COSTS) -> Markdown:
    """A sentence for each of some `COSTS`: which systems, if any, beat labels alone at equal computation."""
    found = differences(cells, missing)
    return Markdown(" ".join(_beats(found[found.to == EQUAL[cost]], SPENT[cost]) for cost in costs))


def _beats(rows: pd.DataFrame, spent: str) -> str:
    """A sentence on one column of computation: which arms are ahead, the best one's interval, what the rivals had."""
    held, start = rows[rows.n > 1], spent[0].upper() + spent[1:]
    if held.empty:
        return f"{start}, it is not decided whether any system beats labels alone: one seed gives no interval."
    shown, less = held.adjusted <= LEVEL, held.cut_short.astype(bool)
    ahead, behind = shown & (held.low > 0), shown & (held.high < 0)
    winners, short, fair = held[ahead & ~less], (ahead & less).sum(), held[~less]
    best = held.loc[(held if fair.empty else fair if winners.empty else winners)["mean"].idxmax()]
    interval = Interval(best["mean"], best.low, best.high, int(best.n))
    farthest = f"{_arm_name(best)}: {interval} points, adjusted p = {best.adjusted:.2g}"
    arms = f"the {len(fair)} arms that can be compared" if less.any() else f"{len(held)} arms"
    if winners.empty:
        best_of = "farthest ahead" if best["mean"] > 0 else "least behind"
        none = "no arm" if fair.empty else f"none of {arms}"
        said = f"**{none} is shown to beat labels alone** ({best_of} {farthest})"
    elif len(winners) == 1:
        said = f"**one of {arms} beats labels alone** ({farthest})"
    else:
        names = ", ".join(dict.fromkeys(f"`{name}`" for name in winners.sort_values("mean", ascending=False).system))
        said = f"**{len(winners)} of {arms} beat labels alone**: {names} (farthest ahead {farthest})"
    said += f"; behind: {behind.sum()}, undecided: {(~ahead & ~behind).sum()}"
    if held.allowed.max() > 1.5:
        said += f"; labels alone had up to {held.allowed.max():.1f} times an arm's computation"
    if less.any():
        lead = f", and {short} of them {'leads' if short == 1 else 'lead'} it" if short else ""
        said += (
            f"; {less.sum()} arms cannot be compared: labels alone still improved at the longest training, at least "
            f"{held.allowed[less].min():.0%} of theirs{lead}"
        )
    return f"{start}, {said}."


def _arm_name(row: pd.Series) -> str:
    teacher = {"none": "", "large_sweet": " from the large teacher at its sweet spot"}
    return f"`{row.system}`, {row.weights}" + teacher.get(row.teacher, f" from the {row.teacher} teacher")


def related_systems(cells: pd.DataFrame, missing: pd.DataFrame) -> pd.DataFrame:
    """Every arm: accuracies [%], mean ± half-width; differences; operations as multiples of a student's.

    An arm whose tuned value is the default one stands once, as "both"; a reader's own system is marked. A star marks
    a difference whose interval excludes 0 and whose adjusted p is at most 0.05, a dagger one to labels alone that
    might have improved with the rest of the arm's computation. In brackets behind accuracies with few examples and on a
    missing class: minus labels alone.
    """
    found = differences(cells, missing)
    kept = without_repeats(cells)
    once = kept[kept.length == 1]
    arms = once.groupby(["teacher", "system"]).weights.nunique()
    unit = cells[(cells.system == LABELS) & cells.full & (cells.length == 1)].operations_total.mean()
    rows = []
    for (teacher, system, weights), part in once.groupby(ARM, sort=False):
        whole = part[part.full]
        own = found[(found.teacher == teacher) & (found.system == system) & (found.weights == weights)]
        beside = own[own.to == LABELS].set_index("measure")

        def against_labels(measure: str, values: pd.Series, beside: pd.DataFrame = beside) -> str:
            lead = f" ({_difference(beside.loc[measure], 1)})" if measure in beside.index else ""
            return f"{mean_and_half_width(values, 1)}{lead}"

        row = {
            "system": f"{system} (your own)" if is_own(system) else system,
            "teacher": STARTS[teacher],
            "weights": "both" if arms[teacher, system] == 1 and system != LABELS else weights,
            "all": mean_and_half_width(whole.accuracy, 2),
        }
        for number, few in part[~part.full].groupby("examples_per_class"):
            row[f"{number:g} a class"] = against_labels(f"{number:g} examples", few.accuracy)
        removed = missing[(missing.teacher == teacher) & (missing.system == system) & (missing.weights == weights)]
        for column, title in (("raw", "missing, raw"), ("corrected", "missing, corrected")):
            row[title] = against_labels(f"missing class, {column}", removed.groupby("seed")[column].mean())
        full = own[own.measure == "all examples"].set_index("to")
        for to, title in (
            (BASE, "− equation 4"),
            (LABELS, "− labels alone"),
            (EQUAL["given_teacher"], "− labels, equal given teacher"),
            (EQUAL["total"], "− labels, equal total"),
        ):
            row[title] = _difference(full.loc[to]) if to in full.index else "–"
        for cost, title in (("given_teacher", "cost given teacher"), ("total", "total cost")):
            row[title] = f"{whole[f'operations_{cost}'].mean() / unit:,.1f}"
        rows.append(row)
    return index_name_as_header(pd.DataFrame(rows).set_index("system"))


def _difference(row: pd.Series, decimals: int = 2) -> str:
    if row.n == 0:
        return "–"
    star = "*" if row.n > 1 and (row.low > 0 or row.high < 0) and row.adjusted <= LEVEL else ""
    half = f" ± {(row.high - row.low) / 2:.{decimals}f}" if row.n > 1 else ""
    less = "\N{DAGGER}" if row.cut_short else ""
    return f"{row['mean']:+.{decimals}f}{half}{star}{less}".replace(" ", "\N{NO-BREAK SPACE}")


def system_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Validation accuracy [%] at each value of the main weight on the first seed; a star marks the one chosen."""
    rows = []
    for (teacher, system), part in trials.groupby(["teacher", "system"], sort=False):
        row = {"system": system, "teacher": STARTS[teacher]}
        for k, trial in enumerate(part.itertuples(), start=1):
            name = f"trial {k}" if k > 1 else DEFAULT
            row[name] = f"{trial.value:g}: {trial.validation_accuracy:.2f}{'*' if trial.chosen else ''}"
        rows.append(row)
    return index_name_as_header(pd.DataFrame(rows).set_index("system"))


def system_variants(variants: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy [%] of each variant, mean ± half-width, and its operations over those of the direct student."""
    direct = variants[(variants.system == "takd") & (variants.variant == "direct")].operations_total.mean()
    rows = []
    for (system, variant), part in variants.groupby(["system", "variant"], sort=False):
        cost = part.operations_total.mean() / direct
        rows.append(
            {
                "system": system,
                "student": VARIANTS[system, variant],
                "all examples (%)": mean_and_half_width(part.accuracy, 2),
                "total cost over direct": "–" if cost != cost else f"{cost:.2f}",
            }
        )
    return index_name_as_header(pd.DataFrame(rows).set_index("system"))


def assistant_candidates(assistants: pd.DataFrame) -> pd.DataFrame:
    """Each candidate's own validation accuracy [%], its distance from the mean, and how often it is the nearest.

    Below them the one that the rule of the mean accuracy takes in each seed, and as its control the farthest one.
    """
    nearest = assistants[assistants.nearest]
    farthest = assistants.loc[assistants.groupby("seed").distance.idxmax()]
    count, seeds = nearest.network.value_counts(), assistants.seed.nunique()
    shown = {name.replace("_", " "): part for name, part in assistants.groupby("network", sort=False)}
    times = [f"{count.get(name, 0)} of {seeds}" for name in assistants.network.unique()]
    shown |= {"by the rule: the nearest": nearest, "control: the farthest": farthest}
    rows = [
        {
            "assistant": name,
            "its own (%)": mean_and_half_width(part.own_accuracy, 2),
            "from the mean": mean_and_half_width(part.distance, 2),
            "nearest in seeds": how_often,
            "its student (%)": mean_and_half_width(part.accuracy, 2),
            "untaught (%)": mean_and_half_width(part.untaught_accuracy, 2),
        }
        for (name, part), how_often in zip(shown.items(), [*times, "all", "none"], strict=True)
    ]
    return index_name_as_header(pd.DataFrame(rows).set_index("assistant"))


def teachers_clusters(clusters: pd.DataFrame) -> pd.DataFrame:
    """NC1, conditional information [nats] and validation accuracy [%] of the large teacher as each system trains it."""
    rows = [
        {
            "large teacher": name.replace("_", " "),
            "NC1": mean_and_half_width(part.nc1, 3),
            "conditional information (nats)": mean_and_half_width(part.information, 4),
            "validation accuracy (%)": mean_and_half_width(part.accuracy, 2),
        }
        for name, part in clusters.groupby("teacher", sort=False)
    ]
    return index_name_as_header(pd.DataFrame(rows).set_index("large teacher"))
