"""Statistics of the notebook `related_systems`: each system's own claim, and the paper's on other systems."""

from dataclasses import replace

from pandas import DataFrame, Series

from ...claims.registry import STATISTICS, Statistic, Tables, of_teachers, statistic
from ...claims.rows import (
    at,
    each_seed,
    each_thing,
    minus,
    ratio,
)
from .arms import DEFAULT, LABELS

KD = "kd"
LARGE_ERROR = 5.0  # points of test error
# Each system's own claim at default weights, with all examples: what its student does better than. Losses are held
# against the one that their sources improve on, which is not the paper's equation 4.
GAINS = {
    KD: LABELS,
    "tfkd_self": LABELS,
    "label_smoothing": LABELS,
    "alr": LABELS,
    "ols": "label_smoothing",
    "residual": "rbkd",
    "class_distance": "rbkd",
    "early_stopped_teacher": "rbkd",
    "half_way_checkpoint": "rbkd",
    "snapshots": "half_way_checkpoint",
    "ctkd": KD,
    "dkd": KD,
    "rld": "dkd",
    "abkd": KD,
    "ttm": KD,
    "wttm": "ttm",
    "wsl": KD,
    "logit_standardization": KD,
    "normkd": KD,
    "skd": KD,
    "dist": KD,
    "logit_regression": LABELS,
}


def _by_default(tables: Tables) -> DataFrame:
    """Cells at default weights, from the large teacher or from none; of labels alone those of the common length."""
    rows = at(tables["related_systems"]["cells"], weights=DEFAULT, length=1)
    return rows[rows["teacher"].isin(("large", "none"))]


def _gain(rows: DataFrame, system: str, over: str) -> Statistic:
    """Test accuracy of a system's student minus another's, for each seed."""

    def terms(part: DataFrame) -> tuple[float, float]:
        return tuple(at(part, system=name)["accuracy"].mean() for name in (system, over))

    def lead(part: DataFrame) -> tuple[float, float]:
        return tuple(at(part, system=name)["accuracy"].mean() for name in (over, LABELS))

    gain = minus(rows, terms)
    if over == LABELS:
        return gain
    own = minus(rows, lead)
    return gain.noted(f"{over} itself minus labels alone: {own.values.mean():+.2f} points" if own.has_value else "")


def _enter_gain(system: str, over: str) -> None:
    def gain(tables: Tables) -> Statistic:
        return _gain(at(_by_default(tables), full=True), system, over)

    gain.__name__ = f"gain_of_{system}_over_{over}"
    gain.__doc__ = f"Test accuracy with all examples: {system} minus {over}, at default weights."
    STATISTICS.enter(gain)


for _system, _over in GAINS.items():
    _enter_gain(_system, _over)


@statistic
def gain_of_mcmi_over_rbkd_with_few_examples(tables: Tables) -> Statistic:
    """Test accuracy at the smallest number of examples: mcmi minus rbkd, at default weights."""
    rows = _by_default(tables)
    return _gain(rows[rows["examples_per_class"] == rows["examples_per_class"].min()], "mcmi", "rbkd")


@statistic
def information_gained_by_mcmi(tables: Tables) -> Statistic:
    """Conditional information of the large teacher after mcmi's fine-tuning minus before it."""

    def terms(rows: DataFrame) -> tuple[float, float]:
        return tuple(at(rows, teacher=name)["information"].mean() for name in ("mcmi", "plain"))

    return minus(tables["related_systems"]["clusters"], terms)


@statistic
def gains_of_eskd_over_rbkd_and_labels_alone(tables: Tables) -> Statistic:
    """Test accuracy with all examples: eskd minus equation 4, and minus labels alone.

    Its second half is trained on labels alone: where these do better than distillation, so does any return to them.
    """

    def gains(part: DataFrame) -> Series:
        own, *others = (at(part, system=name)["accuracy"].mean() for name in ("eskd", "rbkd", LABELS))
        return own - Series(others, ["equation 4", "labels alone"])

    rows = at(_by_default(tables), full=True)
    return each_thing({seed: gains(part) for seed, part in rows.groupby("seed")}, "over")


@statistic
def gain_of_residual_over_labels_alone(tables: Tables) -> Statistic:
    """Test accuracy with all examples: the divided student minus labels alone, at default weights."""
    return _gain(at(_by_default(tables), full=True), "residual", LABELS)


@statistic
def residual_compute_ratio(tables: Tables) -> Statistic:
    """Operations of residual distillation over those of distilling the undivided student from the same teacher."""

    def value(rows: DataFrame) -> float:
        mean = [at(rows, variant=name)["operations_total"].mean() for name in ("progressive", "direct")]
        return ratio(*mean)

    return each_seed(tables["related_systems"]["variants"], value)


@statistic
def gain_of_residual_over_ensemble(tables: Tables) -> Statistic:
    """Test accuracy: the second network learns what the first leaves, minus two independent ones of the same sizes."""
    return _between_variants(tables, "residual", "progressive", "ensemble")


