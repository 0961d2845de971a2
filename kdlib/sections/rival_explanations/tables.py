"""Tables and sentences of the controls."""

import html
import math

import pandas as pd

from ...claims.claims import load_claims
from ...claims.controls import CHANGES, Finding, find, findings, load_controls
from ...claims.intervals import Interval, t_interval
from ...claims.registry import Tables
from ...report.formatting import (
    Markdown,
    format_interval,
    index_name_as_header,
    mean_and_half_width,
    ratio_and_ends,
    setting_name,
)
from ...report.interval_marks import axis_over, can_be_drawn, interval_mark
from ...report.verdict_table import Matrix

TAUGHT_BY = {"small": "the small teacher", "large": "the large teacher", "uniform": "uniform soft labels"}
WITHOUT_TEACHER = ("hard", "uniform")  # controls whose students are the same whoever their teacher is
OUTCOME_WORDS = {"explains": "yes", "does not explain": "no", "undecided": "undecided", "not decided": "no finding"}


def control_finding(tables: dict[str, pd.DataFrame], dataset: str, control: str) -> Markdown:
    """One plain sentence on what a control says, with its estimate, by the rule of controls.yml."""
    asked = next(c for c in load_controls() if c.id == control)
    found = find(asked, Tables(dataset, {asked.notebook: tables}))
    if found.estimate is None:
        return Markdown(f"**{found.sentence}**")
    unit = "" if asked.unit == "ratio" else f" {asked.unit}"
    decimals = 1 if asked.unit == "percentage points" else 2
    named = zip(asked.measured.split(" minus ", 1), found.terms or (), strict=False)
    two = "".join(f"; {name.removeprefix('half of ')}: {term:.{decimals}f}" for name, term in named)
    remark = f"; {found.remark}" * bool(found.remark)
    return Markdown(
        f"**{found.sentence}** Measured, {asked.measured}: {format_interval(found.estimate, unit, None)}{two}{remark}."
    )


def control_findings(tables: dict[str, pd.DataFrame], dataset: str, section: str = "rival_explanations") -> Matrix:
    """Every control that a section decides by itself: whether it holds, what it measured, what it might explain."""
    titles = {claim.id: claim.title for claim in load_claims() if claim.applies_to(dataset)}
    others = {claim.notebook for claim in load_claims()} - {section}
    rows = {
        html.escape(f.control.title): [
            OUTCOME_WORDS[f.outcome],
            _drawn(f),
            html.escape("; ".join(titles[claim] for claim in f.control.claims if claim in titles)),
        ]
        for f in findings(dataset, {section: tables})
        if f.lacks not in others  # the scoreboard has the tables of other sections, too
    }
    return Matrix("rival explanation", ["holds", "measured", "would explain"], rows)


def _drawn(finding: Finding) -> str:
    """HTML of a control's estimate beside the value above which its interval has to lie; without one, why."""
    control, estimate = finding.control, finding.estimate
    if estimate is None:
        return html.escape(finding.sentence.removeprefix("No finding. "))
    words = html.escape("; ".join(filter(None, [f"{estimate} {control.unit}", control.measured, finding.remark])))
    if not can_be_drawn(estimate):
        return words
    axis = axis_over([estimate], [control.null_value], control.unit)
    return f"{interval_mark(estimate, axis, (control.null_value, math.inf))}{words}"


def full_accuracy_gains(full: pd.DataFrame) -> tuple[Interval, dict[str, Interval]]:
    """Test accuracy [%] on the labels alone, and the points that being taught at T = 9 adds: by whom `TAUGHT_BY` says.

    Uniform soft labels, of a teacher that says nothing, are left out where no student was taught them.
    """
    nine = full[full.temperature == 9]
    hard = nine[nine.control == "hard"].set_index("seed").accuracy
    taught = nine[nine.control == "responses"].set_index("seed")
    students = {t: taught[taught.teacher == t].accuracy for t in ("small", "large")}
    if len(nothing := nine[nine.control == "uniform"]):
        students["uniform"] = nothing.set_index("seed").accuracy
    return t_interval(hard), {name: t_interval(accuracy - hard) for name, accuracy in students.items()}


