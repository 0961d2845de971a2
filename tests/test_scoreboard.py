"""The scoreboard's own texts, from the reference pages in the repository."""

import pytest

from kdlib.cli import scoreboard
from kdlib.cli.pages import executed, page_record, read
from kdlib.record import read_tables

NAME = "fashion_mnist"


@pytest.fixture(scope="module")
def records():
    return [page_record(read(path)) for path in executed() if path.parent.name == NAME]


def test_the_first_seeds_are_those_and_what_has_no_seed_stays():
    import pandas as pd

    by_seed, plain = pd.DataFrame({"seed": [0, 1, 2], "value": [5, 6, 7]}), pd.DataFrame({"value": [8]})
    found = scoreboard.first_seeds({"a": {"entropy": {"by_seed": by_seed, "plain": plain}}}, 2)["a"]["entropy"]
    assert found["by_seed"].value.tolist() == [5, 6] and found["plain"].value.tolist() == [8]


def test_all_seeds_are_as_good_as_no_choice_of_them(records):
    tables = {NAME: {record["section"]: read_tables(record) for record in records}}
    count = records[0]["settings"]["seeds"]
    assert scoreboard.verdicts(records, scoreboard.first_seeds(tables, count)) == scoreboard.verdicts(records, tables)


def test_a_data_set_with_more_than_the_first_seeds_says_which_verdicts_that_changed(records, monkeypatch):
    count = records[0]["settings"]["seeds"]
    given = {(record["dataset"], record["section"]): {} for record in records}
    monkeypatch.setattr(scoreboard, "FIRST_SEEDS", count)
    assert "seeds alone" not in scoreboard.Scoreboard(records, given).page()
    monkeypatch.setattr(scoreboard, "FIRST_SEEDS", 2)
    page = scoreboard.Scoreboard(records, given).page()
    assert f"with the first 2 of its\n{count} seeds alone" in page
    rows = page.partition("| claim | 2 seeds")[2].partition("|---|---|---|\n")[2].partition("\n:::")[0].splitlines()
    changed = [[cell.split(":")[0].strip() for cell in row.strip("|").split("|")[1:3]] for row in rows]
    assert changed and all(was != now for was, now in changed)
    assert f", {len(changed)} would be others" in page
