"""Statistics of the notebook `related_systems`: each system's own claim, and the paper's on other systems."""

from dataclasses import replace

from pandas import DataFrame, Series

from ...claims.registry import STATISTICS, Statistic, Tables, of_teachers, statistic
from ...claims.rows import at, each_seed, minus, ratio
from .arms import DEFAULT, LABELS

KD = "kd"
# Each system's own claim at default weights, with all examples: what its student does better than. Losses are held
# against the one that their sources improve on, which is not the paper's equation 4.
GAINS = {
    KD: LABELS,
    "takd": "rbkd",
    "tfkd_self": LABELS,
    "label_smoothing": LABELS,
    "alr": LABELS,
    "ols": "label_smoothing",
    "residual": "rbkd",
    "class_distance": "rbkd",
    "early_stopped_teacher": "rbkd",
    "eskd": "rbkd",
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

    return minus(rows, terms)


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
    """Test accuracy of TF-KD reg by its paper's equation 9 minus by its public code, over labels alone's error."""
    rows = at(tables["related_systems"]["variants"], system="tfkd_reg")
    formula, code = (_by_seed(at(rows, variant=name)) for name in ("formula", "code"))
    error = 100 - _by_seed(at(_by_default(tables), full=True, system=LABELS))
    return Statistic(Series((formula - code) / error, dtype=float))


@statistic
def gain_of_class_distance_by_features(tables: Tables) -> Statistic:
    """Test accuracy of students of features: those of the class-distance teacher minus those of the plain one."""
    return _between_variants(tables, "class_distance", "features", "plain_features")


@statistic
def gain_of_a_taught_assistant(tables: Tables) -> Statistic:
    """Test accuracy through an assistant: distilled from the large teacher minus trained on the labels."""
    return _between_variants(tables, "takd", "assistant", "assistant_untaught")


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


def _by_seed(rows: DataFrame, column: str = "accuracy") -> Series:
    return rows.set_index("seed")[column]


def _difference(of: Series, over: Series) -> Statistic:
    """One accuracy [%] of each seed minus another, of two tables."""
    percents = DataFrame({"a": of, "b": over}, dtype=float)
    return replace(Statistic(Series(percents["a"] - percents["b"], dtype=float)), percents=percents)
