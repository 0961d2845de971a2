"""The section on related systems at its smallest: its tables a second time, equal trials, and what its rivals cost."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from kdlib import Store, open_study
from kdlib.book import figures, present
from kdlib.sections.related_systems import arms, comparison, experiment, variants
from kdlib.sections.related_systems.arms import LABELS
from kdlib.training.config import Teacher
from kdlib.training.systems.registry import find_system, systems

SETTINGS = {
    "dataset": "digits",
    "profile": "smoke",
    "examples": 200,
    "teacher_epochs": 1,
    "student_epochs": 1,
    "label_lengths": [1, 64],
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return open_study("related_systems", SETTINGS, store=Store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def tables(study):
    return study.tables()


def test_every_system_stands_twice_with_each_number_of_examples_and_with_each_missing_class(study, tables):
    cells = tables["cells"][tables["cells"].system != LABELS]
    assert set(cells.system) == set(systems())
    counts = cells.groupby(["seed", "teacher", "system"]).size()
    assert set(counts) == {2 * (1 + len(arms.sizes(study)))} and len(counts) == 2 * len(systems())
    missing = tables["missing"].groupby(["seed", "teacher", "system", "weights"]).size()
    assert set(missing) == {len(arms.removed_classes(study))} and len(missing) == 2 * (2 * len(systems()) + 1)


def test_every_system_has_equally_many_trials_and_the_first_is_the_registrys_default(study, tables):
    trials = tables["trials"].groupby("system")
    assert set(trials.size()) == {study.settings.trials} and set(tables["trials"].seed) == {0}
    first = tables["cells"].query("weights == 'default' and system != @LABELS").groupby("system").value.unique()
    for name, system in systems().items():
        default = system.defaults()[system.main]
        assert first[name].tolist() == [default] and default in system.grid
        assert trials.get_group(name).value.tolist() == list(arms.trial_values(study, system))


def test_at_its_default_weights_a_student_has_the_registrys_parameters_and_its_own_temperature(study):
    start = arms.starts(study, 0, None)[0]
    for system in systems().values():
        student = arms.student_of(study, system, start)
        assert student.temperature == (system.temperature or 9.0)
        if not system.path:
            values = system.values_of(student)
            assert {name: float(value) for name, value in values.items()} == system.defaults()


def test_the_tuned_value_is_the_best_on_validation_and_no_test_accuracy_decides_anything(study, tables, monkeypatch):
    for (teacher, system), part in tables["trials"].groupby(["teacher", "system"]):
        best = part[part.validation_accuracy == part.validation_accuracy.max()]
        (chosen,) = part[part.chosen].value
        assert chosen == best.value.iloc[0]
        tuned = tables["cells"][tables["cells"].weights == "tuned"]
        assert set(tuned[(tuned.teacher == teacher) & (tuned.system == system)].value) == {chosen}
    before = arms.tune(study, None)
    student_results = study.student_results

    def without_test(wanted):
        return [{k: v for k, v in r.items() if k not in ("confusion", "corrected")} for r in student_results(wanted)]

    monkeypatch.setattr(study, "student_results", without_test)
    assert arms.tune(study, None) == before


def test_differences_and_their_intervals_are_those_of_seed_minus_seed(tables):
    cells, missing = tables["cells"], tables["missing"]
    found = comparison.differences(cells, missing)
    for row in found[found.measure == "all examples"].sample(12, random_state=0).itertuples():
        own = cells[(cells.system == row.system) & (cells.weights == row.weights) & cells.full].set_index("seed")
        if row.to == "rbkd":
            other = cells[(cells.system == "rbkd") & (cells.weights == row.weights) & cells.full]
        else:
            other = cells[(cells.system == LABELS) & cells.full & (cells.length == 1)]
            if row.to != LABELS:
                beside = comparison.equal_compute(cells, row.to.removeprefix("labels_alone_equal_"))
                other = beside[(beside.system == row.system) & (beside.weights == row.weights)]
                other = other.assign(accuracy=other.rival_accuracy)
        values = (own.accuracy - other.set_index("seed").accuracy).dropna()
        assert row.n == len(values)
        if row.n:
            half = stats.t.ppf(0.975, 1) * values.std(ddof=1) / np.sqrt(2)
            np.testing.assert_allclose([row.mean, row.low, row.high], values.mean() + half * np.array([0, -1, 1]))
    for _, part in found[found.ahead.notna()].groupby(["measure", "to"]):
        each = [stats.false_discovery_control(part[side]) for side in ("ahead", "behind")]
        np.testing.assert_allclose(part.adjusted, np.minimum(*each))


def with_labels_alone(operations: float, **validation: float) -> pd.DataFrame:
    """An arm of so many operations beside labels alone, one operation a length, by their validation accuracy."""
    shared = {"seed": 0, "full": True, "weights": "default"}
    arm = {"teacher": "large", "system": "dkd", "operations_total": operations, "accuracy": 90.0, "length": 1}
    alone = [
        {
            "teacher": "none",
            "system": LABELS,
            "operations_total": int(n[1:]),
            "length": int(n[1:]),
            "accuracy": int(n[1:]),
        }
        | {"validation_accuracy": accuracy}
        for n, accuracy in validation.items()
    ]
    return pd.DataFrame([shared | row for row in (arm, *alone)])


@pytest.mark.parametrize(
    ("operations", "length", "allowed"),
    [(0.5, 1, 2), (1, 1, 1), (1.05, 1, 1 / 1.05), (1.1, 2, 2 / 1.1), (2, 2, 1), (3, 2, 4 / 3), (8, 2, 0.5)],
)
def test_labels_alone_may_take_as_much_computation_and_stop_where_validation_is_best(operations, length, allowed):
    beside = comparison.equal_compute(with_labels_alone(operations, n1=80, n2=85, n4=84), "total")
    row = beside.iloc[0]
    assert (row.length, row.rival_operations, row.rival_accuracy) == (length, length, length)
    assert row.allowed == pytest.approx(allowed) and not row.cut_short


def test_labels_alone_are_cut_short_where_the_longest_training_is_the_best_and_shorter_than_the_arms():
    for operations, cut_short in ((4, False), (4.2, False), (5, True)):
        beside = comparison.equal_compute(with_labels_alone(operations, n1=80, n2=84, n4=85), "total")
        assert beside.iloc[0].cut_short == cut_short


def test_of_equally_good_rivals_the_shorter_is_taken():
    assert comparison.equal_compute(with_labels_alone(9, n4=85, n1=85, n2=85), "total").length.tolist() == [1]


def test_an_arm_whose_tuned_value_is_the_default_one_is_counted_once(tables):
    found = comparison.differences(tables["cells"], tables["missing"])
    values = tables["cells"][~(tables["cells"].system == LABELS)].groupby(["teacher", "system"]).value.nunique()
    for (teacher, system), part in found[found.measure == "all examples"].groupby(["teacher", "system"]):
        assert set(part.weights) == ({"default", "tuned"} if values[teacher, system] > 1 else {"default"})
    assert (values == 1).any() and (values > 1).any()


def test_tuning_costs_its_trials_and_the_teacher_once(study, tables):
    dkd = tables["cells"].query("seed == 0 and system == 'dkd' and full").set_index("weights")
    plain = study.operations(arms.student_of(study, find_system("dkd"), arms.starts(study, 0, None)[0]))
    assert dkd.operations_total["default"] == plain["total"]
    one = tables["cells"].query("seed == 0 and system == @LABELS and length == 1 and full").operations_total.item()
    assert dkd.operations_total["tuned"] - dkd.operations_total["default"] == (study.settings.trials - 1) * one
    assert (tables["cells"].operations_given_teacher <= tables["cells"].operations_total).all()


def test_the_front_holds_what_no_other_arm_beats():
    points = pd.DataFrame({"cost": [1, 2, 3, 2, 1], "gain": [5, 7, 6, 7, 4]})
    assert comparison.pareto_front(points, "cost", "gain").tolist() == [True, True, False, True, False]


def test_of_equal_trials_the_default_value_is_taken(study, monkeypatch):
    results = study.student_results(student for _, student in arms.trials(study, None))
    monkeypatch.setattr(study, "student_results", lambda wanted: [results[0] for _ in wanted])
    tuned = arms.tune(study, None)
    assert all(value == systems()[name].defaults()[systems()[name].main] for (_, name), value in tuned.items())


def test_the_plan_holds_every_student_that_the_tables_take_and_nothing_is_left(study, tables):
    runs, students = study.units()
    assert runs == [] and all(study.is_stored(student) for student in students)


def test_a_system_that_goes_on_from_its_teacher_does_so_from_the_epoch_that_teaches(study):
    run = Teacher("large_teacher", 0, 4, 64, kept_epochs=(1, 2, 4))
    start = arms.Start("large_sweet", run, 2)
    for name in ("takd", "mcmi"):
        behind = arms.student_of(study, systems()[name], start).teacher.builds_on
        assert behind == (start.stopped(),) and behind[0].epochs == 2 and behind[0].kept_epochs == (1, 2)
    assert arms.student_of(study, systems()["half_way_checkpoint"], start).teacher_epoch == 1
    assert arms.student_of(study, systems()["rbkd"], start).teacher_epoch == 2


def test_an_earlier_epoch_is_one_whose_responses_were_kept(study):
    run = Teacher("large_teacher", 0, 20, 64, kept_epochs=(1, 4, 7, 20))
    student = study.student(run, 9.0, system="early_stopped_teacher")
    assert student.teacher_epoch == 4  # a quarter of 20 is 5


def test_the_public_code_of_tfkd_is_label_smoothing_at_the_weight_that_its_setting_gives():
    assert round(arms.published_code_smoothing(0.1, 0.99, 20, 100), 4) == 0.0999
    confidence, temperature, classes, alpha = 0.99, 20.0, 10, 0.1
    p = torch.full((classes,), (1 - confidence) / (classes - 1), dtype=torch.float64)
    p[3] = confidence
    soft, hard = torch.softmax(p / temperature, 0), torch.eye(classes, dtype=torch.float64)[3]
    smoothing = arms.published_code_smoothing(alpha, confidence, temperature, classes)
    wanted = (1 - smoothing) * hard + smoothing / classes
    torch.testing.assert_close((1 - alpha) * hard + alpha * soft, wanted)


def test_the_variant_by_tfkds_public_code_has_its_own_settings_and_not_those_of_the_papers_formula(study):
    (code,) = (s for c, s in variants.cells(study) if (c["seed"], c["variant"]) == (0, "code"))
    assert dict(code.parameters) == {"smoothing": arms.published_code_smoothing(0.1, 0.99, 20.0, 10)}
    assert code.system == "label_smoothing" and find_system("tfkd_reg").defaults()["alpha"] != 0.1


def test_the_rule_of_the_mean_compares_accuracies_after_the_last_epoch_of_teacher_candidates_and_student(
    study, tables, monkeypatch
):
    def last(result) -> float:
        return 100 * result["validation_accuracy"][-1].item()

    alone = study.student_results(arms.labels_student(study, seed) for seed in study.seeds)
    falling = [r | {"validation_accuracy": torch.tensor([0.99, r["validation_accuracy"][-1]])} for r in alone]
    monkeypatch.setattr(study, "student_results", lambda wanted: falling[: len(list(wanted))])
    found = variants.assistants(study, tables["variants"])
    pd.testing.assert_frame_equal(found, tables["assistants"])  # an earlier epoch's accuracy decides nothing
    for (seed, part), student in zip(found.groupby("seed"), alone, strict=True):
        assert set(part.network) == set(variants.candidates(study))
        own = part.set_index("network").own_accuracy
        teacher = study.teacher_result(study.trained_teacher("large", seed))
        assert own["assistant"] == last(study.teacher_result(variants._untaught(study, seed, "assistant")))
        distances = (own - (last(teacher) + last(student)) / 2).abs()
        np.testing.assert_allclose(part.distance, distances)
        assert part.network[part.nearest].tolist() == [distances.idxmin()]


def test_beside_the_assistant_of_the_rule_stands_the_farthest_one_as_its_control():
    made = pd.DataFrame(
        {
            "seed": [0, 0, 1, 1],
            "network": ["assistant", "second_assistant"] * 2,
            "own_accuracy": [90.0, 80.0, 91.0, 85.0],
            "distance": [1.0, 9.0, 4.0, 2.0],
            "nearest": [True, False, False, True],
            "accuracy": [70.0, 60.0, 50.0, 40.0],
            "untaught_accuracy": [7.0, 6.0, 5.0, 4.0],
        }
    )
    shown = present.assistant_candidates(made)
    assert shown["nearest in seeds"].tolist() == ["1 of 2", "1 of 2", "all", "none"]
    students = [value.split()[0] for value in shown["its student (%)"]]
    assert students == ["60.00", "50.00", "55.00", "55.00"]  # nearest: 70 and 40; farthest: 60 and 50


def test_a_sentence_names_the_best_arm_with_its_interval_or_says_why_nothing_is_decided(tables):
    said = present.equal_compute_finding(tables["cells"], tables["missing"])
    assert "At equal total computation" in said and "given a trained teacher" in said and "adjusted p" in said
    one = present.equal_compute_finding(*(tables[n][tables[n].seed == 0] for n in ("cells", "missing")))
    assert one.count("it is not decided whether any system beats labels alone: one seed gives no interval") == 2


def arms_and_labels(lead: float, operations: float, improving: float) -> pd.DataFrame:
    """Arms that lead by so many points, in three seeds that hardly differ, beside labels alone of lengths 1 and 2.

    `improving`: points of validation accuracy that labels alone gain with each length.
    """
    named = [("large", system, operations, 1) for system in ("rbkd", "dkd", "dist")]
    rows = [
        {"seed": seed, "teacher": teacher, "system": system, "weights": "default", "value": 1.0, "length": length}
        | {"examples_per_class": 10.0, "full": True, "operations_total": cost, "operations_given_teacher": cost}
        | {"validation_accuracy": 80.0 + improving * length}
        | {"accuracy": 80 + 0.1 * seed * k + lead * (system != LABELS)}
        for seed in range(3)
        for k, (teacher, system, cost, length) in enumerate([*named, *(("none", LABELS, n, n) for n in (1, 2))])
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("lead", "operations", "improving", "said"),
    [
        (5, 2, 1, "**3 of 3 arms beat labels alone**: `dist`, `dkd`, `rbkd`"),
        (-5, 2, 1, "**none of 3 arms is shown to beat labels alone** (least behind `dist`"),
        (-5, 2, 1, "; behind: 3, undecided: 0."),
        (0.1, 2, 1, "; behind: 0, undecided: 3."),
        (5, 1.2, 1, "; labels alone had up to 1.7 times an arm's computation."),
        (5, 4, 0, "**3 of 3 arms beat labels alone**: `dist`, `dkd`, `rbkd`"),  # a longer training was not wanted
        (5, 4, 1, "**no arm is shown to beat labels alone** (farthest ahead `dist`"),
        (5, 4, 1, "; 3 arms cannot be compared: labels alone still improved at the longest training, at least 50% of"),
        (5, 4, 1, " of theirs, and 3 of them lead it."),
        (-5, 4, 1, "; behind: 3, undecided: 0; 3 arms cannot be compared"),
        (-5, 4, 1, "at least 50% of theirs."),
    ],
)
def test_a_system_beats_labels_alone_only_where_these_were_trained_as_long_or_as_they_would(
    lead, operations, improving, said
):
    cells = arms_and_labels(lead, operations, improving)
    missing = pd.DataFrame(columns=["seed", *comparison.ARM, "raw", "corrected"])
    assert said in present.equal_compute_finding(cells, missing, ["total"])


def test_the_tables_and_figures_of_the_page_show_every_system(tables):
    shown = present.related_systems(tables["cells"], tables["missing"])
    assert set(shown.index) == {*systems(), LABELS}
    beside = comparison.differences(tables["cells"], tables["missing"]).query("to == 'labels_alone_equal_total'")
    assert shown["− labels, equal total"].str.endswith("†").sum() == beside.cut_short.sum()
    assert set(present.system_trials(tables["trials"]).index) == set(systems())
    drawn = figures.differences_of_systems(tables["cells"], tables["missing"])
    assert len(drawn.axes[0].get_yticklabels()) == len(systems())
    assert len(figures.accuracy_against_compute(tables["cells"]).axes) == 2
    assert len(present.system_variants(tables["variants"])) == tables["variants"].groupby(["system", "variant"]).ngroups


def test_from_all_three_teachers_the_sweet_spots_cost_holds_its_search_and_a_given_teacher_costs_nothing(tmp_path):
    """Of a plan: nothing is trained, the sweet spot is a provisional pair."""
    wide = SETTINGS | {"system_teachers": ["small", "large", "large_sweet"], "teacher_epochs": 2, "seeds": 1}
    study = open_study("related_systems", wide, store=Store(tmp_path))
    spot = {"batch_size": study.settings.batch_sizes[-1], "epoch": 1}
    cells = pd.DataFrame([c for c, _ in experiment._cells(study, spot, arms.known_tuned(study, spot))])
    plain = cells.query("system == 'rbkd' and weights == 'default' and full").set_index("teacher")
    searched = arms.starts(study, 0, spot)[-1].searched
    assert len(searched) == len(study.settings.batch_sizes) * 2
    assert plain.operations_total["large_sweet"] > 2 * plain.operations_total["large"]
    assert plain.operations_given_teacher["large_sweet"] == plain.operations_given_teacher["large"]
    taught = {name for name, system in systems().items() if not arms.needs_no_teacher(system)}
    assert {teacher: set(part.system) for teacher, part in cells.groupby("teacher")} == {
        **dict.fromkeys(("small", "large", "large_sweet"), taught),
        "none": set(systems()) - taught | {LABELS},
    }
    runs, students = study.units()
    assert set(searched) <= set(students) and study.lacking_teachers(s.teacher for s in students)
