"""The scoreboard's own texts, from the reference pages in the repository."""

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from kdlib.book import present
from kdlib.book import scoreboard
from kdlib.book.pages import executed, page_record, read
from kdlib.book.record import read_tables

NAME = "fashion_mnist"


@pytest.fixture(scope="module")
def records():
    return [page_record(read(path)) for path in executed() if path.parent.name == NAME]


def board(records) -> scoreboard.Scoreboard:
    return scoreboard.Scoreboard(records, {(record["dataset"], record["section"]): {} for record in records})


def test_without_a_page_there_are_no_claims_to_choose_from():
    assert "scoreboard.js" not in board([]).page()


def test_the_first_seeds_are_those_and_what_has_no_seed_stays():
    by_seed, plain = pd.DataFrame({"seed": [0, 1, 2], "value": [5, 6, 7]}), pd.DataFrame({"value": [8]})
    found = scoreboard.first_seeds({"a": {"entropy": {"by_seed": by_seed, "plain": plain}}}, 2)["a"]["entropy"]
    assert found["by_seed"].value.tolist() == [5, 6] and found["plain"].value.tolist() == [8]


def test_all_seeds_are_as_good_as_no_choice_of_them(records):
    tables = {NAME: {record["section"]: read_tables(record) for record in records}}
    count = records[0]["settings"]["seeds"]
    assert scoreboard.verdicts(records, scoreboard.first_seeds(tables, count)) == scoreboard.verdicts(records, tables)


def test_a_data_set_with_more_than_the_first_seeds_says_which_verdicts_that_changed(records, monkeypatch):
    count = records[0]["settings"]["seeds"]
    monkeypatch.setattr(scoreboard, "FIRST_SEEDS", count)
    assert "seeds alone" not in board(records).page()
    monkeypatch.setattr(scoreboard, "FIRST_SEEDS", 2)
    page = board(records).page()
    assert f"with the first 2 of its\n{count} seeds alone" in page
    rows = page.partition("| claim | 2 seeds")[2].partition("|---|---|---|\n")[2].partition("\n:::")[0].splitlines()
    changed = [[cell.split(":")[0].strip() for cell in row.strip("|").split("|")[1:3]] for row in rows]
    assert changed and all(was != now for was, now in changed)
    assert f", {len(changed)} would be others" in page


def test_the_landing_page_says_what_teachers_add_with_the_numbers_of_the_controls_page(records):
    summary = board(records).summary()
    full = next(read_tables(record)["full"] for record in records if record["section"] == "rival_explanations")
    alone, gains = present.full_accuracy_gains(full)
    head = summary.partition("Does it pay to have a teacher at all")[2].partition("```{raw} html")[0]
    helping = {teacher: int(gain.low > 0) for teacher, gain in gains.items()}
    said = " ".join(head.split())
    assert f"the small teacher helps on {helping['small']} of 1 data sets, the large one on {helping['large']}" in said
    table = BeautifulSoup(summary, "html.parser").find("th", string="the small teacher adds").find_parent("table")
    assert present.format_interval(alone, "%") in table.tbody.th.get_text()
    for cell, gain in zip(table.select("tbody td"), gains.values(), strict=True):
        assert f"{gain} points" in cell.get_text() and "labels alone at" in cell.get_text()


def test_without_controls_nothing_is_said_of_what_teachers_add(records):
    others = [record for record in records if record["section"] != "rival_explanations"]
    summary = board(others).summary()
    assert "they were not run yet" in summary and "the small teacher adds" not in summary