def full_accuracy_finding(full: pd.DataFrame) -> Markdown:
    """Does distillation bring accuracy where every class and all data are there?"""
    alone, gains = full_accuracy_gains(full)
    sentences = [f"{TAUGHT_BY[name]} {format_interval(gain, ' points', 2)}" for name, gain in gains.items()]
    return Markdown(
        f"Trained on the labels alone the student reaches {format_interval(alone, '%')}. "
        f"What being taught as well adds to this: {'; '.join(sentences)}."
    )


def full_accuracy(full: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy [%] of students of all classes at T = 9 under each control; of some, without a teacher."""
    part = full[full.temperature == 9]
    grid = part.groupby(["control", "teacher"])["accuracy"].apply(mean_and_half_width).unstack("teacher")
    for control in grid.index.intersection(WITHOUT_TEACHER):
        grid.loc[control] = grid.loc[control].ffill().bfill()
    names = {name: label for name, label in CHANGES.items() if name in grid.index}
    grid = grid.loc[list(names), ["small", "large"]].rename(index=names, columns="{} teacher".format).fillna("–")
    return index_name_as_header(grid.rename_axis("students of"))


def labels_alone_finding(table: pd.DataFrame) -> Markdown:
    """With which numbers of random examples each teacher's students lead those of labels alone, and where they trail.

    A lead is one whose t interval over seeds, of that number of examples alone, does not hold 0.
    """
    if table.seed.nunique() < 2:
        return Markdown("A single teacher seed tells no lead from chance.")
    leads = {teacher: labels_alone_leads(table, teacher) for teacher in ("small", "large")}
    if not all(leads.values()):
        return Markdown("No students of random examples were trained on their labels alone.")
    said = [f"students of the {teacher} teacher are {lead}" for teacher, lead in leads.items()]
    return Markdown(f"With random examples, at equal steps: {'; '.join(said)}.")


def labels_alone_leads(table: pd.DataFrame, teacher: str) -> str:
    """Words on one teacher's students, "ahead of labels alone at ... and behind at ..."; empty where there are none."""
    grid = table[table.selection == "random"].pivot(
        index=["teacher", "seed"], columns="examples_per_class", values="validation_accuracy"
    )
    if not {teacher, "none"} <= {*grid.index.get_level_values("teacher")} or table.seed.nunique() < 2:
        return ""
    gains = {n: t_interval(gain) for n, gain in (grid.loc[teacher] - grid.loc["none"]).items()}
    ahead = [n for n, gain in gains.items() if gain.low > 0]
    behind = [n for n, gain in gains.items() if gain.high < 0]
    said = f"ahead of labels alone at {_numbers(ahead)}"
    if ahead:
        most = max(ahead, key=lambda n: gains[n].mean)
        said += f" (farthest at {most:g}, by {format_interval(gains[most], ' points')})"
    return f"{said} and behind at {_numbers(behind)}"


def _numbers(values: list[float]) -> str:
    return f"{', '.join(f'{n:g}' for n in values)} examples of each class" if values else "no number of examples"


def spread_and_missing_class(table: pd.DataFrame) -> pd.DataFrame:
    """Table of the tightness of a teacher's clusters and its students' missing-class accuracy [%], by setting."""
    rows = [
        {
            "teacher": setting_name(teacher, setting),
            "NC1, train": ratio_and_ends(part.groupby("seed").nc1.mean(), 3),
            "raw (%)": mean_and_half_width(part.groupby("seed").raw.mean()),
            "bias corrected (%)": mean_and_half_width(part.groupby("seed").corrected.mean()),
        }
        for (teacher, setting), part in table.groupby(["teacher", "setting"], sort=False)
    ]
    return index_name_as_header(pd.DataFrame(rows).set_index("teacher"))


def assistants(table: pd.DataFrame) -> pd.DataFrame:
    """The student taught through an assistant and directly: test accuracy, and operations of all training steps."""
    rows = {
        "directly by the large teacher": (table.direct_accuracy, table.direct_operations),
        "through an assistant": (table.accuracy, table.operations),
    }
    return index_name_as_header(
        pd.DataFrame(
            {
                "test accuracy (%)": [mean_and_half_width(accuracy) for accuracy, _ in rows.values()],
                "operations (10¹²)": [f"{operations.mean() / 1e12:.3g}" for _, operations in rows.values()],
            },
            index=pd.Index(rows, name="student taught"),
        )
    )
