"""Statistics and controls on tables that hold less than the paper's grids: no value, and never a fault."""

import re
from contextlib import suppress
from itertools import chain

import pytest

from kdlib.claims.claims import evaluate, load_claims
from kdlib.claims.controls import find, findings, load_controls
from kdlib.claims.registry import STATISTICS, Lacking, Statistic, Tables

from ..claims.test_controls import control_tables
from .test_statistics import (
    NEEDS_NO_RUN,
    capacity_tables,
    entropy_tables,
    example_efficiency_tables,
    missing_class_tables,
    penultimate_layer_tables,
    related_systems_tables,
    similarity_information_tables,
    sweet_spot_tables,
)

SECTIONS = {
    "entropy": entropy_tables(),
    "missing_class": missing_class_tables(),
    "example_efficiency": example_efficiency_tables(),
    "penultimate_layer": penultimate_layer_tables(),
    "sweet_spot": sweet_spot_tables(),
    "rival_explanations": control_tables(),
    "similarity_information": similarity_information_tables(),
    "capacity": capacity_tables(),
    "related_systems": related_systems_tables(),
}
SECTIONS["sweet_spot"]["map"] = SECTIONS["sweet_spot"]["map"].assign(test_accuracy=90.0)
OTHERS = {"mnist": {"example_efficiency": example_efficiency_tables(shift=5)}}
# Columns that say what a row is of; all others hold what was measured.
KEYS = {
    *("seed", "teacher", "student", "control", "selection", "budget", "full", "setting", "split", "yardstick"),
    *("temperature", "epoch", "batch_size", "learning_rate", "missing_class", "examples_per_class", "level", "step"),
    *("targets", "system", "weights", "length", "variant", "network"),
}
CASES = [
    (section, column)
    for section, tables in SECTIONS.items()
    for column in sorted(KEYS.intersection(*[chain(*tables.values())]))
]
RULES = [*load_claims(), *load_controls()]
TAKING = {  # the statistics that take a table of a section
    section: {r.statistic for r in RULES if section in (r.notebook, *getattr(r, "also", ()))}
    & set(STATISTICS) - NEEDS_NO_RUN
    for section in SECTIONS
}


@pytest.mark.parametrize(("section", "column"), CASES)
def test_a_statistic_of_some_rows_has_values_or_none_but_never_fails(section, column):
    value = next(table[column].iloc[-1] for table in SECTIONS[section].values() if column in table)
    for kept in (lambda values: values == value, lambda values: values != value):
        part = {n: t[kept(t[column])] if column in t else t for n, t in SECTIONS[section].items()}
        tables = Tables("fashion_mnist", SECTIONS | {section: part}, OTHERS)
        for statistic in TAKING[section]:
            found = STATISTICS[statistic](tables)
            assert isinstance(found, Statistic) and found.values.to_numpy().dtype == float
            assert found.terms is None or found.has_value


@pytest.mark.parametrize("dataset", ["mnist", "cifar10", "digits"])
def test_of_a_data_set_for_which_no_claim_is_made_a_statistic_has_a_value_or_says_what_is_lacking(dataset):
    """A comparison of two runs takes every statistic."""
    for name in STATISTICS:
        with suppress(Lacking):
            assert isinstance(STATISTICS.compute(name, Tables(dataset, SECTIONS)), Statistic)


@pytest.mark.parametrize("section", SECTIONS)
def test_tables_without_columns_give_no_verdict_and_no_finding_and_say_what_is_lacking(section):
    bare = {name: table.iloc[:, :0] for name, table in SECTIONS[section].items()}
    of_section = {c.id for c in load_claims() if section in (c.notebook, *c.also) and c.statistic in TAKING[section]}
    judged = [v for v in evaluate("fashion_mnist", SECTIONS | {section: bare}, OTHERS) if v.claim in of_section]
    assert judged and {v.verdict for v in judged} == {"no verdict"} and all(v.note for v in judged)
    columns = {column for tables in SECTIONS.values() for table in tables.values() for column in table}
    lacking = [set(re.findall(r"\w+", v.note)) for v in judged if v.note.startswith("lacks ")]
    assert lacking and all(columns & words for words in lacking)  # a column that there is, not a slip of the pen
    found = [f for f in findings("fashion_mnist", {section: bare}) if f.lacks]
    assert all((f.outcome, f.estimate) == ("not decided", None) and f.lacks in f.sentence for f in found)
    assert len(found) == sum(control.notebook == section for control in load_controls())


def test_a_table_that_is_not_there_is_not_yet_run_and_its_controls_are_not_decided():
    lacking = {
        section: {name: table for name, table in tables.items() if name not in ("shown", "gradients")}
        for section, tables in SECTIONS.items()
    }
    judged = {v.claim: v for v in evaluate("mnist", lacking)}
    assert (judged["examples-differ"].verdict, judged["examples-differ"].note) == ("not yet run", "lacks shown")
    found = {f.control.id: f for f in findings("mnist", lacking)}
    assert found["gradient-weights"].sentence == "No finding: there are no numbers of gradients."
    assert [name for name, f in found.items() if f.lacks] == ["gradient-weights"]


def test_a_control_of_a_section_that_was_not_run_is_not_decided():
    assert {find(control, Tables("mnist", {})).lacks for control in load_controls()} == {
        control.notebook for control in load_controls()
    }
