"""Tables and sentences of the sweet spot (sections 3.4 and 5)."""

import pandas as pd

from ..measures import t_interval
from .common import TEACHERS, Text, mean_and_half_width, spoken, titled


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
    return titled(table.map(lambda v: f"{v:.1f}" if isinstance(v, float) else f"{v:,}"))


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
    return titled(pd.DataFrame(rows).set_index("teacher"))


def sweet_spot_finding(tables: dict[str, pd.DataFrame]) -> Text:
    chosen = tables["chosen"].set_index("student")
    by_seed = tables["baseline"].groupby(["teacher", "seed"]).accuracy.mean()
    sweet, large, none = (by_seed[name] for name in ("large_sweet", "large", "none"))
    general = (
        f" For the general student it chooses {_pair(chosen.loc['general'])}." if "general" in chosen.index else ""
    )
    return Text(
        f"For the single-layer student the search chooses {_pair(chosen.loc['baseline'])}.{general} "
        "The single-layer student's test accuracy at its sweet spot minus that under the large teacher as it is, "
        f"averaged over temperatures: {spoken(t_interval(sweet - large), ' points')}. "
        f"Under the large teacher as it is the student reaches {spoken(t_interval(large), '%')}, "
        f"on the labels alone, with no teacher, {spoken(t_interval(none), '%')}."
    )


def _pair(chosen: pd.Series) -> str:
    epochs = "1 epoch" if chosen.epoch == 1 else f"{chosen.epoch:.0f} epochs"
    return (
        f"batch size {chosen.batch_size:.0f}, {epochs}: a teacher of {chosen.updates:,.0f} updates, itself right on "
        f"{chosen.teacher_accuracy:.1f}% of the validation examples"
    )
