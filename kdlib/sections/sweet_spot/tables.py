"""Tables and sentences of the sweet spot (sections 3.4 and 5)."""

import math

import pandas as pd

from ...claims.intervals import t_interval
from ...report.formatting import TEACHERS, Markdown, format_interval, index_name_as_header, mean_and_half_width
from ...training.measures import nearest
from .statistics import accuracy_by_seed, gains_of_searching


def chosen_pairs(chosen: pd.DataFrame) -> pd.DataFrame | Markdown:
    """The sweet spot of each student, and what the search for it cost in a teacher seed; a note where none was made."""
    if chosen.empty:
        return Markdown("*No search: the large teacher is the reader's own, and was not trained here.*")
    names = {
        "batch_size": "batch size",
        "epoch": "epochs",
        "updates": "updates",
        "teacher_accuracy": "its teacher's validation accuracy (%)",
        "validation_accuracy": "student's validation accuracy (%)",
        "runs": "teacher runs of the search",
        "teacher_epochs": "epochs of all",
        "students": "students trained",
    }
    table = chosen.set_index("student")
    table = table[[name for name in names if name in table]].rename(columns=names)
    return index_name_as_header(table.map(lambda v: f"{v:.1f}" if isinstance(v, float) else f"{v:,}"))


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
    return index_name_as_header(pd.DataFrame(rows).set_index("teacher"))


def sweet_spot_finding(tables: dict[str, pd.DataFrame], classes: int) -> Markdown:
    """Sentences on the pairs that the search chose, how good they are, and the single-layer student's gain."""
    parts = []
    for student, name in (("baseline", "single-layer"), ("general", "general")):
        for _, chosen in tables["chosen"][tables["chosen"].student == student].iterrows():
            search = tables["map"][tables["map"].student == student]
            said = (_edge(chosen, search), _entropy(chosen, tables["entropy"], classes), _search_gain(search))
            parts.append(f"For the {name} student the search chooses {_pair(chosen)}.{''.join(said)}")
    by_seed = tables["baseline"].groupby(["teacher", "seed"]).accuracy.mean()
    sweet, large, none = (by_seed[name] for name in ("large_sweet", "large", "none"))
    parts.append(
        "Test accuracy of the single-layer student, mean over temperatures: "
        f"at its sweet spot {format_interval(t_interval(sweet), '%')}; "
        f"under the large teacher as it is {format_interval(t_interval(large), '%')}; "
        f"on the labels alone, with no teacher, {format_interval(t_interval(none), '%')}. "
        f"The sweet spot minus the labels alone: {format_interval(t_interval(sweet - none), ' points')}."
    )
    return Markdown("\n".join(f"- {part}" for part in parts))


def _pair(chosen: pd.Series) -> str:
    epochs = "1 epoch" if chosen.epoch == 1 else f"{chosen.epoch:.0f} epochs"
    return (
        f"batch size {chosen.batch_size:.0f}, {epochs}: a teacher of {chosen.updates:,.0f} updates, itself right on "
        f"{chosen.teacher_accuracy:.1f}% of the validation examples"
    )


def _edge(chosen: pd.Series, search: pd.DataFrame) -> str:
    """Where a pair lies at the edge of what was searched; empty inside."""
    sizes, epochs = search.batch_size, search.epoch
    ends = {
        "the smallest batch size": chosen.batch_size == sizes.min(),
        "the largest batch size": chosen.batch_size == sizes.max(),
        "the fewest epochs": chosen.epoch == epochs.min(),
        "the most epochs": chosen.epoch == epochs.max(),
    }
    at = [name for name, there in ends.items() if there]
    return f" It lies at the edge of what was searched ({', '.join(at)})." if at else ""


def _entropy(chosen: pd.Series, entropy: pd.DataFrame, classes: int) -> str:
    """How near a pair's responses at T = 9 are to uniform ones."""
    part = entropy[(entropy.batch_size == chosen.batch_size) & (entropy.epoch == chosen.epoch)]
    share = 100 * part[part.temperature == nearest(part.temperature, 9)].entropy.mean() / math.log(classes)
    return f" Its responses at T = 9 have {share:.1f}% of the greatest possible entropy, that of uniform ones."


def _search_gain(search: pd.DataFrame) -> str:
    """Whether the search finds more than chance: the pair chosen on the other seeds against the average pair."""
    gains = gains_of_searching(accuracy_by_seed(search))
    if gains.empty:
        return ""
    return (
        " A pair that is chosen so on the other seeds has a student better than the average pair's by "
        f"{format_interval(t_interval(gains), ' points')} of validation accuracy."
    )
