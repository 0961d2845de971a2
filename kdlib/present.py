"""Tables and sentences of the pages, made from measurements. Every number is a mean with an interval and n."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from .claims import VERDICTS, Verdict, load_claims
from .controls import CHANGES, findings, load_controls
from .measures import Interval, ratio_interval, t_interval, wilson_interval
from .models import ROLES, TABLE7, build_model, count_parameters
from .paper import missing_class_table, paper_table
from .statistics import STATISTICS, Tables
from .statistics.common import last_epoch

TEACHERS = {"small": "small", "large": "large", "large_sweet": "large, sweet spot"}
OUTCOME_WORDS = {"explains": "yes", "does not explain": "no", "undecided": "undecided", "not decided": "no finding"}
FAMILY_TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}


class Text(str):
    """Markdown that a notebook shows as such."""

    def _repr_markdown_(self) -> str:
        return str(self)


class Words:
    """A table of words, which pandas would cut short."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    def __repr__(self) -> str:
        return self.table.to_string()

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return self.table.to_html(border=0, classes="dataframe words-4")


def _titled(table: pd.DataFrame) -> pd.DataFrame:
    """The same with the name of its rows in the one header row."""
    return table.rename_axis(index=None, columns=table.index.name)


def first_seed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first teacher seed."""
    return table[table.seed == table.seed.min()]


def mean_and_half_width(values: Sequence[float], decimals: int = 1, trials: int | None = None) -> str:
    """ "mean ± half-width" of the 95% t interval over seeds.

    Of one seed, a percentage of `trials` with Wilson's interval, which is not symmetric: "0.0 [0.0, 0.4]".
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
    """t interval over teacher seeds of a column's mean within each seed."""
    return t_interval(table.groupby("seed")[column].mean())


def spoken(interval: Interval, unit: str, decimals: int | None = 1) -> str:
    """An interval in a sentence: "1.23 nats (95% interval 1.20 to 1.26, n = 3)"; of a share in "%", from 0 to 100."""
    ends = interval.low, interval.high
    if unit == "%":
        ends = max(interval.low, 0.0), min(interval.high, 100.0)
    mean, low, high = (interval.printed(value, decimals) for value in (interval.mean, *ends))
    if interval.low != interval.low:
        return f"{mean}{unit} (n = {interval.n})"
    return f"{mean}{unit} (95% interval {low} to {high}, n = {interval.n})"


def teachers(table: pd.DataFrame, floor: float) -> pd.DataFrame:
    """Both teachers at the last epoch: parameters, accuracies, and how many seeds pass the accuracy floor."""
    last = last_epoch(table)
    rows = []
    for name in ("small", "large"):
        part = last[last.teacher == name]
        passed = int((part.validation_accuracy >= 100 * floor).sum())
        lowest = f" (lowest {part.validation_accuracy.min():.2f})" if passed < len(part) else ""
        rows.append(
            {
                "teacher": name,
                "parameters": f"{int(part.parameters.iloc[0]):,}",
                **{
                    f"{split} accuracy (%)": mean_and_half_width(part[f"{split}_accuracy"])
                    for split in ("train", "validation", "test")
                },
                f"seeds above {100 * floor:g}% on validation": f"{passed} of {len(part)}{lowest}",
            }
        )
    return _titled(pd.DataFrame(rows).set_index("teacher"))


def label_smoothing_table(alpha: float, classes: int, shown: int) -> pd.DataFrame:
    """Table 1: equation 1's labels beside the printed ones (which are for ten classes and digit 6)."""
    import torch

    from .losses import label_smoothing_labels

    ours = label_smoothing_labels(torch.tensor([shown]), classes, alpha)[0].tolist()
    table = pd.DataFrame({"here": [f"{v:.2f}" for v in ours]}, index=range(classes))
    if classes == 10 and shown == 6:
        table.insert(0, "paper", [f"{v:.2f}" for v in paper_table(1).sort_values("class").soft_label])
    return table.T.rename_axis("class", axis=1)


def soft_labels_beside_paper(labels: pd.DataFrame, shown_names: Sequence[str]) -> pd.DataFrame:
    """Five examples' soft labels from both teachers of the first seed, to be set beside tables 2 and 3."""
    part = first_seed(labels)
    ours = part.pivot_table(index=["teacher", "example"], columns="class", values="soft_label", sort=False)
    ours.columns = [shown_names[c] for c in ours.columns]
    table = ours.map("{:.3f}".format)
    table.index = pd.MultiIndex.from_tuples(
        [("here", teacher, example) for teacher, example in table.index], names=["", "teacher", "example"]
    )
    return table