@statistic
def teacher_free_student_difference(tables: Tables) -> Statistic:
    """Test accuracy: a student of a copy of itself minus the same student of the small teacher."""
    return _between_variants(tables, "tfkd_self", "itself", "small_teacher")


@statistic
def gain_of_tfkd_code_over_labels_alone(tables: Tables) -> Statistic:
    """Test accuracy: TF-KD reg as its public code amounts to, which gave its paper's numbers, minus labels alone."""
    code = _by_seed(at(tables["related_systems"]["variants"], system="tfkd_reg", variant="code"))
    return _difference(code, _by_seed(at(_by_default(tables), full=True, system=LABELS)))


@statistic
def tfkd_formula_and_code_apart(tables: Tables) -> Statistic:
    """Test accuracy of TF-KD reg by its paper's equation 9 minus by its public code, over labels alone's error.

    Of an error above `LARGE_ERROR` over that: a tenth of a large one is as much as the whole gain of its source.
    """
    rows = at(tables["related_systems"]["variants"], system="tfkd_reg")
    formula, code = (_by_seed(at(rows, variant=name)) for name in ("formula", "code"))
    error = 100 - _by_seed(at(_by_default(tables), full=True, system=LABELS))
    return Statistic(Series((formula - code) / error.clip(upper=LARGE_ERROR), dtype=float))


@statistic
def gain_of_class_distance_by_features(tables: Tables) -> Statistic:
    """Test accuracy of students of features: those of the class-distance teacher minus those of the plain one."""
    return _between_variants(tables, "class_distance", "features", "plain_features")


@statistic
def gain_of_a_taught_assistant(tables: Tables) -> Statistic:
    """Test accuracy through the assistant nearest to the mean: distilled by the large teacher minus of labels."""

    def terms(rows: DataFrame) -> tuple[float, float]:
        chosen = at(rows, nearest=True)
        return chosen["accuracy"].mean(), chosen["untaught_accuracy"].mean()

    return minus(tables["related_systems"]["assistants"], terms)


@statistic
def gain_of_an_assistant_over_none(tables: Tables) -> Statistic:
    """Test accuracy through the assistant whose own is nearest to the mean minus directly from the large teacher."""
    through = _by_seed(at(tables["related_systems"]["assistants"], nearest=True))
    return _difference(through, _by_seed(at(tables["related_systems"]["variants"], system="takd", variant="direct")))


def _between_variants(tables: Tables, system: str, of: str, over: str) -> Statistic:
    rows = at(tables["related_systems"]["variants"], system=system)

    def terms(part: DataFrame) -> tuple[float, float]:
        return tuple(at(part, variant=name)["accuracy"].mean() for name in (of, over))

    return minus(rows, terms)


@statistic
def gain_of_the_assistant_nearest_to_the_mean(tables: Tables) -> Statistic:
    """Test accuracy through the candidate whose own is nearest to the mean of teacher and student, minus all's mean."""

    def terms(rows: DataFrame) -> tuple[float, float]:
        return at(rows, nearest=True)["accuracy"].mean(), rows["accuracy"].mean()

    return minus(tables["related_systems"]["assistants"], terms)


@statistic
@of_teachers
def class_distance_scatter_ratio(tables: Tables) -> Statistic:
    """NC1 of the class-distance teacher over that of the plain large one."""

    def value(rows: DataFrame) -> float:
        return ratio(*(at(rows, teacher=name)["nc1"].mean() for name in ("class_distance", "plain")))

    return each_seed(tables["related_systems"]["clusters"], value)


@statistic
def loss_from_a_smoothed_teacher(tables: Tables) -> Statistic:
    """Test accuracy of students of the large teacher minus those of the same trained on smoothed labels."""
    plain = _by_seed(at(tables["related_systems"]["variants"], system="takd", variant="direct"))
    smoothed = _by_seed(at(tables["capacity"]["teachers"], teacher="large_smoothed"), "student_accuracy")
    return _difference(plain, smoothed)


@statistic
def accuracy_of_a_smoothed_teacher_over_the_plain_one(tables: Tables) -> Statistic:
    """Validation accuracy of the large teacher trained on smoothed labels minus that of the plain one."""
    rows = tables["capacity"]["teachers"]
    smoothed, plain = (_by_seed(at(rows, teacher=t), "validation_accuracy") for t in ("large_smoothed", "large"))
    return _difference(smoothed, plain)


def _by_seed(rows: DataFrame, column: str = "accuracy") -> Series:
    return rows.set_index("seed")[column]


def _difference(of: Series, over: Series) -> Statistic:
    """One accuracy [%] of each seed minus another, of two tables."""
    percents = DataFrame({"a": of, "b": over}, dtype=float)
    return replace(Statistic(Series(percents["a"] - percents["b"], dtype=float)), percents=percents)
