"""What a statistic lacks is told apart from its faults, and no statistic hides another."""

import pandas as pd
import pytest

from kdlib import InputError
from kdlib.claims.claims import evaluate
from kdlib.claims.comparison import compare
from kdlib.claims.controls import findings
from kdlib.claims.registry import STATISTICS, Lacking, LackingColumn, Registry, Statistic, Tables

ROWS = pd.DataFrame({"seed": [0, 1], "teacher": ["small", "large"], "raw": [1.0, 2.0]})
TABLES = Tables("mnist", {"missing_class": {"cells": ROWS}})


def computed(function) -> Statistic:
    registry = Registry()
    registry.enter(function)
    return registry.compute(function.__name__, TABLES)


@pytest.mark.parametrize(
    ("taken", "lacks"),
    [
        (lambda tables: tables["entropy"], "entropy"),
        (lambda tables: tables["missing_class"]["shown"], "shown"),
        (lambda tables: tables.of("cifar10"), "cifar10"),
    ],
)
def test_a_section_a_table_and_a_data_set_that_are_not_there_are_lacking(taken, lacks):
    with pytest.raises(Lacking, match=lacks) as caught:
        computed(taken)
    assert not isinstance(caught.value, LackingColumn)


@pytest.mark.parametrize(
    "taken",
    [
        lambda rows: rows["corrected"],
        lambda rows: rows[["raw", "corrected"]],
        lambda rows: rows.groupby("corrected"),
        lambda rows: rows.merge(rows, on="corrected"),
        lambda rows: rows.pivot_table(index="seed", columns="teacher", values="corrected"),
        lambda rows: rows.sort_values("corrected"),
    ],
)
def test_a_column_that_a_table_does_not_have_is_lacking(taken):
    with pytest.raises(LackingColumn, match="corrected"):
        computed(lambda tables: taken(tables["missing_class"]["cells"]))


@pytest.mark.parametrize(
    "faulty",
    [
        lambda rows: {"small": 1}["medium"],
        lambda rows: rows.set_index("seed")["raw"].loc[7],
        lambda rows: rows.groupby("seed")["raw"].mean()[7],
    ],
)
def test_a_key_error_of_a_statistics_own_is_a_fault_and_goes_on(faulty):
    with pytest.raises(KeyError) as caught:
        computed(lambda tables: faulty(tables["missing_class"]["cells"]))
    assert not isinstance(caught.value, Lacking)


@pytest.mark.parametrize(
    "judge",
    [
        lambda: evaluate("mnist", TABLES.sections),
        lambda: findings("mnist", {"rival_explanations": {}}),
        lambda: compare("mnist", TABLES.sections, TABLES.sections),
    ],
)
def test_nothing_that_judges_takes_the_fault_of_a_statistic_for_something_lacking(judge, monkeypatch):
    def compute(name, tables):
        raise KeyError("slip of the pen")

    monkeypatch.setattr(STATISTICS, "compute", compute)
    with pytest.raises(KeyError, match="slip of the pen"):
        judge()


def test_a_statistic_that_no_section_defines_is_one_clear_error():
    with pytest.raises(InputError, match="no statistic is called 'entropi'"):
        STATISTICS.compute("entropi", TABLES)


def test_a_registry_whose_filling_failed_is_asked_again_and_never_half_full():
    registry, broken = Registry(), [True]

    @registry.filled_by
    def source():
        registry.enter(len)
        if broken:
            raise ImportError("a module that cannot be imported")
        registry.enter(max)

    for _ in range(2):
        with pytest.raises(ImportError, match="cannot be imported"):
            list(registry)
    broken.clear()
    assert {*registry} == {"len", "max"}


def test_a_name_that_another_module_has_taken_is_refused_and_one_of_the_same_module_is_renewed():
    def one(tables):
        return tables

    def other(tables):
        return tables

    registry = Registry()
    registry.enter(one)
    other.__name__, other.__module__ = "one", "kdlib.sections.another.statistics"
    with pytest.raises(
        InputError, match=r"two statistics are called 'one', in .*test_registry and in kdlib.sections.an"
    ):
        registry.enter(other)
    assert registry["one"] is one
    other.__module__ = one.__module__  # as where an import that failed is tried again
    registry.enter(other)
    assert registry["one"] is other