def printed_soft_labels() -> pd.DataFrame:
    """Tables 2 and 3 as printed."""
    parts = []
    for number, teacher in ((2, "small"), (3, "large")):
        grid = paper_table(number).pivot_table(index="example", columns="class", values="soft_label")
        grid.index = pd.MultiIndex.from_tuples(
            [("paper", teacher, e) for e in grid.index], names=["", "teacher", "example"]
        )
        parts.append(grid)
    return pd.concat(parts).map("{:.3f}".format)


def confidence_on_shown_class(shown: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Mean and range over the test examples of the shown class at T = 9, beside the five printed labels (MNIST)."""
    rows = []
    for number, teacher in ((2, "small"), (3, "large")):
        part = shown[shown.teacher == teacher]
        row = {
            "teacher": teacher,
            "mean": mean_and_half_width(part["mean"], 3),
            "smallest": mean_and_half_width(part.low, 3),
            "largest": mean_and_half_width(part.high, 3),
        }
        if dataset in ("mnist", "digits"):
            printed = paper_table(number)
            confidence = printed[printed["class"] == 6].soft_label
            row["paper (five examples, MNIST)"] = f"{confidence.min():.3f} to {confidence.max():.3f}"
        rows.append(row)
    return _titled(pd.DataFrame(rows).set_index("teacher"))


def by_temperature(table: pd.DataFrame, column: str, temperatures: Sequence[float], decimals: int = 2) -> pd.DataFrame:
    """One row for each teacher, one column for each temperature; where the table has splits, of training examples."""
    part = table[table.temperature.isin(temperatures)]
    part = part[part.split == "train"] if "split" in part else part
    grid = part.groupby(["teacher", "temperature", "seed"])[column].mean().groupby(level=[0, 1], sort=False)
    shown = grid.apply(lambda v: mean_and_half_width(v, decimals)).unstack("temperature")
    shown.columns = [f"T = {t:g}" for t in shown.columns]
    return _titled(shown.loc[[t for t in TEACHERS if t in shown.index]].rename(index=TEACHERS))


def table7_rows() -> list[dict[str, object]]:
    """Table 7, a row for each network: layers and parameters here, and the printed count (None: not legible)."""
    printed = paper_table(7).set_index(["dataset", "role"]).parameters
    rows = []
    for family, networks in TABLE7.items():
        for role in ROLES:
            theirs = printed.get((family, role))
            theirs = None if pd.isna(theirs) else int(theirs)
            ours = count_parameters(build_model(role, family))
            rows.append(
                {
                    "dataset": family,
                    "network": role,
                    "convolutions": len(networks[role].widths),
                    "dense": len(networks[role].dense) + 1,
                    "parameters": ours,
                    "paper": theirs,
                    "equal": None if theirs is None else theirs == ours,
                    "identified": networks[role].identified,
                }
            )
    return rows


def table7() -> pd.DataFrame:
    """Table 7: the networks, their parameter counts, and the printed counts."""
    rows = [
        {
            "data set": FAMILY_TITLES[row["dataset"]],
            "network": row["network"].replace("_", " "),
            "parameters here": f"{row['parameters']:,}",
            "paper": f"{row['paper']:,}" if row["paper"] else "not legible",
            "equal": {True: "yes", False: "NO", None: "–"}[row["equal"]],
            "identified": row["identified"],
        }
        for row in table7_rows()
    ]
    return pd.DataFrame(rows).set_index(["data set", "network"])


def missing_class(cells: pd.DataFrame, names: Sequence[str], teacher: str, column: str = "raw") -> pd.DataFrame:
    """One half of tables 4-6 as measured here: rows are removed classes, columns temperatures, percent."""
    part = cells[cells.teacher == teacher]
    grid = part.groupby(["missing_class", "temperature"]).apply(
        lambda cell: mean_and_half_width(cell[column], 1, int(cell.n.iloc[0])), include_groups=False
    )
    return _by_class(grid.unstack("temperature"), names)


def missing_class_beside_paper(
    cells: pd.DataFrame, names: Sequence[str], teacher: str, dataset: str
) -> pd.DataFrame | Text:
    """The printed half table and the difference (here minus paper) in each cell; a note where the paper has none."""
    printed = missing_class_table(dataset)
    if printed is None:
        return Text("*The paper prints no such table for this data set.*")
    ours = cells[cells.teacher == teacher].pivot_table(index="missing_class", columns="temperature", values="raw")
    part = printed[printed.teacher == teacher]
    theirs = part.pivot_table(index="missing_class", columns="temperature", values="accuracy_percent")
    theirs.columns = theirs.columns.astype(float)
    difference = ours - theirs.reindex_like(ours)
    parts = {"paper": (theirs.reindex_like(ours), "{:.1f}"), "difference": (difference, "{:+.1f}")}
    shown = {
        name: part.map(lambda v, form=form: "–" if pd.isna(v) else form.format(v))
        for name, (part, form) in parts.items()
    }
    return pd.concat({name: _by_class(part, names) for name, part in shown.items()}, axis=1)


def missing_class_summary(cells: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Means over classes and temperatures for each teacher, and the printed tables' means."""
    printed, rows = missing_class_table(dataset), []
    for teacher in ("small", "large"):
        part = cells[cells.teacher == teacher].groupby("seed")
        row = {"teacher": teacher}
        if printed is not None:
            row["paper, raw (%)"] = f"{printed[printed.teacher == teacher].accuracy_percent.mean():.1f}"
        row |= {
            "here, raw (%)": mean_and_half_width(part.raw.mean()),
            "bias corrected (%)": mean_and_half_width(part.corrected.mean()),
            "the other classes (%)": mean_and_half_width(part.others.mean()),
            "others after correction (%)": mean_and_half_width(part.others_corrected.mean()),
        }
        rows.append(row)
    return _titled(pd.DataFrame(rows).set_index("teacher"))


def efficiency(cells: pd.DataFrame, selection: str, budget: str, column: str = "validation_accuracy") -> pd.DataFrame:
    """Accuracy [%] by number of examples per class (rows) and teacher (columns)."""
    part = cells[(cells.selection == selection) & (cells.budget == budget)]
    grid = part.groupby(["examples_per_class", "teacher"])[column].apply(mean_and_half_width).unstack("teacher")
    grid = grid[[t for t in TEACHERS if t in grid]].rename(columns=TEACHERS)
    grid.insert(0, "the student's steps", part.groupby("examples_per_class").steps.first().map("{:,}".format))
    grid.index = [f"{n:g}" if n == int(n) else f"all ({n:.0f})" for n in grid.index]
    return _titled(grid.rename_axis("examples per class"))


def tightness(table: pd.DataFrame) -> pd.DataFrame:
    """NC1 and silhouette of each teacher and setting, on training and held-out examples."""
    rows = []
    for (teacher, setting), part in table.groupby(["teacher", "setting"], sort=False):
        row = {"teacher": teacher, "setting": setting}
        for split in ("train", "validation"):
            one = part[part.split == split]
            row[f"NC1, {split}"] = mean_and_half_width(one.nc1, 3)
            row[f"silhouette, {split}"] = mean_and_half_width(one.silhouette, 3)
        train = part[part.split == "train"]
        rows.append(row | {"entropy at T = 9, train (nats)": mean_and_half_width(train.entropy, 2)})
    return pd.DataFrame(rows).set_index(["teacher", "setting"])


def chosen_pairs(chosen: pd.DataFrame) -> pd.DataFrame:
    """The sweet spot of each student, and what the search for it cost in a teacher seed."""
    names = {
        "batch_size": "batch size",
        "epoch": "epochs",
        "updates": "updates",
        "teacher_accuracy": "its teacher's validation accuracy (%)",
        "validation_accuracy": "student's validation accuracy (%)",
        "runs": "teacher runs of the search",
        "teacher_updates": "updates of all",
        "students": "students trained",
    }
    table = chosen.set_index("student")
    table = table[[name for name in names if name in table]].rename(columns=names)
    return _titled(table.map(lambda v: f"{v:.1f}" if isinstance(v, float) else f"{v:,}"))


def missing_at_sweet_spot(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy [%] on the removed class of students of the large teacher, as it is and at its sweet spot."""
    rows = []
    for teacher in ("large", "large_sweet"):
        part = table[table.teacher == teacher].groupby("seed")
        raw, corrected = mean_and_half_width(part.raw.mean()), mean_and_half_width(part.corrected.mean())
        rows.append(
            {
                "teacher": TEACHERS[teacher],
                "raw": raw,
                "bias corrected": corrected,
            }
        )
    return _titled(pd.DataFrame(rows).set_index("teacher"))


def verdict_counts(verdicts: Sequence[Verdict]) -> Text:
    """How many of a page's claims fared how."""
    counts = Counter(v.verdict for v in verdicts)
    parts = ", ".join(f"{counts[kind]} {kind}" for kind in VERDICTS if counts[kind])
    return Text(f"Of {len(verdicts)} claims that this page decides (its last table): {parts}.")


def entropy_finding(tables: dict[str, pd.DataFrame]) -> Text:
    last = last_epoch(tables["entropy"])
    nine = last[(last.temperature == 9) & (last.split == "train")]
    small, large = (spoken(mean_over_seeds(nine[nine.teacher == t], "entropy"), " nats", 2) for t in ("small", "large"))
    return Text(
        f"At T = 9 the mean entropy of the small teacher's responses is {small}, of the large teacher's {large}."
    )


def missing_class_finding(cells: pd.DataFrame) -> Text:
    sentences = []
    for teacher in ("small", "large"):
        part = cells[cells.teacher == teacher]
        raw, corrected = (spoken(mean_over_seeds(part, column), "%") for column in ("raw", "corrected"))
        sentences.append(
            f"Students of the **{teacher}** teacher recognise {raw} of the test examples of the class that they never "
            f"saw; once one bias is corrected, {corrected}."
        )
    return Text(" ".join(sentences) + " These are means over all removed classes and temperatures.")


def efficiency_finding(cells: pd.DataFrame) -> Text:
    part = cells[(cells.budget == "epochs") & ~cells.full.astype(bool)]
    chosen = "entropy" if "entropy" in set(part.selection) else part.selection.iloc[0]
    part = part[part.selection == chosen]
    sentences = []
    for n in (part.examples_per_class.min(), part.examples_per_class.max()):
        at = part[part.examples_per_class == n]
        small, large = (
            spoken(mean_over_seeds(at[at.teacher == t], "validation_accuracy"), "%") for t in ("small", "large")
        )
        sentences.append(
            f"With {n:g} examples of each class the small teacher's student reaches {small}, the large one's {large}."
        )
    how = {"entropy": "by entropy", "lowest": "by lowest entropy"}.get(chosen, "at random")
    return Text(" ".join(sentences) + f" (Best validation accuracy, equal epochs, examples chosen {how}.)")


def examples_ratio_finding(tables: dict[str, pd.DataFrame], dataset: str) -> Text:
    """How many times the small teacher's examples the large one's student needs, as the claims of figure 4 have it."""
    sentences = []
    for budget, name in (("epochs", "examples_ratio"), ("steps", "examples_ratio_at_equal_steps")):
        ratios = STATISTICS[name](Tables(dataset, {"example_efficiency": tables}))
        known = ratio_interval(ratios.dropna())
        bound = f" ({ratios.attrs['note']})" if ratios.attrs else ""
        sentences.append(f"at equal {budget} " + (spoken(known, "", None) + bound if known.n else "unknown"))
    return Text(f"The large teacher's student needs so many times the examples: {'; '.join(sentences)}.")


def sweet_spot_finding(tables: dict[str, pd.DataFrame]) -> Text:
    table, chosen = tables["baseline"], tables["chosen"].set_index("student").loc["baseline"]
    by_seed = table.groupby(["teacher", "seed"]).accuracy.mean()
    sweet, large, none = (by_seed[name] for name in ("large_sweet", "large", "none"))
    epochs = "1 epoch" if chosen.epoch == 1 else f"{chosen.epoch:.0f} epochs"
    return Text(
        f"For the single-layer student the search chooses batch size {chosen.batch_size:.0f}, {epochs}: a teacher of "
        f"{chosen.updates:,.0f} updates, itself right on {chosen.teacher_accuracy:.1f}% of the validation examples. "
        "The student's test accuracy there minus that under the large teacher as it is, "
        f"averaged over temperatures: {spoken(t_interval(sweet - large), ' points')}. "
        f"Under the large teacher as it is the student reaches {spoken(t_interval(large), '%')}, "
        f"on the labels alone, with no teacher, {spoken(t_interval(none), '%')}."
    )


def tightness_finding(table: pd.DataFrame) -> Text:
    part = table[(table.setting == "default") & (table.split == "train")]
    small, large = (spoken(t_interval(part[part.teacher == t].nc1), "", 3) for t in ("small", "large"))
    return Text(f"NC1 on training examples, smaller being tighter: small teacher {small}, large teacher {large}.")


def control_finding(tables: dict[str, pd.DataFrame], dataset: str, control: str) -> Text:
    """One plain sentence on what a control says, with its estimate, by the rule of controls.yml."""
    notebook = next(c.notebook for c in load_controls() if c.id == control)
    found = next(f for f in findings(dataset, {notebook: tables}) if f.control.id == control)
    unit = "" if found.control.unit == "ratio" else f" {found.control.unit}"
    estimate = "" if found.estimate is None else f" Measured: {spoken(found.estimate, unit, None)}."
    return Text(f"**{found.sentence}**{estimate}")


def control_findings(tables: dict[str, pd.DataFrame], dataset: str) -> Words:
    """Every control: the results that it might explain, what it measured, and whether it holds here."""
    titles = {claim.id: claim.title for claim in load_claims() if claim.applies_to(dataset)}
    rows = [
        {
            "rival explanation": f.control.title,
            "of these results": "; ".join(titles[claim] for claim in f.control.claims if claim in titles),
            "measured": "–" if f.estimate is None else f"{f.estimate} {f.control.unit}",
            "holds": OUTCOME_WORDS[f.outcome],
        }
        for f in findings(dataset, {"rival_explanations": tables})
    ]
    return Words(_titled(pd.DataFrame(rows).set_index("rival explanation")))


def full_accuracy_finding(full: pd.DataFrame) -> Text:
    """Does distillation bring accuracy where every class and all data are there?"""
    nine = full[full.temperature == 9]
    hard = nine[nine.control == "hard"].set_index("seed").accuracy
    sentences = []
    for teacher in ("small", "large"):
        own = nine[(nine.control == "responses") & (nine.teacher == teacher)].set_index("seed").accuracy
        difference = spoken(t_interval(own - hard), " points", 2)
        sentences.append(f"by the {teacher} teacher {difference}")
    return Text(
        f"Trained on the labels alone the student reaches {spoken(t_interval(hard), '%')}. "
        f"What it gains from being taught as well: {'; '.join(sentences)}."
    )


def full_accuracy(full: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy [%] of students of all classes at T = 9 under each control."""
    part = full[full.temperature == 9]
    grid = part.groupby(["control", "teacher"])["accuracy"].apply(mean_and_half_width).unstack("teacher")
    names = {name: label for name, label in CHANGES.items() if name in grid.index}
    grid = grid.loc[list(names), ["small", "large"]].rename(index=names, columns="{} teacher".format).fillna("–")
    return _titled(grid.rename_axis("students of"))


def spread_and_missing_class(table: pd.DataFrame) -> pd.DataFrame:
    """How tight a teacher's clusters are, and its students' accuracy [%] on the removed class, at each setting."""
    rows = [
        {
            "teacher": teacher,
            "setting": setting,
            "NC1, train": mean_and_half_width(part.groupby("seed").nc1.mean(), 3),
            "raw (%)": mean_and_half_width(part.groupby("seed").raw.mean()),
            "bias corrected (%)": mean_and_half_width(part.groupby("seed").corrected.mean()),
        }
        for (teacher, setting), part in table.groupby(["teacher", "setting"], sort=False)
    ]
    return pd.DataFrame(rows).set_index(["teacher", "setting"])


def assistants(table: pd.DataFrame) -> pd.DataFrame:
    """The student taught through an assistant and directly: test accuracy, and operations of all training steps."""
    rows = {
        "directly by the large teacher": (table.direct_accuracy, table.direct_operations),
        "through an assistant": (table.accuracy, table.operations),
    }
    return _titled(
        pd.DataFrame(
            {
                "test accuracy (%)": [mean_and_half_width(accuracy) for accuracy, _ in rows.values()],
                "operations (10¹²)": [f"{operations.mean() / 1e12:.3g}" for _, operations in rows.values()],
            },
            index=pd.Index(rows, name="student taught"),
        )
    )


def _by_class(grid: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    grid = grid.copy()
    grid.index = [names[c] for c in grid.index]
    grid.columns = [f"T = {t:g}" for t in grid.columns]
    return _titled(grid.rename_axis("removed class"))
