"""The paper's printed numbers and claims are whole, consistent and machine readable."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

import pytest

from kdlib import InputError, paths
from kdlib.claims import rules
from kdlib.data.paper import paper_table
from kdlib.sections import SECTIONS

PAPER = Path(__file__).resolve().parent.parent.parent / "data" / "paper"

MNIST_TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
TEMPERATURES = [3, 6, 9, 12, 15, 20]
DATASETS = {"mnist", "fashion_mnist", "cifar10", "other"}
KINDS = {"direction", "every", "exact", "equivalence", "difference", "existence", "not_tested"}
OPTIONAL = {"notebook", "also", "premise", "by_construction", "since", "replaces"}
ELSEWHERE = {"cifar100", "imagenet"}  # on which other systems' sources give their sizes
KEYS = [
    "id",
    "title",
    "section",
    "sentence",
    "derived",
    "datasets",
    "value",
    "unit",
    "kind",
    "side",
    "null_value",
    "margin",
    "statistic",
    "definition",
    "reason",
]
ROLES = {"large_teacher", "small_teacher", "general_student", "baseline_student"}
MISPRINTED_SUMS = {("table2.csv", 2): 0.975}


def rows(name: str) -> list[dict[str, str]]:
    with (PAPER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("spoiled", ["", "dataset,rol\n", 'a,"b\n', "x,y\n1\n1,2,3\n"])
def test_a_printed_table_that_was_spoiled_is_one_line(spoiled, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "paper_dir", lambda: tmp_path)
    (tmp_path / "table7.csv").write_text(spoiled)
    with pytest.raises(InputError, match=f"^{tmp_path / 'table7.csv'} is not the paper's table 7: ") as raised:
        paper_table(7)
    assert "\n" not in str(raised.value)


def is_fraction(printed: str, n: int) -> bool:
    """Whether `printed` is 100 k / n, rounded or cut off to its number of digits."""
    digits = len(printed.partition(".")[2])
    scale = 10**digits
    value = round(float(printed) * scale)
    for k in range(n + 1):
        cut, rest = divmod(100 * k * scale, n)
        nearest = cut + (2 * rest >= n)
        # A whole number of tenths may have been cut off from just below (32.7 printed as 32.69).
        below = cut - 1 if rest == 0 else cut
        if value in (cut, nearest, below):
            return True
    return False


@pytest.fixture(scope="module")
def claims() -> list[dict]:
    return rules.read()["claims"]


@pytest.mark.parametrize("name", ["table4.csv", "table5.csv", "table6.csv"])
def test_missing_class_tables_hold_every_cell_once(name):
    keys = [(int(r["missing_class"]), r["teacher"], int(r["temperature"])) for r in rows(name)]
    expected = {(c, t, T) for c in range(10) for t in ("small", "large") for T in TEMPERATURES}
    assert len(keys) == 120
    assert set(keys) == expected


@pytest.mark.parametrize("name", ["table4.csv", "table5.csv", "table6.csv"])
def test_missing_class_accuracies_are_percentages(name):
    assert all(0 <= float(r["accuracy_percent"]) <= 100 for r in rows(name))


def test_table_4_values_are_fractions_of_the_mnist_test_digits():
    for r in rows("table4.csv"):
        assert is_fraction(r["accuracy_percent"], MNIST_TEST_COUNTS[int(r["missing_class"])]), r


@pytest.mark.parametrize("name", ["table5.csv", "table6.csv"])
def test_tables_5_and_6_values_are_thousandths(name):
    assert all(is_fraction(r["accuracy_percent"], 1000) for r in rows(name))


def test_table_1_is_equation_1_at_alpha_0_6():
    labels = {int(r["class"]): float(r["soft_label"]) for r in rows("table1.csv")}
    assert sorted(labels) == list(range(10))
    for c, label in labels.items():
        assert label == pytest.approx((1 - 0.6) * (c == 6) + 0.06)


@pytest.mark.parametrize("name", ["table2.csv", "table3.csv"])
def test_soft_labels_hold_every_class_of_five_examples(name):
    keys = [(int(r["example"]), int(r["class"])) for r in rows(name)]
    assert len(keys) == 50
    assert set(keys) == {(e, c) for e in range(1, 6) for c in range(10)}


@pytest.mark.parametrize("name", ["table2.csv", "table3.csv"])
def test_soft_labels_sum_to_one_but_for_the_misprinted_row(name):
    sums: dict[int, float] = defaultdict(float)
    for r in rows(name):
        sums[int(r["example"])] += float(r["soft_label"])
    for example, total in sums.items():
        expected = MISPRINTED_SUMS.get((name, example))
        if expected is None:
            assert total == pytest.approx(1, abs=0.01)
        else:
            assert total == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["table2.csv", "table3.csv"])
def test_the_six_is_the_top_class_of_every_soft_label(name):
    labels = defaultdict(dict)
    for r in rows(name):
        labels[int(r["example"])][int(r["class"])] = float(r["soft_label"])
    assert all(max(row, key=row.get) == 6 for row in labels.values())


def test_table_7_names_each_network_once_with_whole_counts():
    table = rows("table7.csv")
    keys = [(r["dataset"], r["role"]) for r in table]
    assert len(keys) == len(set(keys)) == 10
    assert {r["role"] for r in table} == ROLES
    assert {r["dataset"] for r in table} <= DATASETS - {"other"}
    for r in table:
        assert all(re.fullmatch(r"\d*", r[k]) for k in ("conv", "dense", "parameters")), r
        assert all(r[k] in ("yes", "no", "") for k in ("dropout", "batch_norm")), r


def test_table_7_single_layer_student_has_785_weights_a_class():
    counts = {(r["dataset"], r["role"]): r["parameters"] for r in rows("table7.csv")}
    assert int(counts["mnist", "baseline_student"]) == (28 * 28 + 1) * 10


def test_claims_have_exactly_the_required_keys_in_order(claims):
    for claim in claims:
        assert [key for key in claim if key not in OPTIONAL] == KEYS, claim.get("id")
        assert claim.get("also") != []
        if "premise" in claim:
            assert set(claim["premise"]) == {"statistic", "side", "null_value", "unit", "words"}, claim["id"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", claim.get("since", "2026-11-24")), claim["id"]


def test_claim_ids_are_unique_and_plain(claims):
    ids = [claim["id"] for claim in claims]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", i) for i in ids)


def test_a_claim_replaces_one_of_another_section_that_was_not_tested_on_the_same_sentence(claims):
    by_id = {claim["id"]: claim for claim in claims}
    pairs = [(claim, by_id[claim["replaces"]]) for claim in claims if "replaces" in claim]
    assert pairs
    for claim, other in pairs:
        assert other["kind"] == "not_tested" != claim["kind"] and other["notebook"] != claim["notebook"]
        assert " ".join(claim["sentence"].split()) == " ".join(other["sentence"].split())
        assert set(claim["datasets"]) >= set(other["datasets"])


def test_claims_name_known_notebooks_datasets_and_kinds(claims):
    for claim in claims:
        assert claim["notebook"] in SECTIONS, claim["id"]
        assert claim["kind"] in KINDS, claim["id"]
        assert claim["datasets"], claim["id"]
        assert set(claim["datasets"]) <= DATASETS, claim["id"]
        assert len(claim["datasets"]) == len(set(claim["datasets"])), claim["id"]
        assert isinstance(claim["derived"], bool), claim["id"]


def test_only_derived_claims_may_lack_a_sentence(claims):
    for claim in claims:
        assert claim["sentence"] or claim["derived"], claim["id"]


def test_sections_statistics_and_definitions_are_given(claims):
    for claim in claims:
        assert isinstance(claim["section"], str) and claim["section"], claim["id"]
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", claim["statistic"]), claim["id"]
        assert claim["definition"].endswith("."), claim["id"]


def test_direction_claims_have_a_side_and_a_null_value(claims):
    for claim in (c for c in claims if c["kind"] in ("direction", "every")):
        assert claim["side"] in ("greater", "less"), claim["id"]
        assert isinstance(claim["null_value"], (int, float)), claim["id"]
        assert claim["margin"] is None, claim["id"]


def test_claims_of_other_kinds_have_no_side(claims):
    assert all(c["side"] is None for c in claims if c["kind"] not in ("direction", "every"))


def test_equivalence_claims_have_a_positive_margin_around_a_null_value(claims):
    for claim in (c for c in claims if c["kind"] in ("equivalence", "difference")):
        assert isinstance(claim["null_value"], (int, float)), claim["id"]
        assert claim["margin"] > 0, claim["id"]


def test_exact_claims_have_a_value_and_a_tolerance(claims):
    for claim in (c for c in claims if c["kind"] == "exact"):
        assert claim["value"] is not None, claim["id"]
        assert claim["margin"] >= 0, claim["id"]


def test_ratio_claims_hold_one_as_no_effect(claims):
    tested = [c for c in claims if c["unit"] == "ratio" and c["null_value"] is not None]
    assert tested
    assert all(c["null_value"] == 1 for c in tested)


def test_only_untested_claims_have_a_reason(claims):
    for claim in claims:
        assert bool(claim["reason"]) == (claim["kind"] == "not_tested"), claim["id"]


def test_values_are_numbers_or_numbers_by_dataset_of_the_claim(claims):
    for claim in claims:
        value = claim["value"]
        if isinstance(value, dict):
            there = set(claim["datasets"]) - {"other"} | (ELSEWHERE if claim["section"] == "beyond" else set())
            assert set(value) <= there, claim["id"]
            assert all(isinstance(v, (int, float)) for v in value.values()), claim["id"]
        else:
            assert value is None or isinstance(value, (int, float)), claim["id"]


@pytest.mark.parametrize(
    ("claim_id", "name", "dataset"),
    [
        ("missing-mnist", "table4.csv", "mnist"),
        ("missing-fashion", "table5.csv", "fashion_mnist"),
        ("missing-cifar10", "table6.csv", "cifar10"),
    ],
)
def test_missing_class_sizes_are_the_differences_of_the_tables(claims, claim_id, name, dataset):
    cells = defaultdict(list)
    for r in rows(name):
        cells[r["teacher"]].append(float(r["accuracy_percent"]))
    difference = sum(cells["small"]) / 60 - sum(cells["large"]) / 60
    value = next(c["value"] for c in claims if c["id"] == claim_id)
    assert value[dataset] == pytest.approx(difference, abs=5e-5)


def test_soft_label_references_are_the_means_of_tables_2_and_3(claims):
    by_id = {c["id"]: c for c in claims}
    for claim_id, name in (
        ("soft-labels-small", "table2.csv"),
        ("soft-labels-large", "table3.csv"),
    ):
        six = [float(r["soft_label"]) for r in rows(name) if r["class"] == "6"]
        assert by_id[claim_id]["null_value"] == pytest.approx(sum(six) / 5, abs=5e-5)
        assert by_id[claim_id]["value"] == {"mnist": by_id[claim_id]["null_value"]}
